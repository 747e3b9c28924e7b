package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/internal/cli"
)

// check reads the files that routes name, and says on which line what is wrong.
func TestCheckDirectories(t *testing.T) {
	list := filepath.Join(t.TempDir(), "list")
	policy := strings.Replace(servesOne, "name = \"in\"\n", "name = \"in\"\nrecipients = \"directory\"\ndirectories = [\"staff\"]\n", 1) +
		"[[directory]]\nname = \"staff\"\nkind = \"file\"\nfile = \"" + list + "\"\n"
	dir := documents(t, "", policy)
	for _, tt := range []struct {
		text string // "-": there is no file
		code int
		says string
	}{
		{"-", cli.Found, "directory staff: open " + list + ": no such file"},
		{"a@example.org\nnobody\n", cli.Found, "directory staff: " + list + `:2: "nobody" is no mail address: it has no @`},
		{"# nobody yet\n", cli.Found, "directory staff: it has no address at all, which allow_empty would allow"},
		{"a@example.org\n", cli.Done, "can be used"},
	} {
		if tt.text != "-" {
			if err := os.WriteFile(list, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if code, _, errOut := gatepost(t, "check", "--config", dir); code != tt.code || !strings.Contains(errOut, tt.says) {
			t.Errorf("%q: exit %d, %s", tt.text, code, errOut)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "state", "directories")); err == nil {
		t.Error("check wrote a copy")
	}
}

// A filter, a password and authorities that cannot be used are found by check, and no password is shown.
func TestCheckLDAP(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		keys string
		code int
		says string
	}{
		{"password_file = \"" + secret + "\"\n", cli.Done, "can be used"},
		{"password_file = \"" + secret + "x\"\n", cli.Found, "directory[staff]: password_file: open"},
		{"password_file = \"" + secret + "\"\nca_file = \"" + secret + "\"\n", cli.Found, "directory[staff]: ca_file: " + secret + " holds no certificate"},
		{"password_file = \"" + secret + "\"\nfilter = \"(mail=*)(x)\"\n", cli.Found, "directory[staff]: filter: "},
	} {
		dir := documents(t, "", strings.Replace(servesOne, "name = \"in\"\n", "name = \"in\"\nrecipients = \"directory\"\ndirectories = [\"staff\"]\n", 1)+
			"[[directory]]\nname = \"staff\"\nkind = \"ldap\"\nservers = [\"ldaps://dc.example.org\"]\nbase = \"dc=example\"\nbind_dn = \"cn=x\"\n"+tt.keys)
		code, out, errOut := gatepost(t, "check", "--config", dir)
		if code != tt.code || !strings.Contains(errOut, tt.says) || strings.Contains(out+errOut, "hunter2") {
			t.Errorf("%s: exit %d, %s", tt.keys, code, errOut)
		}
	}
}
