package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxKeep     = 5 * time.Minute // of any answer; the resolver behind us keeps more
	failureKeep = 3 * time.Second // of a failure (RFC 9520 section 3.2: 1 s to 5 min)
)

// Resolver looks names up. Its methods may be called from any goroutine. The
// zero value is not usable: see New.
type Resolver struct {
	opt      Options
	servers  []*server
	exchange exchanger
	slots    chan struct{} // a token for each lookup that is under way
	count    counters

	mu      sync.Mutex
	cache   *cache
	flights map[key]*flight
}

// flight is one lookup that is under way and those who wait for it.
type flight struct {
	waiting int         // guarded by Resolver.mu
	lasting bool        // it goes on when nobody waits; guarded too
	begun   atomic.Bool // it was its turn
	cancel  context.CancelFunc
	done    chan struct{}
	res     *result // to be read after done is closed
}

type counters struct {
	lookups, cacheHits, joined, failures, bogus, sent, tcp atomic.Uint64
}

// New returns a resolver. Error: options that make no sense, or no server
// given and none to be read from resolv.conf.
func New(opt Options) (*Resolver, error) {
	opt, servers, err := opt.complete()
	if err != nil {
		return nil, fmt.Errorf("resolver: %w", err)
	}
	return &Resolver{
		opt:      opt,
		servers:  servers,
		exchange: newSockets().exchange,
		slots:    make(chan struct{}, opt.Concurrency),
		cache:    newCache(opt.CacheEntries, opt.CacheOctets),
		flights:  map[key]*flight{},
	}, nil
}

// Trusted reports whether the AD bit of every server counts. Where it does not of some, an answer without it may mean that
// nothing was validated, and not that there was nothing to validate.
func (r *Resolver) Trusted() bool {
	return !slices.ContainsFunc(r.servers, func(s *server) bool { return !s.trusted })
}

// found is what resolve has for its callers: a shared result and what is true
// of this one lookup.
type found struct {
	*result
	name   string
	ttl    time.Duration
	took   time.Duration
	cached bool
}

// resolve answers from the cache, joins a lookup that is under way, or starts
// one, and waits for it until ctx ends.
func (r *Resolver) resolve(ctx context.Context, name string, typ Type) found {
	r.count.lookups.Add(1)
	canonical, status, kind := canonicalName(name)
	if status != Found {
		return unaskable(name, status, kind)
	}
	k := key{canonical, typ}
	now := time.Now()
	r.mu.Lock()
	if e := r.cache.get(k, now); e != nil && !mannerOf(ctx).Anew {
		r.mu.Unlock()
		r.count.cacheHits.Add(1)
		return found{result: e.res, name: canonical, ttl: e.fresh.Sub(now), cached: true}
	}
	return r.join(ctx, k, now)
}

// join joins a lookup that is under way, or starts one, and waits for it until ctx ends. The lock is held, and given back.
func (r *Resolver) join(ctx context.Context, k key, now time.Time) found {
	if err := ctx.Err(); err != nil {
		r.mu.Unlock()
		return found{result: abandoned(ctx), name: k.name}
	}
	f := r.flights[k]
	if f == nil {
		f = r.start(ctx, k)
	} else {
		r.count.joined.Add(1)
	}
	f.waiting++
	f.lasting = f.lasting || mannerOf(ctx).Lasting
	r.mu.Unlock()

	select {
	case <-f.done:
		return found{result: f.res, name: k.name, ttl: f.res.keep(math.MaxInt64), took: time.Since(now)}
	case <-ctx.Done():
		r.leave(k, f)
		res := abandoned(ctx)
		if res.kind == Timeout && !f.begun.Load() {
			res = failure(Overload, "too many lookups under way") // no server was asked: it is nobody's silence
		}
		return found{result: res, name: k.name, took: time.Since(now)}
	}
}

// unaskable is the answer for a name that is none.
func unaskable(name string, status Status, kind Kind) found {
	return found{result: &result{status: status, kind: kind, detail: "name cannot be looked up"}, name: printable(name, maxName)}
}

// remembered answers from the cache, and asks nobody.
func (r *Resolver) remembered(name string, typ Type) (found, bool) {
	canonical, status, kind := canonicalName(name)
	if status != Found {
		return unaskable(name, status, kind), true
	}
	now := time.Now()
	r.mu.Lock()
	e := r.cache.get(key{canonical, typ}, now)
	r.mu.Unlock()
	if e == nil {
		return found{}, false
	}
	r.count.lookups.Add(1)
	r.count.cacheHits.Add(1)
	return found{result: e.res, name: canonical, ttl: e.fresh.Sub(now), cached: true}, true
}

// start begins a lookup that lives on when the caller that needed it first
// gives up, as long as somebody else waits. The lock is held.
func (r *Resolver) start(ctx context.Context, k key) *flight {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.opt.Deadline)
	f := &flight{cancel: cancel, done: make(chan struct{})}
	r.flights[k] = f
	go func() {
		defer cancel()
		res := r.guarded(ctx, k, f)
		now := time.Now()
		r.mu.Lock()
		if r.flights[k] == f { // else everybody left it, and it was cancelled
			r.cache.put(k, res, now, res.keep(maxKeep))
			delete(r.flights, k)
		}
		r.mu.Unlock()
		f.res = res
		close(f.done)
	}()
	return f
}

// leave takes a caller out of a lookup and ends it when nobody is left. It is
// also taken out of sight, so that nobody joins a lookup that is ending.
func (r *Resolver) leave(k key, f *flight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.waiting--; f.waiting > 0 || f.lasting {
		return
	}
	f.cancel()
	if r.flights[k] == f {
		delete(r.flights, k)
	}
}

// guarded runs a lookup within the bound on how many may run, and turns a
// panic over a hostile reply into a failure.
func (r *Resolver) guarded(ctx context.Context, k key, f *flight) (res *result) {
	defer func() {
		if p := recover(); p != nil {
			r.opt.Logger.Error("dns lookup panicked", "name", logged(ctx, k.name), "type", k.typ.String(), "panic", fmt.Sprint(p))
			res = failure(Malformed, "reply cannot be read")
		}
		switch res.status {
		case Failed:
			r.count.failures.Add(1)
		case Bogus:
			r.count.bogus.Add(1)
		}
	}()
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil { // select may take a slot that came too late
		return failure(Overload, "too many lookups under way")
	}
	f.begun.Store(true)
	return r.lookup(ctx, k)
}

// lookup asks for k, and goes on by itself where a server leaves off at a CNAME.
func (r *Resolver) lookup(ctx context.Context, k key) *result {
	res := r.ask(ctx, k.name, k.typ)
	for res.next != "" {
		if len(res.chain) > maxChain {
			return failure(Loop, "cname chain is too long")
		}
		rest := r.ask(ctx, res.next, k.typ)
		for _, name := range rest.chain {
			if name == k.name {
				return failure(Loop, "cname chain loops")
			}
		}
		rest.chain = append(res.chain, rest.chain...)
		rest.ad = rest.ad && res.ad
		rest.ttl = min(rest.ttl, res.ttl)
		res = rest
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return failure(Canceled, "lookup was given up")
	}
	return res
}

// abandoned is the answer for a caller whose context has ended.
func abandoned(ctx context.Context) *result {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return failure(Timeout, "the caller's deadline passed")
	}
	return failure(Canceled, "the caller gave up")
}

// keep is how long a result may be kept, at most limit.
func (r *result) keep(limit time.Duration) time.Duration {
	switch {
	case r.kind == Canceled || r.kind == Overload:
		return 0
	case r.status == Failed || r.status == Bogus:
		return min(failureKeep, limit)
	default:
		return min(time.Duration(r.ttl)*time.Second, limit)
	}
}

// discard is the logger of a resolver that was given none.
func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
