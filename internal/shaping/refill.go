package shaping

import (
	"context"
	"time"

	"gatepost/greylist"
	"gatepost/internal/redis"
)

// What Redis lost, the nodes know: each tells it what it remembers of the greylist, so that a stranger who waited by what
// one node saw does not wait anew at another. Limits it does not tell: what was counted is at rest soon.

// probeEvery is how often Redis is asked whether it is well: no mail waits to find that out while it is not.
const probeEvery = time.Second

// young is the age of a mark up to which a process that has just started takes it for that of a Redis which lost its data,
// when both went down together.
const young = time.Hour

// debt is what Redis may not know.
type debt struct {
	all   bool
	since time.Time // else what was learned since then, and who waits; zero: nothing
}

func (d debt) none() bool { return !d.all && d.since.IsZero() }

// add is both.
func (d debt) add(more debt) debt {
	if d.since.IsZero() || !more.since.IsZero() && more.since.Before(d.since) {
		d.since = more.since
	}
	d.all = d.all || more.all
	return d
}

// watch is what one goroutine knows of Redis.
type watch struct {
	mark   int64 // that it had last; 0: it was not asked yet
	opened uint64
	well   time.Time // when it last answered; at first, when the process began
	owed   debt
}

// Run asks Redis now and then, tells it what it lost, and ends with the context. Without Redis it ends at once.
func (s *Stores) Run(ctx context.Context) {
	if s.shared == nil {
		return
	}
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	w := watch{well: time.Now()}
	var teaching chan debt // what is still owed comes out of it
	for {
		if !time.Now().Before(s.shared.client.Health().Until) {
			w.ask(ctx, s.shared.client)
			s.shared.probed.Store(true)
		}
		if teaching == nil && !w.owed.none() && s.greylist.Loaded() && s.shared.client.Health().Kind == redis.Fine {
			owed := w.owed
			w.owed, teaching = debt{}, make(chan debt, 1)
			go func() { teaching <- s.repay(ctx, owed) }()
		}
		select {
		case <-ctx.Done():
			if teaching != nil {
				<-teaching
			}
			return
		case left := <-teaching:
			w.owed, teaching = w.owed.add(left), nil
		case <-tick.C:
		}
	}
}

// ask asks Redis, and finds what it may not know.
func (w *watch) ask(ctx context.Context, c *redis.Client) {
	began := time.Now()
	mark, err := c.Probe(ctx)
	if err != nil {
		return // Health tells
	}
	h := c.Health()
	switch {
	case w.mark != mark.ID && (w.mark != 0 || mark.Age < young):
		w.owed.all = true
	case w.opened != h.Opened: // what came just before it went may not have reached a replica
		w.owed = w.owed.add(debt{since: w.well.Add(-probeEvery)})
	}
	w.mark, w.opened, w.well = mark.ID, h.Opened, began
}

// repay tells Redis what it may not know, and returns what is left of it.
func (s *Stores) repay(ctx context.Context, owed debt) debt {
	sh := s.shared
	var settings greylist.Settings
	if known := sh.settings.Load(); known != nil {
		settings = *known
	}
	row, told, ok := sh.client.Row(), []*redis.Told(nil), true
	flush := func() bool {
		if len(told) > 0 {
			ok = row.Do(ctx) == nil
			sh.count(told)
		}
		row, told = sh.client.Row(), told[:0]
		return ok
	}
	tell := func(k greylist.Key, r greylist.Record, p greylist.Passes) bool {
		told = append(told, row.Teach(k, r, p, settings, time.Time{}))
		return len(told) < redis.MostCalls || flush()
	}
	s.greylist.Each(func(k greylist.Key, r greylist.Record) bool {
		return !owed.all && r < 0 && r.Time().Before(owed.since) || tell(k, r, 0)
	}, func(id greylist.Tag, p greylist.Passes) bool {
		return !owed.all && p.Time().Before(owed.since) || tell(greylist.Key{Tag: id}, 0, p)
	})
	if !ok || !flush() {
		return owed
	}
	return debt{}
}
