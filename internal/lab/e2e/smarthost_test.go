package e2e

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// TestSmarthost: a real daemon proves to a foreign server who it is; with another password nothing goes, and the daemon
// says which key is wrong. The password is in nothing that the daemon writes or says, at its most talkative.
func TestSmarthost(t *testing.T) {
	t.Parallel()
	const user, good, bad = "gateway@example.org", "correct-horse-battery", "staple-of-wrong-words"
	certificate, key, err := lab.NewCertificate("smarthost.example.org")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	host, err := lab.StartGoSMTP(&tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(host.Close)
	host.Require(user, good)

	secrets := labtest.Dir(t)
	put := func(name, text string) string {
		path := filepath.Join(secrets, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca, password := put("ca.pem", string(certificate)), put("password", bad+"\n")
	lines := fmt.Sprintf("server_name = \"smarthost.example.org\"\nca_file = %q\nrecipients = \"none\"\nauth = { user = %q, password_file = %q }", ca, user, password)
	w := newWorld(t, setup{bootstrap: "[log]\nlevel = \"debug\"\n", offers: "-",
		routes: []route{{name: "out", domains: []string{"served.test"}, addr: host.Addr(), lines: lines}}})
	w.policy = strings.Replace(w.policy, "tls = \"none\"", "tls = \"required\"", 1)
	w.start(t)
	var said strings.Builder
	ask := func(args ...string) string {
		out, errOut, _, err := w.daemon.Command(t.Context(), args...)
		if err != nil {
			t.Error(err)
		}
		said.WriteString(out + errOut)
		return out + errOut
	}
	tell := func() string {
		for _, path := range []string{"/readyz", "/metrics"} {
			_, text, err := w.daemon.Get(t.Context(), path)
			if err != nil {
				t.Error(err)
			}
			said.WriteString(text)
		}
		return ask("status")
	}
	for deadline := time.Now().Add(clientTime); !strings.Contains(tell(), "route[out].auth: next hop does not take user and password: 535"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("status does not say which key is wrong: %s", said.String())
		}
	}
	if got := w.hello(t).deliver("bob@served.test", "first"); !strings.Contains(got.last(), "451 4.4.1") {
		t.Errorf("with a wrong password the client was told %q", got.last())
	}
	put("password", good+"\nand a note\n")
	w.reload(t, w.policy, "reload")
	for deadline := time.Now().Add(clientTime); ; time.Sleep(20 * time.Millisecond) {
		got := w.hello(t).deliver("bob@served.test", "second")
		if got.accepted() {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("with the password the client was told %q", got.last())
		}
	}
	if messages := host.Messages(); len(messages) != 1 || !strings.Contains(string(messages[0].Body), "second") || host.Logins() == 0 {
		t.Errorf("%d messages after %d logins", len(messages), host.Logins())
	}
	tell()
	ask("config", "print")
	ask("policy", "print")
	ask("check", "--live")
	ask("log", "search", "--json")
	if err := w.daemon.Stop(); err != nil {
		t.Error(err)
	}
	looked := 0
	err = filepath.WalkDir(w.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			looked++
			said.Write(text)
		}
		return err
	})
	if err != nil || looked < 3 {
		t.Errorf("%d files were looked at, %v", looked, err)
	}
	for _, p := range []string{good, bad} {
		for _, form := range []string{p, base64.StdEncoding.EncodeToString([]byte(p)), base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + p))} {
			if i := strings.Index(said.String(), form); i >= 0 {
				t.Errorf("a password was told: %q", said.String()[max(0, i-200):i])
			}
		}
	}
}
