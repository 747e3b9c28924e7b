package acme

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"time"

	wire "golang.org/x/crypto/acme"

	"gatepost/tls/certs"
)

// Manager keeps the certificates of all entries. Its fields are set before Load.
type Manager struct {
	Authority *Authority
	Entries   []Entry
	// Dir is where keys and certificates are kept, a folder for each entry: state_dir/certs.
	Dir string
	// Show is told what an entry shows from now on: one certificate, two for Both, none before there is one.
	Show func(entry string, certificates []*tls.Certificate)
	// Check looks at a new certificate before it is shown; nil: only what this package looks at by itself.
	Check func(c *tls.Certificate, names []string) error
	// Usable says whether a key that was not shown yet may be shown for the names, and why not: what is published of them in
	// DNS decides (RFC 7671 section 8.1). nil: no key but the first is ever shown.
	Usable func(names []string, public crypto.PublicKey) (bool, string)
	// Told hears of each try to get a certificate: nil error, or why there is none. nil: nobody.
	Told func(entry string, err error)
	Log  *slog.Logger

	get  func(context.Context, request) ([][]byte, error) // Authority.order
	wake chan struct{}
	mu   sync.Mutex // of what follows
	kept []*kept
}

// kept is what is known of an entry.
type kept struct {
	*Entry
	dir   string // empty while it cannot be made
	pairs map[KeyType]*held
	memory
	asked  bool // by a person
	busy   bool
	broken bool // its keys cannot be read
}

// held is the key that is shown, with its certificate once there is one, and the key that comes next.
type held struct{ current, next *pair }

// Errors of Renew.
var (
	ErrUnknown = errors.New("no entry of [[tls.acme]] has this name")
	ErrTooSoon = errors.New("it was ordered less than an hour ago")
	ErrTooMany = errors.New("so many orders were placed in 24 hours that the authority would refuse more")
)

// askedPause is how long a person waits between two orders of an entry, unless he insists.
const askedPause = time.Hour

// show tells what an entry shows. A certificate that has expired is shown on: what verifies by TLSA or not at all looks at the
// key, and for the rest another is no better.
func (m *Manager) show(k *kept) {
	var all []*tls.Certificate
	for _, t := range k.Keys.each() {
		switch c, err := k.certificate(t); {
		case err == nil:
			all = append(all, c)
		case k.pairs[t] != nil && k.pairs[t].current != nil && len(k.pairs[t].current.chain) > 0:
			m.Log.Error("acme: what is kept cannot be shown", "name", k.Name(), "key", t.String(), "error", err)
		}
	}
	m.Show(k.Name(), all)
}

// when is the time of an entry's next try; the zero time is now. Called with the lock.
func (k *kept) when(now time.Time) time.Time {
	far := now.Add(100 * 365 * 24 * time.Hour)
	if k.broken {
		return far
	}
	allowed := k.notBefore(now)
	if k.asked && len(recent(k.Orders, now)) < maxOrders {
		return time.Time{}
	}
	at := far
	for _, t := range k.Keys.each() {
		if d := k.dueOf(t); d.Before(at) {
			at = d
		}
	}
	if allowed.After(at) {
		at = allowed
	}
	return at
}

// dueOf is when the certificate of a kind of key is renewed; the zero time: there is none of these names.
func (k *kept) dueOf(t KeyType) time.Time {
	c, err := k.pairs[t].current.certificate()
	if err != nil || !sameNames(c.Leaf.DNSNames, k.Names) {
		return time.Time{}
	}
	return due(c.Leaf, k.Name())
}

// longest is how long Run sleeps at most: a clock that is set, or a machine that slept, is noticed after it.
const longest = 10 * time.Minute

// Run gets and renews certificates until ctx is done, one entry after another.
func (m *Manager) Run(ctx context.Context) {
	var swept time.Time
	for ctx.Err() == nil {
		if now := time.Now(); swept.IsZero() || now.Sub(swept) >= sweepEvery || now.Before(swept) {
			m.sweepAll(ctx)
			swept = now
		}
		wait := longest
		for _, k := range m.kept {
			m.mu.Lock()
			now := time.Now()
			left := k.when(now).Sub(now)
			m.mu.Unlock()
			if left <= 0 {
				m.try(ctx, k)
				left = 0 // look at all again
			}
			wait = min(wait, max(left, 0))
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-m.wake:
		case <-t.C:
		}
		t.Stop()
	}
}

// sweepAll has solvers take away what is left of challenges that are over.
func (m *Manager) sweepAll(ctx context.Context) {
	var done []Solver
	for _, k := range m.kept {
		if s, ok := k.Solver.(interface{ Sweep(context.Context) }); ok && !slices.Contains(done, k.Solver) {
			done = append(done, k.Solver)
			s.Sweep(ctx)
		}
	}
}

// try gets the certificates of an entry that are due.
func (m *Manager) try(ctx context.Context, k *kept) {
	m.mu.Lock()
	asked, now := k.asked, time.Now()
	k.asked, k.busy = false, true
	m.mu.Unlock()
	var err error
	for _, t := range k.Keys.each() {
		if asked || !k.dueOf(t).After(now) {
			if err = m.renew(ctx, k, t); err != nil {
				break
			}
		}
	}
	if ctx.Err() != nil {
		err = nil // told to end: the order goes on after the start
	}
	m.mu.Lock()
	k.busy = false
	if err != nil {
		k.Failures++
		k.Error, k.ErrorAt = words(err), time.Now()
		k.Next = k.ErrorAt.Add(backoff(k.Failures, k.Name(), later(err)))
		if !goesOn(err) {
			clear(k.Open)
		}
		m.Log.Error("acme: no certificate", "name", k.Name(), "error", k.Error, "failures", k.Failures, "next_try", k.Next)
	} else if ctx.Err() == nil {
		k.Failures, k.Error, k.ErrorAt, k.Next = 0, "", time.Time{}, k.tooShort(time.Now())
	}
	m.save(k)
	m.mu.Unlock()
	if m.Told != nil && ctx.Err() == nil {
		if err != nil {
			err = errors.New(words(err))
		}
		m.Told(k.Name(), err)
	}
}

// goesOn reports whether the order is worth going on with after an error: the way to the authority broke, or the authority, or
// our disk.
func goesOn(err error) bool {
	if _, ok := errors.AsType[*keepError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*url.Error](err); ok {
		return true
	}
	bad, ok := errors.AsType[*wire.Error](err)
	return ok && bad.StatusCode >= 500
}

// tooShort is the earliest time of a renewal where an authority gives certificates that are due when they come; the zero time
// where it does not. Called with the lock.
func (k *kept) tooShort(now time.Time) (at time.Time) {
	for _, t := range k.Keys.each() {
		c, err := k.pairs[t].current.certificate()
		if err == nil && !k.dueOf(t).After(now) {
			if rest := now.Add(max(c.Leaf.NotAfter.Sub(now)/2, backoffLeast)); rest.After(at) {
				at = rest
			}
		}
	}
	return at
}

// save keeps the memory of an entry. What cannot be kept costs at most a repetition; what was ordered is kept before.
func (m *Manager) save(k *kept) {
	if err := k.write(k.dir); err != nil {
		m.Log.Error("acme: cannot keep the state", "name", k.Name(), "error", err)
	}
}

// renew gets a certificate for one kind of key, puts it on disk, and shows it.
func (m *Manager) renew(ctx context.Context, k *kept, t KeyType) error {
	if err := m.refresh(k, t); err != nil { // after a disk that was full
		return err
	}
	h := k.pairs[t]
	key, switched := h.current.key, false
	if len(h.current.chain) > 0 && m.Usable != nil {
		ok, why := m.Usable(k.Names, h.next.key.Public())
		m.mu.Lock()
		k.KeptKeys[t.String()] = clean(why, maxWords)
		if ok {
			key, switched = h.next.key, true
			delete(k.KeptKeys, t.String())
		}
		m.mu.Unlock()
	}
	m.mu.Lock()
	open := k.Open[t.String()]
	m.mu.Unlock()
	chain, err := m.get(ctx, request{names: k.Names, key: key, solver: k.Solver, open: open, placed: func(address string) { m.placed(k, t, address) }})
	if err != nil {
		return err
	}
	got := &pair{key: key, chain: chain}
	if err := m.look(got, k.Names); err != nil {
		return fmt.Errorf("the certificate that came is not shown: %w", err)
	}
	if err := writePair(currentFile(k.dir, t), got); err != nil {
		return &keepError{err}
	}
	m.mu.Lock()
	k.pairs[t] = &held{current: got, next: h.next}
	delete(k.Open, t.String())
	k.Done = time.Now()
	m.mu.Unlock()
	m.show(k)
	m.Log.Info("acme: certificate", "name", k.Name(), "key", t.String(), "new_key", switched)
	return m.refresh(k, t)
}

// refresh makes another next key where it is shown by now.
func (m *Manager) refresh(k *kept, t KeyType) error {
	h := k.pairs[t]
	if !certs.SameKey(h.next.key.Public(), h.current.key.Public()) {
		return nil
	}
	next, err := makePair(nextFile(k.dir, t), t)
	if err != nil {
		return &keepError{err}
	}
	m.mu.Lock()
	k.pairs[t] = &held{current: h.current, next: next}
	m.mu.Unlock()
	return nil
}

// keepError says that what came could not be kept: it is still at the authority.
type keepError struct{ error }

func (e *keepError) Error() string { return "what came cannot be kept: " + e.error.Error() }

// placed keeps the address of an order, before its first challenge: a restart goes on with it.
func (m *Manager) placed(k *kept, t KeyType, address string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	k.Orders = append(recent(k.Orders, now), now)
	k.Open[t.String()] = address
	m.save(k)
}

// Renew asks for new certificates of an entry now; of all where the name is empty. They come while Run runs. Without force an
// entry whose last order is less than an hour ago is refused: ErrTooSoon; ErrTooMany and ErrUnknown are refused in any case.
func (m *Manager) Renew(name string, force bool) (asked []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	err = ErrUnknown
	for _, k := range m.kept {
		if name != "" && name != k.Name() {
			continue
		}
		now := time.Now()
		orders := recent(k.Orders, now)
		switch {
		case k.broken:
			err = errors.New(k.Error)
			continue
		case len(orders) >= maxOrders:
			err = ErrTooMany
			continue
		case !force && len(orders) > 0 && now.Sub(orders[len(orders)-1]) < askedPause:
			err = ErrTooSoon
			continue
		}
		k.asked = true
		asked = append(asked, k.Name())
	}
	if len(asked) == 0 {
		return nil, err
	}
	select {
	case m.wake <- struct{}{}:
	default: // it wakes already
	}
	return asked, nil
}
