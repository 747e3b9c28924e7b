package alarm

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"gatepost/gateway"
)

// Bounds and times of notices on their way.
const (
	mostWaiting = 1000 // notices for one path
	sendTime    = time.Minute
	retryFirst  = 30 * time.Second
	retryMax    = 15 * time.Minute
	noticeLife  = 24 * time.Hour // after which one is given up
)

// outbox is what waits for one path.
type outbox struct {
	waiting []*Notice
	busy    bool
	next    time.Time // not before
	pause   time.Duration
}

// counts are what became of the notices of a path.
type counts struct{ sent, failed, dropped uint64 }

// Stats is how a path is.
type Stats struct {
	Path    string `json:"path"`
	Waiting int    `json:"waiting"`
	Sent    uint64 `json:"sent"`
	Failed  uint64 `json:"failed"`  // attempts
	Dropped uint64 `json:"dropped"` // notices that were given up
}

// Stats tells how each path is.
func (b *Book) Stats() (out []Stats) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.set.Paths {
		s := Stats{Path: b.set.Paths[i].Name}
		if box := b.boxes[s.Path]; box != nil {
			s.Waiting = len(box.waiting)
		}
		if c := b.counted[s.Path]; c != nil {
			s.Sent, s.Failed, s.Dropped = c.sent, c.failed, c.dropped
		}
		out = append(out, s)
	}
	return out
}

// Turned is how many alarms there was no room for.
func (b *Book) Turned() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.turned
}

// Run tells and keeps until ctx is done, and keeps once more.
func (b *Book) Run(ctx context.Context) {
	var running sync.WaitGroup
	next := time.NewTimer(tick)
	defer next.Stop()
	for {
		select {
		case <-b.wake:
			next.Reset(tick)
		case now := <-next.C:
			if b.step(ctx, now, &running) {
				next.Reset(tick)
			} else {
				next.Reset(idle)
			}
		case <-ctx.Done():
			running.Wait()
			b.untold()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
			defer cancel()
			if list, gone := b.unkept(); len(list)+len(gone) > 0 {
				b.save(last, list, gone)
			}
			return
		}
	}
}

// step begins what is due, and waits for nothing. It reports whether more is to come soon.
func (b *Book) step(ctx context.Context, now time.Time, running *sync.WaitGroup) (soon bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, a := range b.alarms {
		if !a.Standing() && now.Sub(a.Over) > keep {
			b.forget(id)
		}
	}
	if n := b.notice(now); n != nil {
		for i := range b.set.Paths {
			p := &b.set.Paths[i]
			if own := n.only(p.Name, p.Least); own != nil {
				b.post(p.Name, own)
			}
		}
	}
	for name, box := range b.boxes {
		if p := b.path(name); p != nil && !box.busy && len(box.waiting) > 0 && !now.Before(box.next) {
			box.busy = true
			send, n := p.Send, box.waiting[0]
			running.Go(func() { b.deliver(ctx, name, box, send, n) })
		}
	}
	if !b.saving && len(b.dirty)+len(b.gone) > 0 {
		b.saving = true
		running.Go(func() {
			list, gone := b.unkept()
			limited, cancel := context.WithTimeout(ctx, saveTime)
			defer cancel()
			b.save(limited, list, gone)
		})
	}
	for _, box := range b.boxes {
		soon = soon || len(box.waiting) > 0
	}
	return soon || b.saving || !b.first.IsZero()
}

func (b *Book) path(name string) *Path {
	i := slices.IndexFunc(b.set.Paths, func(p Path) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &b.set.Paths[i]
}

// post has a notice wait for its path; where too many do, the oldest goes.
func (b *Book) post(path string, n *Notice) {
	box := b.boxes[path]
	if box == nil {
		box = new(outbox)
		b.boxes[path] = box
	}
	if len(box.waiting) >= mostWaiting {
		box.waiting = slices.Delete(box.waiting, 0, 1)
		b.count(path).dropped++
	}
	box.waiting = append(box.waiting, n)
}

func (b *Book) count(path string) *counts {
	c := b.counted[path]
	if c == nil {
		c = new(counts)
		b.counted[path] = c
	}
	return c
}

// deliver makes one attempt, and notes what came of it.
func (b *Book) deliver(ctx context.Context, name string, box *outbox, send func(context.Context, *Notice) (string, error), n *Notice) {
	_, err := try(ctx, send, n)
	if waiting, failed := b.delivered(ctx, name, box, n, err); failed {
		report := PathFailed(name, err)
		report.Text += fmt.Sprintf("; notices that wait: %d", waiting)
		b.Raise(report)
	}
}

// delivered reports whether the path failed again and again.
func (b *Book) delivered(ctx context.Context, name string, box *outbox, n *Notice, err error) (waiting int, failed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	box.busy = false
	if err != nil && ctx.Err() != nil {
		return 0, false // the daemon ends
	}
	now, done := time.Now(), err == nil
	if err != nil {
		b.count(name).failed++
		failed = box.pause > 0
		box.pause = min(max(2*box.pause, retryFirst), retryMax)
		box.next = now.Add(box.pause)
		if now.Sub(n.At) > noticeLife {
			done = true
			b.count(name).dropped++
		}
	} else {
		b.count(name).sent++
		box.pause, box.next = 0, time.Time{}
	}
	if i := slices.Index(box.waiting, n); done && i >= 0 {
		box.waiting = slices.Delete(box.waiting, i, i+1)
	}
	if b.boxes[name] != box {
		return 0, false // the path is no more
	}
	if err == nil {
		b.clear(IDOf(KindPath, name), now)
	}
	return len(box.waiting), failed
}

// untold has alarms told after the next start whose notice still waits.
func (b *Book) untold() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, box := range b.boxes {
		for _, n := range box.waiting {
			for i := range n.Began {
				if a := b.alarms[n.Began[i].ID]; a != nil && a.Standing() && a.Since.Equal(n.Began[i].Since) {
					a.Told = time.Time{}
					b.dirty[a.ID] = true
				}
			}
		}
	}
}

// PathFailed is the alarm about a path that fails.
func PathFailed(name string, err error) Report {
	return Report{Kind: KindPath, Object: name, Severity: Warning, Text: "notices cannot be sent by " + name + ": " + err.Error(),
		Do: "gatepost alarm test shows what each path answers; [alarms] in policy.toml names them"}
}

// try is one attempt. A path that panics has failed.
func try(ctx context.Context, send func(context.Context, *Notice) (string, error), n *Notice) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	said, err = send(ctx, n)
	return gateway.CleanText(said, 300), err
}

// unkept takes what is to be saved.
func (b *Book) unkept() (list []Alarm, gone []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := range b.dirty {
		if a := b.alarms[id]; a != nil {
			list = append(list, a.clone())
		}
	}
	gone = slices.Collect(maps.Keys(b.gone))
	clear(b.dirty)
	clear(b.gone)
	return list, gone
}

// save keeps what changed. Where that fails it is tried again, after the next tick. What could not be read at the start is read
// first, so that nothing of it is written over unread.
func (b *Book) save(ctx context.Context, list []Alarm, gone []string) {
	b.mu.Lock()
	loaded := b.loaded
	b.mu.Unlock()
	var err error
	if !loaded {
		err = b.Load(ctx)
	}
	if err == nil && len(list) > 0 {
		err = b.o.Store.Save(ctx, list)
	}
	if err == nil && len(gone) > 0 {
		err = b.o.Store.Remove(ctx, gone)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.saving = false
	if err == nil {
		return
	}
	for i := range list {
		b.dirty[list[i].ID] = true
	}
	for _, id := range gone {
		if b.alarms[id] == nil {
			b.gone[id] = true
		}
	}
	b.o.Log.Error("alarms cannot be kept over a restart", "error", err)
}

// Said is what a path answered to a test.
type Said struct {
	Path string `json:"path"`
	OK   bool   `json:"ok"`
	Said string `json:"said"`
	Took int64  `json:"took_ms"`
}

// Paths are the paths in force, in their order.
func (b *Book) Paths() []Path {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.set.Paths)
}

// Test sends a notice that nothing is wrong by each path, or by the one that is named, at the same time, and returns what each said.
func (b *Book) Test(ctx context.Context, id, only string) []Said {
	paths := slices.DeleteFunc(b.Paths(), func(p Path) bool { return only != "" && p.Name != only })
	out := make([]Said, len(paths))
	var all sync.WaitGroup
	for i, p := range paths {
		all.Go(func() {
			began := time.Now()
			said, err := try(ctx, p.Send, &Notice{ID: id, Host: b.o.Host, At: began, Test: true})
			if err != nil {
				said = gateway.CleanText(err.Error(), 300)
			}
			out[i] = Said{Path: p.Name, OK: err == nil, Said: said, Took: time.Since(began).Milliseconds()}
		})
	}
	all.Wait()
	return out
}
