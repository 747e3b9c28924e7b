package rbl

import (
	"context"
	"time"
)

// Probe asks the test points of the lists that are due, all at the same time, and says when the next one is due: never
// later than ProbeEvery from now.
func (s *Supervisor) Probe(ctx context.Context, r Resolver, now time.Time) (next time.Time) {
	var under []<-chan struct{}
	for _, w := range s.lists {
		w.mu.Lock()
		due := !w.barred() && !w.due.After(now)
		w.mu.Unlock()
		if due {
			under = append(under, s.probe(ctx, r, now, w))
		}
	}
	for _, done := range under {
		<-done
	}
	next = now.Add(ProbeEvery)
	for _, w := range s.lists {
		w.mu.Lock()
		if !w.barred() && w.due.Before(next) {
			next = w.due
		}
		w.mu.Unlock()
	}
	return next
}

// Run probes until ctx ends: at once, and then whenever a list is due. It reads the time from time.Now.
func (s *Supervisor) Run(ctx context.Context, r Resolver) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.wake:
		}
		next := s.Probe(ctx, r, time.Now())
		timer.Reset(max(time.Until(next), time.Second)) // whatever comes, no more than one round a second
	}
}

// probe asks a list's test points and sets its state; the channel is closed when that is done. One probe of a list is under
// way at a time: who comes meanwhile gets its channel.
func (s *Supervisor) probe(ctx context.Context, r Resolver, now time.Time, w *watched) <-chan struct{} {
	w.mu.Lock()
	if under := w.probing; under != nil {
		w.mu.Unlock()
		return under
	}
	begin := s.prepare(ctx, r, now, w)
	done := w.probing
	w.mu.Unlock()
	begin()
	return done
}

// stale reports whether a listing needs a newer look at the list to rest on. Where the list has its control listed, only the
// test points tell anything. The lock is held.
func (w *watched) stale(now time.Time) bool {
	return w.state == Armed && (now.Sub(w.looked) >= believed && !w.strange || w.old(now))
}

// old reports whether the last proof is. The lock is held.
func (w *watched) old(now time.Time) bool {
	return now.Sub(w.proved) >= fresh && now.Sub(w.tried) >= fresh
}

// look asks about the control alone, or where the last proof is old about all test points; the channel is closed when it is
// known whether the list lists the world. What cannot be told of the control leaves the last proof as it is.
func (s *Supervisor) look(ctx context.Context, r Resolver, now time.Time, w *watched) <-chan struct{} {
	w.mu.Lock()
	if under := w.probing; under != nil || w.old(now) {
		w.mu.Unlock()
		return s.probe(ctx, r, now, w)
	}
	done := make(chan struct{})
	w.probing, w.looked = done, now
	control := []task{w.ask(w.control())}
	told := s.count(w, now, 1)
	w.mu.Unlock()
	told()
	go func() {
		defer close(done)
		res := run(context.WithoutCancel(ctx), r, control, s.underWay, nil)[0]
		w.mu.Lock()
		w.probing = nil
		if res.Verdict == NotListed || res.Verdict == Unknown && res.Cause != Undocumented && res.Cause != Empty {
			w.mu.Unlock()
			return
		}
		begin := s.prepare(ctx, r, now, w)
		probed := w.probing
		w.mu.Unlock()
		begin()
		<-probed
	}()
	return done
}

// prepare makes a probe of all test points the one that is under way, with the lock held; what it returns begins it, without.
func (s *Supervisor) prepare(ctx context.Context, r Resolver, now time.Time, w *watched) (begin func()) {
	r = anew(r)
	done := make(chan struct{})
	w.probing, w.tried, w.looked = done, now, now
	tasks := w.points()
	told := s.count(w, now, len(tasks))
	work := func() {
		// The answer is not the caller's alone: a client that goes away must not leave the others without it.
		results := run(context.WithoutCancel(ctx), r, tasks, s.underWay, nil)
		everybody := false
		if control := &results[len(results)-1]; control.Verdict == Listed && control.Weight > 0 {
			one := run(context.WithoutCancel(ctx), r, []task{w.ask(honest(control.asked))}, s.underWay, nil)[0]
			everybody = one.Verdict == Listed && one.Weight > 0
		}
		w.mu.Lock()
		told := s.judge(w, now, results, everybody)
		w.probing = nil
		w.mu.Unlock()
		told()
		close(done)
	}
	return func() {
		told()
		go work()
	}
}

// judge sets a list's state by what its test points answered, with its lock held. everybody says that it lists the control and
// an honest host.
func (s *Supervisor) judge(w *watched, now time.Time, results []Result, everybody bool) func() {
	unsure := NoCause
	away := Suspended
	if w.state == Unarmed {
		away = Unarmed
	}
	control := len(results) - 1
	strange := w.strange
	w.silent++
	for i := range results {
		res := &results[i]
		if res.Verdict != Unknown {
			w.silent = 0
		}
		wantListed := i < len(w.entry.List.Listed)
		switch {
		case i == control && (res.Verdict == Listed || res.Cause == Undocumented) && (w.state == Unarmed || w.strange) && !everybody:
			strange = true
		case i == control && res.Verdict == NotListed:
			strange = false
		case res.Verdict == Unhealthy, res.Cause == Undocumented, res.Cause == Empty, res.Cause == Unaskable:
			return s.set(w, now, away, res.Cause, "test point "+res.Subject+": "+res.Cause.String()+" "+res.Detail)
		case res.Verdict == Listed && !wantListed:
			return s.set(w, now, away, World, "test point "+res.Subject+" is listed: the list may list the world")
		case res.Verdict == NotListed && wantListed:
			return s.set(w, now, away, Missing, "test point "+res.Subject+" is not listed: the zone may be dead, or not answer this resolver")
		case res.Verdict == Unknown:
			unsure = res.Cause
		}
	}
	switch {
	case unsure == NoCause:
		if w.state == Armed { // it held for a while
			w.retry = firstRetry
		}
		w.proved, w.due, w.strange = now, now.Add(ProbeEvery), strange
		detail := ""
		if strange {
			detail = results[control].Subject + " is listed, where no mail can come from"
		}
		return s.set(w, now, Armed, NoCause, detail)
	case w.state == Armed:
		w.due = now.Add(firstRetry)
		if (w.breaker.note(now, true, 0) || w.breaker.burst || w.silent >= silentProbes) && unsure != Bound {
			return s.set(w, now, Suspended, Breaker, "neither mail nor test points get answers; the last: "+unsure.String())
		}
		return func() {}
	case w.state == Suspended:
		// What suspended it is still what is known. Silence is cheap to ask again: after an outage of DNS no list should
		// stay away for long.
		w.retry = firstRetry
		return s.set(w, now, Suspended, w.cause, w.detail)
	default:
		w.retry = firstRetry
		return s.set(w, now, Unarmed, Unproved, "the test points did not answer: "+unsure.String())
	}
}

// Status is one list for an operator. It never holds the key.
type Status struct {
	Name     string
	Zone     string // with the key's place, not the key
	Inputs   Input
	Use      Use
	HasKey   bool
	State    State
	Cause    Cause
	Detail   string
	Since    time.Time // of state and cause; zero where it never changed
	Proved   time.Time // when the test points last answered as they should
	NextTest time.Time // zero for never
	Failures int       // of the last ten answers
	Listed   int       // of the last Window networks or domains, those that it cleared before
	Window   int
	Queries  int // in the last 24 hours, test points among them, and those that the resolver's cache answered
	Quota    int // 0 for none that is known
	Warning  bool
	Results  map[string]uint64 // since the start, by verdict
	Terms    string
	Website  string
}

// Status returns a snapshot of all lists, in their order.
func (s *Supervisor) Status(now time.Time) []Status {
	out := make([]Status, 0, len(s.lists))
	for _, w := range s.lists {
		l := &w.entry.List
		w.mu.Lock()
		w.meter.turn(now)
		st := Status{Name: l.Name, Zone: l.Zone, Inputs: l.Inputs, Use: w.entry.Use, HasKey: w.entry.Key.IsSet(), State: w.state,
			Cause: w.cause, Detail: w.detail, Since: w.since, Proved: w.proved, NextTest: w.due, Failures: w.breaker.n,
			Listed: w.hits.listed, Window: w.hits.n, Queries: w.meter.sum(), Quota: l.Quota, Terms: l.Terms, Website: l.Website,
			Results: make(map[string]uint64, len(w.told))}
		st.Warning = l.Quota > 0 && st.Queries*100 >= l.Quota*warnOf100
		for v, n := range w.told {
			st.Results[Verdict(v).String()] = n
		}
		w.mu.Unlock()
		out = append(out, st)
	}
	return out
}
