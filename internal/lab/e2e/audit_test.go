package e2e

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"gatepost/internal/lab"
)

// TestAudit: what is done by the command line is in the audit log with who, what, before and after, and without what is secret; it
// outlives a kill; and a change of its file behind the daemon's back is found by verify, at its place.
func TestAudit(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{})
	do := func(want int, args ...string) string {
		t.Helper()
		out, errOut, code, err := w.daemon.Command(t.Context(), args...)
		if err != nil || code != want {
			t.Fatalf("%q: exit %d, want %d: %s %v", args, code, want, errOut, err)
		}
		return out
	}
	w.awaitMetric(t, "gatepost_control_data_up", 1)
	do(0, "user", "add", "olga", "--role", "owner")
	do(0, "user", "add", "anna", "--role", "help-desk")
	do(1, "user", "add", "anna", "--role", "auditor")
	do(0, "user", "role", "anna", "auditor")
	said := do(0, "audit", "list", "--json")
	lines := strings.Split(strings.TrimSpace(said), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d entries: %s", len(lines), said)
	}
	for i, want := range [][]string{{`"operation":"user role"`, `"object":"anna"`, `help-desk`, `auditor`, `"via":"socket"`, `(uid `, `"number":4`},
		{`"operation":"user add"`, `"error":"`}, {`"operation":"user add"`, `"object":"anna"`, `"number":2`}, {`"object":"olga"`, `"number":1`}} {
		for _, text := range want {
			if !strings.Contains(lines[i], text) {
				t.Errorf("%q is not in %s", text, lines[i])
			}
		}
	}
	if out := do(0, "audit", "verify"); !strings.HasPrefix(out, "ok   4 entries hold") {
		t.Error(out)
	}
	if err := w.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	w.awaitMetric(t, "gatepost_control_data_up", 1)
	if again := do(0, "audit", "list", "--json", "--operation", "user add"); strings.Count(again, "\n") != 3 {
		t.Errorf("behind a kill: %s", again)
	}
	db, err := sql.Open("sqlite", filepath.Join(lab.StateDir(w.dir), "admin.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "UPDATE audit SET error = '' WHERE number = 3"); err != nil {
		t.Fatal(err)
	}
	if out := do(1, "audit", "verify"); !strings.HasPrefix(out, "FAIL entry 3: it was changed") {
		t.Error(out)
	}
}
