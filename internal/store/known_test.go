package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func loadKnown(t *testing.T, k *Known, kind string) map[string]string {
	t.Helper()
	out := map[string]string{}
	if err := k.Load(bounded30(t), kind, func(name string, value []byte) { out[name] = string(value) }); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestKnown: what is saved is read again, by the next process too, each kind for itself, and what is forgotten goes.
func TestKnown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known.db")
	k, err := OpenKnown(bounded30(t), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for kind, changed := range map[string]map[string][]byte{
		"domain": {"a.example": []byte(`{"asks":"reject"}`), "b.example": []byte(`{}`), "": []byte("1")},
		"path":   {"a.example list:x": []byte(`{"first":1}`), `'"; DROP TABLE known; --`: []byte("\x00\xff")},
	} {
		for range 2 { // the second time in place of the first
			if err := k.Save(bounded30(t), kind, changed); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := k.Save(bounded30(t), "domain", map[string][]byte{"b.example": nil, "never.example": nil, "a.example": []byte(`{"asks":"none"}`)}); err != nil {
		t.Fatal(err)
	}
	// Not closed: as after a kill.
	again, err := OpenKnown(bounded30(t), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := loadKnown(t, again, "domain"), map[string]string{"a.example": `{"asks":"none"}`, "": "1"}; !maps.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got, want := loadKnown(t, again, "path"), map[string]string{"a.example list:x": `{"first":1}`, `'"; DROP TABLE known; --`: "\x00\xff"}; !maps.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := loadKnown(t, again, "sealer"); len(got) != 0 {
		t.Errorf("%q", got)
	}
	for _, x := range []*Known{k, again} {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestKnownAtOnce: three kinds are saved and read at the same time; a save that is cut short leaves what was there.
func TestKnownAtOnce(t *testing.T) {
	k, err := OpenKnown(bounded30(t), filepath.Join(t.TempDir(), "known.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	var all sync.WaitGroup
	for _, kind := range []string{"domain", "path", "sealer"} {
		all.Go(func() {
			for i := range 20 {
				batch := map[string][]byte{}
				for j := range 50 {
					batch[fmt.Sprint(j)] = []byte(fmt.Sprint(kind, i))
				}
				if err := k.Save(bounded30(t), kind, batch); err != nil {
					t.Error(err)
				}
				for name, value := range loadKnown(t, k, kind) {
					if value != fmt.Sprint(kind, i) {
						t.Errorf("%s %s: %s", kind, name, value)
					}
				}
			}
		})
	}
	all.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.Save(ctx, "domain", map[string][]byte{"0": []byte("new")}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if got := loadKnown(t, k, "domain"); got["0"] != "domain19" {
		t.Errorf("%q", got["0"])
	}
}

// TestKnownDamaged: a damaged file is set aside, and an empty one takes its place.
func TestKnownDamaged(t *testing.T) {
	for name, junk := range map[string]func(whole []byte) []byte{
		"no database":   func([]byte) []byte { return bytes.Repeat([]byte("junk"), 5000) },
		"broken inside": func(b []byte) []byte { return append(b[:4096:4096], bytes.Repeat([]byte{0xff}, len(b)-4096)...) },
		"cut off":       func(b []byte) []byte { return b[:len(b)/2] },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "known.db")
			k, err := OpenKnown(bounded30(t), path, nil)
			if err != nil {
				t.Fatal(err)
			}
			many := map[string][]byte{}
			for i := range 2000 {
				many[fmt.Sprintf("d%d.example", i)] = []byte(`{"asks":"reject"}`)
			}
			if err := errors.Join(k.Save(bounded30(t), "domain", many), k.Close()); err != nil {
				t.Fatal(err)
			}
			whole, err := os.ReadFile(path)
			if err != nil || len(whole) < 3*4096 {
				t.Fatalf("%d octets, %v", len(whole), err)
			}
			if err := os.WriteFile(path, junk(whole), 0o600); err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			if k, err = OpenKnown(bounded30(t), path, slog.New(slog.NewTextHandler(&said, nil))); err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			if got := loadKnown(t, k, "domain"); len(got) != 0 || !strings.Contains(said.String(), "damaged") {
				t.Errorf("%d domains, %s", len(got), said.String())
			}
			if err := k.Save(bounded30(t), "domain", many); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(path + damaged); err != nil {
				t.Error(err)
			}
		})
	}
}

// BenchmarkKnown is a start with as many domains as are known at most, and a second of a busy host.
func BenchmarkKnown(b *testing.B) {
	path := filepath.Join(b.TempDir(), "known.db")
	k, err := OpenKnown(b.Context(), path, nil)
	if err != nil {
		b.Fatal(err)
	}
	batch := func(n int) map[string][]byte {
		out := map[string][]byte{}
		for i := range n {
			out[fmt.Sprintf("mail%d.customer.example", i)] = []byte(`{"asks":"reject","asks_since":1795000000,"first":1795000000,"seen":1795000000,"passed":1795000000,"passes":12}`)
		}
		return out
	}
	if err := k.Save(b.Context(), "domain", batch(1<<16)); err != nil {
		b.Fatal(err)
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			k, err := OpenKnown(b.Context(), path, nil)
			if err != nil {
				b.Fatal(err)
			}
			if err := k.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			if err := k.Load(b.Context(), "domain", func(string, []byte) {}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("save 500", func(b *testing.B) {
		changed := batch(500)
		for b.Loop() {
			if err := k.Save(b.Context(), "domain", changed); err != nil {
				b.Fatal(err)
			}
		}
	})
	if err := k.Close(); err != nil {
		b.Fatal(err)
	}
}

// TestReputationFile: a file of reputations that is damaged is set aside, told of, and works anew.
func TestReputationFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "reputation.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("junk", 5000)), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	k, err := OpenReputation(bounded30(t), path, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if !strings.Contains(said.String(), "reputation: the file is damaged and set aside; everybody is a stranger again") {
		t.Errorf("said %q", said.String())
	}
	if err := k.Save(bounded30(t), "address", map[string][]byte{"client:192.0.2.1": []byte(`{"first":1}`)}); err != nil {
		t.Fatal(err)
	}
	if got := loadKnown(t, k, "address"); len(got) != 1 {
		t.Errorf("%q", got)
	}
}
