package backup

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/internal/durable"
)

// lay writes files below a folder.
func lay(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// tree are the files below a folder.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		out[rel] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func state() map[string]string {
	return map[string]string{
		"admin.db": "control data", "admin.db-wal": "not whole", "admin.db.copy-20260101T000000.0": "old", "reputation.db": "past", "known.db.damaged": "x",
		"installation.key": "key 1", "keys/vault.key": "vault key", "dkim/s._domainkey.example.org.pem": "dkim", "certs/acme/key.pem": "acme", "alarms.json": "{}", "alarms.json.new": "half",
		"log/log-2026-11-26.db": "day", "vault/q/aa/1.q": "kept mail", "quarantine.db": "index", "spool/q/aa/1.q": "waits", "tmp/x": "body", "lock": "1", "addresses.json": "{}", "reset.json": "{}",
		"before-20260101/admin.db": "older", ".backup-123/snapshot.db": "left by a crash",
	}
}

// copying stands for SQLite's own copy.
func copying(_ context.Context, from, to string) ([]int, error) {
	data, err := os.ReadFile(from)
	if err != nil {
		return nil, err
	}
	return []int{1, 2}, os.WriteFile(to, append([]byte("snapshot of "), data...), 0o600)
}

func known(string) []int { return []int{1, 2, 3} }

type world struct {
	plan Plan
	lock Lock
	key  Key
	file string
}

// newWorld is a state folder with documents beside it, and a pair of keys.
func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{plan: Plan{Version: "1.0", Host: "mx.example.org", State: filepath.Join(dir, "state"), Config: filepath.Join(dir, "etc"), Snapshot: copying,
		Named: []string{filepath.Join(dir, "etc", "tls", "key.pem"), filepath.Join(dir, "elsewhere", "secret"), filepath.Join(dir, "none"), ""}, Elsewhere: []string{"redis: 10.0.0.1"}},
		file: filepath.Join(dir, "target.age")}
	lay(t, w.plan.State, state())
	lay(t, w.plan.Config, map[string]string{"gatepost.toml": "hostname", "policy.toml": "domains", "tls/key.pem": "pem"})
	lay(t, filepath.Join(dir, "elsewhere"), map[string]string{"secret": "s3cret"})
	private, public, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if w.lock, err = LockTo([]string{public}); err != nil {
		t.Fatal(err)
	}
	if w.key, err = KeysOf(strings.NewReader("# mine\n" + private + "\n")); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) create(t *testing.T) *Manifest {
	t.Helper()
	m, err := Create(t.Context(), &w.plan, w.lock, w.file)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (w *world) open() (io.ReadCloser, error) { return os.Open(w.file) }

func names(m *Manifest) (out []string) {
	for _, x := range m.Members {
		out = append(out, x.Name)
	}
	return out
}

// TestWhatIsInIt shows what a backup has and has not, by choice, and that nothing but the file is left.
func TestWhatIsInIt(t *testing.T) {
	always := []string{"config/gatepost.toml", "config/policy.toml", "config/tls/key.pem", "state/admin.db", "state/alarms.json", "state/certs/acme/key.pem",
		"state/dkim/s._domainkey.example.org.pem", "state/installation.key", "state/keys/vault.key", "state/reputation.db"}
	for name, c := range map[string]struct{ with, more []string }{
		"plain":      {nil, nil},
		"log":        {[]string{WithLog}, []string{"state/log/log-2026-11-26.db"}},
		"quarantine": {[]string{WithQuarantine}, []string{"state/vault/q/aa/1.q"}},
		"both":       {Choices(), []string{"state/log/log-2026-11-26.db", "state/vault/q/aa/1.q"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.plan.With = c.with
			m := w.create(t)
			want := append(slices.Clone(always), c.more...)
			want = append(want, "files"+filepath.Join(filepath.Dir(w.plan.State), "elsewhere", "secret"))
			got := names(m)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%q\nwant %q", got, want)
			}
			if !slices.Equal(m.Left, []string{"redis: 10.0.0.1"}) {
				t.Errorf("left: %q", m.Left)
			}
			again, err := Verify(t.Context(), must(t, w.open), w.key, known)
			if err != nil || !slices.Equal(names(again), names(m)) || again.Host != "mx.example.org" || again.Version != "1.0" || !again.Time.Equal(m.Time) {
				t.Errorf("%+v, %v", again, err)
			}
			for _, x := range again.Members {
				if data := strings.HasSuffix(x.Name, ".db"); data != (len(x.Schema) == 2) {
					t.Errorf("%s has schema %v", x.Name, x.Schema)
				}
			}
			if left, err := filepath.Glob(filepath.Join(w.plan.State, ".backup-*")); err != nil || len(left) > 0 {
				t.Errorf("left are %v, %v", left, err)
			}
			if info, err := os.Stat(w.file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", info, err)
			}
			if data, err := os.ReadFile(w.file); err != nil || bytes.Contains(data, []byte("vault key")) || !bytes.HasPrefix(data, []byte("age-encryption.org/v1")) {
				t.Errorf("%.30q, %v", data, err)
			}
			if _, err := os.Lstat(w.file + durable.Half); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("half a file is left: %v", err)
			}
			if _, err := Create(t.Context(), &w.plan, w.lock, w.file); err == nil || !strings.Contains(err.Error(), "is there already") {
				t.Errorf("over one that is there: %v", err)
			}
		})
	}
}

func must(t *testing.T, open func() (io.ReadCloser, error)) io.Reader {
	t.Helper()
	f, err := open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestWithin: a state folder within the folder of the documents is in it once, and nothing of it that must not be.
func TestWithin(t *testing.T) {
	w := newWorld(t)
	w.plan.Config = filepath.Dir(w.plan.State)
	w.plan.Named = append(w.plan.Named, filepath.Join(w.plan.Config, "etc", "policy.toml"))
	t.Chdir(w.plan.Config)
	w.plan.Config = "."
	m := w.create(t)
	for _, name := range names(m) {
		if strings.HasPrefix(name, "config/state/") || strings.Contains(name, "spool") || strings.HasPrefix(name, "files/") || strings.HasSuffix(name, ".toml") && !strings.HasPrefix(name, "config/etc/") {
			t.Errorf("%s is in it", name)
		}
	}
	if got := names(m); !slices.Contains(got, "config/etc/gatepost.toml") || !slices.Contains(got, "state/admin.db") {
		t.Errorf("%q", got)
	}
}

// TestFails: what goes wrong while it is written leaves no file, and says what.
func TestFails(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		break_ func(w *world)
		want   string
	}{
		"database": {func(w *world) {
			w.plan.Snapshot = func(context.Context, string, string) ([]int, error) { return nil, errors.New("is damaged") }
		}, "state/admin.db: is damaged"},
		"state folder": {func(w *world) { w.plan.State += "x" }, "state folder"},
		"target":       {func(w *world) { w.file = filepath.Join(w.file, "x", "y") }, "no such file"},
	} {
		broken := *w
		c.break_(&broken)
		if _, err := Create(t.Context(), &broken.plan, w.lock, broken.file); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		for _, left := range []string{w.file, w.file + durable.Half} {
			if _, err := os.Lstat(left); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %s is left: %v", name, left, err)
			}
		}
	}
	other, err := alone(w.plan.State)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(t.Context(), &w.plan, w.lock, w.file); !errors.Is(err, ErrBusy) {
		t.Errorf("two at once: %v", err)
	}
	other.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Create(ctx, &w.plan, w.lock, w.file); !errors.Is(err, context.Canceled) {
		t.Errorf("told to stop: %v", err)
	}
	if all, err := filepath.Glob(w.file + "*"); err != nil || len(all) > 0 {
		t.Errorf("left: %v, %v", all, err)
	}
}

// TestPassphrase opens what a passphrase closed, and nothing else; and refuses what is no passphrase or no key.
func TestPassphrase(t *testing.T) {
	w := newWorld(t)
	const phrase = "correct horse battery"
	var err error
	if w.lock, err = LockBy(phrase); err != nil {
		t.Fatal(err)
	}
	if w.lock, err = lockBy(phrase, 10); err != nil { // which takes a second less
		t.Fatal(err)
	}
	w.create(t)
	for by, want := range map[string]error{phrase: nil, phrase + " ": ErrKey} {
		key, err := KeyBy(by)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(t.Context(), must(t, w.open), key, known); !errors.Is(err, want) {
			t.Errorf("%q: %v", by, err)
		}
	}
	if _, err := Verify(t.Context(), must(t, w.open), w.key, known); !errors.Is(err, ErrKey) {
		t.Errorf("by a key: %v", err)
	}
	for _, short := range []string{"", "short", strings.Repeat("x", 2000)} {
		if _, err := LockBy(short); err == nil {
			t.Errorf("%.20q is a passphrase", short)
		}
	}
	if _, err := KeyBy(""); err == nil {
		t.Error("none is a passphrase")
	}
	for _, bad := range [][]string{nil, {"age1nonsense"}, {"AGE-SECRET-KEY-1"}, {""}} {
		if _, err := LockTo(bad); err == nil {
			t.Errorf("%q are public keys", bad)
		}
	}
	for _, bad := range []string{"", "# nothing", "AGE-SECRET-KEY-1QQ", strings.Repeat("#\n", maxKeys)} {
		if _, err := KeysOf(strings.NewReader(bad)); err == nil || strings.Contains(err.Error(), "1QQ") {
			t.Errorf("%.20q are keys: %v", bad, err)
		}
	}
}

// TestChanged flips an octet at each place of the file, cuts it at each length, and puts something behind it: none is taken for a backup.
func TestChanged(t *testing.T) {
	w := newWorld(t)
	w.create(t)
	whole, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(data []byte) error {
		_, err := Verify(t.Context(), bytes.NewReader(data), w.key, known)
		return err
	}
	if err := verify(whole); err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		data := bytes.Clone(whole)
		data[i] ^= 0x20
		if err := verify(data); !errors.Is(err, ErrNoBackup) && !errors.Is(err, ErrKey) {
			t.Fatalf("octet %d of %d: %v", i, len(whole), err)
		}
		if i%7 != 0 { // fewer cuts: they differ less
			continue
		}
		if err := verify(whole[:i]); !errors.Is(err, ErrNoBackup) && !errors.Is(err, ErrKey) {
			t.Fatalf("cut at %d of %d: %v", i, len(whole), err)
		}
	}
	if err := verify(append(bytes.Clone(whole), 'x')); !errors.Is(err, ErrNoBackup) {
		t.Errorf("with something behind it: %v", err)
	}
	if err := verify([]byte("a text file, and no backup at all")); !errors.Is(err, ErrNoBackup) {
		t.Errorf("a text: %v", err)
	}
}

// sealing makes a file that is as we never write one, to our own key.
func (w *world) sealing(t *testing.T, members []tar.Header, manifest string) io.Reader {
	t.Helper()
	var out bytes.Buffer
	sealed, err := w.lock.seal(&out)
	if err != nil {
		t.Fatal(err)
	}
	packed := gzip.NewWriter(sealed)
	a := tar.NewWriter(packed)
	write := func(h tar.Header, text string) {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(text))
		}
		if err := a.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := a.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	const head = `{"form":1,"version":"1","host":"h","time":"2026-11-27T00:00:00Z"`
	write(tar.Header{Name: headName}, head+"}")
	for _, m := range members {
		write(m, "x")
	}
	write(tar.Header{Name: manifestName}, head+manifest)
	for _, c := range []io.Closer{a, packed, sealed} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return &out
}

// TestForged reads what somebody who has the public key may have written: names that lead elsewhere, links, what the manifest does not name.
func TestForged(t *testing.T) {
	const sum = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" // of "x"
	w := newWorld(t)
	one := func(name, schema string) string {
		return `,"members":[{"name":"` + name + `","size":1,"mode":384,"sha256":"` + sum + `"` + schema + `}]}`
	}
	for name, c := range map[string]struct {
		members  []tar.Header
		manifest string
		want     error
	}{
		"sound":                {[]tar.Header{{Name: "state/a"}}, one("state/a", ""), nil},
		"above":                {[]tar.Header{{Name: "state/../../a"}}, one("state/../../a", ""), ErrNoBackup},
		"absolute":             {[]tar.Header{{Name: "/etc/shadow"}}, one("/etc/shadow", ""), ErrNoBackup},
		"of no folder":         {[]tar.Header{{Name: "a"}}, one("a", ""), ErrNoBackup},
		"the marker":           {[]tar.Header{{Name: "state/restore.json"}}, one("state/restore.json", ""), ErrNoBackup},
		"the spool":            {[]tar.Header{{Name: "state/spool/q/aa/1.q"}}, one("state/spool/q/aa/1.q", ""), ErrNoBackup},
		"link":                 {[]tar.Header{{Name: "state/a", Typeflag: tar.TypeSymlink, Linkname: "/etc"}}, one("state/a", ""), ErrNoBackup},
		"device":               {[]tar.Header{{Name: "state/a", Typeflag: tar.TypeChar}}, one("state/a", ""), ErrNoBackup},
		"twice":                {[]tar.Header{{Name: "state/a"}, {Name: "state/a"}}, one("state/a", ""), ErrNoBackup},
		"not in the manifest":  {[]tar.Header{{Name: "state/a"}, {Name: "state/b"}}, one("state/a", ""), ErrNoBackup},
		"only in the manifest": {nil, one("state/a", ""), ErrNoBackup},
		"another sum":          {[]tar.Header{{Name: "state/a"}}, strings.Replace(one("state/a", ""), "2d71", "2d72", 1), ErrNoBackup},
		"a sum that is none":   {[]tar.Header{{Name: "state/a"}}, strings.Replace(one("state/a", ""), sum, "2d", 1), ErrNoBackup},
		"no manifest":          {[]tar.Header{{Name: "state/a"}}, "", ErrNoBackup},
		"a schema of later":    {[]tar.Header{{Name: "state/a"}}, one("state/a", `,"schema":[1,2,9]`), ErrNewer},
		"a form of later":      {nil, `,"form":2,"members":[]}`, ErrNewer},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Verify(t.Context(), w.sealing(t, c.members, c.manifest), w.key, known)
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

// TestNames: a name tells host and time; others are none.
func TestNames(t *testing.T) {
	at := time.Date(2026, 11, 27, 16, 15, 0, 0, time.UTC)
	for host, want := range map[string]string{"mx.example.org": "mx.example.org", "MX 1/x": "mx-1-x", "": "host"} {
		name := FileName(host, at)
		if got, when, ok := ParseName(name); !ok || got != want || !when.Equal(at) {
			t.Errorf("%s: %q %v %v", name, got, when, ok)
		}
	}
	for _, bad := range []string{"", "gatepost-.age", "gatepost--20261127T161500Z.age", "gatepost-x-20261127T161500Z.tar", "gatepost-x-2026.age", "x"} {
		if _, _, ok := ParseName(bad); ok {
			t.Errorf("%q is taken for a backup", bad)
		}
	}
}

// differ are the names in which two trees differ.
func differ(a, b map[string]string) (out []string) {
	for name := range maps.Keys(a) {
		if v, ok := b[name]; !ok || v != a[name] {
			out = append(out, name)
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
