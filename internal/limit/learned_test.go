package limit

import (
	"fmt"
	"testing"
	"time"
)

// TestLearned shows what is usual: what came for long, on many days, and lately.
func TestLearned(t *testing.T) {
	const day = 24 * time.Hour
	begin := time.Date(2026, 1, 1, 0, 30, 0, 0, time.UTC)
	// hourly lets so many come each hour for some days, and returns the limit an hour afterwards.
	hourly := func(l *Learned, from time.Time, n, days int) int64 {
		for h := range days * 24 {
			for range n {
				l.Note("list@served.example", from.Add(time.Duration(h)*time.Hour))
			}
		}
		return l.Rate("list@served.example", from.Add(time.Duration(days)*day)).Burst
	}
	for _, c := range []struct {
		n, days     int
		least, most int64
	}{
		{200, 1, 0, 0}, {200, 7, 0, 0}, // a flood of a week
		{200, 8, 400, 600},   // is usual from the eighth day on, by its mean
		{100, 60, 850, 1000}, // ten times 100, as far as it is known
		{1, 60, 8, 10},       // below the limit that holds anyway
	} {
		if got := hourly(NewLearned(0), begin, c.n, c.days); got < c.least || got > c.most {
			t.Errorf("%d an hour for %d days: a limit of %d, want %d to %d", c.n, c.days, got, c.least, c.most)
		}
	}
	l := NewLearned(0)
	full := hourly(l, begin, 100, 60)
	for _, c := range []struct {
		after       time.Duration
		least, most int64
	}{{28 * day, full * 35 / 100, full * 38 / 100}, {365 * day, 0, 0}} {
		if got := l.Rate("list@served.example", begin.Add(60*day).Add(c.after)).Burst; got < c.least || got > c.most {
			t.Errorf("%v later: %d, want %d to %d", c.after, got, c.least, c.most)
		}
	}
	if got := hourly(l, begin.Add(465*day), 200, 7); got != 0 {
		t.Errorf("a flood a year after its good time has a limit of %d", got)
	}
	if got := l.Rate("other@served.example", begin); got.Valid() {
		t.Errorf("a stranger has a limit of %d", got.Burst)
	}
}

// TestLearnedIsBounded shows that names by the ten thousand take no more room, and leave what is usual.
func TestLearnedIsBounded(t *testing.T) {
	l, now := NewLearned(1024), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for d := range 30 {
		for range 1000 {
			l.Note("list@served.example", now.Add(time.Duration(d)*24*time.Hour))
		}
	}
	now = now.Add(30 * 24 * time.Hour)
	before := l.Rate("list@served.example", now)
	for i := range 60_000 {
		l.Note(fmt.Sprintf("%d@served.example", i), now)
	}
	if n := l.Len(); n > 1024 || n < 1000 {
		t.Errorf("%d subjects are known", n)
	}
	if got := l.Rate("list@served.example", now); got != before || !got.Valid() {
		t.Errorf("%v became %v", before, got)
	}
	for i := range l.all {
		s := &l.all[i]
		if len(s.index) != len(s.list) {
			t.Errorf("shard %d: %d names of %d", i, len(s.index), len(s.list))
		}
		for name, at := range s.index {
			if s.list[at].subject != name {
				t.Errorf("%s is where %s is", name, s.list[at].subject)
			}
		}
	}
}

// TestLearnedFlood: bounces that come as fast as the limit lets them raise it, but not to the most before two weeks.
func TestLearnedFlood(t *testing.T) {
	l, now, hours := NewLearned(0), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), 0
	for ; hours < 1000; hours++ {
		most := Per(200, time.Hour).Or(l.Rate("a@served.example", now)).Burst
		if most == MostLearned {
			break
		}
		for range most {
			l.Note("a@served.example", now)
		}
		now = now.Add(time.Hour)
	}
	if days := hours / 24; days < 14 || days > 18 {
		t.Errorf("the most that may come came after %d days", days)
	}
}
