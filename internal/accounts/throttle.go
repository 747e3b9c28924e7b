package accounts

import (
	"net/netip"
	"sync"
	"time"
)

// How tries are slowed. Nothing is ever locked: whoever does not know a password can make only his own address wait for the
// account, and everybody's unknown addresses together. Addresses from which the account logged in before wait for nobody else.
const (
	freePair    = 3                // failures of an account from an address before the first wait
	freeAddress = 10               // failures of all accounts from an address
	freeSecond  = 5                // wrong codes for an account whose password was right, from anywhere
	longestHold = 15 * time.Minute // that a wait grows to, from a second, doubling
	forgetAfter = 24 * time.Hour   // since the last failure
	budgetEvery = 5 * time.Second  // one failure of anybody, anywhere
	budgetBurst = 60               // at once
	mostMarks   = 10_000           // that are remembered of each kind; then the oldest is forgotten
)

// mark is what is remembered of failures.
type mark struct {
	n     int
	last  time.Time
	until time.Time // nothing is looked at before
}

// throttle counts failures of logins. A try counts as failed until it is forgiven, so that a hundred at once are not one.
type throttle struct {
	mu     sync.Mutex
	pairs  map[pair]*mark
	places map[netip.Prefix]*mark
	second map[string]*mark
	known  map[pair]time.Time // that logged in
	budget time.Time          // when the global budget is whole again
}

type pair struct {
	name  string
	place netip.Prefix
}

func newThrottle() *throttle {
	return &throttle{pairs: map[pair]*mark{}, places: map[netip.Prefix]*mark{}, second: map[string]*mark{}, known: map[pair]time.Time{}}
}

// placeOf is what counts as one address: an IPv4 address, an IPv6 /64, which one host has all of.
func placeOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // the zero Prefix of the zero Addr: the socket
	return p
}

// take counts a try, or says how long until one is looked at.
func (t *throttle) take(name string, from netip.Addr, trusted bool, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := pair{name, placeOf(from)}
	_, known := t.known[p]
	wait := until(t.pairs[p], now)
	if !known && !trusted {
		wait = max(wait, until(t.places[p.place], now), max(t.budget.Sub(now), 0)-(budgetBurst-1)*budgetEvery)
	}
	if wait > 0 {
		return wait
	}
	count(t.pairs, p, freePair, now)
	count(t.places, p.place, freeAddress, now)
	if t.budget.Before(now) {
		t.budget = now
	}
	t.budget = t.budget.Add(budgetEvery)
	return 0
}

// next is how long somebody waits who has just failed.
func (t *throttle) next(name string, from netip.Addr, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return until(t.pairs[pair{name, placeOf(from)}], now)
}

// forgive takes back a try. passed says that it was a login, which wipes out earlier ones too.
func (t *throttle) forgive(name string, from netip.Addr, passed bool, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := pair{name, placeOf(from)}
	back(t.pairs, p, now)
	back(t.places, p.place, now)
	t.budget = t.budget.Add(-budgetEvery)
	if passed {
		delete(t.pairs, p)
		room(t.known, func(at time.Time) time.Time { return at })
		t.known[p] = now
	}
}

// takeCode is take for the second factor: whoever gets here has the password, so that no stranger can make the owner wait.
func (t *throttle) takeCode(user string, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if wait := until(t.second[user], now); wait > 0 {
		return wait
	}
	count(t.second, user, freeSecond, now)
	return 0
}

func (t *throttle) nextCode(user string, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return until(t.second[user], now)
}

func (t *throttle) forgiveCode(user string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.second, user)
}

func until(m *mark, now time.Time) time.Duration {
	if m == nil || !now.Before(m.until) || now.Sub(m.last) > forgetAfter {
		return 0
	}
	return m.until.Sub(now)
}

func count[K comparable](marks map[K]*mark, k K, free int, now time.Time) {
	m := marks[k]
	if m == nil || now.Sub(m.last) > forgetAfter {
		room(marks, func(m *mark) time.Time { return m.last })
		m = &mark{}
		marks[k] = m
	}
	m.n++
	m.last, m.until = now, now.Add(hold(m.n-free))
}

// hold is the wait after so many failures over what is free: 1 s, 2 s, 4 s and so on.
func hold(over int) time.Duration {
	if over < 0 {
		return 0
	}
	return min(time.Second<<min(over, 20), longestHold)
}

func back[K comparable](marks map[K]*mark, k K, now time.Time) {
	if m := marks[k]; m != nil {
		m.n, m.until = m.n-1, now
		if m.n <= 0 {
			delete(marks, k)
		}
	}
}

// room forgets the oldest where there are too many.
func room[K comparable, V any](m map[K]V, at func(V) time.Time) {
	if len(m) < mostMarks {
		return
	}
	var oldest K
	var when time.Time
	for k, v := range m {
		if t := at(v); when.IsZero() || t.Before(when) {
			oldest, when = k, t
		}
	}
	delete(m, oldest)
}
