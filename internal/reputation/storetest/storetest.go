// Package storetest holds a reputation.Store against History.Learn: what any of them has to do, in a map or behind a
// network. Only tests import it.
//
// Its clock is the now it passes, which goes on by months and back by years. A store whose histories end by a clock of its
// own must therefore let them end after a duration, not at a time.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/internal/reputation"
)

const (
	hour = time.Hour
	day  = 24 * hour
	one  = reputation.One
)

// Run runs the suite. open returns a store that is empty and has room for 1,000 subjects, and closes it by Cleanup.
func Run(t *testing.T, open func(testing.TB) reputation.Store) {
	for _, c := range []struct {
		name string
		test func(testing.TB, reputation.Store)
	}{
		{"Story", story},
		{"Many", many},
		{"AnyName", anyName},
		{"AtOnce", atOnce},
		{"OwnClock", ownClock},
		{"Refused", refused},
		{"Ended", ended},
		{"Model", model},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// world is a store and its clock.
type world struct {
	t     testing.TB
	store reputation.Store
	now   time.Time
}

func newWorld(t testing.TB, store reputation.Store) *world {
	return &world{t: t, store: store, now: time.Now().Truncate(time.Second)}
}

func client(n int) reputation.Subject {
	return reputation.Subject{Kind: reputation.Client, Name: fmt.Sprint("192.0.2.", n)}
}

func (w *world) learn(lessons ...reputation.Lesson) []reputation.History {
	w.t.Helper()
	got, err := w.store.Learn(context.Background(), lessons, w.now)
	if err != nil || len(got) != len(lessons) {
		w.t.Fatalf("learned %d of %d, %v", len(got), len(lessons), err)
	}
	return got
}

func (w *world) look(subjects ...reputation.Subject) []reputation.History {
	w.t.Helper()
	got, err := w.store.Look(context.Background(), subjects, w.now)
	if err != nil || len(got) != len(subjects) {
		w.t.Fatalf("%d of %d, %v", len(got), len(subjects), err)
	}
	return got
}

func (w *world) forget(s reputation.Subject) bool {
	w.t.Helper()
	known, err := w.store.Forget(context.Background(), s)
	if err != nil {
		w.t.Fatal(err)
	}
	return known
}

// story is one client from its first message until it is forgotten.
func story(t testing.TB, store reputation.Store) {
	w, s := newWorld(t, store), client(1)
	want := func(standing reputation.Standing) {
		t.Helper()
		h := w.look(s)[0]
		if got := h.At(w.now).Standing; got != standing {
			t.Errorf("%s, want %s: %+v", got, standing, h)
		}
	}
	if h := w.look(s)[0]; h != (reputation.History{}) {
		t.Errorf("before anything: %+v", h)
	}
	for range 4 {
		want(reputation.Unknown)
		for range 3 {
			w.learn(reputation.Lesson{Subject: s, Counts: reputation.Counts{reputation.Accepted: one}})
		}
		w.now = w.now.Add(day)
	}
	want(reputation.Known)
	for range 6 {
		w.learn(reputation.Lesson{Subject: s, Counts: reputation.Counts{reputation.Spam: one}})
	}
	want(reputation.Bad)
	w.now = w.now.Add(20 * day)
	want(reputation.Unknown)
	if !w.forget(s) || w.forget(s) {
		t.Error("forgotten not once")
	}
	if h := w.look(s)[0]; h != (reputation.History{}) {
		t.Errorf("after that: %+v", h)
	}
}

// many are several subjects in one call, of all kinds, the same name in each, and one of them twice.
func many(t testing.TB, store reputation.Store) {
	w := newWorld(t, store)
	var lessons []reputation.Lesson
	for i := range reputation.Most {
		s := reputation.Subject{Kind: reputation.Kind(i % 4), Name: fmt.Sprint("name-", i/4, ".example")}
		lessons = append(lessons, reputation.Lesson{Subject: s, Counts: reputation.Counts{uint32(i + 1)}})
	}
	lessons[5].Subject = lessons[4].Subject
	got := w.learn(lessons...)
	for i, h := range got {
		if want := uint32(i + 1); h.Counts[0] != want && i != 5 || i == 5 && h.Counts[0] != 5+6 {
			t.Errorf("%d: %+v", i, h)
		}
	}
	for i, h := range w.look(reputation.SubjectsOf(lessons)...) {
		if i == 4 {
			i = 5
		}
		if h != got[i] {
			t.Errorf("%d: %+v, learned %+v", i, h, got[i])
		}
	}
	if got := w.learn(); len(got) != 0 {
		t.Errorf("%d histories of nobody", len(got))
	}
	if got := w.learn(reputation.Lesson{Subject: client(99)}); got[0] != (reputation.History{}) || w.forget(client(99)) {
		t.Errorf("of nothing was learned %+v", got[0])
	}
}

// anyName shows that each octet of a name counts, whatever it is.
func anyName(t testing.TB, store reputation.Store) {
	w := newWorld(t, store)
	var subjects []reputation.Subject
	for i, name := range []string{"a", "A", "a.", " a", "{a}", "a}", "*", "?", "[a]", "\\", "\x00", "\xff", "\n", "ä.example", ":", strings.Repeat("x", 255),
		strings.Repeat("x", 254) + "y"} {
		subjects = append(subjects, reputation.Subject{Kind: reputation.Domain, Name: name})
		w.learn(reputation.Lesson{Subject: subjects[i], Counts: reputation.Counts{uint32(i + 1)}})
	}
	for i, h := range w.look(subjects...) {
		if h.Counts[0] != uint32(i+1) {
			t.Errorf("%q: %+v", subjects[i].Name, h)
		}
	}
}

// atOnce shows that a lesson is one step: none of many is lost.
func atOnce(t testing.TB, store reputation.Store) {
	w := newWorld(t, store)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			_, err := store.Learn(context.Background(), []reputation.Lesson{{Subject: client(1), Counts: reputation.Counts{one}},
				{Subject: client(2), Counts: reputation.Counts{reputation.Spam: one}}}, w.now)
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := w.look(client(1), client(2)); got[0].Counts[reputation.Accepted] != 32*one || got[1].Counts[reputation.Spam] != 32*one || got[1].Bad != 32*one {
		t.Errorf("%+v", got)
	}
}

// ownClock shows that without a now, the store's clock runs with ours.
func ownClock(t testing.TB, store reputation.Store) {
	w := newWorld(t, store)
	w.now = time.Time{}
	h := w.learn(reputation.Lesson{Subject: client(1), Counts: reputation.Counts{one}})[0]
	if off := time.Since(time.Unix(h.Seen, 0)).Abs(); off > hour || h.First != h.Seen {
		t.Errorf("%v from the clock here: %+v", off, h)
	}
	if got := w.look(client(1))[0]; got != h {
		t.Errorf("%+v, learned %+v", got, h)
	}
}

// refused are calls that are none.
func refused(t testing.TB, store reputation.Store) {
	ctx := context.Background()
	for _, s := range []reputation.Subject{{}, {Kind: 4, Name: "a"}, {Kind: reputation.Domain, Name: strings.Repeat("x", 256)}} {
		good := reputation.Lesson{Subject: client(1), Counts: reputation.Counts{one}}
		if _, err := store.Learn(ctx, []reputation.Lesson{good, {Subject: s, Counts: reputation.Counts{one}}}, time.Now()); !errors.Is(err, reputation.ErrSubject) {
			t.Errorf("learned %v: %v", s, err)
		}
		if _, err := store.Look(ctx, []reputation.Subject{s}, time.Now()); !errors.Is(err, reputation.ErrSubject) {
			t.Errorf("looked at %v: %v", s, err)
		}
		if _, err := store.Forget(ctx, s); !errors.Is(err, reputation.ErrSubject) {
			t.Errorf("forgot %v: %v", s, err)
		}
	}
	crowd := make([]reputation.Subject, reputation.Most+1)
	for i := range crowd {
		crowd[i] = client(i)
	}
	if _, err := store.Look(ctx, crowd, time.Now()); !errors.Is(err, reputation.ErrSubject) {
		t.Errorf("too many: %v", err)
	}
	if h := newWorld(t, store).look(client(1))[0]; h != (reputation.History{}) {
		t.Errorf("half of a call was learned: %+v", h)
	}
}

// ended shows what a caller who has gone gets.
func ended(t testing.TB, store reputation.Store) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := store.Learn(ctx, []reputation.Lesson{{Subject: client(1), Counts: reputation.Counts{one}}}, time.Now()); !errors.Is(err, context.Canceled) {
		t.Errorf("learn: %v", err)
	}
	if _, err := store.Look(ctx, []reputation.Subject{client(1)}, time.Now()); !errors.Is(err, context.Canceled) {
		t.Errorf("look: %v", err)
	}
	if h := newWorld(t, store).look(client(1))[0]; h != (reputation.History{}) {
		t.Errorf("learned all the same: %+v", h)
	}
}

// model does at random what can be done, and compares each answer with History.Learn on a plain map.
func model(t testing.TB, store reputation.Store) {
	w := newWorld(t, store)
	w.now = time.Date(2026, time.November, 24, 12, 0, 0, 0, time.UTC) // what is met depends on the minute within the hour
	r := rand.New(rand.NewPCG(7, 11))
	kept := map[reputation.Subject]reputation.History{}
	at := []time.Duration{0, 0, 0, 0, time.Second, time.Minute, 44 * time.Minute, 45 * time.Minute, hour, 22 * hour, day, 3 * day, 29 * day, 30 * day, 89 * day, 90 * day,
		-time.Second, -hour, -40 * day}
	sizes := []uint32{0, 0, 0, 1, 199, 200, one, one, 7 * one, 300 * one, 1 << 29, 1<<32 - 1}
	start := w.now
	standings := map[reputation.Standing]int{}
	for i := range 4000 {
		if w.now = w.now.Add(at[r.IntN(len(at))]); w.now.Sub(start).Abs() > 2000*day {
			w.now = start // a clock that is set
		}
		s := client(r.IntN(6))
		what := fmt.Sprintf("step %d, %s at %v", i, s, w.now)
		past := kept[s]
		switch op := r.IntN(40); {
		case op == 0:
			if got := w.forget(s); got && past.Seen == 0 || !got && !past.Over(w.now) {
				t.Fatalf("%s: forgot %v; known was %+v", what, got, past)
			}
			delete(kept, s)
		case op < 15:
			if past.Over(w.now) {
				past = reputation.History{}
			}
			got := w.look(s)[0]
			if got != past {
				t.Fatalf("%s: %+v, want %+v", what, got, past)
			}
			standings[got.At(w.now).Standing]++
		default:
			var c reputation.Counts
			for range 1 + r.IntN(2) {
				c[r.IntN(len(c))] = sizes[r.IntN(len(sizes))]
			}
			if r.IntN(3) > 0 {
				c = reputation.Counts{one * uint32(1+r.IntN(20))}
			}
			want := past.Learn(c, w.now)
			if got := w.learn(reputation.Lesson{Subject: s, Counts: c})[0]; got != want {
				t.Fatalf("%s: learned %v:\n%+v, want\n%+v", what, c, got, want)
			}
			if c != (reputation.Counts{}) {
				kept[s] = want
			}
		}
	}
	if len(standings) != 3 {
		t.Errorf("not each standing was seen: %v", standings)
	}
}
