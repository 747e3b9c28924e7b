package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/internal/cli"
	"gatepost/internal/lab/dnslab"
)

const authMail = "From: Anna <anna@sender.example>\r\nTo: b@example.org\r\nSubject: hello\r\nMessage-ID: <1@sender.example>\r\n\r\ntext\r\n"

// writeMail puts a message into a file of its own.
func writeMail(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "mail.eml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestAuthCommand holds the command by its words: what is missing, what is wrong with the file, and what it prints.
func TestAuthCommand(t *testing.T) {
	lab := dnslab.New(t, dnslab.Text("1.2.0.192.in-addr.arpa. PTR mail.sender.example.\nmail.sender.example. A 192.0.2.1\nsender.example. MX 10 mail.sender.example.\n"))
	dir := documents(t, "[dns]\nservers = [\""+lab.Addr()+"\"]\n", "[limits]\nmessage_size = \"64K\"\nheader = \"32K\"\n"+servesOne)
	mail, bare := writeMail(t, authMail), writeMail(t, strings.ReplaceAll(authMail, "\r\n", "\n"))
	client := []string{"--ip", "192.0.2.1", "--helo", "mail.sender.example", "--config", dir, "--from"}
	for _, tt := range []struct {
		name string
		args []string
		code int
		out  string
		err  string
	}{
		{"no file", append(client, "a@sender.example"), 2, "", "name a message file"},
		{"no client", []string{mail, "--config", dir, "--from", "a@sender.example"}, 2, "", "--ip, --helo and --from"},
		{"no address", []string{mail, "--ip", "nobody", "--helo", "a", "--from", ""}, 2, "", `--ip "nobody" is no address`},
		{"no sender", append(client, "a b", mail), 2, "", `--from "a b" is no address`},
		{"no recipient", append(client, "", mail, "--to", "@"), 2, "", `--to "@" is no address`},
		{"two files", append(client, "a@sender.example", mail, bare), 2, "", "is too much"},
		{"no such file", append(client, "a@sender.example", "/nowhere/mail.eml"), 1, "", "no such file"},
		{"no such configuration", []string{mail, "--ip", "192.0.2.1", "--helo", "a.example", "--from", "", "--config", "/nowhere"}, 1, "", "cannot be read"},
		{"empty", append(client, "a@sender.example", writeMail(t, "")), 1, "", "is empty"},
		{"too large", append(client, "a@sender.example", writeMail(t, authMail+strings.Repeat("x", 64<<10))), 1, "", "more than the 65536 octets of limits.message_size"},
		{"good", append(client, "a@sender.example", mail), 0, "leads back", ""},
		{"bare LF", append(client, "<a@sender.example>", bare), 0, "iprev=pass", "6 lines ended in a bare LF; they were made CRLF"},
		{"null reverse-path", append(client, "", mail), 0, "From           <>", ""},
		{"another server", append(client, "a@sender.example", mail, "--dns", "127.0.0.1:1"), 0, "dns.failed", ""},
		{"what it costs", []string{mail, "--ip", "192.0.2.9", "--helo", "mail.sender.example", "--from", "a@sender.example", "--config", dir}, 0, "none (2.0 points)", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errOut := gatepost(t, append([]string{"auth"}, tt.args...)...)
			if code != tt.code || !strings.Contains(out, tt.out) || !strings.Contains(errOut, tt.err) {
				t.Errorf("exit %d, want %d\nout: %s\nerr: %s", code, tt.code, out, errOut)
			}
		})
	}
	code, out, errOut := gatepost(t, append([]string{"auth", mail, "--json"}, append(client, "a@sender.example")...)...)
	var told struct {
		Record  struct{ Findings []struct{ C, Is string } }
		Results string `json:"authentication_results"`
	}
	if err := json.Unmarshal([]byte(out), &told); err != nil || code != cli.Done || len(told.Record.Findings) < 2 ||
		!strings.HasPrefix(told.Results, "Authentication-Results: mx.example.org;") || errOut != "" {
		t.Errorf("exit %d, %v\nout: %s\nerr: %s", code, err, out, errOut)
	}
}

// TestAuthWithoutDocuments: where no configuration is and none was named, the defaults answer.
func TestAuthWithoutDocuments(t *testing.T) {
	var errOut strings.Builder
	c, ok := configOr(cli.Env{Out: nil, Err: &errOut, Sections: sections}, filepath.Join(t.TempDir(), "nothing"), false)
	if !ok || c.PolicyVersion != "builtin" || c.Bootstrap.Hostname == "" || !strings.Contains(errOut.String(), "every key has its default") {
		t.Fatalf("%+v, told %s", c, errOut.String())
	}
	q := authQuestion{server: dnslab.New(t, nil).Addr()}
	if err := q.read("192.0.2.1", "mail.sender.example", "a@sender.example", ""); err != nil {
		t.Fatal(err)
	}
	a, err := authenticate(t.Context(), c, &q, []byte(authMail))
	if err != nil || a.event.Verdict.Outcome.Refuses() || a.event.Policy != "builtin" || !strings.HasPrefix(a.results, "Authentication-Results: ") {
		t.Errorf("%v, %+v", err, a)
	}
}
