package e2e

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatepost/internal/lab"
)

// holders are the files below the state folder in which a text stands, in any case, as it is.
func holders(t *testing.T, dir, text string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(name)
		if err == nil && bytes.Contains(bytes.ToLower(data), []byte(text)) {
			out = append(out, filepath.Base(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestPrivacy: what is kept of a sender and of a recipient is exported, and erased, by the daemon in its sandbox; others' stays; no
// file of the state folder has the address afterwards; and the audit log says that it was done, by whom and why, and not of whom,
// but for those who know the address.
func TestPrivacy(t *testing.T) {
	t.Parallel()
	w := keptWorld(t)
	w.awaitMetric(t, "gatepost_control_data_up", 1)
	kept := w.quarantined(t, "bob@served.test", "eve@served.test")
	for _, to := range []string{"bob@served.test", "eve@served.test"} {
		if r := w.hello(t).deliverFrom("carl@example.org", to, "hello"); !strings.HasPrefix(r.last(), "250") {
			t.Fatal(r.last())
		}
	}
	export := func(address string) map[string]int {
		t.Helper()
		out, _ := w.command(t, 0, "privacy", "export", "--address", address, "--reason", "ticket 12")
		var j struct {
			Running bool
			Parts   []struct {
				Part    string
				Found   int
				Error   string
				Records []json.RawMessage
			}
		}
		if err := json.Unmarshal([]byte(out), &j); err != nil || j.Running {
			t.Fatalf("%v: %s", err, out)
		}
		found := map[string]int{}
		for _, p := range j.Parts {
			if found[p.Part] = p.Found; p.Error != "" || len(p.Records) != p.Found {
				t.Errorf("%+v", p)
			}
		}
		return found
	}
	if f := export("Eve@served.test"); f["quarantine"] != 2 || f["message log"] < 2 || f["recipients"] != 1 {
		t.Errorf("of eve: %v", f)
	}
	if f := export("nobody@served.test"); f["quarantine"]+f["message log"]+f["recipients"]+f["spool"] != 0 {
		t.Errorf("of nobody: %v", f)
	}
	if _, said := w.command(t, 2, "privacy", "erase", "--address", "eve@served.test"); !strings.Contains(said, "--yes") {
		t.Error(said)
	}
	w.command(t, 1, "privacy", "erase", "--address", "served.test", "--yes")
	if out, _ := w.command(t, 0, "privacy", "erase", "--address", "eve@served.test", "--reason", "ticket 13", "--yes"); strings.Contains(out, "FAIL") || !strings.Contains(out, "ok   message log") {
		t.Error(out)
	}
	if f := export("eve@served.test"); f["message log"] != 0 || f["recipients"] != 0 || f["quarantine"] != 0 {
		t.Errorf("of eve afterwards: %v", f)
	}
	if out, _ := w.command(t, 0, "quarantine", "show", kept); !strings.Contains(out, "bob@served.test") {
		t.Errorf("the copy of another went too: %s", out)
	}
	if out, _ := w.command(t, 0, "privacy", "erase", "--address", "alice@example.org", "--yes"); strings.Contains(out, "FAIL") {
		t.Error(out)
	}
	w.command(t, 1, "quarantine", "show", kept)
	for address, want := range map[string]int{"eve@served.test": 1, "alice@example.org": 1, "bob@served.test": 0, "carl@example.org": 0, "erased@served.test": 0} {
		w.command(t, want, "log", "search", "--from", "", "--to", "", "--limit", "50", map[bool]string{true: "--to", false: "--from"}[strings.HasSuffix(address, "served.test")], address)
	}
	out, _ := w.command(t, 0, "audit", "list", "--operation", "privacy erase", "--json")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 3 || !strings.Contains(out, "ticket 13") || strings.Contains(out, "eve@") || strings.Contains(out, "alice@") {
		t.Errorf("audit: %s", out)
	}
	var erasures []string
	for _, l := range lines {
		var e struct{ Object, Error string }
		if err := json.Unmarshal([]byte(l), &e); err != nil {
			t.Fatal(err)
		}
		if e.Error == "" {
			erasures = append(erasures, e.Object)
		}
	}
	if len(erasures) != 2 || slices.ContainsFunc(erasures, func(o string) bool { return !strings.HasPrefix(o, "~") }) {
		t.Errorf("objects %q", erasures)
	}
	if err := w.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	if len(holders(t, lab.StateDir(w.dir), "carl@example.org")) == 0 {
		t.Error("what is not erased is not found either: this test looks at nothing")
	}
	for _, address := range []string{"eve@served.test", "alice@example.org"} {
		if in := holders(t, lab.StateDir(w.dir), address); len(in) > 0 {
			t.Errorf("%s still stands in %q", address, in)
		}
	}
}
