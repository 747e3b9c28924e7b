package memory

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"gatepost/gateway"
)

// TestForgetsAtRandom: a flood of clients that end soon makes room for itself, and forgets of those that end late only when
// all that were looked at are such. Were they looked at at random, each in turn, of a half that ends late dh = -h^8 would go
// with each that comes, so that after a flood of 32 times the size 0.5 becomes (0.5^-7 + 7*32)^(-1/7).
func TestForgetsAtRandom(t *testing.T) {
	const most, rounds = 1 << 14, 32
	c := New(Options{Most: most})
	soon, late := time.Now().Add(time.Hour), time.Now().Add(48*time.Hour)
	client := func(i int) netip.Addr {
		return netip.AddrFrom4([4]byte{byte(1 + i>>24), byte(i >> 16), byte(i >> 8), byte(i)})
	}
	next := 0
	learn := func(n int, until time.Time) {
		for range n {
			c.Learn(client(next), gateway.Remembered{Pregreet: until})
			next++
		}
	}
	learn(most/2, late)
	learn(rounds*most, soon)
	left := 0
	for i := range most / 2 {
		if c.Recall(client(i)).Known(soon.Add(time.Second)) {
			left++
		}
	}
	want := most * math.Pow(math.Pow(0.5, -7)+7*rounds, -1./7)
	if math.Abs(float64(left)-want) > 0.03*want {
		t.Errorf("%d of %d are left, want %.0f", left, most/2, want)
	}
}

// TestListAndIndex: whatever comes and goes, the list of a shard and its index tell the same.
func TestListAndIndex(t *testing.T) {
	now := time.Now()
	c := New(Options{Most: 640})
	random := rand.New(rand.NewPCG(1, 2))
	for range 50_000 {
		k := keyOf(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(random.IntN(8)), byte(random.IntN(256))}), 32))
		switch random.IntN(8) {
		case 0:
			c.forget(k)
		case 1:
			c.expire(now.Add(time.Duration(random.IntN(60)) * time.Minute))
		default:
			until := now.Add(time.Duration(random.IntN(120)) * time.Minute).Unix()
			c.update(k, func(e *entry, _ bool) change { e.pregreet = until; return major })
			if e := c.get(k); e.pregreet != until {
				t.Fatalf("%v, want %d", e, until)
			}
		}
	}
	n := 0
	for i := range c.shards {
		s := &c.shards[i]
		n += len(s.list)
		if len(s.index) != len(s.list) {
			t.Errorf("shard %d has %d in its index and %d in its list", i, len(s.index), len(s.list))
		}
		for at, e := range s.list {
			if int(s.index[e.key]) != at || c.shard(e.key) != s {
				t.Errorf("shard %d: %v is not where the index says", i, e.key)
			}
		}
	}
	if n == 0 || n != c.Len() {
		t.Errorf("%d clients, %d by its own count", n, c.Len())
	}
}
