package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/internal/lab/labtest"
)

// dataAway: mail is taken while the PostgreSQL of control data is not there yet, while it is there, and while it is gone again.
// What it wants to know of us is told to nobody else.
func dataAway(t *testing.T) {
	ctx := labtest.Context(t)
	p := labtest.Postgres(t)
	url, err := p.Database(ctx, "control")
	must(t, err)
	must(t, p.Stop())
	const password = "word-of-a-test"
	file := filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(file, []byte(password+"\n"), 0o600))
	w := begin(t, setup{bootstrap: fmt.Sprintf("[store]\nurl = %q\npassword_file = %q\n", url, file)})
	if r := w.hello(t).deliverFrom("alice@example.org", "bob@served.test", "before there is one"); !strings.HasPrefix(r.last(), "250") {
		t.Errorf("without control data the sender was told %q", r.last())
	}
	w.hop(t).Forget()
	must(t, p.Restart(ctx))
	w.awaitMetric(t, "gatepost_control_data_up", 1)
	b := &broken{w: w, part: "control_data", told: "250", metric: "gatepost_control_data_faults_total"}
	b.breaks, b.mends = func(t *testing.T) { must(t, p.Kill()) }, func(t *testing.T) { must(t, p.Restart(ctx)) }
	b.endure(t)
	if strings.Contains(w.daemonSaid(), password) {
		t.Error("the daemon told the password")
	}
}
