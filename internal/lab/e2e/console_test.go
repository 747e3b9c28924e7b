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

// TestConsoleLogin: the first owner comes in by the code that the machine tells, once; a stranger who asks for any page is shown the
// login and nothing else, and is told the same of a wrong name as of a wrong password.
func TestConsoleLogin(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{console: "127.0.0.1:0"})
	b := w.browse(t, lab.BrowserOptions{})
	b.Step("login.first", map[string]any{"code": w.setupCode(t), "name": ownerName, "password": operatorPassword, "look": true}, nil)
	b.Step("login.stranger", nil, nil)
	var name, password string
	b.Step("login.wrong", map[string]any{"name": "nobody", "password": operatorPassword}, &name)
	b.Step("login.wrong", map[string]any{"name": ownerName, "password": "not this one at all"}, &password)
	if name != password || name == "" {
		t.Errorf("an unknown name is told %q, a wrong password %q", name, password)
	}
	b.Step("login.enter", map[string]any{"name": ownerName, "password": operatorPassword}, nil)
}
