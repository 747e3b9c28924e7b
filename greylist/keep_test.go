package greylist

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// kept is a Keeper in memory.
type kept struct {
	pairs      map[Key]Record
	identities map[Tag]Passes
	fails      atomic.Bool
	saves      int
	wholes     int
}

func (k *kept) Load(_ context.Context, pair func(Key, Record), identity func(Tag, Passes)) error {
	for key, r := range k.pairs {
		pair(key, r)
	}
	for id, p := range k.identities {
		identity(id, p)
	}
	if k.fails.Load() {
		return errors.New("half of it cannot be read")
	}
	return nil
}

func (k *kept) Save(_ context.Context, c Changes) error {
	if k.fails.Load() {
		return errors.New("no room on the disk")
	}
	k.saves++
	if c.Whole {
		k.wholes++
		k.pairs, k.identities = nil, nil
	}
	if k.pairs == nil {
		k.pairs, k.identities = map[Key]Record{}, map[Tag]Passes{}
	}
	for key, r := range c.Pairs {
		if delete(k.pairs, key); r != 0 {
			k.pairs[key] = r
		}
	}
	for id, p := range c.Identities {
		if delete(k.identities, id); p != 0 {
			k.identities[id] = p
		}
	}
	return nil
}

// contents are all records of a memory.
func contents(m *Memory) (map[Key]Record, map[Tag]Passes) {
	pairs, ids := map[Key]Record{}, map[Tag]Passes{}
	m.pairs.each(func(_ *shard[Key, Record], e *entry[Key, Record]) { pairs[e.key] = e.value })
	m.identities.each(func(_ *shard[Tag, Passes], e *entry[Tag, Passes]) { ids[e.key] = e.value })
	return pairs, ids
}

// restarted is a memory that began with what was kept.
func restarted(t *testing.T, k *kept) *Memory {
	t.Helper()
	m := NewMemory(LeastMemory)
	m.Keep(k)
	if err := m.Load(t.Context(), Settings{}); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestKeptIsWhatIsThere: whatever is done, in floods, over failures and restarts, what is kept after a save is what the
// memory has, and what is loaded is what was kept.
func TestKeptIsWhatIsThere(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	k := &kept{}
	m := restarted(t, k)
	now := time.Now().Add(-16 * time.Hour)
	s := Settings{Delay: time.Second, Within: time.Hour}
	for round := range 60 {
		k.fails.Store(random.IntN(4) == 0)
		for range random.IntN(600) {
			now = now.Add(time.Duration(random.IntN(2000)) * time.Millisecond)
			key := Key{Tag: Tag{byte(random.IntN(40))}, Pair: [9]byte{byte(random.IntN(256)), byte(random.IntN(12))}}
			switch random.IntN(10) {
			case 0:
				m.Release(t.Context(), key, s, now)
			case 1:
				m.Forget(t.Context(), key)
			case 2:
				if random.IntN(20) == 0 {
					m.ForgetIdentity(t.Context(), key.Tag)
				}
			case 3:
				if random.IntN(50) == 0 {
					m.Sweep(Settings{Window: time.Hour, Keep: time.Hour}, now)
				}
			default:
				m.Try(t.Context(), key, s, now)
			}
		}
		if err := m.save(t.Context()); (err != nil) != k.fails.Load() {
			t.Fatalf("round %d: %v", round, err)
		}
		if k.fails.Load() {
			continue
		}
		pairs, ids := contents(m)
		if !maps.Equal(pairs, k.pairs) || !maps.Equal(ids, k.identities) {
			t.Fatalf("round %d: %d pairs and %d identities, %d and %d kept", round, len(pairs), len(ids), len(k.pairs), len(k.identities))
		}
		if round%10 == 9 {
			before := k.saves
			if m = restarted(t, k); k.saves != before {
				t.Fatal("loading saved")
			}
			if p, i := contents(m); !maps.Equal(p, pairs) || !maps.Equal(i, ids) {
				t.Fatalf("round %d: %d pairs of %d loaded", round, len(p), len(pairs))
			}
		}
	}
}

// TestKeeperOverrun: where more changes than is noted, all of it is saved once, and what is kept beside it goes.
func TestKeeperOverrun(t *testing.T) {
	k := &kept{}
	m := restarted(t, k)
	for i := range 20 * LeastMemory {
		m.Try(t.Context(), Key{Pair: [9]byte{byte(i), byte(i >> 8), byte(i >> 16)}}, Settings{}, time.Now())
	}
	noted := 0
	for i := range m.pairs.shards {
		noted += len(m.pairs.shards[i].dirty)
	}
	if noted > LeastMemory {
		t.Errorf("%d changes are noted", noted)
	}
	k.fails.Store(true)
	if m.save(t.Context()) == nil {
		t.Error("no error")
	}
	k.fails.Store(false)
	for range 2 {
		if err := m.save(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if pairs, _ := contents(m); k.wholes != 1 || k.saves != 1 || !maps.Equal(pairs, k.pairs) {
		t.Errorf("%d saves, %d whole, %d of %d pairs", k.saves, k.wholes, len(k.pairs), len(pairs))
	}
}

// TestLoadIsLenient: who came while the file was read keeps the better of both records, and nothing is saved before.
func TestLoadIsLenient(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) int64 { return now.Add(-d).UnixMilli() }
	key := func(n byte) Key { return Key{Tag: Tag{n}, Pair: [9]byte{n}} }
	k := &kept{pairs: map[Key]Record{
		key(1): Record(ago(time.Hour)), key(2): Record(-ago(time.Hour)), key(3): Record(ago(72 * time.Hour)), key(4): Record(-ago(37 * 24 * time.Hour)),
		key(6): Record(now.Add(1000 * time.Hour).UnixMilli()), key(7): -1 << 62, key(8): 1 << 62,
	}, identities: map[Tag]Passes{{1}: Passes(ago(time.Hour))<<countBits | 1, {2}: Passes(-ago(time.Hour)), {9}: Passes(ago(48*time.Hour))<<countBits | 1}}
	m := NewMemory(LeastMemory)
	m.Keep(k)
	for _, n := range []byte{1, 2, 3, 5} {
		if a, _ := m.Try(t.Context(), key(n), Settings{}, now); a.Outcome != First {
			t.Fatal(a)
		}
	}
	if err := m.save(t.Context()); err != nil || k.saves != 0 {
		t.Errorf("saved before it was loaded: %v", err)
	}
	if err := m.Load(t.Context(), Settings{}); err != nil {
		t.Fatal(err)
	}
	for n, want := range map[byte]Outcome{1: Passed, 2: Exempt, 3: Early, 4: First, 5: Early, 6: Early, 7: Known, 8: Early} {
		if a, _ := m.Try(t.Context(), key(n), Settings{}, now.Add(time.Second)); a.Outcome != want {
			t.Errorf("%d: %s, want %s", n, a.Outcome, want)
		}
	}
	if err := m.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	if pairs, ids := contents(m); !maps.Equal(pairs, k.pairs) || !maps.Equal(ids, k.identities) {
		t.Errorf("%v %v, kept %v %v", pairs, ids, k.pairs, k.identities)
	}
}

// TestRun: what changed is saved within a second, and at the end; a Keeper that fails is told once; the sweep comes hourly.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kept{}
		m := restarted(t, k)
		var log bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			m.Run(ctx, func() Settings { return Settings{Window: 2 * time.Hour, Keep: 2 * time.Hour} }, slog.New(slog.NewTextHandler(&log, nil)))
		}()
		try := func(n byte) { m.Try(ctx, Key{Pair: [9]byte{n}}, Settings{}, time.Now()) }
		try(1)
		time.Sleep(saveEvery + time.Millisecond)
		synctest.Wait()
		if len(k.pairs) != 1 {
			t.Error("not saved")
		}
		k.fails.Store(true)
		try(2)
		time.Sleep(5 * saveEvery)
		synctest.Wait()
		k.fails.Store(false)
		time.Sleep(2 * saveEvery)
		synctest.Wait()
		if len(k.pairs) != 2 || strings.Count(log.String(), "cannot be saved") != 1 || strings.Count(log.String(), "saved again") != 1 {
			t.Errorf("%d kept; %s", len(k.pairs), log.String())
		}
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		if pairs, _ := m.Len(); pairs != 0 || len(k.pairs) != 0 {
			t.Errorf("%d pairs after their time, %d kept", pairs, len(k.pairs))
		}
		try(3)
		cancel()
		<-ended
		if len(k.pairs) != 1 {
			t.Error("not saved at the end")
		}
	})
}
