package restores

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"gatepost/appliance/backup"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
)

// lay writes files below a folder.
func lay(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// made is a backup of another machine, which migrations its users have been through, and its private key.
func made(t *testing.T, schema int) (file []byte, private string) {
	t.Helper()
	dir := t.TempDir()
	lay(t, dir, map[string]string{"state/admin.db": "users of the old machine", "state/keys/a.key": "a key", "etc/gatepost.toml": "old"})
	private, public, err := backup.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	lock, err := backup.LockTo([]string{public})
	if err != nil {
		t.Fatal(err)
	}
	p := &backup.Plan{Version: "1.4", Host: "old.example.org", State: filepath.Join(dir, "state"), Config: filepath.Join(dir, "etc"), Elsewhere: []string{"Redis"},
		Snapshot: func(_ context.Context, from, to string) ([]int, error) {
			text, err := os.ReadFile(from)
			return []int{schema}, errors.Join(err, os.WriteFile(to, text, 0o600))
		}}
	name := filepath.Join(dir, "x.age")
	if _, err := backup.Create(t.Context(), p, lock, name); err != nil {
		t.Fatal(err)
	}
	if file, err = os.ReadFile(name); err != nil {
		t.Fatal(err)
	}
	return file, private
}

// bench is a new machine, whose operations are asked by an owner.
type bench struct {
	*Desk
	surface   *control.Surface
	served    bool
	restarted chan struct{}
	told      bytes.Buffer // log and audit
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	lay(t, dir, map[string]string{"state/admin.db": "users of the new machine", "state/spool/1.q": "mail", "etc/gatepost.toml": "new"})
	b := &bench{restarted: make(chan struct{}, 1)}
	b.Desk = &Desk{State: filepath.Join(dir, "state"), Config: filepath.Join(dir, "etc"), Known: func(string) []int { return []int{1} }, Served: func() bool { return b.served },
		Restart: func() { b.restarted <- struct{}{} }, Log: slog.New(slog.NewTextHandler(&b.told, nil))}
	b.surface = &control.Surface{Operations: b.Operations(), Audit: func(_ context.Context, e control.Entry) {
		slog.New(slog.NewTextHandler(&b.told, nil)).Info(e.Operation, "in", e.In, "change", e.Change, "error", e.Error)
	}}
	if err := b.surface.Validate(); err != nil {
		t.Fatal(err)
	}
	return b
}

// ask asks as an owner and returns the state, or the status and words of the fault.
func (b *bench) ask(t *testing.T, name string, in any, body io.Reader) (*api.Restore, int, string) {
	t.Helper()
	ctx := t.Context()
	if body != nil {
		ctx = control.WithBody(ctx, body)
	}
	out, err := controltest.Ask[*api.Restore](ctx, b.surface, access.Actor{Name: "o", Role: access.Owner}, name, in)
	if err != nil {
		return nil, controltest.Status(err), err.Error()
	}
	return out, 200, out.State
}

func (b *bench) upload(t *testing.T, body io.Reader) (int, string) {
	t.Helper()
	_, code, said := b.ask(t, "restore upload", &api.RestoreSize{}, body)
	return code, said
}

func (b *bench) verify(t *testing.T, key string) (int, string) {
	t.Helper()
	_, code, said := b.ask(t, "restore verify", &api.RestoreKey{Key: key}, nil)
	return code, said
}

// TestRestoreByUpload goes the whole way: a wrong key keeps the file, the right one shows what is in it, and once it was staged the next
// start has the users of the backup, the mail of this machine, and what was here beside. The key is in no file, log or audit entry.
func TestRestoreByUpload(t *testing.T) {
	file, private := made(t, 1)
	other, public, err := backup.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	if code, said := b.verify(t, private); code != 409 || !strings.Contains(said, "no backup was uploaded") {
		t.Errorf("%d %s", code, said)
	}
	if code, said := b.upload(t, bytes.NewReader(file)); code != 200 || said != received {
		t.Fatalf("%d %s", code, said)
	}
	for key, want := range map[string]string{other: "does not open it", public: "that is the public key", "short": "that is no key", "correct horse battery": "does not open it", "AGE-SECRET-KEY-1X": "holds no private key"} {
		if code, said := b.verify(t, key); code != 400 || !strings.Contains(said, want) {
			t.Errorf("%q: %d %s", key, code, said)
		}
	}
	if _, code, _ := b.ask(t, "restore start", &struct{}{}, nil); code != 409 {
		t.Errorf("it starts with what was not verified: %d", code)
	}
	if code, said := b.verify(t, "# created: today # public key: age1x "+private); code != 200 || said != verified { // a file, as a field makes one line of it
		t.Fatalf("%d %s", code, said)
	}
	got, _, _ := b.ask(t, "restore status", &struct{}{}, nil)
	if got.Host != "old.example.org" || got.Version != "1.4" || got.Time.IsZero() || got.Files != 3 || got.Keeps != "" || !slices.Contains(got.Parts, "users, versions of the policy, audit log") {
		t.Errorf("%+v", got)
	}
	if _, code, said := b.ask(t, "restore start", &struct{}{}, nil); code != 200 || said != goes {
		t.Fatalf("%d %s", code, said)
	}
	select {
	case <-b.restarted:
	case <-time.After(time.Minute):
		t.Fatal("nothing restarts")
	}
	if text, err := os.ReadFile(filepath.Join(b.State, "admin.db")); err != nil || string(text) != "users of the new machine" {
		t.Errorf("the running daemon has %q, %v", text, err)
	}
	if code, said := b.upload(t, bytes.NewReader(file)); code != 409 || !strings.Contains(said, "is being restored") {
		t.Errorf("%d %s", code, said)
	}
	b.tidy(time.Now())
	for _, text := range b.texts(t) {
		if strings.Contains(text, private[20:40]) {
			t.Errorf("the key is in %.200q", text)
		}
	}
	if was, err := backup.Resume(b.State); !was || err != nil { // the next start
		t.Fatal(was, err)
	}
	for name, want := range map[string]string{"state/admin.db": "users of the old machine", "state/keys/a.key": "a key", "state/spool/1.q": "mail", "etc/gatepost.toml": "old"} {
		if text, err := os.ReadFile(filepath.Join(b.State, "..", name)); err != nil || string(text) != want {
			t.Errorf("%s is %q, %v", name, text, err)
		}
	}
	if old, err := filepath.Glob(filepath.Join(b.State, "before-*", "admin.db")); err != nil || len(old) != 1 {
		t.Errorf("what was here lies in %q, %v", old, err)
	}
	if _, err := os.Lstat(b.path()); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the upload stays")
	}
}

// texts are all files of the state, and what was told.
func (b *bench) texts(t *testing.T) []string {
	t.Helper()
	out := []string{b.told.String()}
	err := filepath.WalkDir(b.State, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		out = append(out, string(text))
		return err
	})
	if err != nil || len(out) < 5 {
		t.Fatal(err, len(out))
	}
	return out
}

// TestRefused: what cannot be used says what to do, and nothing of it stays.
func TestRefused(t *testing.T) {
	file, private := made(t, 1)
	newer, newKey := made(t, 7)
	for name, c := range map[string]struct {
		body io.Reader
		key  string
		code int
		want string
	}{
		"cut off":    {bytes.NewReader(file[:len(file)/2]), private, 400, "copy it again from where it came"},
		"changed":    {bytes.NewReader(slices.Concat(file[:len(file)-9], []byte{file[len(file)-9] ^ 1}, file[len(file)-8:])), private, 400, "copy it again from where it came"},
		"no backup":  {strings.NewReader("PK\x03\x04"), private, 400, "it is no backup"},
		"newer":      {bytes.NewReader(newer), newKey, 409, "update this machine to that version first"},
		"broken off": {io.MultiReader(bytes.NewReader(file[:100]), iotest.ErrReader(io.ErrUnexpectedEOF)), "", 400, "send it again"},
	} {
		b := newBench(t)
		code, said := b.upload(t, c.body)
		if code == 200 {
			code, said = b.verify(t, c.key)
		}
		if code != c.code || !strings.Contains(said, c.want) {
			t.Errorf("%s: %d %s", name, code, said)
		}
		if got, _, state := b.ask(t, "restore status", &struct{}{}, nil); state != none || got.Host != "" {
			t.Errorf("%s: then it is %s", name, state)
		}
		if left, err := os.ReadDir(b.State); err != nil || len(left) != 2 {
			t.Errorf("%s: in the state folder are %v, %v", name, left, err)
		}
	}
	b := newBench(t)
	if _, code, said := b.ask(t, "restore upload", &api.RestoreSize{Size: MaxUpload}, strings.NewReader("x")); code != 507 || !strings.Contains(said, "has no room") {
		t.Errorf("too large: %d %s", code, said)
	}
	b.served = true
	if code, said := b.upload(t, bytes.NewReader(file)); code != 409 || !strings.Contains(said, "in the first run only") {
		t.Errorf("a gateway that is set up: %d %s", code, said)
	}
}

// TestForgotten: what a process before left goes, what nobody restores goes after an hour with its key, and what is thrown away at once.
// While one comes there is no other.
func TestForgotten(t *testing.T) {
	file, private := made(t, 1)
	b := newBench(t)
	lay(t, b.State, map[string]string{fileName: "of a process that died"})
	b.tidy(time.Now())
	gone := func() {
		t.Helper()
		if _, err := os.Lstat(b.path()); !errors.Is(err, fs.ErrNotExist) {
			t.Error("it stays")
		}
	}
	gone()
	ready := func() {
		t.Helper()
		if code, said := b.upload(t, bytes.NewReader(file)); code != 200 {
			t.Fatal(said)
		}
		if code, said := b.verify(t, private); code != 200 {
			t.Fatal(said)
		}
	}
	ready()
	b.tidy(time.Now().Add(forgotten - time.Minute))
	if _, _, state := b.ask(t, "restore status", &struct{}{}, nil); state != verified {
		t.Errorf("it is %s", state)
	}
	b.tidy(time.Now().Add(forgotten + time.Minute))
	gone()
	if _, code, _ := b.ask(t, "restore start", &struct{}{}, nil); code != 409 {
		t.Errorf("what was forgotten is restored: %d", code)
	}
	ready()
	if _, code, state := b.ask(t, "restore discard", &struct{}{}, nil); code != 200 || state != none {
		t.Errorf("%d %s", code, state)
	}
	gone()
	from, into := io.Pipe()
	came := make(chan string, 1)
	go func() { _, said := b.upload(t, from); came <- said }()
	for _, part := range [][]byte{file[:50], file[50:60]} { // the second is read once the first was counted
		if _, err := into.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if code, said := b.upload(t, bytes.NewReader(file)); code != 409 || !strings.Contains(said, "another upload is under way") {
		t.Errorf("%d %s", code, said)
	}
	if _, code, _ := b.ask(t, "restore discard", &struct{}{}, nil); code != 409 {
		t.Errorf("what comes is thrown away: %d", code)
	}
	if got, _, state := b.ask(t, "restore status", &struct{}{}, nil); state != receives || got.Octets < 50 {
		t.Errorf("%+v", got)
	}
	into.Close()
	if said := <-came; said != received {
		t.Error(said)
	}
}

// TestReplaceable shows whose documents a restore replaces: not those of a folder that is gone at the next boot, where they would have to
// be made before whoever shows it has.
func TestReplaceable(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink("/run", link); err != nil {
		t.Fatal(err)
	}
	for folder, want := range map[string]bool{dir: true, link: false, "/run": false, filepath.Join(dir, "none"): false} {
		if got := replaceable(folder); got != want {
			t.Errorf("%s: %v", folder, got)
		}
	}
	for folder, want := range map[string]bool{"/run/gatepost-config": true, "/run": true, "/runs": false, "/etc/run": false} {
		if got := ofOneBoot(folder); got != want {
			t.Errorf("%s: %v", folder, got)
		}
	}
}
