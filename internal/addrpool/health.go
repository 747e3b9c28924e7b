package addrpool

import "time"

// State of an address's breaker.
type State uint8

const (
	// Closed: calls go through. An address begins so, before anything is known.
	Closed State = iota
	// Open: no call goes through until the pause is over.
	Open
	// HalfOpen: the pause is over and one probe or call is finding out.
	HalfOpen
)

// String names the state as metrics and pages show it.
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Open:
		return "open"
	case HalfOpen:
		return "half-open"
	}
	return "unknown"
}

// Health is what is known about one address at one moment.
type Health struct {
	Address     string
	State       State
	Info        string        // what the last good probe said, such as a version
	Failures    int           // in a row
	LastError   error         // the last failure, kept after recovery; nil if none
	LastErrorAt time.Time     // zero if none
	LastOKAt    time.Time     // of a call or probe; zero if none
	LastProbeAt time.Time     // end of the last probe; zero if none
	ProbeTime   time.Duration // how long the last good probe took
	RetryAt     time.Time     // when an open breaker tries again
	InFlight    int           // calls now
	Calls       uint64        // calls since the start
	Errors      uint64        // calls that ended with an error
	Probes      uint64        // probes since the start
	ProbeErrors uint64        // probes that failed
}

// Usable says that calls go to the address.
func (h Health) Usable() bool { return h.State == Closed }

// Health returns a copy of what is known about each address, in the order of the
// configuration.
func (p *Pool[T]) Health() []Health {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Health, 0, len(p.members))
	for _, m := range p.members {
		all = append(all, m.health)
	}
	return all
}

// worked records a success. Only a trial closes a breaker: a call that began
// before it opened proves less than the failures after it. It is called with the
// lock held.
func (p *Pool[T]) worked(s slot[T]) {
	m := s.member
	m.health.LastOKAt = time.Now()
	if m.health.State != Closed && !s.trial {
		return
	}
	m.health.State = Closed
	m.health.Failures = 0
	m.health.RetryAt = time.Time{}
	m.pause = 0
}

// failed records a failure and opens the breaker when it is time. It is called
// with the lock held.
func (p *Pool[T]) failed(s slot[T], err error) {
	m := s.member
	now := time.Now()
	m.health.LastError = err
	m.health.LastErrorAt = now
	m.health.Failures++
	if m.health.State != Closed && !s.trial {
		return // it began before the breaker opened: the pause is running
	}
	if !s.trial && m.health.Failures < p.cfg.TripAfter && !p.cfg.Distrusts(err) {
		return
	}
	m.health.State = Open
	m.pause = min(max(2*m.pause, p.cfg.RetryAfter), p.cfg.RetryMax)
	m.health.RetryAt = now.Add(m.pause)
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
