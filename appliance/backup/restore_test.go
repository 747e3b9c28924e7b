package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// other is what stands on the machine on which is restored.
func other() map[string]string {
	return map[string]string{"admin.db": "other users", "installation.key": "key 2", "keys/vault.key": "other vault key", "reputation.db": "other", "only.json": "here only",
		"log/log-2026-11-27.db": "today", "vault/q/bb/2.q": "mail under the other key", "quarantine.db": "its index", "spool/q/cc/3.q": "acknowledged mail", "tmp/body": "x", "lock": "2"}
}

// standing is what the state folder must be once the backup of newWorld is in it: what came, and what it does not carry.
func standing(t *testing.T, w *world, sameKey bool) map[string]string {
	out := map[string]string{"admin.db": "snapshot of control data", "reputation.db": "snapshot of past", "installation.key": "key 1", "keys/vault.key": "vault key",
		"dkim/s._domainkey.example.org.pem": "dkim", "certs/acme/key.pem": "acme", "alarms.json": "{}", "log/log-2026-11-27.db": "today",
		"spool/q/cc/3.q": "acknowledged mail", "tmp/body": "x", "lock": "2",
		"restored/files" + filepath.Dir(w.plan.State) + "/elsewhere/secret": "s3cret"}
	if sameKey {
		out["vault/q/bb/2.q"], out["quarantine.db"] = "mail under the other key", "its index"
	}
	return out
}

// now is the state folder without what was set aside, and that.
func now(t *testing.T, dir string) (stands, before map[string]string) {
	t.Helper()
	stands, before = map[string]string{}, map[string]string{}
	for name, text := range tree(t, dir) {
		if first, rest, _ := strings.Cut(name, "/"); strings.HasPrefix(first, beforePrefix) {
			before[rest] = text
			continue
		}
		stands[name] = text
	}
	return stands, before
}

// machine is another machine, with its state and documents.
func machine(t *testing.T, more map[string]string) *Target {
	t.Helper()
	dir := t.TempDir()
	to := &Target{State: filepath.Join(dir, "state"), Config: filepath.Join(dir, "etc"), Known: known}
	files := other()
	for name, text := range more {
		files[name] = text
	}
	lay(t, to.State, files)
	lay(t, to.Config, map[string]string{"gatepost.toml": "other hostname", "extra": "stays"})
	if err := os.Chmod(filepath.Join(to.Config, "gatepost.toml"), 0o644); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestRestore puts a backup in the place of what is there, keeps that aside, and leaves what a backup does not carry: mail that waits, the log,
// quarantined mail where its keys stay.
func TestRestore(t *testing.T) {
	for name, same := range map[string]bool{"other keys": false, "the same keys": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.create(t)
			more := map[string]string{}
			if same {
				more["keys/vault.key"] = "vault key"
			}
			to := machine(t, more)
			old, oldConfig := tree(t, to.State), tree(t, to.Config)
			got, err := to.Restore(t.Context(), w.open, w.key)
			if err != nil {
				t.Fatal(err)
			}
			stands, before := now(t, to.State)
			if d := differ(stands, standing(t, w, same)); len(d) > 0 {
				t.Errorf("the state differs in %q", d)
			}
			for name, text := range old {
				if stays := stands[name] == text; !stays && before[name] != text {
					t.Errorf("%s is gone", name)
				}
			}
			if got.VaultAside == same || got.Restored != filepath.Join(to.State, restoredName) || !strings.HasPrefix(got.Before, filepath.Join(to.State, beforePrefix)) {
				t.Errorf("%+v", got)
			}
			config := tree(t, to.Config)
			if d := differ(config, map[string]string{"gatepost.toml": "hostname", "policy.toml": "domains", "tls/key.pem": "pem", "extra": "stays"}); len(d) > 0 {
				t.Errorf("the documents differ in %q", d)
			}
			if before["config/gatepost.toml"] != oldConfig["gatepost.toml"] {
				t.Errorf("the old document is %q", before["config/gatepost.toml"])
			}
			for name, mode := range map[string]fs.FileMode{"gatepost.toml": 0o644, "tls/key.pem": 0o640} {
				if info, err := os.Stat(filepath.Join(to.Config, name)); err != nil || info.Mode().Perm() != mode {
					t.Errorf("%s: %v, %v", name, info.Mode(), err)
				}
			}
			if Pending(to.State) {
				t.Error("it is still under way")
			}
		})
	}
}

// TestKeepConfig leaves the documents, and lays those of the backup beside; a folder of documents within the state folder gets them there.
func TestKeepConfig(t *testing.T) {
	w := newWorld(t)
	w.create(t)
	to := machine(t, nil)
	to.KeepConfig = true
	if _, err := to.Restore(t.Context(), w.open, w.key); err != nil {
		t.Fatal(err)
	}
	if text := tree(t, to.Config)["gatepost.toml"]; text != "other hostname" {
		t.Errorf("it is %q", text)
	}
	if text := tree(t, to.State)["restored/config/gatepost.toml"]; text != "hostname" {
		t.Errorf("beside lies %q", text)
	}
	to = machine(t, nil)
	to.Config = filepath.Join(to.State, "documents")
	if _, err := to.Restore(t.Context(), w.open, w.key); err != nil {
		t.Fatal(err)
	}
	if text := tree(t, to.State)["documents/gatepost.toml"]; text != "hostname" {
		t.Errorf("within the state folder is %q", text)
	}
}

// TestRefused: a backup that is not sound, not ours to open, of a later version or too big changes nothing at all.
func TestRefused(t *testing.T) {
	w := newWorld(t)
	w.create(t)
	whole, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut")
	if err := os.WriteFile(cut, whole[:len(whole)-20], 0o600); err != nil {
		t.Fatal(err)
	}
	_, strange, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := *w
	if elsewhere.lock, err = LockTo([]string{strange}); err != nil {
		t.Fatal(err)
	}
	elsewhere.file = cut + "2"
	elsewhere.create(t)
	swapped := 0
	for name, c := range map[string]struct {
		open  func() (io.ReadCloser, error)
		known Known
		want  string
	}{
		"cut off":   {func() (io.ReadCloser, error) { return os.Open(cut) }, known, "changed or cut off"},
		"another's": {elsewhere.open, known, "does not open it"},
		"later":     {w.open, func(string) []int { return []int{1} }, "migration 2, which this program does not know"},
		"not there": {func() (io.ReadCloser, error) { return os.Open(cut + "3") }, known, "no such file"},
		"another later": {func() (io.ReadCloser, error) { // somebody swaps the file between check and restore
			if swapped++; swapped == 1 {
				return w.open()
			}
			return os.Open(cut)
		}, known, "changed or cut off"},
	} {
		to := machine(t, nil)
		to.Known = c.known
		old, oldConfig := tree(t, to.State), tree(t, to.Config)
		if _, err := to.Restore(t.Context(), c.open, w.key); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if d := append(differ(old, tree(t, to.State)), differ(oldConfig, tree(t, to.Config))...); len(d) > 0 {
			t.Errorf("%s: changed are %q", name, d)
		}
	}
}

// childEnv tells this program, started again, what to do in place of the tests: what, state, config, file, key, step.
const childEnv = "GATEPOST_BACKUP_CHILD"

// TestMain is also the process that others kill.
func TestMain(m *testing.M) {
	what := os.Getenv(childEnv)
	if what == "" {
		os.Exit(m.Run())
	}
	if err := job(strings.Split(what, "|")); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// job does one, and kills the process before the step of that number.
func job(args []string) error {
	at, err := strconv.Atoi(args[5])
	if err != nil {
		return err
	}
	n := 0
	step := func(string) {
		if n++; n == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	switch args[0] {
	case "restore":
		key, err := KeysOf(strings.NewReader(args[4]))
		if err != nil {
			return err
		}
		to := &Target{State: args[1], Config: args[2], Known: known, Step: step}
		_, err = to.Restore(context.Background(), func() (io.ReadCloser, error) { return os.Open(args[3]) }, key)
		return err
	case "resume":
		_, err := resume(args[1], step)
		return err
	case "full": // no file may be longer than so much
		signal.Ignore(syscall.SIGXFSZ)
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(at), Max: uint64(at)}); err != nil {
			return err
		}
		lock, err := LockTo([]string{args[4]})
		if err != nil {
			return err
		}
		_, err = Create(context.Background(), &Plan{State: args[1], Config: args[2], Snapshot: copying}, lock, args[3])
		return err
	}
	return fmt.Errorf("no job %q", args[0])
}

// child runs it, and reports what it said, and whether it was killed.
func child(t *testing.T, what string, args ...any) (said string, killed bool) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"="+what+"|"+strings.TrimSuffix(strings.ReplaceAll(fmt.Sprintln(args...), " ", "|"), "\n"))
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Sys().(syscall.WaitStatus).Signaled() {
		return string(out), true
	}
	if err != nil {
		return string(out), false
	}
	return "", false
}

// TestKilled kills a restore before each of its steps, and what goes on with it again: then the old state stands or the new one, whole, and
// mail that waits is there.
func TestKilled(t *testing.T) {
	w := newWorld(t)
	w.create(t)
	private, public, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if w.lock, err = LockTo([]string{public}); err != nil {
		t.Fatal(err)
	}
	w.file += "2"
	w.create(t)
	newDocuments := map[string]string{"gatepost.toml": "hostname", "policy.toml": "domains", "tls/key.pem": "pem", "extra": "stays"}
	olds, news := 0, 0
	for at := 1; ; at++ {
		to := machine(t, nil)
		old, oldConfig := tree(t, to.State), tree(t, to.Config)
		said, killed := child(t, "restore", to.State, to.Config, w.file, private, at)
		if said != "" && !killed {
			t.Fatal(said)
		}
		begun := Pending(to.State)
		for again := 2; killed && begun && Pending(to.State); again++ { // each attempt comes further, at least by a step
			if said, k := child(t, "resume", to.State, to.Config, "-", private, again); said != "" && !k {
				t.Fatalf("step %d: %s", at, said)
			}
			if again > 100 {
				t.Fatalf("step %d: it does not come to its end", at)
			}
		}
		if _, err := Resume(to.State); err != nil {
			t.Fatalf("step %d: %v", at, err)
		}
		stands, _ := now(t, to.State)
		for name := range stands { // what was prepared and is not used lies in a folder of its own
			if strings.HasPrefix(name, newPrefix) {
				delete(stands, name)
			}
		}
		isOld := len(differ(stands, old)) == 0 && len(differ(tree(t, to.Config), oldConfig)) == 0
		isNew := len(differ(stands, standing(t, w, false))) == 0 && len(differ(tree(t, to.Config), newDocuments)) == 0
		switch {
		case isOld && !begun && killed:
			olds++
		case isNew:
			news++
		default:
			t.Errorf("killed before step %d: neither the old state (differs in %q) nor the new one (%q)", at, differ(stands, old), differ(stands, standing(t, w, false)))
		}
		if !killed {
			break
		}
		if at%6 != 0 {
			continue
		}
		// The next restore sweeps what this one left.
		if _, err := to.Restore(t.Context(), w.open, mustKey(t, private)); err != nil {
			t.Fatalf("after step %d: %v", at, err)
		}
		if left, err := filepath.Glob(filepath.Join(to.State, newPrefix+"*")); err != nil || len(left) > 0 {
			t.Errorf("after step %d are left %v, %v", at, left, err)
		}
	}
	if olds < 10 || news < 20 {
		t.Errorf("killed %d times before and %d times after it began", olds, news)
	}
}

func mustKey(t *testing.T, private string) Key {
	t.Helper()
	k, err := KeysOf(strings.NewReader(private))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestFull writes to a target that has no room: it says so, and leaves nothing.
func TestFull(t *testing.T) {
	w := newWorld(t)
	lay(t, w.plan.State, map[string]string{"big": strings.Repeat("x", 3<<20)})
	_, public, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadDir(filepath.Dir(w.file))
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range []int{0, 1000, 4096} {
		said, killed := child(t, "full", w.plan.State, w.plan.Config, w.file, public, room)
		if killed || !strings.Contains(said, "no room is left there; nothing stays of it") {
			t.Errorf("%d octets: %s", room, said)
		}
		after, err := os.ReadDir(filepath.Dir(w.file))
		if err != nil || !slices.EqualFunc(before, after, func(a, b os.DirEntry) bool { return a.Name() == b.Name() }) {
			t.Errorf("%d octets: left is %v, %v", room, after, err)
		}
	}
}
