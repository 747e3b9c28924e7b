package importer

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/importer/postfix"
)

var update = flag.Bool("update", false, "write the files in want")

// imported imports a folder of testdata.
func imported(t *testing.T, dir string) *Draft {
	t.Helper()
	files, err := postfix.Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	c, err := postfix.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return FromPostfix(c, Options{Expires: time.Date(2027, 2, 24, 0, 0, 0, 0, time.UTC)})
}

// golden compares with a file of want, or writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update writes it); got:\n%s", name, got)
	}
}

// TestPostfix shows what each folder below testdata/postfix becomes: both documents and the report.
func TestPostfix(t *testing.T) {
	dirs, err := filepath.Glob("testdata/postfix/*")
	if err != nil || len(dirs) < 6 {
		t.Fatal(dirs, err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			d := imported(t, dir)
			var report bytes.Buffer
			d.Report.Write(&report)
			golden(t, filepath.Join(dir, "want", "gatepost.toml"), []byte(d.Bootstrap.Text()))
			golden(t, filepath.Join(dir, "want", "policy.toml"), []byte(d.Policy.Text()))
			golden(t, filepath.Join(dir, "want", "report.txt"), report.Bytes())
			for _, f := range d.Files {
				golden(t, filepath.Join(dir, "want", f.Name), f.Data)
			}
		})
	}
}

// TestEverythingIsTold shows that nothing that main.cf sets is missing in the report.
func TestEverythingIsTold(t *testing.T) {
	dirs, _ := filepath.Glob("testdata/postfix/*")
	for _, dir := range dirs {
		files, err := postfix.Open(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		c, err := postfix.Load(files)
		files.Close()
		if err != nil {
			t.Fatal(err)
		}
		d := imported(t, dir)
		for _, name := range c.Names() {
			at := c.Params[name].At.String()
			told := false
			for _, i := range d.Items {
				told = told || i.Where == at || strings.Contains(i.Where, at+",") || strings.HasSuffix(i.Where, ", "+at) || strings.Contains(i.What, name)
			}
			if !told && !helps(name) && c.Value(name) != "" {
				t.Errorf("%s: %s (%s) is in no line of the report", dir, name, at)
			}
		}
	}
}

// helps reports whether a parameter only says how others are meant, which these tell.
func helps(name string) bool {
	switch name {
	case "mydomain", "smtpd_tls_key_file", "smtpd_restriction_classes", "my_class", "inet_protocols", "inet_interfaces", "postscreen_dnsbl_threshold", "postscreen_dnsbl_action",
		"parent_domain_matches_subdomains", "transport_maps", "relayhost", "virtual_transport", "smtp_tls_security_level", "smtp_tls_policy_maps",
		"smtp_sasl_auth_enable", "smtp_sasl_password_maps", "virtual_mailbox_maps":
		return true
	}
	return false
}

// TestNoSecret shows that neither a password nor the key of a list is in anything that an import writes.
func TestNoSecret(t *testing.T) {
	d := imported(t, "testdata/postfix/06-secrets")
	var report bytes.Buffer
	d.Report.Write(&report)
	if err := d.Report.WriteJSON(&report); err != nil {
		t.Fatal(err)
	}
	all := report.String() + d.Bootstrap.Text() + d.Policy.Text()
	for _, secret := range []string{"VERY-SECRET-WORD", "zq7w3k9xk2m4n8p0v5b1c6d2"} {
		if strings.Contains(all, secret) {
			t.Errorf("%s is in:\n%s", secret, all)
		}
	}
	if !strings.Contains(all, "gateway") || !strings.Contains(all, "spamhaus-zen-dqs") {
		t.Errorf("neither the login nor the list is named:\n%s", all)
	}
}
