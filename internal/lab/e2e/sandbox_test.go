package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab/labtest"
)

// TestSandbox: the daemon reads nothing that its documents did not name at its start, and writes nothing outside its folders.
func TestSandbox(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{limits: noWaits + "message_size = \"4M\"\n", body: "memory = \"4K\""})
	w.partIs(t, "sandbox", "landlock version")
	outside := labtest.Dir(t)
	ca := filepath.Join(outside, "ca.pem")
	if err := os.WriteFile(ca, []byte("not looked at"), 0o644); err != nil {
		t.Fatal(err)
	}
	named := strings.Replace(w.policy, "tls = \"none\"", "tls = \"required\"\nserver_name = \"mail.example.org\"\nca_file = \""+ca+"\"", 1)
	if err := os.WriteFile(filepath.Join(w.dir, "policy.toml"), []byte(named), 0o600); err != nil {
		t.Fatal(err)
	}
	_, complaint, code, err := w.daemon.Command(t.Context(), "reload")
	if err != nil || code != 1 || !strings.Contains(complaint, "ca_file: open "+ca+": permission denied; the sandbox was made at the start for the files that were named then: restart needed") {
		t.Errorf("reload: exit %d, %s, %v", code, complaint, err)
	}
	// A file that is not there is another fault, and says so.
	if err := os.Remove(ca); err != nil {
		t.Fatal(err)
	}
	if _, complaint, code, _ = w.daemon.Command(t.Context(), "reload"); code != 1 || strings.Contains(complaint, "restart") || !strings.Contains(complaint, "no such file") {
		t.Errorf("reload: exit %d, %s", code, complaint)
	}
	if said := w.hello(t).deliver("bob@served.test", "text"); !said.accepted() {
		t.Errorf("after refused reloads the client was told %q", said.last())
	}
	w.reload(t, w.policy, "reload")

	// The folder of messages becomes a way out of the state folder.
	big := strings.Repeat(strings.Repeat("x", 98)+"\r\n", 1000)
	if said := w.hello(t).deliver("bob@served.test", big); !said.accepted() {
		t.Errorf("a big message was told %q", said.last())
	}
	tmp := filepath.Join(w.dir, "state", "tmp")
	if err := os.Remove(tmp); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, tmp); err != nil {
		t.Fatal(err)
	}
	if said := w.hello(t).deliver("bob@served.test", big); !strings.HasPrefix(said.last(), "452 4.3.1") {
		t.Errorf("a message that would be written outside was told %q", said.last())
	}
	if all, err := os.ReadDir(outside); err != nil || len(all) > 0 {
		t.Errorf("outside there are %v, %v", all, err)
	}
}

// TestSandboxOff: it can be switched off, which is told.
func TestSandboxOff(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{offers: "-"})
	if err := w.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	w.config = "sandbox = \"off\"\n" + w.config
	w.start(t)
	w.partIs(t, "sandbox", `switched off by sandbox = \"off\"`)
}

// partIs waits until /readyz tells so of a part.
func (w *world) partIs(t *testing.T, part, detail string) {
	t.Helper()
	for deadline := time.Now().Add(clientTime); ; time.Sleep(20 * time.Millisecond) {
		status, text, err := w.daemon.Get(t.Context(), "/readyz")
		_, of, _ := strings.Cut(text, `"name": "`+part+`"`)
		of, _, _ = strings.Cut(of, "}")
		if err == nil && status == http.StatusOK && strings.Contains(of, detail) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("/readyz: %d, %v\n%s", status, err, text)
		}
	}
}
