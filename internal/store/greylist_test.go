package store

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/greylist"
)

func loadGreylist(t *testing.T, g *Greylist) (map[greylist.Key]greylist.Record, map[greylist.Tag]greylist.Passes) {
	t.Helper()
	pairs, ids := map[greylist.Key]greylist.Record{}, map[greylist.Tag]greylist.Passes{}
	if err := g.Load(bounded30(t), func(k greylist.Key, r greylist.Record) { pairs[k] = r }, func(id greylist.Tag, p greylist.Passes) { ids[id] = p }); err != nil {
		t.Fatal(err)
	}
	return pairs, ids
}

// TestGreylist: what is saved is read by the next process, what went is gone, and a whole save leaves nothing beside it.
func TestGreylist(t *testing.T) {
	path := filepath.Join(t.TempDir(), "greylist.db")
	g, err := OpenGreylist(bounded30(t), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	key := func(n byte) greylist.Key { return greylist.Key{Tag: greylist.Tag{n}, Pair: [9]byte{8: n}} }
	for _, c := range []greylist.Changes{
		{Pairs: map[greylist.Key]greylist.Record{key(0): 7, key(1): 1, key(2): -2}, Identities: map[greylist.Tag]greylist.Passes{{1}: 16, {}: -3}},
		{Pairs: map[greylist.Key]greylist.Record{key(1): 0, key(2): -1 << 62, key(9): 0}, Identities: map[greylist.Tag]greylist.Passes{{1}: 0}},
	} {
		if err := g.Save(bounded30(t), c); err != nil {
			t.Fatal(err)
		}
	}
	// Not closed: as after a kill.
	again, err := OpenGreylist(bounded30(t), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	pairs, ids := loadGreylist(t, again)
	if !maps.Equal(pairs, map[greylist.Key]greylist.Record{key(0): 7, key(2): -1 << 62}) || !maps.Equal(ids, map[greylist.Tag]greylist.Passes{{}: -3}) {
		t.Errorf("%v %v", pairs, ids)
	}
	if err := again.Save(bounded30(t), greylist.Changes{Whole: true, Pairs: map[greylist.Key]greylist.Record{key(3): 3}}); err != nil {
		t.Fatal(err)
	}
	if pairs, ids := loadGreylist(t, again); len(pairs) != 1 || pairs[key(3)] != 3 || len(ids) != 0 {
		t.Errorf("%v %v", pairs, ids)
	}
	for _, x := range []*Greylist{g, again} {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestGreylistHostile: rows that this program did not write are no records, and cost nothing; a damaged file is set aside,
// and told.
func TestGreylistHostile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "greylist.db")
	g, err := OpenGreylist(bounded30(t), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{"x'00', 1", "x'', 1", "zeroblob(1000), 5", "'text', 9", "x'010203040506', 'no number'"} {
		if _, err := g.db.ExecContext(bounded30(t), "INSERT INTO stranger VALUES ("+row+")"); err != nil {
			t.Fatal(row, err)
		}
	}
	m := greylist.NewMemory(0)
	m.Keep(g)
	if err := m.Load(bounded30(t), greylist.Settings{}); err == nil {
		t.Error("a value that is no number was read")
	}
	if pairs, ids := m.Len(); pairs+ids > 0 {
		t.Errorf("%d pairs, %d identities", pairs, ids)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	if g, err = OpenGreylist(bounded30(t), path, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if !strings.Contains(log.String(), "all begin anew as strangers") {
		t.Error(log.String())
	}
	m = greylist.NewMemory(0)
	m.Keep(g)
	if err := m.Load(bounded30(t), greylist.Settings{}); err != nil {
		t.Error(err)
	}
	if a, _ := m.Try(bounded30(t), greylist.Key{}, greylist.Settings{}, time.Now()); a.Outcome != greylist.First {
		t.Error(a)
	}
}

// BenchmarkGreylistSave is what keeping one changed pair costs, of five thousand that changed within a second, in a file of
// a hundred thousand.
func BenchmarkGreylistSave(b *testing.B) {
	g, err := OpenGreylist(b.Context(), filepath.Join(b.TempDir(), "greylist.db"), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	r := rand.New(rand.NewPCG(5, 6))
	some := func(n int) greylist.Changes {
		c := greylist.Changes{Pairs: map[greylist.Key]greylist.Record{}}
		for range n {
			var k greylist.Key
			binary.BigEndian.PutUint64(k.Pair[:], r.Uint64())
			c.Pairs[k] = greylist.Record(time.Now().UnixMilli())
		}
		return c
	}
	if err := g.Save(b.Context(), some(100_000)); err != nil {
		b.Fatal(err)
	}
	const at = 5000
	for b.Loop() {
		if err := g.Save(b.Context(), some(at)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/at, "ns/pair")
}
