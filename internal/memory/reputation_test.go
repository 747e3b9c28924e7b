package memory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/internal/reputation"
	"gatepost/internal/reputation/storetest"
)

// TestReputation runs what every Store of reputations must do.
func TestReputation(t *testing.T) {
	storetest.Run(t, func(testing.TB) reputation.Store { return NewReputation(ReputationOptions{}) })
}

func someone(i int) reputation.Subject {
	return reputation.ClientOf(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}))
}

func of(s reputation.Subject, o reputation.Outcome, n uint32) []reputation.Lesson {
	l := reputation.Lesson{Subject: s}
	l.Counts[o] = n * reputation.One
	return []reputation.Lesson{l}
}

func histories(r *Reputation) map[reputation.Subject]reputation.History {
	out := map[reputation.Subject]reputation.History{}
	r.Each(func(s reputation.Subject, h reputation.History) { out[s] = h })
	return out
}

// TestReputationKept shows what survives a stop, and what a kill loses: nothing that changed a standing more than a second ago.
func TestReputationKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fakeKeeper{}
		ctx, stop := context.WithCancel(t.Context())
		r := NewReputation(ReputationOptions{})
		r.Keep(store)
		ended := make(chan struct{})
		go func() { r.Run(ctx); close(ended) }()
		domain := reputation.Named(reputation.Domain, "partner.example")
		r.Learn(ctx, of(someone(1), reputation.Spam, 6), time.Time{})
		r.Learn(ctx, of(domain, reputation.Accepted, 1), time.Time{})
		time.Sleep(2 * time.Second)
		if store.count("address") != 1 || store.count("name") != 1 {
			t.Errorf("not there after two seconds: %v", store.kept)
		}
		r.Learn(ctx, of(domain, reputation.Accepted, 1), time.Time{})
		r.Learn(ctx, of(someone(2), reputation.Spam, 1), time.Time{})
		r.Forget(ctx, someone(1))
		stop()
		<-ended
		again := NewReputation(ReputationOptions{})
		again.Keep(store)
		again.Learn(t.Context(), of(domain, reputation.Accepted, 1), time.Time{}) // before it was read
		again.Load(t.Context())
		if got := histories(again); len(got) != 2 || got[domain].Counts[reputation.Accepted] != 3*reputation.One || got[someone(2)] != histories(r)[someone(2)] {
			t.Errorf("%+v", got)
		}
	})
}

// TestReputationStoreFails shows that a store that fails costs nothing but what it would have kept.
func TestReputationStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fakeKeeper{broken: errors.New("disk full")}
		ctx, stop := context.WithCancel(t.Context())
		r := NewReputation(ReputationOptions{})
		r.Keep(store)
		r.Load(ctx)
		ended := make(chan struct{})
		go func() { r.Run(ctx); close(ended) }()
		r.Learn(ctx, of(someone(1), reputation.Spam, 6), time.Time{})
		time.Sleep(3 * time.Second)
		store.breaks(nil)
		time.Sleep(2 * time.Second)
		if store.count("address") != 1 {
			t.Error("not kept when it works again")
		}
		stop()
		<-ended
	})
}

// TestReputationFlood shows that addresses by the hundred thousand stay within their room, forget each other before who was seen on two
// days, and no name.
func TestReputationFlood(t *testing.T) {
	r := NewReputation(ReputationOptions{Addresses: 1 << 13, Names: 1 << 10})
	ctx, now := t.Context(), time.Now()
	domain := reputation.Named(reputation.Domain, "partner.example")
	for i := range 200 {
		r.Learn(ctx, of(someone(i), reputation.Accepted, 1), now.Add(-30*time.Hour))
		r.Learn(ctx, of(someone(i), reputation.Accepted, 1), now)
	}
	r.Learn(ctx, of(domain, reputation.Accepted, 1), now)
	random := rand.New(rand.NewPCG(5, 6))
	for range 200_000 {
		a := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32())})
		r.Learn(ctx, of(reputation.ClientOf(a), reputation.Spam, 6), now)
	}
	addresses, names := r.Len()
	if addresses > 1<<13 || names != 1 {
		t.Errorf("%d addresses, %d names", addresses, names)
	}
	kept := 0
	for i := range 200 {
		if h, _ := r.Look(ctx, []reputation.Subject{someone(i)}, now); h[0].Seen != 0 {
			kept++
		}
	}
	if kept < 195 {
		t.Errorf("%d of 200 who were seen on two days are left", kept)
	}
}

// TestReputationTold shows that what a shared store said stands in for it.
func TestReputationTold(t *testing.T) {
	r, ctx, now := NewReputation(ReputationOptions{}), t.Context(), time.Now()
	r.Learn(ctx, of(someone(1), reputation.Spam, 6), now)
	h := reputation.History{}.Learn(reputation.Counts{reputation.One}, now)
	for _, want := range []reputation.History{h, h, {}} {
		r.Told(someone(1), want)
		if got, err := r.Look(ctx, []reputation.Subject{someone(1)}, now); err != nil || got[0] != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
}

// FuzzReputationKept loads whatever a file may hold. What is taken was learned before now, can be learned into, and reads
// back from what is saved as it is.
func FuzzReputationKept(f *testing.F) {
	for _, seed := range []struct{ kind, name, value string }{
		{"address", "client:192.0.2.1", `{"first":1700000000,"seen":1795000000,"day":20000,"counts":[1000,0,0,0,0],"days":1000,"good":3,"standing":"known"}`},
		{"address", "network:192.0.2.0/24", `{"first":1,"seen":9223372036854775807,"counts":[4294967295]}`},
		{"name", "domain:a.example", `{"first":1795000000,"seen":1700000000,"standing":"bad"}`},
		{"name", "client:192.0.2.1", `{"first":1795000000,"seen":1795000000}`},
	} {
		f.Add(seed.kind, seed.name, []byte(seed.value))
	}
	f.Fuzz(func(t *testing.T, kind, name string, value []byte) {
		store := &fakeKeeper{kept: map[string]map[string][]byte{kind: {name: value}}}
		r := NewReputation(ReputationOptions{})
		r.Keep(store)
		r.Load(t.Context())
		for s, h := range histories(r) {
			if !s.Valid() || h.Sane() != nil || h.Seen > time.Now().Unix()+1 {
				t.Errorf("%s: %+v", s, h)
			}
			if _, err := r.Learn(t.Context(), of(s, reputation.Spam, 3), time.Time{}); err != nil {
				t.Errorf("%s: %v", s, err)
			}
		}
		r.addresses.save(t.Context(), true)
		r.names.save(t.Context(), true)
		again := NewReputation(ReputationOptions{})
		again.Keep(&fakeKeeper{kept: store.kept})
		again.Load(t.Context())
		if got, want := histories(again), histories(r); !maps.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

func BenchmarkReputation(b *testing.B) {
	r, ctx, now := NewReputation(ReputationOptions{}), b.Context(), time.Now()
	var crowd [][]reputation.Subject
	for i := range 1 << 12 {
		a := netip.AddrFrom4([4]byte{192, byte(i >> 8), byte(i), 7})
		crowd = append(crowd, []reputation.Subject{reputation.ClientOf(a), reputation.NetworkOf(a), reputation.Named(reputation.Domain, fmt.Sprint(i, ".example"))})
	}
	b.Run("learn", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			var lessons []reputation.Lesson
			for _, s := range crowd[i%len(crowd)] {
				lessons = append(lessons, reputation.Lesson{Subject: s, Counts: reputation.Counts{reputation.One}})
			}
			if _, err := r.Learn(ctx, lessons, now); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("look", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := r.Look(ctx, crowd[i%len(crowd)], now); err != nil {
				b.Fatal(err)
			}
		}
	})
}
