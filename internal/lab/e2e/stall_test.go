package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

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

// logHung: a disk that hangs under the message log, as a SAN does whose path is gone: a file system of its own, frozen, so that whoever
// writes to it or reads from it waits in the kernel. Events gather until the queue, a small one, is full, and then are counted; mail does
// not wait, and the console says so in bounded time.
func logHung(t *testing.T) {
	folder := func(dir string) string { return filepath.Join(lab.StateDir(dir), "log") }
	image := filepath.Join(labtest.Dir(t), "disk")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 32<<20))
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(labtest.Context(t), name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v %s", name, err, out)
		}
	}
	run("mkfs.ext4", "-q", image)
	w, path, _ := mounted(t, setup{console: "127.0.0.1:0", bootstrap: "[log]\nqueue = 16\n"}, folder, "-o loop "+image)
	browser := w.owner(t)
	b := &broken{w: w, told: "250", part: "log", metric: "gatepost_log_dropped_total"}
	b.breaks = func(t *testing.T) {
		// It thaws at the end of its input, so at our end too, whatever that is: what is frozen cannot be killed.
		disk := exec.Command("sh", "-ec", `exec 3<"$0"; fsfreeze -f /proc/self/fd/3; echo frozen; read -r end || :; fsfreeze -u /proc/self/fd/3`, path)
		in, err := disk.StdinPipe()
		must(t, err)
		out, err := disk.StdoutPipe()
		must(t, err)
		must(t, disk.Start())
		thaw := sync.OnceFunc(func() {
			must(t, in.Close())
			must(t, disk.Wait())
		})
		t.Cleanup(thaw)
		b.mends = func(*testing.T) { thaw() }
		if said, err := bufio.NewReader(out).ReadString('\n'); err != nil || said != "frozen\n" {
			t.Fatalf("%q %v", said, err)
		}
	}
	b.meanwhile = func(t *testing.T) {
		began := time.Now()
		page := browser.ask("GET", "/", nil)
		if page.code != http.StatusOK || !strings.Contains(page.body, "the disk has not answered") && !strings.Contains(page.body, "events were dropped") || time.Since(began) > 30*time.Second {
			t.Errorf("the overview, after %v: %d %s", time.Since(began), page.code, page.body)
		}
	}
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
