package reports

import (
	"context"
	"time"
)

const (
	flushEvery = 500 * time.Millisecond // a kill loses no more
	flushTime  = 5 * time.Second        // for one write to the store
	maxPending = 10_000                 // lines that wait while the store takes nothing
	flushAt    = 2000                   // lines that are written at once
)

// pending are lines that are not in the store yet.
type pending struct {
	lines map[string]int // key -> index
	all   []Counted
}

// add counts a line. It reports false when there is no room.
func (p *pending) add(c Counted) bool {
	key := c.Day.String() + c.Domain + "\x00" + c.Method + "\x00" + c.Record + "\x00" + c.Key
	if at, ok := p.lines[key]; ok {
		p.all[at].Count += c.Count
		return true
	}
	if len(p.all) == maxPending {
		return false
	}
	if p.lines == nil {
		p.lines = make(map[string]int)
	}
	p.lines[key] = len(p.all)
	p.all = append(p.all, c)
	return true
}

func (p *pending) empty() {
	clear(p.lines)
	clear(p.all)
	p.all = p.all[:0]
}

// collect counts what is taken until ctx is done, and then all that still waits. It sleeps as long as nothing comes.
func (r *Reports) collect(ctx context.Context) {
	var p pending
	var tick <-chan time.Time // set while something waits
	full := false             // what the store did not take waits for the next tick
	for {
		select {
		case s := <-r.queue:
			r.addTo(&p, s)
			if len(p.all) >= flushAt && !full {
				full = !r.flush(ctx, &p)
			}
		case <-tick:
			full, tick = !r.flush(ctx, &p), nil
		case <-ctx.Done():
			r.collectRest(ctx, &p)
			return
		}
		if tick == nil && len(p.all) > 0 {
			tick = time.After(flushEvery)
		}
	}
}

// collectRest counts what was taken before the end.
func (r *Reports) collectRest(ctx context.Context, p *pending) {
	for {
		select {
		case s := <-r.queue:
			r.addTo(p, s)
		default:
			r.flush(context.WithoutCancel(ctx), p)
			return
		}
	}
}

func (r *Reports) addTo(p *pending, s seen) {
	set := r.settings.Load()
	if set == nil {
		return
	}
	if c, ok := r.kind.count(s.what, s.at, set); ok && !p.add(c) {
		r.lose(1)
	}
}

// flush writes what waits. What the store does not take waits on, as long as there is room.
func (r *Reports) flush(ctx context.Context, p *pending) bool {
	if len(p.all) == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	lost, err := r.store().Count(ctx, p.all)
	if err != nil {
		r.tell(counting, "store: "+err.Error())
		return false
	}
	r.tell(counting, "")
	var n int64
	for i := range p.all {
		n += p.all[i].Count
	}
	r.counted.Add(n - lost)
	if lost > 0 {
		r.lose(lost)
	}
	p.empty()
	return true
}
