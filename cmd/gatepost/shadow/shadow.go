package shadow

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/cmd/gatepost/maillog"
	"gatepost/gateway"
	"gatepost/internal/api"
	"gatepost/internal/replay"
)

// waiting is how many events may wait for their turn. They are kept by the message log at the same time, so that they cost no more than
// their places.
const waiting = 512

// Runner has a run, or the last one. The zero value is ready.
type Runner struct {
	// Ended is told of each that ended by itself, so that it is audited; nil: nobody is.
	Ended func(*api.Shadow)

	mu   sync.Mutex
	last *run
	now  atomic.Pointer[run] // that is at work
}

// run is one.
type run struct {
	about   api.Shadow
	live    *replay.Live
	stale   []string
	events  chan *gateway.Event
	skipped atomic.Int64
	stop    chan struct{} // closed by who stops it
	over    chan struct{} // closed when it is over
}

// Take gives an event to the run, if there is one. It waits for nothing.
func (r *Runner) Take(e *gateway.Event) {
	run := r.now.Load()
	if run == nil || e == nil || e.Kind != gateway.TransactionEvent {
		return
	}
	select {
	case run.events <- e:
	default:
		run.skipped.Add(1)
	}
}

// tap gives the events of the log to the run as well.
type tap struct {
	maillog.Keeper
	runner *Runner
}

// Write is that of the log.
func (t tap) Write(e *gateway.Event) bool {
	t.runner.Take(e)
	return t.Keeper.Write(e)
}

// Before is a log whose events the run gets as well.
func (r *Runner) Before(k maillog.Keeper) maillog.Keeper { return tap{k, r} }

// start begins a run; false where another is at work.
func (r *Runner) start(about *api.Shadow, q *replay.Question, stale []string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now.Load() != nil {
		return false
	}
	n := &run{about: *about, live: replay.NewLive(q), stale: stale, events: make(chan *gateway.Event, waiting), stop: make(chan struct{}), over: make(chan struct{})}
	r.last = n
	r.now.Store(n)
	go r.work(n)
	return true
}

// work judges until the time is over, or somebody stops it.
func (r *Runner) work(n *run) {
	timer := time.NewTimer(time.Until(n.about.Until))
	defer timer.Stop()
	trouble, stopped := "", false
	for going := true; going; {
		select {
		case e := <-n.events:
			if trouble = n.see(e); trouble != "" {
				going = false
			}
		case <-timer.C:
			going = false
		case <-n.stop:
			going, stopped = false, true
		}
	}
	r.now.Store(nil)
	for trouble == "" && len(n.events) > 0 { // what came before its end
		trouble = n.see(<-n.events)
	}
	r.mu.Lock()
	n.about.Running, n.about.Ended, n.about.Trouble = false, time.Now(), trouble
	r.mu.Unlock()
	close(n.over)
	if !stopped && r.Ended != nil {
		r.Ended(r.told(n))
	}
}

// see judges an event. A mistake in judging is the end of the run, and of nothing else.
func (n *run) see(e *gateway.Event) (trouble string) {
	defer func() {
		if x := recover(); x != nil {
			trouble = fmt.Sprintf("a message could not be judged: %.200v", x)
		}
	}()
	n.live.See(e)
	return ""
}

// end stops the run, waits for its end, and returns it; nil where there is none.
func (r *Runner) end() *api.Shadow {
	r.mu.Lock()
	n := r.last
	running := n != nil && n.about.Running
	if running {
		select {
		case <-n.stop:
		default:
			close(n.stop)
		}
	}
	r.mu.Unlock()
	if !running {
		return nil
	}
	<-n.over
	return r.told(n)
}

// show is the run, or the last one.
func (r *Runner) show() *api.Shadow {
	r.mu.Lock()
	n := r.last
	r.mu.Unlock()
	if n == nil {
		return &api.Shadow{}
	}
	return r.told(n)
}

// told is one run, as it is now, also where another began since.
func (r *Runner) told(n *run) *api.Shadow {
	r.mu.Lock()
	out := n.about
	r.mu.Unlock()
	out.Skipped, out.Result = int(n.skipped.Load()), n.live.Result()
	out.Result.Stale = n.stale
	return &out
}
