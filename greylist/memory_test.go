package greylist

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

var start = time.UnixMilli(1_795_000_000_000)

// random returns a key as a Keyer makes them of strangers.
func random(r *rand.Rand) Key {
	var k Key
	for i := range k.Tag {
		k.Tag[i] = byte(r.Uint32())
	}
	for i := range k.Pair {
		k.Pair[i] = byte(r.Uint32())
	}
	return k
}

func try(t testing.TB, m *Memory, k Key, now time.Time) Answer {
	t.Helper()
	a, err := m.Try(context.Background(), k, Settings{}, now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestFlood shows that a flood of strangers, of as many identities or of one, stays within the bound and costs nobody who
// passed anything; and that one who comes while it lasts still passes, if it comes back before the flood has filled all.
func TestFlood(t *testing.T) {
	const most = 1 << 14
	for name, flood := range map[string]struct {
		next func(*rand.Rand) Key
		// Of a flood whose strangers cannot be told from others one in 64 is forgotten that 256 others came after, at random:
		// more than 5 of 20 are once in a million.
		lost int
	}{
		"identities": {random, 5},
		"one":        {func(r *rand.Rand) Key { return Key{Tag: Tag{1}, Pair: random(r).Pair} }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r, m := rand.New(rand.NewPCG(1, 9)), NewMemory(most)
			lost := 0
			var good []Key
			for range most / 32 {
				k := random(r)
				good = append(good, k)
				try(t, m, k, start)
				if a := try(t, m, k, start.Add(DefaultDelay)); a.Outcome != Passed {
					t.Fatalf("%+v", a)
				}
			}
			now := start.Add(DefaultDelay)
			for i := range 20 * most {
				now = now.Add(time.Millisecond)
				try(t, m, flood.next(r), now)
				if i%most == 0 {
					k, wait := random(r), 0
					try(t, m, k, now)
					for ; wait < most/64; wait++ {
						try(t, m, flood.next(r), now)
					}
					if a := try(t, m, k, now.Add(DefaultDelay)); a.Outcome != Passed {
						t.Logf("a stranger's second try, %d strangers later: %+v", wait, a)
						lost++
					}
				}
			}
			if lost > flood.lost {
				t.Errorf("%d of 20 strangers were forgotten before they came again", lost)
			}
			if pairs, ids := m.Len(); pairs > most || ids > most/pairsPerIdentity || pairs < most/2 {
				t.Errorf("%d pairs, %d identities are remembered, of %d", pairs, ids, most)
			}
			for _, k := range good {
				if a := try(t, m, k, now); a.Outcome != Known {
					t.Fatalf("one that passed before the flood: %+v", a)
				}
			}
		})
	}
}

// TestFloodAhead shows that strangers that came while the clock was years ahead do not outlive those who passed since.
func TestFloodAhead(t *testing.T) {
	const most = 1 << 14
	r, m := rand.New(rand.NewPCG(3, 9)), NewMemory(most)
	for range 2 * most {
		try(t, m, random(r), start.Add(1000*24*time.Hour))
	}
	var good []Key
	for range most / 32 {
		k := random(r)
		good = append(good, k)
		try(t, m, k, start)
		if a := try(t, m, k, start.Add(DefaultDelay)); a.Outcome != Passed {
			t.Fatalf("%+v", a)
		}
	}
	for range most {
		try(t, m, random(r), start.Add(DefaultDelay))
	}
	for _, k := range good {
		if a := try(t, m, k, start.Add(DefaultDelay)); a.Outcome != Known {
			t.Fatalf("one that passed: %+v", a)
		}
	}
}

// TestPatientFlood shows that a flood of identities that pass is bounded too.
func TestPatientFlood(t *testing.T) {
	r, m := rand.New(rand.NewPCG(2, 9)), NewMemory(LeastMemory)
	for range 20 * LeastMemory {
		k := random(r)
		try(t, m, k, start)
		if a := try(t, m, k, start.Add(DefaultDelay)); a.Outcome != Passed {
			t.Fatalf("%+v", a)
		}
	}
	pairs, ids := m.Len()
	if pairs > LeastMemory || ids > LeastMemory/pairsPerIdentity {
		t.Errorf("%d pairs, %d identities", pairs, ids)
	}
	countedPairs, countedIDs := 0, 0
	for i := range shards {
		countedPairs += len(m.pairs.shards[i].list)
		countedIDs += len(m.identities.shards[i].list)
	}
	if countedPairs != pairs || countedIDs != ids {
		t.Errorf("counted %d and %d, there are %d and %d", pairs, ids, countedPairs, countedIDs)
	}
}

// TestSweep shows that what is over goes, at its time and not before, and that a clock that was ahead keeps nothing.
func TestSweep(t *testing.T) {
	m := NewMemory(0)
	waits, passed, ahead, both := Key{Tag: Tag{1}}, Key{Tag: Tag{2}}, Key{Tag: Tag{3}}, Key{Tag: Tag{4}}
	try(t, m, waits, start.Add(DefaultDelay))
	try(t, m, passed, start)
	try(t, m, passed, start.Add(DefaultDelay))
	try(t, m, ahead, start.Add(1000*24*time.Hour))
	try(t, m, both, start.Add(1000*24*time.Hour))
	try(t, m, both, start.Add(1000*24*time.Hour+DefaultDelay))
	want := func(after time.Duration, swept, pairs, ids int) {
		t.Helper()
		n := m.Sweep(Settings{}, start.Add(DefaultDelay+after))
		if p, i := m.Len(); n != swept || p != pairs || i != ids {
			t.Errorf("after %v: %d swept, %d pairs and %d identities are left; want %d, %d, %d", after, n, p, i, swept, pairs, ids)
		}
	}
	want(0, 0, 4, 2)
	want(DefaultWithin-1, 0, 4, 2)
	want(DefaultWithin, 2, 4, 0)
	want(DefaultWindow-time.Millisecond, 0, 4, 0)
	want(DefaultWindow, 2, 2, 0)
	want(DefaultKeep-time.Millisecond, 0, 2, 0)
	want(DefaultKeep, 2, 0, 0)
}

// TestAllAtOnce runs everything at once on a small memory, for the race detector and the count.
func TestAllAtOnce(t *testing.T) {
	m := NewMemory(0)
	var wg sync.WaitGroup
	for g := range uint64(8) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(g, 1))
			now, ctx := start, context.Background()
			for range 3000 {
				k := Key{Tag: Tag{byte(r.IntN(50))}, Pair: [9]byte{byte(r.IntN(256)), byte(r.IntN(16))}}
				now = now.Add(time.Duration(r.IntN(100)) * time.Second)
				switch r.IntN(200) {
				case 0:
					_ = m.Waiting(ctx, Settings{}, now, func(w Waiting) bool {
						_, _ = m.Release(ctx, w.Key, Settings{}, now)
						return r.IntN(10) > 0
					})
				case 1:
					_, _ = m.ForgetIdentity(ctx, k.Tag)
				case 2:
					m.Sweep(Settings{}, now)
				case 3:
					_, _ = m.Forget(ctx, k)
				default:
					try(t, m, k, now)
				}
			}
		})
	}
	wg.Wait()
	pairs, ids := m.Len()
	n := 0
	for i := range shards {
		n += len(m.pairs.shards[i].list)
	}
	if n != pairs || pairs > LeastMemory || ids > LeastMemory/pairsPerIdentity {
		t.Errorf("%d pairs counted, %d there; %d identities", pairs, n, ids)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := m.Waiting(ctx, Settings{}, start, func(Waiting) bool { return true }); err == nil {
		t.Error("a list for nobody")
	}
}

func BenchmarkDecide(b *testing.B) {
	b.ReportAllocs()
	s := Settings{}
	for i := 0; b.Loop(); i++ {
		Decide(Record(start.UnixMilli()), 0, s, start.Add(time.Duration(i%200)*time.Second))
	}
}

func BenchmarkKey(b *testing.B) {
	b.ReportAllocs()
	k := keyer(b, 1)
	for b.Loop() {
		k.Key("spf:lists.example.org", "bounce-1742-8f3ac-alice@lists.example.org", "bob@served.test")
	}
}

func BenchmarkIdentity(b *testing.B) {
	b.ReportAllocs()
	s := Sender{SPFDomain: "lists.example.org", SPFNarrow: true}
	for b.Loop() {
		s.Identity()
	}
}

// BenchmarkTry tries strangers and known ones, with a full memory of a million.
func BenchmarkTry(b *testing.B) {
	r, m := rand.New(rand.NewPCG(4, 9)), NewMemory(1<<20)
	var keys []Key
	for range 1 << 20 {
		keys = append(keys, random(r))
		try(b, m, keys[len(keys)-1], start)
	}
	now := start.Add(DefaultDelay)
	b.Run("early", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			try(b, m, keys[i%len(keys)], start)
		}
	})
	b.Run("passed and known", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			try(b, m, keys[i%4096], now)
		}
	})
	b.Run("strangers", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			try(b, m, random(r), now)
		}
	})
}

// TestFloodKeepsOthersWaiting: hosts of many networks fill the memory many times over with pairs of their own. Whoever
// else waits passes when it comes again after its time, and is not made to wait for as long as the flood lasts.
func TestFloodKeepsOthersWaiting(t *testing.T) {
	for _, networks := range []int{30, 200} {
		m := NewMemory(1 << 16)
		at := start
		r := rand.New(rand.NewPCG(1, uint64(networks)))
		someKey := func(of uint32) (k Key) {
			binary.BigEndian.PutUint32(k.Tag[:], of)
			binary.BigEndian.PutUint64(k.Pair[:], r.Uint64())
			return k
		}
		flood := func(n int) {
			for range n {
				at = at.Add(3 * time.Millisecond)
				_, _ = m.Try(t.Context(), someKey(uint32(r.IntN(networks))), Settings{}, at)
			}
		}
		flood(1 << 16) // it is full
		others, passed := make([]Key, 200), 0
		for i := range others {
			others[i] = someKey(uint32(1000 + i))
			_, _ = m.Try(t.Context(), others[i], Settings{}, at)
			flood(10)
		}
		flood(1 << 17) // twice as many as there is room for
		for _, k := range others {
			if a, _ := m.Try(t.Context(), k, Settings{}, at); a.Outcome == Passed {
				passed++
			}
		}
		if passed < 190 {
			t.Errorf("%d networks: of 200 that came again %d passed", networks, passed)
		}
	}
}
