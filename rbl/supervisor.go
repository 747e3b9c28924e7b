package rbl

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A list has room for its share of allRoom questions about mail at a time, and for leastRoom. More wait: a list that is silent
// must not take the resolver from those that answer.
const (
	allRoom   = 512
	leastRoom = 16
)

// maxLists bounds what a Supervisor watches over.
const maxLists = 64

// Supervisor uses lists while they prove that they work. All methods may be called at any time from any goroutine; now is
// the time of the call, and the only clock that decides about states.
type Supervisor struct {
	lists    []*watched
	changed  func(Change)
	seed     maphash.Seed
	underWay *atomic.Int64
	wake     chan struct{} // a list is due earlier than was said
}

// watched is one list.
type watched struct {
	entry *Entry
	room  chan struct{} // a token for each question about mail that is under way

	mu      sync.Mutex
	state   State
	cause   Cause
	detail  string
	since   time.Time       // of state and cause
	proved  time.Time       // when the test points last answered as they should
	tried   time.Time       // when they were last asked
	looked  time.Time       // when the control was last asked about
	due     time.Time       // for the next probe; zero for never
	retry   time.Duration   // the next wait after a failure
	probing <-chan struct{} // closed when the probe under way is done; nil without one
	silent  int             // probes that got no answer at all, since the last answer
	strange bool            // it listed the control when it was armed first: that proves nothing then
	breaker breaker
	hits    hits
	meter   meter
	told    [4]uint64 // results by verdict
}

// NewSupervisor watches over lists. Changes are told to changed, which may be nil, must not block and must not call back.
// Lists whose use or key is not set are kept for the status and never asked. Error: what is wrong with the definitions.
func NewSupervisor(entries []Entry, changed func(Change)) (*Supervisor, error) {
	if changed == nil {
		changed = func(Change) {}
	}
	s := &Supervisor{changed: changed, seed: maphash.MakeSeed(), underWay: new(atomic.Int64), wake: make(chan struct{}, 1)}
	if err := s.watch(entries, nil); err != nil {
		return nil, err
	}
	return s, nil
}

// Renew watches over other lists, with what s knows of those that stay as they were: their state, their proof, what they
// answered and how much they were asked. It is s itself where all stay. Both may be used at the same time; only one of them
// should Run. Error: what is wrong with the definitions.
func (s *Supervisor) Renew(entries []Entry) (*Supervisor, error) {
	next := &Supervisor{changed: s.changed, seed: s.seed, underWay: s.underWay, wake: s.wake}
	if err := next.watch(entries, s.lists); err != nil {
		return nil, err
	}
	if slices.Equal(next.lists, s.lists) {
		return s, nil
	}
	next.nudge()
	return next, nil
}

// watch takes the lists in, those that are among the old ones as they are.
func (s *Supervisor) watch(entries []Entry, old []*watched) error {
	if len(entries) > maxLists {
		return fmt.Errorf("rbl: %d lists, at most %d", len(entries), maxLists)
	}
	names := map[string]bool{}
	var errs []error
	for _, e := range entries {
		errs = append(errs, e.List.Validate())
		if names[e.List.Name] {
			errs = append(errs, fmt.Errorf("rbl: two lists are called %q", e.List.Name))
		}
		names[e.List.Name] = true
		if i := slices.IndexFunc(old, func(w *watched) bool { return w.entry.equal(&e) }); i >= 0 {
			s.lists = append(s.lists, old[i])
			continue
		}
		w := &watched{entry: &e, cause: Unproved, retry: firstRetry, room: make(chan struct{}, max(leastRoom, allRoom/max(len(entries), 1)))}
		switch {
		case e.Use != NonCommercial && e.Use != Commercial:
			w.cause = NoUse
		case e.Use == Commercial && !e.List.Commercial:
			w.cause = NoLicence
		case e.List.NeedsKey() && !e.Key.IsSet():
			w.cause = NoKey
		}
		s.lists = append(s.lists, w)
	}
	return errors.Join(errs...)
}

// Lists returns what is watched over, in its order. It is not to be changed.
func (s *Supervisor) Lists() []List {
	out := make([]List, 0, len(s.lists))
	for _, w := range s.lists {
		out = append(out, w.entry.List)
	}
	return out
}

// barred reports whether a list is not to be asked at all, until another configuration.
func (w *watched) barred() bool { return w.cause == NoUse || w.cause == NoLicence || w.cause == NoKey }

// Check is the function Check with those lists that are armed; for others the results are Unhealthy or, before the first
// proof, Unknown, with the cause, and nothing is asked. What comes back is held against the lists' health.
func (s *Supervisor) Check(ctx context.Context, r Resolver, now time.Time, subject Subject) []Result {
	if m, ok := r.(Remembering); ok {
		if results, ok := s.Remembered(m, now, subject); ok {
			return results
		}
	}
	tasks := make([]task, 0, len(s.lists))
	for i, w := range s.lists {
		first := len(tasks)
		if tasks = appendTasks(tasks, w.entry, i, subject); len(tasks) > first {
			s.admit(w, now, tasks[first:])
		}
		for k := first; k < len(tasks); k++ {
			tasks[k].room = w.room
		}
	}
	results := run(ctx, r, tasks, s.underWay, func(ctx context.Context, t *task, res *Result) {
		s.confirm(ctx, r, now, s.lists[t.number], res)
	})
	for i := range results {
		if tasks[i].result.Cause == NoCause {
			s.record(s.lists[tasks[i].number], now, &results[i], agreed(results, i))
		}
	}
	return results
}

// Remembered is Check where the resolver remembers all answers and nobody has to be waited for: it costs no goroutine. Where
// that is not so it is false, and nothing was counted.
func (s *Supervisor) Remembered(r Remembering, now time.Time, subject Subject) ([]Result, bool) {
	tasks := make([]task, 0, len(s.lists))
	asked := uint64(0) // bit by list
	for i, w := range s.lists {
		first := len(tasks)
		if tasks = appendTasks(tasks, w.entry, i, subject); len(tasks) == first {
			continue
		}
		w.mu.Lock()
		armed := w.state == Armed
		calm := armed && w.probing == nil && !w.stale(now)
		w.rest(tasks[first:])
		w.mu.Unlock()
		for k := first; armed && k < len(tasks); k++ {
			t := &tasks[k]
			if t.result.Cause != NoCause {
				continue
			}
			if !t.entry.remembered(r, &t.result) || t.result.Verdict == Listed && !calm {
				return nil, false
			}
			asked |= 1 << i
		}
	}
	results := make([]Result, len(tasks))
	for i := range tasks {
		results[i] = tasks[i].result
	}
	for i := range results {
		w := s.lists[tasks[i].number]
		if asked&(1<<tasks[i].number) == 0 || results[i].Cause == Unaskable {
			continue
		}
		w.mu.Lock()
		told := s.count(w, now, 1)
		w.mu.Unlock()
		told()
		s.record(w, now, &results[i], agreed(results, i))
	}
	return results, true
}

// rest answers the questions to a list that is not armed. Its lock is held.
func (w *watched) rest(tasks []task) (asked int) {
	for i := range tasks {
		switch t := &tasks[i]; {
		case t.result.Cause != NoCause:
		case w.state == Armed:
			asked++
		default:
			t.result.Cause, t.result.Detail = w.cause, w.detail
			if w.state == Suspended {
				t.result.Verdict = Unhealthy
			}
		}
	}
	return asked
}

// admit counts questions to an armed list, and answers those to others.
func (s *Supervisor) admit(w *watched, now time.Time, tasks []task) {
	w.mu.Lock()
	told := s.count(w, now, w.rest(tasks))
	w.mu.Unlock()
	told()
}

// count adds queries to a list's meter; what it returns tells of it, without the lock.
func (s *Supervisor) count(w *watched, now time.Time, n int) func() {
	if n == 0 || !w.meter.add(now, n, w.entry.List.Quota) {
		return func() {}
	}
	c := Change{List: w.entry.List.Name, At: now, From: w.state, To: w.state, Cause: w.cause, Warning: true,
		Detail: fmt.Sprintf("%d queries in 24 hours, %d are free", w.meter.sum(), w.entry.List.Quota)}
	return func() { s.changed(c) }
}

// confirm holds a listing against the control or the test points, where they were not asked a moment ago: what lists the one
// that is never listed lists the world. Where that cannot be told in half of the time, the listing stands on the last proof.
func (s *Supervisor) confirm(ctx context.Context, r Resolver, now time.Time, w *watched, res *Result) {
	w.mu.Lock()
	under := w.probing
	stale := w.stale(now)
	w.mu.Unlock()
	if stale {
		under = s.look(ctx, r, now, w)
	}
	if under != nil {
		wait := time.NewTimer(Timeout / 2)
		defer wait.Stop()
		select {
		case <-under:
		case <-wait.C:
		case <-ctx.Done():
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state != Armed {
		res.Verdict, res.Cause, res.Detail, res.Codes, res.Weight = Unhealthy, w.cause, w.detail, nil, 0
	}
}

// agreed reports whether another list says the same of the same.
func agreed(results []Result, i int) bool {
	one := &results[i]
	for j := range results {
		if other := &results[j]; other.List != one.List && other.Verdict == Listed && one.Verdict == Listed &&
			other.Subject == one.Subject && (other.Weight < 0) == (one.Weight < 0) {
			return true
		}
	}
	return false
}

// record holds a result against a list's health.
func (s *Supervisor) record(w *watched, now time.Time, res *Result, shared bool) {
	w.mu.Lock()
	w.told[res.Verdict]++
	if w.state != Armed || res.Cause == Canceled || res.Cause == Bound || res.Cause == Unaskable {
		w.mu.Unlock()
		return
	}
	answered := res.Verdict == NotListed || res.Verdict == Listed
	told := func() {}
	if w.breaker.note(now.Add(res.Took), !answered && res.Cause != Undocumented, s.who(res.asked)) {
		told = s.set(w, now, Suspended, Breaker, fmt.Sprintf("%d of the last %d answers were none; the last: %s", w.breaker.n, breakerOf, res.Cause))
	} else if answered && w.hits.note(hit{s.who(res.asked), res.Verdict == Listed, shared}) {
		told = s.set(w, now, Suspended, Anomaly, fmt.Sprintf("%d of the last %d networks or domains are listed though they were not before, and hardly any by another list", w.hits.listed, hitWindow))
	}
	at := now.Add(res.Took)
	if answered {
		w.silent = 0
	}
	if (res.Verdict == Unhealthy && now.Sub(w.tried) >= fresh || res.Verdict == Unknown && res.Cause != Undocumented && at.Sub(w.tried) >= probeRest) && w.due.After(at) {
		w.due = at // the test points decide
		s.nudge()
	}
	w.mu.Unlock()
	told()
}

// who is the network (/24, /48) or the last two labels of what was asked about, as a number that strangers cannot foresee.
func (s *Supervisor) who(q question) uint64 {
	if !q.addr.IsValid() {
		domain, dots := q.domain, 0
		for i := len(domain) - 1; i >= 0; i-- {
			if domain[i] == '.' {
				if dots++; dots == 2 {
					domain = domain[i+1:]
					break
				}
			}
		}
		return maphash.String(s.seed, domain)
	}
	bits := 48
	if q.addr.Is4() {
		bits = 24
	}
	p, _ := q.addr.Prefix(bits)
	b := p.Addr().As16()
	return maphash.Bytes(s.seed, b[:])
}

// set changes a list's state, with its lock held; what it returns tells of it, without the lock.
func (s *Supervisor) set(w *watched, now time.Time, to State, cause Cause, detail string) func() {
	from, old := w.state, w.cause
	w.state, w.cause, w.detail = to, cause, detail
	if to != Armed {
		w.due = now.Add(w.retry)
		w.retry = min(2*w.retry, ProbeEvery)
		s.nudge()
	}
	if from == to && old == cause {
		return func() {}
	}
	w.since = now
	if from != to {
		w.breaker = breaker{}
		w.hits.clear()
	}
	c := Change{List: w.entry.List.Name, At: now, From: from, To: to, Cause: cause, Detail: detail}
	return func() { s.changed(c) }
}

// nudge wakes Run.
func (s *Supervisor) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// points makes the questions of the test points, those that are listed first, and then of the control.
func (w *watched) points() []task {
	l := &w.entry.List
	tasks := make([]task, 0, len(l.Listed)+len(l.Free)+1)
	for _, point := range append(append(append([]string(nil), l.Listed...), l.Free...), w.control()) {
		tasks = append(tasks, w.ask(point))
	}
	return tasks
}

// ask makes the question of one point.
func (w *watched) ask(point string) task {
	q := question{inputs: w.entry.List.Inputs}
	if q.addr, _ = netip.ParseAddr(point); !q.addr.IsValid() {
		q.domain, _ = domainName(point, 1)
	}
	return task{entry: w.entry, result: Result{List: w.entry.List.Name, Inputs: q.inputs, Subject: q.String(), asked: q}}
}

// honest is a host or domain that no list has a reason to list: an address of a root name server (RFC 7720), a domain of the
// internet's standards. What lists the control may do so because it lists what is reserved; where it lists this too, it lists
// the world.
func honest(control question) string {
	if control.addr.IsValid() {
		return [...]string{"198.41.0.4", "192.5.5.241", "193.0.14.129", "199.7.83.42", "202.12.27.33"}[rand.N(5)]
	}
	return [...]string{"ietf.org", "iana.org", "root-servers.net"}[rand.N(3)]
}

// control is something that no mail comes from, another each time, so that no cache answers: an address of the reserved
// 240.0.0.0/4 (RFC 1112 section 4), a name below INVALID (RFC 6761 section 6.4). The list lists the world where it begins to list that. The test
// points alone do not tell: in a zone with "*" and 2.0.0.127, 127.0.0.1 is not there (RFC 4592 section 2.2.2).
func (w *watched) control() string {
	n := rand.Uint32()
	if w.entry.List.Inputs&Domains != 0 {
		return fmt.Sprintf("x%08x.invalid", n)
	}
	return netip.AddrFrom4([4]byte{240 | byte(n>>24)&7, byte(n >> 16), byte(n >> 8), byte(n)}).String()
}
