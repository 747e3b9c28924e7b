package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// TestConsoleRestore makes a backup of a gateway that is set up, and restores it on a new machine with a browser, in place of the steps of
// the first run: with the wrong key, then cut off, then whole; with script and without. The daemon ends by itself, what systemd would start
// again has the users of the backup, and takes mail for its domain.
func TestConsoleRestore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{console: "127.0.0.1:0"})
	w.start(t)
	old := w.policy
	b := w.browse(t, lab.BrowserOptions{})
	b.Step("login.first", map[string]any{"code": w.setupCode(t), "name": ownerName, "password": operatorPassword}, nil)
	aside := labtest.Dir(t)
	public := w.tells(t, "backup", "key", "--out", filepath.Join(aside, "key"))
	file := filepath.Join(aside, "gatepost-old.age")
	w.tells(t, "backup", "create", "--recipient", public, "--to", file)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(aside, "cut.age")
	if err := os.WriteFile(cut, whole[:len(whole)-20], 0o600); err != nil {
		t.Fatal(err)
	}
	w.tells(t, "backup", "key", "--out", filepath.Join(aside, "other"))
	for _, noScript := range []bool{false, true} {
		if err := w.daemon.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(lab.StateDir(w.dir)); err != nil {
			t.Fatal(err)
		}
		w.policy, w.offers = "[limits]\n"+noWaits+noGreylist+noRates(), "-" // it serves nobody
		w.start(t)
		w.notSetUp(t)
		b := w.browse(t, lab.BrowserOptions{NoScript: noScript})
		b.Step("begin.first", map[string]any{"code": w.setupCode(t), "name": "nova", "password": operatorPassword}, nil)
		upload := func(file, key string, refused bool, look string) (said string) {
			t.Helper()
			if noScript { // what looks at pages is script
				look = ""
			}
			b.Step("begin.upload", map[string]any{"file": file, "key": key, "refused": refused, "look": look}, &said)
			return said
		}
		if said := upload(cut, filepath.Join(aside, "key"), true, "restore-cut"); !strings.Contains(said, "copy it again from where it came") {
			t.Errorf("cut off: %q", said)
		}
		if said := upload(file, filepath.Join(aside, "other"), true, "restore-key"); !strings.Contains(said, "does not open it") || !strings.Contains(said, "the file is kept") {
			t.Errorf("another key: %q", said)
		}
		if said := upload("", filepath.Join(aside, "key"), false, "restore-verified"); !strings.Contains(said, "A backup of "+hostname) || !strings.Contains(said, "users, versions of the policy, audit log") {
			t.Errorf("what is in it: %q", said)
		}
		var said string
		b.Step("begin.restore", nil, &said)
		if !strings.Contains(said, "restarts by itself") {
			t.Errorf("restored: %q", said)
		}
		select {
		case <-w.daemon.Done():
		case <-time.After(clientTime):
			t.Fatal("the daemon does not end")
		}
		if code := w.daemon.ExitCode(); code != 1 {
			t.Errorf("exit code %d: systemd would not start it again", code)
		}
		w.races(t)
		w.restarts(t, old)
		b = w.browse(t, lab.BrowserOptions{NoScript: noScript})
		b.Step("login.enter", map[string]any{"name": ownerName, "password": operatorPassword}, nil)
		w.accepts(t)
	}
}

// accepts: a recipient of the domain of the backup is taken.
func (w *world) accepts(t *testing.T) {
	t.Helper()
	c := w.hello(t)
	c.want("250", "MAIL FROM:<alice@example.org>")
	c.want("250", "RCPT TO:<bob@served.test>")
	c.want("221", "QUIT") // a daemon that ends would wait for it
}

// restarts starts the daemon as systemd does, with the documents that lie there: those of the backup.
func (w *world) restarts(t *testing.T, policy string) {
	t.Helper()
	text, err := os.ReadFile(lab.PolicyFile(w.dir))
	if err != nil || string(text) != w.policy {
		t.Errorf("before the start the policy is %q, %v", text, err)
	}
	w.options.Config, w.options.Policy = w.config, "" // the file stays as it is
	w.daemon = labtest.Gatepost(t, w.dir, w.options)
	if text, err := os.ReadFile(lab.PolicyFile(w.dir)); err != nil || string(text) != policy {
		t.Errorf("the policy is %q, %v", text, err)
	}
}
