package quarantine

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/gateway"
)

// TestDamage breaks a file at every place of its beginning and at many others: each time it is told, nothing of the message is
// shown or sent, and it can be removed.
func TestDamage(t *testing.T) {
	w := newWorld(t)
	big := make([]byte, 3*chunk)
	for i := range big {
		big[i] = byte('a' + rand.N(20)) // it does not compress to nothing
	}
	id := w.keep(t, string(big), gateway.SpamScore, "a@example.org")
	good, err := os.ReadFile(w.File(id))
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, text []byte) {
		t.Helper()
		if err := os.WriteFile(w.File(id), text, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := w.Look(t.Context(), id, "me", 1<<20)
		if err == nil || l != nil || !Damaged(err) && !errors.Is(err, ErrNoKey) {
			t.Fatalf("%s: %v, %v", what, l, err)
		}
		if _, err := w.Release(t.Context(), &Release{ID: id, Force: true}); err == nil || len(w.hop.got) > 0 {
			t.Fatalf("%s: sent, %v", what, err)
		}
	}
	for n := 0; n < len(good); n += max(1, len(good)/50) {
		check("cut off", good[:n])
	}
	places := []int{0, len(magic), len(good) - 1, len(good) - trailerSize, len(good) - trailerSize - 1}
	for range 60 {
		places = append(places, rand.IntN(len(good)))
	}
	for _, at := range places {
		bad := bytes.Clone(good)
		bad[at] ^= 1 << rand.IntN(8)
		check("flipped bit", bad)
	}
	second := chunk + tag
	if len(good) > 3*second {
		head := bytes.IndexByte(good[len(magic):], '\n') + len(magic) + 1
		bad := bytes.Clone(good)
		copy(bad[head+second:head+2*second], good[head:head+second])
		check("a chunk twice", bad)
	}
	check("longer", append(bytes.Clone(good), 'x'))
	if s := w.Status(t.Context()); s.Damaged != 1 || !strings.Contains(w.whats(), "damaged") {
		t.Errorf("%+v, %s", s, w.whats())
	}
	if err := os.WriteFile(w.File(id), good, 0o600); err != nil {
		t.Fatal(err)
	}
	w.reopen(t)
	w.Tend(t.Context())
	if l, err := w.Look(t.Context(), id, "me", 1<<20); err != nil || string(l.Message) != mail(string(big)) || l.Row.Damaged != "" {
		t.Errorf("mended: %v", err)
	}
	check("cut off", good[:100])
	if err := w.Delete(t.Context(), id, nil, "me"); err != nil || len(w.files(t)) != 0 {
		t.Errorf("%v, %v", err, w.files(t))
	}
}

// TestKeys shows that messages of before a rotation are read after it, that a key that is needed is not forgotten, that
// another key reads nothing, and that what was erased is not readable with the right one.
func TestKeys(t *testing.T) {
	w := newWorld(t)
	old := w.keep(t, "old", gateway.SpamScore, "a@example.org")
	first, err := w.Keys(t.Context())
	if err != nil || len(first) != 1 || !first[0].InUse || first[0].Messages != 1 {
		t.Fatalf("%+v, %v", first, err)
	}
	if _, err := w.RotateKey(); err != nil {
		t.Fatal(err)
	}
	young := w.keep(t, "young", gateway.SpamScore, "a@example.org")
	path := filepath.Join(filepath.Dir(w.dir), "keys", "vault.key")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if w.opts.Keys, err = LoadKeys(path, false); err != nil {
		t.Fatal(err)
	}
	w.reopen(t)
	for _, id := range []gateway.ID{old, young} {
		if _, err := w.Look(t.Context(), id, "me", 1); err != nil {
			t.Error(err)
		}
	}
	if err := w.ForgetKey(t.Context(), first[0].ID); err == nil {
		t.Error("a key that a message needs was forgotten")
	}
	copied, err := os.ReadFile(w.File(old))
	if err != nil {
		t.Fatal(err)
	}
	blotted := filepath.Join(w.dir, "blotted")
	if err := os.WriteFile(blotted, copied, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.blot(blotted); err != nil {
		t.Fatal(err)
	}
	if _, err := openFile(blotted, old, w.opts.Keys); !errors.Is(err, errErased) {
		t.Errorf("erased: %v", err)
	}
	if err := w.Delete(t.Context(), old, nil, "me"); err != nil {
		t.Fatal(err)
	}
	if err := w.ForgetKey(t.Context(), first[0].ID); err != nil {
		t.Error(err)
	}
	keys, err := LoadKeys(path+"2", true)
	if err != nil {
		t.Fatal(err)
	}
	w.opts.Keys = keys
	w.reopen(t)
	if _, err := w.Look(t.Context(), young, "me", 1); !errors.Is(err, ErrNoKey) {
		t.Errorf("another key: %v", err)
	}
	for _, text := range []string{"", "x\n", keysMagic + "\n", keysMagic + "\n2026-01-01T00:00:00Z 00000000 " + strings.Repeat("0", 64) + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadKeys(path, true); err == nil {
			t.Errorf("%q is a file of keys", text)
		}
	}
}

// FuzzFile reads hostile files: whatever is in one, it is read or refused, within bounds.
func FuzzFile(f *testing.F) {
	keys, err := LoadKeys(filepath.Join(f.TempDir(), "vault.key"), true)
	if err != nil {
		f.Fatal(err)
	}
	k := keeping(1<<40, "text", gateway.SpamScore, "a@example.org")
	m, err := newMeta(k, k.Rcpts, k.Keys)
	if err != nil {
		f.Fatal(err)
	}
	w, err := newWriter()
	if err != nil {
		f.Fatal(err)
	}
	var good bytes.Buffer
	if _, _, err := w.write(f.Context(), &good, keys, m, gateway.Reader(k.Envelope.Body)); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add(good.Bytes()[:good.Len()-trailerSize])
	f.Add([]byte(magic + "{}\n"))
	f.Add([]byte(magic))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		name := filepath.Join(dir, "file")
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := openFile(name, m.ID, keys)
		if err != nil {
			return
		}
		defer s.Close()
		if s.verify(t.Context()) != nil {
			return
		}
		_, r, err := s.open()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if got, err := io.ReadAll(r); err != nil || string(got) != mail("text") {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// FuzzMeta has what is known of a message be anything, as if somebody had the keys: what is refused is refused, and what is
// taken can be sent.
func FuzzMeta(f *testing.F) {
	f.Add([]byte(`{"id":"00000-00100-0001"}`))
	f.Add([]byte(`{"header":5,"size":3,"cut":[[3,1]]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		n := []byte{byte(len(text) >> 24), byte(len(text) >> 16), byte(len(text) >> 8), byte(len(text))}
		m, err := readMeta(bytes.NewReader(append(n, text...)), 1<<20)
		if err != nil {
			return
		}
		at := 0
		for _, c := range m.Cut {
			if c[0] < at || c[1] < c[0] || c[1] > m.Header {
				t.Errorf("cuts %v of %d", m.Cut, m.Header)
			}
			at = c[1]
		}
	})
}
