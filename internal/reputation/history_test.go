package reputation

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

const day = 24 * time.Hour

var start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// life is a history and its clock.
type life struct {
	History
	now time.Time
}

func (l *life) brings(o Outcome, n int) {
	var c Counts
	c[o] = One
	for range n {
		l.History = l.Learn(c, l.now)
	}
}

// lives is each day for some days: so many good ones and so many bad ones, spread over it.
func (l *life) lives(days, good, bad int) {
	for range days {
		for i := range good + bad {
			if i*bad/(good+bad) != (i+1)*bad/(good+bad) {
				l.brings(Spam, 1)
			} else {
				l.brings(Accepted, 1)
			}
			l.now = l.now.Add(day / time.Duration(good+bad))
		}
		if good+bad == 0 {
			l.now = l.now.Add(day)
		}
	}
}

func (l *life) is() Standing { return l.At(l.now).Standing }

// TestStandings are the lives of senders as they are met, day by day.
func TestStandings(t *testing.T) {
	for _, c := range []struct {
		name string
		live func(l *life) []Standing
	}{
		{"nothing is known of nobody", func(l *life) []Standing { return []Standing{l.is(), Unknown} }},
		{"a small company is known after ten messages on four days", func(l *life) []Standing {
			l.lives(3, 4, 0)
			s := l.is()
			l.lives(1, 4, 0)
			return []Standing{s, Unknown, l.is(), Known}
		}},
		{"a flood of good mail on one day is nobody known", func(l *life) []Standing {
			l.brings(Accepted, 100_000)
			s := l.is()
			l.lives(2, 1000, 0)
			return []Standing{s, Unknown, l.is(), Unknown}
		}},
		{"a monthly letter is never known, and never bad", func(l *life) []Standing {
			for range 24 {
				l.lives(1, 1, 0)
				l.lives(29, 0, 0)
			}
			return []Standing{l.is(), Unknown}
		}},
		{"one that is known stays so over a holiday, not over a season", func(l *life) []Standing {
			l.lives(10, 4, 0)
			l.lives(21, 0, 0)
			s := l.is()
			l.lives(68, 0, 0)
			s2 := l.is()
			l.lives(1, 0, 0)
			return []Standing{s, Known, s2, Known, l.is(), Unknown}
		}},
		{"a mistake of the scanner once a month costs a known sender nothing", func(l *life) []Standing {
			l.lives(30, 4, 0)
			l.brings(Spam, 1)
			return []Standing{l.is(), Known}
		}},
		{"five of spam and nothing else are bad, four are not", func(l *life) []Standing {
			l.brings(Spam, 4)
			s := l.is()
			l.brings(Spam, 1)
			return []Standing{s, Unknown, l.is(), Bad}
		}},
		{"three of malware are bad", func(l *life) []Standing { l.brings(Virus, 3); return []Standing{l.is(), Bad} }},
		{"a harvester is bad after 25 guesses, a list that grew old never", func(l *life) []Standing {
			l.brings(NoSuch, 25)
			old := &life{now: start}
			for range 30 {
				old.lives(1, 20, 0)
				old.brings(NoSuch, 15)
			}
			return []Standing{l.is(), Bad, old.is(), Unknown}
		}},
		{"one that is known and then sends spam is bad as soon as that is the most of what it sent today", func(l *life) []Standing {
			l.lives(30, 4, 0)
			l.brings(Spam, 2)
			two := l.is()
			l.brings(Spam, 5)
			return []Standing{two, Unknown, l.is(), Bad}
		}},
		{"who is mended is no longer bad after a few days, and known again in weeks", func(l *life) []Standing {
			l.lives(60, 20, 0)
			l.brings(Spam, 100)
			s := l.is()
			l.lives(8, 20, 0)
			s2 := l.is()
			l.lives(120, 20, 0)
			return []Standing{s, Bad, s2, Unknown, l.is(), Known}
		}},
		{"an address that a spammer leaves is free after two weeks", func(l *life) []Standing {
			l.lives(30, 0, 1000)
			s := l.is()
			l.lives(16, 0, 0)
			return []Standing{s, Bad, l.is(), Unknown}
		}},
		{"two of spam a day, and nothing else, are bad", func(l *life) []Standing { l.lives(12, 0, 2); return []Standing{l.is(), Bad} }},
		{"a provider with one percent of spam is known, with five unknown, and only with half of it bad", func(l *life) []Standing {
			five, third, half := &life{now: start}, &life{now: start}, &life{now: start}
			l.lives(10, 990, 10)
			five.lives(10, 950, 50)
			third.lives(10, 700, 300)
			half.lives(10, 499, 501)
			return []Standing{l.is(), Known, five.is(), Unknown, third.is(), Unknown, half.is(), Bad}
		}},
		{"who only waits is nobody", func(l *life) []Standing { l.lives(3, 0, 0); l.brings(Waited, 1000); return []Standing{l.is(), Unknown} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.live(&life{now: start})
			for i := 0; i < len(got); i += 2 {
				if got[i] != got[i+1] {
					t.Errorf("moment %d: %s, want %s", i/2+1, got[i], got[i+1])
				}
			}
		})
	}
}

// TestFade holds the integers against the half-lives that they stand for.
func TestFade(t *testing.T) {
	for n := range int64(40 * steps) {
		want := float64(most) * math.Exp2(-float64(n)/steps)
		if got := float64(fade(most, n)); math.Abs(got-want) > 1+want/100_000 {
			t.Errorf("after %d steps %v, want %v", n, got, want)
		}
	}
	if parts[0] != 1<<20 {
		t.Error("what is new is not whole")
	}
	h := History{}.Learn(Counts{1000 * One, 1000 * One}, start)
	for _, c := range []struct {
		after      time.Duration
		slow, fast float64
	}{{0, 1000, 1000}, {day, 977, 500}, {30 * day, 500, 0}, {60 * day, 250, 0}} {
		got := h.At(start.Add(c.after))
		for _, x := range [][2]float64{{float64(got.Counts[Accepted]) / One, c.slow}, {float64(got.Good) / One, c.fast}, {float64(got.Bad) / One, c.fast}} {
			if math.Abs(x[0]-x[1]) > 25 {
				t.Errorf("after %v: %v, want about %v", c.after, x[0], x[1])
			}
		}
	}
}

// TestLookingChangesNothing shows that it does not matter how often a history is looked at, nor at which time what is added
// up is added, but for what rounding takes.
func TestLookingChangesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		a := History{}
		now := start
		for range r.IntN(20) {
			now = now.Add(time.Duration(r.Int64N(int64(3 * day))))
			a = a.Learn(Counts{uint32(r.IntN(5 * One)), uint32(r.IntN(3 * One)), 0, uint32(r.IntN(2) * One)}, now)
			before := a
			a.At(now.Add(time.Duration(r.Int64N(int64(40 * day)))))
			if a != before {
				t.Fatal("changed by a look")
			}
		}
		for at, last := now, a.At(now); at.Before(now.Add(95 * day)); at = at.Add(time.Duration(r.Int64N(int64(5 * day)))) {
			h := a.At(at)
			if h.Standing != last.Standing && h.Standing == Bad {
				t.Fatalf("bad by nothing but time: %+v, %+v", last, h)
			}
			last = h
		}
	}
}

// TestClock shows that a clock that goes back neither fades nor keeps anything for ever.
func TestClock(t *testing.T) {
	h := History{}.Learn(Counts{Spam: 8 * One}, start)
	back := h.Learn(Counts{Spam: One}, start.Add(-400*day))
	if back.Counts[Spam] != 9*One || back.Seen != Second(start.Add(-400*day)) || back.First != back.Seen || back.Sane() != nil {
		t.Errorf("%+v", back)
	}
	if h.At(start.Add(Keep-time.Second)) == (History{}) || h.At(start.Add(Keep)) != (History{}) {
		t.Error("does not end in time")
	}
	early := History{}.Learn(Counts{One}, time.Unix(-1<<60, 0))
	late := early.Learn(Counts{One}, time.Unix(1<<60, 0))
	if early.Sane() != nil || late.Sane() != nil {
		t.Errorf("%+v, %+v", early, late)
	}
}

// TestJoin shows that what two learned apart is what one would have learned.
func TestJoin(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		var apart [2]History
		var whole History
		now := start
		for range r.IntN(12) {
			now = now.Add(time.Duration(r.Int64N(int64(2 * day))))
			c := Counts{uint32(r.IntN(3)) * One, uint32(r.IntN(2)) * One, 0, uint32(r.IntN(4)) * One, One}
			i := r.IntN(2)
			apart[i], whole = apart[i].Learn(c, now), whole.Learn(c, now)
		}
		got := apart[0].Join(apart[1])
		if got != apart[1].Join(apart[0]) {
			t.Fatalf("not the same the other way round: %+v", got)
		}
		if got.First != whole.First || got.Seen != whole.Seen || got.Day != whole.Day || got.Sane() != nil {
			t.Fatalf("%+v, want %+v", got, whole)
		}
		for o := range got.Counts {
			if d := int64(got.Counts[o]) - int64(whole.Counts[o]); d < -20 || d > 20 {
				t.Fatalf("%+v, want about %+v", got, whole)
			}
		}
	}
}

// FuzzParsed reads what a script may answer. What is taken reads back as it is, and can be learned into.
func FuzzParsed(f *testing.F) {
	h := History{}.Learn(Counts{One, One, One, One, One}, start)
	n := h.Numbers()
	f.Add(n[0], n[1], n[2], n[3], n[4], n[8], n[9], n[11])
	f.Add(int64(1), int64(math.MaxInt64), int64(0), int64(0), int64(0), int64(0), int64(0), int64(0))
	f.Add(int64(1), int64(2), int64(0), int64(-1), int64(1<<62), int64(math.MinInt64), int64(0), int64(258))
	f.Fuzz(func(t *testing.T, first, seen, day, good, spam, days, fresh, standing int64) {
		n := []int64{first, seen, day, good, spam, 0, 0, 0, days, fresh, 0, standing}
		h, ok := Parsed(n)
		if !ok {
			return
		}
		if got := h.Numbers(); [12]int64(n) != got {
			t.Errorf("%v reads as %v", n, got)
		}
		for _, now := range []time.Time{start, time.Unix(seen, 0), time.Unix(first, 0)} {
			if h := h.Learn(Counts{most, most, most, most, most}, now); h.Sane() != nil {
				t.Errorf("%+v: %v", h, h.Sane())
			}
		}
	})
}

// TestTellDays: one day is no plural.
func TestTellDays(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for days, want := range map[uint32]string{0: "on 0 days since 2026-03-01", One / 2: "on 0.5 days", One: "on 1 day since 2026-03-01", One + One/10: "on 1.1 days", 2 * One: "on 2 days"} {
		h := History{First: now.Unix(), Seen: now.Unix(), Days: days}
		if got := h.Tell(now); !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
