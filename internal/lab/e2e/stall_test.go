package e2e

import (
	"bufio"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// logLocked: another process holds the lock of the log's file, as a backup that hangs would: each batch waits, is given up and
// counted, and mail does not wait for it.
func logLocked(t *testing.T) {
	w := begin(t, setup{})
	b := &broken{w: w, told: "250", part: "log", metric: "gatepost_log_failed_total"}
	var free func()
	b.breaks = func(t *testing.T) {
		var names []string
		b.until(t, "the log has a file", func() (string, bool) {
			var err error
			names, err = filepath.Glob(filepath.Join(lab.StateDir(w.dir), "log", "log-*.db"))
			must(t, err)
			return "nothing", len(names) > 0
		})
		holder := exec.Command("python3", append([]string{"-c", `import sqlite3, sys
held = [sqlite3.connect(name, isolation_level=None, timeout=60) for name in sys.argv[1:]]
for c in held: c.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()`}, names...)...)
		in, err := holder.StdinPipe()
		must(t, err)
		out, err := holder.StdoutPipe()
		must(t, err)
		must(t, holder.Start())
		free = func() {
			must(t, in.Close()) // it ends with its input
			must(t, holder.Wait())
		}
		if said, err := bufio.NewReader(out).ReadString('\n'); err != nil || strings.TrimSpace(said) != "held" {
			t.Fatalf("%q %v", said, err)
		}
	}
	b.mends = func(*testing.T) { free() }
	b.endure(t)
}

// dataHung: the PostgreSQL of control data is stopped in the middle (SIGSTOP), and answers nobody. Mail goes on, and so does
// whoever asks for the state.
func dataHung(t *testing.T) {
	p := labtest.Postgres(t)
	url, err := p.Database(labtest.Context(t), "control")
	must(t, err)
	w := begin(t, setup{bootstrap: fmt.Sprintf("[store]\nurl = %q\n", url)})
	w.awaitMetric(t, "gatepost_control_data_up", 1)
	b := &broken{w: w, part: "control_data", told: "250", metric: "gatepost_control_data_faults_total"}
	b.breaks, b.mends = func(t *testing.T) { must(t, p.Pause()) }, func(t *testing.T) { must(t, p.Resume()) }
	b.endure(t)
}
