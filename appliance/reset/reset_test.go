package reset

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// machine is one with something of everything, and a folder outside that a link in it leads to.
func machine(t *testing.T) (m *Machine, root string) {
	t.Helper()
	root = t.TempDir()
	m = &Machine{State: filepath.Join(root, "state"), Else: []string{filepath.Join(root, "redis"), filepath.Join(root, "none")}, OfSettings: []string{filepath.Join(root, "network")}}
	for _, name := range []string{"state/admin.db", "state/admin.db-wal", "state/lock", "state/log/1.db", "state/vault/a/b.msg", "state/keys/vault.key", "state/keys/dkim.pem", "state/quarantine.db", "state/spool/new/1",
		"state/settings/gatepost.toml", "state/backups/x.age", "state/before-1/admin.db", "redis/dump.rdb", "redis/sub/x", "network/settings.yaml", "outside/file"} {
		write(t, filepath.Join(root, name), "x")
	}
	if err := os.Symlink(filepath.Join(root, "outside"), filepath.Join(m.State, "link")); err != nil {
		t.Fatal(err)
	}
	return m, root
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// left are the files that are there.
func left(t *testing.T, root string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(root, path)
			out = append(out, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func cases() map[string][]string {
	return map[string][]string{
		"":                        {"outside/file"},
		"log":                     {"outside/file", "state/log/1.db"},
		"quarantine":              {"outside/file", "state/keys/vault.key", "state/vault/a/b.msg"},
		"settings":                {"network/settings.yaml", "outside/file", "state/settings/gatepost.toml"},
		"log quarantine settings": {"network/settings.yaml", "outside/file", "state/keys/vault.key", "state/log/1.db", "state/settings/gatepost.toml", "state/vault/a/b.msg"},
	}
}

// TestDo erases all but what shall stay, follows no link, and does nothing that was not asked for.
func TestDo(t *testing.T) {
	for keep, want := range cases() {
		m, root := machine(t)
		before := left(t, root)
		if r, err := m.Do(); r != nil || err != nil || !slices.Equal(left(t, root), before) {
			t.Fatalf("without being asked: %+v, %v", r, err)
		}
		if err := Ask(m.State, Request{Keep: strings.Fields(keep), By: "anna", At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		r, err := m.Do()
		if err != nil || r.By != "anna" {
			t.Errorf("%+v, %v", r, err)
		}
		if got := left(t, root); !slices.Equal(got, want) {
			t.Errorf("keep %q: left is %q\nwant %q", keep, got, want)
		}
		if r, err := m.Do(); r != nil || err != nil {
			t.Errorf("it is done again: %+v, %v", r, err)
		}
	}
}

// TestWithdrawn: what is taken back, refused, or cannot be read erases nothing.
func TestWithdrawn(t *testing.T) {
	m, root := machine(t)
	before := left(t, root)
	if err := Ask(m.State, Request{}); err != nil {
		t.Fatal(err)
	}
	if err := Withdraw(m.State); err != nil {
		t.Fatal(err)
	}
	if err := Ask(m.State, Request{Keep: []string{"spool"}}); err == nil || !strings.Contains(err.Error(), `"spool" cannot be kept: it can be log, quarantine, settings`) {
		t.Error(err)
	}
	if err := Ask(m.State, Request{By: strings.Repeat("x", maxMarker)}); err == nil {
		t.Error("a name without end is taken")
	}
	if err := Ask(filepath.Join(root, "none"), Request{}); err == nil {
		t.Error("it is asked for in a folder that is not there")
	}
	if r, err := m.Do(); r != nil || err != nil || !slices.Equal(left(t, root), before) {
		t.Errorf("%+v, %v: %q", r, err, left(t, root))
	}
	for name, text := range map[string]string{"empty": "", "cut off": `{"keep":["log"`, "unknown field": `{"kept":["log"]}`, "unknown choice": `{"keep":["spool"]}`, "other": "x"} {
		write(t, filepath.Join(m.State, markerName), text)
		if r, err := m.Do(); r != nil || err == nil || !strings.Contains(err.Error(), "nothing is erased") {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if err := Withdraw(m.State); err != nil || !slices.Equal(left(t, root), before) {
			t.Errorf("%s: %v: %q", name, err, left(t, root))
		}
	}
	if err := os.Symlink(filepath.Join(root, "outside/file"), filepath.Join(m.State, markerName)); err != nil {
		t.Fatal(err)
	}
	if r, err := m.Do(); r != nil || err == nil {
		t.Errorf("a link: %+v, %v", r, err)
	}
}

// killAt makes this program the one that is killed, at that step.
const killAt = "GATEPOST_TEST_KILL_AT"

// TestMain is the victim of TestKilled where it is told so.
func TestMain(m *testing.M) {
	at, err := strconv.Atoi(os.Getenv(killAt))
	if err != nil {
		os.Exit(m.Run())
	}
	root := os.Args[1]
	v := &Machine{State: filepath.Join(root, "state"), Else: []string{filepath.Join(root, "redis")}, OfSettings: []string{filepath.Join(root, "network")}}
	v.step = func(string) {
		if at--; at < 0 {
			p, _ := os.FindProcess(os.Getpid())
			_ = p.Kill()
			select {}
		}
	}
	if _, err := v.Do(); err != nil {
		os.Exit(1)
	}
}

// TestKilled kills it before each step: until it is done the next boot does it, and what shall stay is there at each moment.
func TestKilled(t *testing.T) {
	const keep = "quarantine"
	for at := 0; ; at++ {
		m, root := machine(t)
		if err := Ask(m.State, Request{Keep: []string{keep}}); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe", root)
		cmd.Env = append(os.Environ(), killAt+"="+strconv.Itoa(at))
		err := cmd.Run()
		for _, name := range cases()[keep] {
			if _, err := os.Stat(filepath.Join(root, name)); err != nil {
				t.Errorf("killed at step %d: %v", at, err)
			}
		}
		if err == nil {
			if at < 10 {
				t.Errorf("it has %d steps", at)
			}
			return
		}
		if r, err := m.Do(); r == nil || err != nil {
			t.Fatalf("after a kill at step %d: %+v, %v", at, r, err)
		}
		if got := left(t, root); !slices.Equal(got, cases()[keep]) {
			t.Errorf("killed at step %d: left is %q", at, got)
		}
	}
}
