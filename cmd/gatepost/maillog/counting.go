package maillog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/internal/store"
)

// Counting runs beside whoever asks: ten million events take ten seconds of a processor, once.
const (
	hurryTime = 25 * time.Millisecond  // that a page waits for a first count, which may take long
	shortTime = 500 * time.Millisecond // and for what came in the last minutes, which nearly never takes so long
	runTime   = 5 * time.Minute        // of one run; the next goes on where it ended
	maxRuns   = 32                     // of different domains
	atOnce    = 2                      // runs that read
	stuckTime = 30 * time.Second       // without an hour counted the log is said not to answer
	warmTime  = time.Minute            // between two counts of what came for whoever sees all
	warmRange = 24 * time.Hour         // that is counted when the daemon starts, since each page shows it first
	keptRange = 31 * 24 * time.Hour    // that can be asked for
)

// counting reads a log: store.Reader.CountSince.
type counting func(context.Context, store.Window, store.Mark, func(*store.Brief)) ([]store.Gap, store.Mark, error)

// counts are the hours at hand, and who counts more of them.
type counts struct {
	read counting
	life context.Context // of all runs
	end  context.CancelFunc
	busy sync.WaitGroup
	room chan struct{} // of runs that read

	mu    sync.Mutex
	hours map[hourKey]*cell // none changes after it is here
	runs  map[string]*run   // by domains
}

func newCounts(read counting) *counts {
	c := &counts{read: read, room: make(chan struct{}, atOnce), hours: map[hourKey]*cell{}, runs: map[string]*run{}}
	c.life, c.end = context.WithCancel(context.Background())
	return c
}

// run counts what some domains see: one for all who ask. Its fields are for whoever has the lock of counts.
type run struct {
	domains     []string
	seen        string // domains, in order
	first, last int64  // hours that are wanted
	asked       time.Time
	moved       time.Time     // when an hour was counted last
	step        chan struct{} // closed when something was counted, or it ended
	over        bool
	err         error
}

// of tells what came in a time, for whoever sees some domains; nil for all. It waits until all is counted, ctx ends, or, in a
// hurry, a moment has passed, and then tells what is at hand while counting goes on.
func (c *counts) of(ctx context.Context, domains []string, since, until time.Time, hurry bool) (*tally, error) {
	t := &tally{since: since, until: until}
	seen := strings.Join(slices.Sorted(slices.Values(domains)), " ")
	first, last, asked := since.Unix()/3600, until.Unix()/3600, time.Now()
	var late <-chan time.Time
	var mine *run
	for waited := false; ; {
		c.mu.Lock()
		known := c.gather(t, seen, first, last, asked)
		if mine == nil && !t.complete {
			mine = c.want(domains, seen, first, last, asked)
		}
		t.counting = !t.complete && mine != nil && !mine.over
		if t.complete || waited || !t.counting {
			defer c.mu.Unlock()
			switch {
			case mine == nil || t.complete:
			case mine.err != nil:
				return nil, mine.err
			case !mine.over && time.Since(mine.moved) > stuckTime:
				t.gaps = append(t.gaps, unanswered)
			}
			t.sum()
			return t, nil
		}
		step := mine.step
		c.mu.Unlock()
		if late == nil && hurry {
			wait := hurryTime
			if known {
				wait = shortTime
			}
			timer := time.NewTimer(wait)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-step:
		case <-late:
			waited = true
		case <-ctx.Done():
			waited = true
		}
	}
}

// gather takes the hours that are at hand, from the newest back to the first that is not. It reports whether each is there and was
// counted in the last minutes.
func (c *counts) gather(t *tally, seen string, first, last int64, asked time.Time) (known bool) {
	t.hours, t.complete, t.reached, known = map[int64]*cell{}, true, t.since, true
	for hour := last; hour >= first; hour-- {
		x := c.hours[hourKey{seen, hour}]
		if x == nil {
			t.complete, known = false, false
			if t.reached = time.Unix((hour+1)*3600, 0).UTC(); t.reached.After(t.until) {
				t.reached = t.until
			}
			break
		}
		t.hours[hour] = x
		if !x.fresh(asked) {
			t.complete = false
			known = known && asked.Sub(x.at) < 2*warmTime
		}
	}
	return known
}

// fresh reports whether an hour need not be counted for who asked at a moment.
func (x *cell) fresh(asked time.Time) bool {
	return x.good.IsZero() || time.Now().Before(x.good) || !x.at.Before(asked)
}

// want has a run count some hours; nil when too many run. The caller has the lock.
func (c *counts) want(domains []string, seen string, first, last int64, asked time.Time) *run {
	if r := c.runs[seen]; r != nil {
		r.first, r.last, r.asked = min(r.first, first), max(r.last, last), asked
		return r
	}
	if len(c.runs) >= maxRuns || c.life.Err() != nil {
		return nil
	}
	r := &run{domains: slices.Clone(domains), seen: seen, first: first, last: last, asked: asked, moved: asked, step: make(chan struct{})}
	c.runs[seen] = r
	c.busy.Go(func() { c.run(r) })
	return r
}

// run counts until nothing that is wanted is missing.
func (c *counts) run(r *run) {
	ctx, cancel := context.WithTimeout(c.life, runTime)
	defer cancel()
	err := func() (err error) {
		defer func() {
			if p := recover(); p != nil { // as within does
				err = fmt.Errorf("message log: panic: %v", p)
			}
		}()
		select {
		case c.room <- struct{}{}:
			defer func() { <-c.room }()
		case <-ctx.Done():
			return nil
		}
		for more := true; more && err == nil; {
			more, err = c.next(ctx, r)
		}
		return err
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() == nil {
		r.err = err
	}
	r.over = true
	if c.runs[r.seen] == r { // a panic or an error leaves it there
		delete(c.runs, r.seen)
	}
	close(r.step)
}

// next counts the newest hours that are missing, and reports whether there were any.
func (c *counts) next(ctx context.Context, r *run) (bool, error) {
	c.mu.Lock()
	hour := r.last
	at := func(hour int64) *cell { return c.hours[hourKey{r.seen, hour}] }
	for hour >= r.first && at(hour) != nil && at(hour).fresh(r.asked) {
		hour--
	}
	if hour < r.first {
		delete(c.runs, r.seen) // under the same lock: who comes now begins another
		c.mu.Unlock()
		return false, nil
	}
	old, from := at(hour), hour
	for n := 1; old == nil && n < hourRun && from > r.first && at(from-1) == nil && (from-1)/24 == hour/24; n++ {
		from--
	}
	c.mu.Unlock()
	made, err := c.renew(ctx, r.domains, hour, old)
	if made == nil && err == nil {
		if made, err = c.anew(ctx, r.domains, from, hour); err != nil {
			return false, err
		}
	}
	if err != nil {
		return false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	from = hour - int64(len(made)) + 1
	for i, x := range made {
		c.hours[hourKey{r.seen, from + int64(i)}] = x
	}
	c.forget()
	r.moved = time.Now()
	close(r.step)
	r.step = make(chan struct{})
	return true, nil
}

// renew counts what came to an hour since it was counted; nothing where it is to be counted anew.
func (c *counts) renew(ctx context.Context, domains []string, hour int64, old *cell) ([]*cell, error) {
	if old == nil || len(old.gaps) > 0 {
		return nil, nil
	}
	x := *old // others look at the old one
	x.whys = maps.Clone(old.whys)
	err := c.count(ctx, domains, old.mark, hour, []*cell{&x})
	switch {
	case errors.Is(err, store.ErrMark) || err == nil && len(x.gaps) > 0:
		return nil, nil
	case err != nil:
		return nil, err
	}
	return []*cell{&x}, nil
}

// anew counts some hours.
func (c *counts) anew(ctx context.Context, domains []string, from, to int64) ([]*cell, error) {
	fresh := make([]*cell, to-from+1)
	for i := range fresh {
		fresh[i] = &cell{whys: map[why]int{}}
	}
	return fresh, c.count(ctx, domains, store.Mark{}, from, fresh)
}

// count adds to some hours, from one on, what came behind a mark.
func (c *counts) count(ctx context.Context, domains []string, m store.Mark, from int64, into []*cell) error {
	began := time.Now()
	mine := make([]string, len(domains))
	for i, d := range domains {
		mine[i] = "@" + d + " "
	}
	to := from + int64(len(into))
	missing, mark, err := c.read(ctx, store.Window{Since: time.Unix(from*3600, 0), Until: time.Unix(to*3600, 0)}, m, func(b *store.Brief) {
		if len(mine) > 0 && !slices.ContainsFunc(mine, func(d string) bool { return strings.Contains(b.Rcpts, d) }) {
			return
		}
		at := b.ID.Time() // by which it is in the window
		if hour := at.Unix()/3600 - from; hour >= 0 && hour < int64(len(into)) {
			into[hour].add(b, at)
		}
	})
	if err != nil {
		return err
	}
	now := time.Now()
	for i, x := range into {
		x.at, x.mark, x.gaps, x.good = began, mark, gaps(missing), time.Time{}
		if now.Before(time.Unix((from+int64(i)+1)*3600, 0).Add(settled)) || len(missing) > 0 {
			x.good = now.Add(min(costs*now.Sub(began), maxFresh))
		}
	}
	return nil
}

// forget lets some go when there are too many: first what nobody can ask for any more, then the oldest of those who see some domains.
func (c *counts) forget() {
	if len(c.hours) <= maxHours {
		return
	}
	old := time.Now().Add(-keptRange).Unix() / 3600
	rank := func(k hourKey) int {
		switch {
		case k.hour < old:
			return 0
		case k.domains != "":
			return 1
		}
		return 2
	}
	keys := slices.SortedFunc(maps.Keys(c.hours), func(a, b hourKey) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), c.hours[a].at.Compare(c.hours[b].at))
	})
	for _, k := range keys[:len(keys)-maxHours*3/4] {
		delete(c.hours, k)
	}
}

// Run keeps at hand what the overview and the first page of the log show to whoever sees all domains, until ctx ends; then it ends all
// counting. It returns before what hangs on a disk.
func (l *Log) Run(ctx context.Context) {
	for ctx.Err() == nil {
		began := time.Now()
		_, _ = l.counts.of(ctx, nil, began.Add(-warmRange), began, false) // who asks for them is told what is wrong
		rest := time.NewTimer(max(warmTime, costs*time.Since(began)))
		select {
		case <-rest.C:
		case <-ctx.Done():
		}
		rest.Stop()
	}
	l.Close()
}

// Close ends all counting. What hangs on a disk is waited for some time only.
func (l *Log) Close() {
	l.counts.mu.Lock() // who is in it begins nothing after this
	l.counts.end()
	l.counts.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		l.counts.busy.Wait()
		close(ended)
	}()
	late := time.NewTimer(lateTime)
	defer late.Stop()
	select {
	case <-ended:
	case <-late.C:
	}
}
