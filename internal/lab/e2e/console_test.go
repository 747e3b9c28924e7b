package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// browse is a browser of its own, before the console of the world.
func (w *world) browse(t *testing.T, o lab.BrowserOptions) *labtest.Browser {
	t.Helper()
	o.Base = "https://" + w.consoleAddr(t)
	return labtest.StartBrowser(t, o)
}

// consoleAddr is where the console listens.
func (w *world) consoleAddr(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(lab.StateDir(w.dir), "addresses.json"))
	if err != nil {
		t.Fatal(err)
	}
	var a struct {
		Console []string `json:"console"`
	}
	if err := json.Unmarshal(text, &a); err != nil || len(a.Console) != 1 {
		t.Fatalf("%s: %v", text, err)
	}
	return a.Console[0]
}

// TestConsoleLogin: a stranger who asks for any page is shown the login, and nothing else.
func TestConsoleLogin(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{console: "127.0.0.1:0"})
	b := w.browse(t, lab.BrowserOptions{})
	b.Step("login.stranger", nil, nil)
}
