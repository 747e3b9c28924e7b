package spool

import (
	"bytes"
	"io"
	"runtime"
	"slices"
	"testing"

	"gatepost/gateway"
)

// TestMemoryIsBounded has many bodies at once: together they stay in their memory, what finds none is in files, and none
// is mixed up with another.
func TestMemoryIsBounded(t *testing.T) {
	const size, all = 300_000, 100
	for name, piece := range map[string]int{"written": 40_000, "lent": lent} {
		bodies := &Bodies{Dir: t.TempDir(), MaxMemory: 4 << 20}
		var open []gateway.Body
		for i := range all {
			w := bodies.New()
			if err := fill(w, bytes.Repeat([]byte{byte(i)}, size), piece); err != nil {
				t.Fatal(err)
			}
			if n := bodies.InMemory(); n > 4<<20 {
				t.Fatalf("%s: %d octets in memory with %d bodies", name, n, i)
			}
			b, err := w.Done()
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, b)
		}
		if n := bodies.InMemory(); n < 3<<20 {
			t.Errorf("%s: memory is not used: %d octets", name, n)
		}
		if n := bodies.OnDisk(); n < (all-4<<20/size-1)*size || n >= all*size {
			t.Errorf("%s: %d octets on disk", name, n)
		}
		for i, b := range open {
			got, err := io.ReadAll(gateway.Rest(b, 0))
			if err != nil || len(got) != size || !bytes.Equal(got, bytes.Repeat([]byte{byte(i)}, size)) {
				t.Fatalf("%s: body %d differs: %d octets, %v", name, i, len(got), err)
			}
			_ = b.Close()
		}
		if bodies.OnDisk() != 0 || bodies.Open() != 0 || bodies.InMemory() > 4<<20 {
			t.Errorf("%s: left: %d on disk, %d open, %d in memory", name, bodies.OnDisk(), bodies.Open(), bodies.InMemory())
		}
	}
}

// TestMemoryIsGivenBack shows that a crowd of bodies leaves no more than what is kept at hand.
func TestMemoryIsGivenBack(t *testing.T) {
	bodies := &Bodies{Dir: t.TempDir()}
	var open []gateway.BodyWriter
	for range 40 {
		w := bodies.New()
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		open = append(open, w)
	}
	if n := bodies.InMemory(); n < 40<<20 || bodies.OnDisk() > 0 {
		t.Fatalf("%d octets in memory, %d on disk", n, bodies.OnDisk())
	}
	for _, w := range open {
		w.Discard()
	}
	if n := bodies.InMemory(); n > keepFree {
		t.Errorf("%d octets are kept", n)
	}
}

// TestLargeBodyTakesLittleMemory counts what a body of 50 MB takes while it is there.
func TestLargeBodyTakesLittleMemory(t *testing.T) {
	bodies := &Bodies{Dir: t.TempDir()}
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	piece := make([]byte, 50_000)
	before, most := heap(), int64(0)
	w := bodies.New()
	for i := range 1000 {
		if err := fill(w, piece, lent); err != nil {
			t.Fatal(err)
		}
		most = max(most, bodies.InMemory())
		if i%250 == 100 {
			most = max(most, bodies.InMemory()+heap()-before)
		}
	}
	b, err := w.Done()
	if err != nil || b.Size() != 50_000_000 || bodies.OnDisk() != 50_000_000 {
		t.Fatalf("size %d, %d on disk, %v", b.Size(), bodies.OnDisk(), err)
	}
	if most = max(most, bodies.InMemory()+heap()-before); most > 2<<20 {
		t.Errorf("it took %d octets of memory", most)
	}
	_ = b.Close()
}

// TestRegions asks for memory beyond what there is.
func TestRegions(t *testing.T) {
	const size, limit = 4 * grain, 6 * grain
	var m memory
	a := m.get(size, 1, limit)
	b := m.get(size, size, limit)
	if a == nil || b == nil || a.touched != grain || m.octets() != 5*grain {
		t.Fatalf("%v, %v, %d octets", a, b, m.octets())
	}
	if !m.grow(a, grain+1, limit) || m.grow(a, 2*grain+1, limit) || m.get(size, 1, limit) != nil {
		t.Error("more than there is was given")
	}
	copy(b.buf, "old")
	m.put(b)
	// What lies free makes room for one that grows.
	if !m.grow(a, size, limit) || m.octets() != size || a.usable(size) != size || a.usable(100) != 100 {
		t.Errorf("a region has %d octets of %d", a.touched, m.octets())
	}
	c := m.get(size, grain, limit)
	if c != b || !bytes.Equal(c.buf[:3], make([]byte, 3)) || c.touched != grain {
		t.Errorf("the region that gave its memory back holds %q", c.buf[:3])
	}
	m.put(a)
	m.put(c)
	if m.spare != m.octets() || m.get(size, 1, limit) != c {
		t.Errorf("%d octets spare of %d", m.spare, m.octets())
	}
	if slices.Contains(m.free, c) || len(m.free) != 1 {
		t.Errorf("%d free", len(m.free))
	}
}

func BenchmarkBody(b *testing.B) {
	for name, size := range map[string]int{"10K": 10 << 10, "100K": 100 << 10, "1M": 1 << 20, "10M": 10 << 20} {
		b.Run(name, func(b *testing.B) {
			bodies := &Bodies{Dir: b.TempDir()}
			text, buf := make([]byte, size), make([]byte, 64<<10)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				w := bodies.New()
				for rest := text; len(rest) > 0; {
					space, err := w.(room).Room(64 << 10)
					if err != nil {
						b.Fatal(err)
					}
					n := copy(space, rest)
					w.(room).Keep(n)
					rest = rest[n:]
				}
				d, _ := w.Done()
				for r := gateway.Rest(d, 0); ; {
					if _, err := r.Read(buf); err != nil {
						break
					}
				}
				d.Close()
			}
		})
	}
}
