package limit_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/internal/lab/limittest"
	"gatepost/internal/limit"
)

// TestMemory runs what every Store must do.
func TestMemory(t *testing.T) {
	for _, c := range limittest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := limit.NewMemory(0)
				c.Run(t, limittest.World{Store: m, Now: time.Now, Pass: time.Sleep, Held: m.Held})
			})
		})
	}
}

// FuzzTake holds a Memory beside the algorithm in big numbers, over any calls at any times: every answer is the same to the
// microsecond.
func FuzzTake(f *testing.F) {
	f.Add([]byte("\x01\x05\x00\x01\x02\x07\x10\x01\x00\x05\x00\x01\x83\x05\x00\xff"))
	f.Add([]byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"))
	f.Add([]byte("\x03abcdefghijkl\x02mnopqrst\x01uvwx\x00\x00\x00\x00\x00"))
	r := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		ops := make([]byte, 600)
		for i := range ops {
			ops[i] = byte(r.Uint32())
		}
		f.Add(ops)
	}
	f.Fuzz(func(t *testing.T, ops []byte) {
		synctest.Test(t, func(t *testing.T) { againstOracle(t, ops) })
	})
}

// againstOracle plays calls: of each an octet for the number of charges and the time before it, and four for each charge.
func againstOracle(t *testing.T, ops []byte) {
	m, oracle := limit.NewMemory(0), limittest.NewOracle()
	for len(ops) > 0 {
		head := ops[0]
		ops = ops[1:]
		time.Sleep(time.Duration(head>>2) * 977 * time.Microsecond)
		var charges []limit.Charge
		for range 1 + head&3 {
			if len(ops) < 4 {
				break
			}
			charges = append(charges, limit.Charge{
				Key:      limit.Key{Subject: string('a' + rune(ops[0]%8)), Reputation: limit.Reputation(ops[0] / 8 % 2)},
				Rate:     limit.Rate{Interval: 1 + int64(ops[1])*int64(ops[1]), Burst: 1 + int64(ops[2]%16)},
				Cost:     1 + int64(ops[3]%20),
				Observed: ops[2] > 200,
				Asked:    ops[2]&48 == 16,
			})
			ops = ops[4:]
		}
		wanted := slices.Clone(charges)
		got, err := m.Take(t.Context(), charges)
		if limit.Check(wanted) != nil {
			if err == nil {
				t.Fatalf("%+v was counted", wanted)
			}
			continue
		}
		want := oracle.Take(time.Now().UnixMicro(), wanted)
		if err != nil || got != want || !slices.Equal(charges, wanted) {
			t.Fatalf("%+v: %+v, %v; want %+v of %+v", charges, got, err, want, wanted)
		}
	}
}

// TestSpray: millions of addresses, each once, cost no more memory than the bound, and buy nobody who is over a limit a new
// start. When everybody is over a limit, the bound still holds.
func TestSpray(t *testing.T) {
	const keys, victims, addresses = 1 << 14, 1000, 2_000_000
	m := limit.NewMemory(keys)
	row := limit.Defaults().Of(limit.Client, limit.Connections)
	at := func(n int, cost int64) []limit.Charge {
		a := netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		c, ok := row.Charge(limit.PlacesOf(a).Client.String(), limit.Bad, cost)
		if !ok {
			t.Fatal("no charge")
		}
		c.Rate.Interval = time.Hour.Microseconds() // nobody comes to rest while the machine takes its time
		return []limit.Charge{c}
	}
	take := func(n int, cost int64) bool {
		a, err := m.Take(t.Context(), at(n, cost))
		if err != nil {
			t.Fatal(err)
		}
		return a.OK()
	}
	for n := range victims {
		if !take(n, 6) || take(n, 1) {
			t.Fatal("no victim is over its limit")
		}
	}
	var before, after runtime.MemStats
	for n := range addresses {
		if n == 2*keys { // full, and its maps as large as they get
			runtime.GC()
			runtime.ReadMemStats(&before)
		}
		if !take(1<<24+n, 1) {
			t.Fatalf("address %d was there before", n)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if n := m.Len(); n > keys || n < keys*9/10 {
		t.Fatalf("%d keys are held, of %d", n, keys)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 100*keys {
		t.Fatalf("%d octets more after %d addresses", grown, addresses)
	}
	for n := range victims {
		if take(n, 1) {
			t.Fatalf("%d was forgotten while it was over its limit", n)
		}
	}
	for n := range 3 * keys {
		take(1<<30+n, 6)
	}
	if n := m.Len(); n > keys {
		t.Fatalf("%d keys are held, of %d", n, keys)
	}
}

// TestRestIsForgotten: without a flood, what came to rest goes as new keys come.
func TestRestIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := limit.NewMemory(1 << 20)
		for round := range 5 {
			for n := range 20_000 {
				take(t, m, fmt.Sprint(round, " ", n), 1)
			}
			time.Sleep(time.Hour)
		}
		if n := m.Len(); n > 30_000 {
			t.Fatalf("%d keys are held, 20,000 come an hour", n)
		}
	})
}

// TestSubjectsAreOwn: a subject that is a part of a line keeps no line alive.
func TestSubjectsAreOwn(t *testing.T) {
	const lines, size = 500, 64 << 10
	m := limit.NewMemory(0)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for n := range lines {
		line := fmt.Sprint(n) + strings.Repeat(" ", size)
		take(t, m, line[:10], 1)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > lines*size/4 {
		t.Fatalf("%d octets are held for %d keys", grown, lines)
	}
	runtime.KeepAlive(m)
}

func take(t testing.TB, m *limit.Memory, subject string, cost int64) limit.Charge {
	t.Helper()
	c := []limit.Charge{{Key: limit.Key{Subject: subject}, Rate: limit.Per(10, time.Minute), Cost: cost}}
	if _, err := m.Take(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	return c[0]
}

// TestTop holds Top against a list of all, sorted.
func TestTop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := limit.NewMemory(0)
		r := rand.New(rand.NewPCG(3, 3))
		var all []string
		for n := range 2000 {
			used := r.Int64N(11)
			subject := fmt.Sprintf("%04d", n)
			if used > 0 {
				take(t, m, subject, used)
				all = append(all, fmt.Sprintf("%02d %s", 10-used, subject))
			}
		}
		slices.Sort(all)
		for _, n := range []int{-1, 0, 1, 7, 500, 2000, 5000} {
			var got []string
			for _, s := range m.Top(n) {
				got = append(got, fmt.Sprintf("%02d %s", s.Rate.Burst-s.Used, s.Key.Subject))
				if s.Over != (s.Used == 10) || s.Rest != time.Duration(s.Used)*6*time.Second {
					t.Fatalf("%+v", s)
				}
			}
			if want := all[:min(max(n, 0), len(all))]; !slices.Equal(got, want) {
				t.Fatalf("%d: %v, want %v", n, got, want)
			}
		}
		again := limit.Charge{Key: limit.Key{Subject: all[0][3:]}, Rate: limit.Per(50, time.Minute), Cost: 25}
		m.Learn([]limit.Charge{again}) // 0 ahead: nothing to learn
		again.Ahead = 30 * time.Second
		m.Learn([]limit.Charge{again})
		if top := m.Top(5000); len(top) != len(all) || !slices.ContainsFunc(top, func(s limit.Standing) bool {
			return s.Key == again.Key && s.Rate == again.Rate && s.Used == 25 && !s.Over
		}) {
			t.Fatal("Top does not tell the rate that holds now")
		}
		time.Sleep(6*time.Second + time.Microsecond)
		if top := m.Top(1); len(top) != 1 || top[0].Over || top[0].Used != 9 {
			t.Fatalf("%+v", top)
		}
		time.Sleep(time.Minute)
		if top := m.Top(5); len(top) != 0 {
			t.Fatalf("all are at rest, and %+v is not", top)
		}
	})
}

// TestLearn: what a shared Store said holds here when it is gone, and is never more than a full burst.
func TestLearn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared, m := limit.NewMemory(0), limit.NewMemory(0)
		for range 3 {
			c := take(t, shared, "a", 3)
			m.Learn([]limit.Charge{c})
			if m.Held(c.Key) != c.Ahead {
				t.Fatalf("held %v, want %v", m.Held(c.Key), c.Ahead)
			}
		}
		if c := take(t, m, "a", 2); c.Ahead != 54*time.Second {
			t.Fatalf("%v ahead", c.Ahead)
		}
		if c := take(t, m, "a", 1); c.Ahead != time.Minute {
			t.Fatalf("%v ahead", c.Ahead)
		}
		lie := limit.Charge{Key: limit.Key{Subject: "b"}, Rate: limit.Per(10, time.Minute), Ahead: 1 << 62}
		none := limit.Charge{Key: limit.Key{Subject: "c"}, Ahead: time.Minute}
		rest := limit.Charge{Key: limit.Key{Subject: "d"}, Rate: limit.Per(10, time.Minute), Ahead: -1 << 62}
		m.Learn([]limit.Charge{lie, none, rest})
		if m.Held(lie.Key) != time.Minute || m.Held(none.Key) != 0 || m.Held(rest.Key) != 0 || m.Len() != 2 {
			t.Fatalf("%v, %v, %v of %d", m.Held(lie.Key), m.Held(none.Key), m.Held(rest.Key), m.Len())
		}
	})
}

// TestAllAtOnce is for the race detector: calls over many shards in any order, beside who looks.
func TestAllAtOnce(t *testing.T) {
	m := limit.NewMemory(256)
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(n), 0))
			for range 3000 {
				var charges []limit.Charge
				for _, k := range r.Perm(600)[:limit.MostCharges] {
					charges = append(charges, limit.Charge{Key: limit.Key{Subject: fmt.Sprint(k)}, Rate: limit.Per(5, time.Minute), Cost: 1})
				}
				if a, err := m.Take(context.Background(), charges); err != nil || a.OK() == (a.Wait > 0) {
					t.Errorf("%+v, %v", a, err)
				}
				m.Learn(charges[:2])
				if r.IntN(100) == 0 {
					m.Top(10)
				}
			}
		})
	}
	wg.Wait()
	if n := m.Len(); n > 256 {
		t.Fatalf("%d keys are held", n)
	}
}

// BenchmarkConnection is what a connection costs: three nested networks, mostly of clients that were there before.
func BenchmarkConnection(b *testing.B) {
	m, rows := limit.NewMemory(0), limit.Defaults()
	var buf [limit.MostCharges]limit.Charge
	n := uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		n = n*1664525 + 1013904223
		a := netip.AddrFrom4([4]byte{192, 0, byte(n >> 24), byte(n >> 16)})
		charges := rows.Networks(buf[:0], limit.PlacesOf(a), limit.Connections, limit.Unknown, 1)
		if _, err := m.Take(context.Background(), charges); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTake is one key that is known.
func BenchmarkTake(b *testing.B) {
	m := limit.NewMemory(0)
	charges := []limit.Charge{{Key: limit.Key{Subject: "192.0.2.0/26"}, Rate: limit.Per(30, time.Minute), Cost: 1}}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Take(ctx, charges); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSpray is one key that was never there, while the table is full. It also tells what a key costs.
func BenchmarkSpray(b *testing.B) {
	b.Run("networks", func(b *testing.B) {
		benchmarkSpray(b, func(n uint32) string {
			a := netip.AddrFrom4([4]byte{byte(n >> 18), byte(n >> 10), byte(n >> 2), byte(n << 6)})
			return limit.PlacesOf(a).Network.String()
		})
	})
	b.Run("longest-names", func(b *testing.B) {
		long := strings.Repeat("x", 300)
		benchmarkSpray(b, func(n uint32) string { return limit.SubjectOf(fmt.Sprint(n, long)) })
	})
}

func benchmarkSpray(b *testing.B, subject func(n uint32) string) {
	const keys = 1 << 18
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m, ctx, n := limit.NewMemory(keys), context.Background(), uint32(0)
	spray := func() {
		n++
		c := []limit.Charge{{Key: limit.Key{Subject: subject(n)}, Rate: limit.Per(30, time.Hour), Cost: 1}}
		if _, err := m.Take(ctx, c); err != nil {
			b.Fatal(err)
		}
	}
	for range 2 * keys {
		spray()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportAllocs()
	for b.Loop() {
		spray()
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(m.Len()), "B/key")
}

// BenchmarkTop looks at a quarter of a million keys.
// TestTopOrder: keys of different limits stand in the order of the parts that are shown, and of the same part the longest
// wait is first.
func TestTopOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := limit.NewMemory(0)
		use := func(subject string, r limit.Rate, cost int64) {
			if _, err := m.Take(t.Context(), []limit.Charge{{Key: limit.Key{Subject: subject}, Rate: r, Cost: cost}}); err != nil {
				t.Fatal(err)
			}
		}
		use("4 of 5", limit.Per(5, time.Minute), 4) // in a while little more than three
		time.Sleep(11 * time.Second)
		use("7 of 10", limit.Per(10, time.Minute), 7)
		use("half of a minute", limit.Per(2, time.Minute), 1)
		use("half of an hour", limit.Per(1000, time.Hour), 500)
		use("nearly half", limit.Per(1<<21, time.Hour), 1<<20-1)
		var got []string
		for _, s := range m.Top(5) {
			got = append(got, s.Key.Subject)
		}
		if want := []string{"4 of 5", "7 of 10", "half of an hour", "half of a minute", "nearly half"}; !slices.Equal(got, want) {
			t.Fatalf("%q, want %q", got, want)
		}
	})
}

func BenchmarkTop(b *testing.B) {
	m := limit.NewMemory(1 << 18)
	for n := range 1 << 18 {
		take(b, m, fmt.Sprint(n), int64(1+n%10))
	}
	for b.Loop() {
		m.Top(20)
	}
}
