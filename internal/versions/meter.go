package versions

import (
	"fmt"
	"sync"
	"time"
)

// Guard says when a version is undone since hardly any mail is accepted any more. The zero Guard never does so.
type Guard struct {
	Watch time.Duration // for how long after it came in force; 0: never
	Share float64       // of what was accepted before: below it, both as a share of what came and in an hour, it is undone
	Least int           // messages and refused connections that must have come, before as well as since
}

// meterStep and meterSteps are how finely a Meter counts, and for how long it remembers: two hours.
const (
	meterStep  = 10 * time.Second
	meterSteps = 720
)

// Meter counts what became of mail lately. The zero value is ready.
type Meter struct {
	mu    sync.Mutex
	first time.Time // since when it counts
	steps [meterSteps]struct {
		at         int64 // the number of its ten seconds
		taken, all int
	}
}

// Count notes what became of a message, or of a connection that was refused before one could come.
func (m *Meter) Count(taken bool) {
	now := time.Now()
	at := now.UnixNano() / int64(meterStep)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.first.IsZero() {
		m.first = now
	}
	s := &m.steps[at%meterSteps]
	if s.at != at {
		s.at, s.taken, s.all = at, 0, 0
	}
	s.all++
	if taken {
		s.taken++
	}
}

// sum adds up what came from a time on until another, to ten seconds exactly.
func (m *Meter) sum(from, until time.Time) (taken, all int) {
	low, high := from.UnixNano()/int64(meterStep), until.UnixNano()/int64(meterStep)
	for i := range m.steps {
		if s := &m.steps[i]; s.at >= low && s.at < high {
			taken, all = taken+s.taken, all+s.all
		}
	}
	return taken, all
}

// fell says why what came since a version is in force speaks against it; "" where it does not. A wave of spam lowers the share
// of what is accepted, and a quiet night the number: only where both fall off together the version is to blame.
func (m *Meter) fell(g Guard, since, now time.Time) string {
	lasted := now.Sub(since)
	if g.Watch <= 0 || lasted < 3*meterStep || lasted > g.Watch {
		return ""
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	from := since.Add(-min(time.Hour, meterStep*meterSteps-g.Watch))
	if from.Before(m.first) {
		from = m.first
	}
	known := since.Sub(from)
	takenBefore, allBefore := m.sum(from, since)
	taken, all := m.sum(since.Add(meterStep), now)
	lasted -= 2 * meterStep // that are not counted whole
	if known < 3*meterStep || allBefore < g.Least || all < g.Least || takenBefore == 0 {
		return ""
	}
	share, shareBefore := float64(taken)/float64(all), float64(takenBefore)/float64(allBefore)
	hour, hourBefore := float64(taken)/lasted.Hours(), float64(takenBefore)/known.Hours()
	if share >= g.Share*shareBefore || hour >= g.Share*hourBefore {
		return ""
	}
	return fmt.Sprintf("%.0f %% of mail was accepted, before it were %.0f %%", 100*share, 100*shareBefore)
}
