package limit

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func four(n uint32) netip.Addr {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], n)
	return netip.AddrFrom4(a)
}

// TestFrontRefusesNoMore: what the algorithm lets pass at its rate, the first line lets pass too, however it comes.
func TestFrontRefusesNoMore(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			rate := Per(1+r.Int64N(900), time.Minute)
			f, tat, refused := NewFront(rate, 0), int64(0), 0
			for range 5000 {
				time.Sleep(time.Duration(r.Int64N(2*rate.Interval)*r.Int64N(2)) * time.Microsecond)
				s := count(tat, time.Now().UnixMicro(), rate, 1)
				if s.wait > 0 {
					continue
				}
				tat = s.after
				if !f.Allow(four(0xc0000200 + r.Uint32N(64))) {
					t.Fatalf("seed %d: refused what the limit lets pass", seed)
				}
			}
			for range 2 * rate.Burst {
				if !f.Allow(four(0xc0000201)) {
					refused++
				}
			}
			if refused == 0 {
				t.Fatal("nothing is refused")
			}
		})
	}
}

// TestFrontBehindAll: with the rate of a network in all, the first line lets pass whatever the Store behind it does, of clients
// of all reputations.
func TestFrontBehindAll(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			rate := func() Rate { return Per(1+r.Int64N(100), time.Duration(1+r.Int64N(120))*time.Second) }
			limits := Limits{{Dimension: Network, Unit: Connections, Rates: [reputations]Rate{rate(), rate(), rate()}}}
			f, m, passed, refused := NewFront(limits.NetworkRate(), 0), NewMemory(0), 0, 0
			for range 5000 {
				time.Sleep(time.Duration(r.Int64N(300)*r.Int64N(2)) * time.Millisecond)
				a := four(0xc0000200 + r.Uint32N(64))
				charges := limits.Networks(nil, PlacesOf(a), Connections, Reputation(r.IntN(3)), 1)
				if answer, err := m.Take(t.Context(), charges); err != nil || !answer.OK() {
					continue
				}
				passed++
				if !f.Allow(a) {
					t.Fatalf("seed %d: refused what the limits let pass", seed)
				}
			}
			for range 1000 {
				if !f.Allow(four(0xc0000201)) {
					refused++
				}
			}
			if passed < 100 || refused < 500 {
				t.Fatalf("%d passed, then %d of 1000 were refused", passed, refused)
			}
		})
	}
	row := func(d Dimension, observed bool, r ...Rate) Limit {
		l := Limit{Dimension: d, Unit: Connections, Observed: observed}
		copy(l.Rates[:], r)
		return l
	}
	three := []Rate{Per(90, time.Minute), Per(900, time.Minute), Per(18, time.Minute)}
	for name, c := range map[string]struct {
		limits Limits
		want   int64
	}{
		"defaults":        {Defaults(), 1008},
		"none":            {nil, 0},
		"observed":        {Limits{row(Network, true, three...)}, 0},
		"the wide one":    {Limits{row(Network, true, three...), row(WideNetwork, false, three...)}, 1008},
		"one has none":    {Limits{row(Network, false, three[0], Rate{}, three[2])}, 0},
		"one has the lot": {Limits{row(Network, false, Rate{1, mostFull}, Rate{mostFull, 1}, Rate{mostFull, 1})}, 0},
	} {
		got := c.limits.NetworkRate()
		if got.Valid() != (c.want > 0) || got.Valid() && got.Burst != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestFrontSpray: addresses by the million neither make it larger nor give a network that is over its limit a new start,
// where one of its set is not; and none is refused for another's sake.
func TestFrontSpray(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // its clock stands
		f := NewFront(Rate{time.Second.Microseconds(), 4}, 512)
		if n := len(f.sets) * len(places{}); n != 512 {
			t.Fatalf("%d places", n)
		}
		flood := four(0x01000000)
		for range 5 {
			f.Allow(flood)
		}
		for n := range uint32(1_000_000) {
			if !f.Allow(four(0x02000000 + n*64)) {
				t.Fatalf("network %d is refused for another's sake", n)
			}
		}
		if f.Allow(flood) {
			t.Fatal("the one over its limit was forgotten")
		}
		time.Sleep(time.Second)
		if !f.Allow(flood) || f.Allow(flood) {
			t.Fatal("a second gives one back")
		}
	})
}

func TestFrontNetworks(t *testing.T) {
	f := NewFront(Rate{time.Hour.Microseconds(), 1}, 0)
	for _, c := range []struct {
		addr string
		want bool
	}{
		{"192.0.2.1", true}, {"192.0.2.2", true}, {"192.0.2.63", false}, {"::ffff:192.0.2.5", false}, {"192.0.2.64", true},
		{"2001:db8:0:100::1", true}, {"2001:db8:0:1ff::1", true}, {"2001:db8:0:100::2%eth0", false}, {"2001:db8:0:200::1", true},
		{"0.0.0.0", true}, {"::", true}, {"::1", true}, {"::2", false}, {"0.0.0.1", true}, {"0.0.0.2", false},
		{"", true}, {"", true}, {"", false},
	} {
		a, _ := netip.ParseAddr(c.addr)
		if got := f.Allow(a); got != c.want {
			t.Errorf("%q: %v", c.addr, got)
		}
	}
	open := NewFront(Rate{}, 0)
	for range 1000 {
		if !open.Allow(four(1)) {
			t.Fatal("no rate is no limit")
		}
	}
}

func BenchmarkFront(b *testing.B) {
	f := NewFront(Per(900, time.Minute), 0)
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f.Allow(four(0xc0000201))
		}
	})
	b.Run("spray", func(b *testing.B) {
		b.ReportAllocs()
		n := uint32(0)
		for b.Loop() {
			n += 64
			f.Allow(four(n))
		}
	})
}
