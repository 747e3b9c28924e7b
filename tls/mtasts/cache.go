package mtasts

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// How policies are looked after. RFC 8461 section 3.3 asks for five minutes between two fetches, and section 10.2 for a fresh
// copy long before the old one ends.
const (
	firstWait  = 5 * time.Second // that mail waits for a policy when nothing is known of its domain
	lookTime   = FetchTime + 20*time.Second
	soonest    = 5 * time.Minute // between two looks at the record, and between two fetches
	latest     = time.Hour
	freshFor   = 24 * time.Hour // a policy is fetched anew then, or at half its max_age
	doubtAfter = time.Minute
	maxDomains = 1000
	unusedFor  = 24 * time.Hour
	beat       = 30 * time.Second // of Run
)

// Options are what a Cache is made of.
type Options struct {
	Dir string // where policies are kept over a restart; "": nowhere
	// TXT returns the TXT records of a name, each with its strings put together, and for how long that holds; none, without an
	// error, where DNS says that there are none.
	TXT   func(ctx context.Context, name string) ([]string, time.Duration, error)
	Fetch func(ctx context.Context, domain string) (*Policy, error) // as Fetcher does
	// Failed, where set, is told of each policy that was promised and could not be had, for reports (RFC 8460). It must not wait.
	Failed func(domain string, fault *Fault)
	Log    *slog.Logger
}

// Cache keeps the policies of domains that mail is sent to, in memory and on disk. A policy that was fetched holds until its
// max_age is over, whatever becomes of its record or its host in between (RFC 8461 section 3.3). It is safe for concurrent use.
type Cache struct {
	Options
	life    context.Context
	stop    context.CancelFunc
	looking sync.WaitGroup

	mu      sync.Mutex
	domains map[string]*entry
	wanted  []string
	ended   bool
}

// entry is what is known of a domain.
type entry struct {
	policy  *Policy // the last that was fetched; nil for none
	fetched time.Time
	looked  time.Time // when its record was last asked for
	due     time.Time // to look again
	refetch time.Time // no fetch before then
	failed  int       // fetches in a row
	err     error     // of the last look; nil also where there is no record
	record  bool      // there was one at the last look
	used    time.Time
	busy    chan struct{} // closed when the look that goes on ends; nil for none
}

// Known is what a Cache knows of a domain.
type Known struct {
	Domain  string
	Policy  *Policy   // nil where none is in force
	Fetched time.Time // the policy
	Ends    time.Time // what it says counts until then
	Looked  time.Time // when the record was last asked for; zero for never
	Record  bool      // there was one then
	Err     error     // of the last look
}

// NewCache makes a cache with what Dir kept. A file there that cannot be read counts as none.
func NewCache(o Options) *Cache {
	c := &Cache{Options: o, domains: map[string]*entry{}}
	c.life, c.stop = context.WithCancel(context.Background())
	c.load()
	return c
}

// Want names the domains whose policies are looked after beforehand, so that no mail waits for them.
func (c *Cache) Want(domains ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted = slices.Clone(domains)
	for _, d := range domains {
		if e := c.entry(d); e != nil {
			c.lookIfDue(d, e)
		}
	}
}

// Run looks after the policies of the domains that Want named until ctx is done, then ends whatever still looks.
func (c *Cache) Run(ctx context.Context) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			c.tend()
		}
	}
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.stop()
	c.looking.Wait()
}

// tend looks where it is time to, and forgets what nobody needs any more.
func (c *Cache) tend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for d, e := range c.domains {
		switch {
		case slices.Contains(c.wanted, d):
			c.lookIfDue(d, e)
		case e.busy == nil && !e.holds(now) && now.Sub(e.used) > unusedFor:
			c.forget(d)
		}
	}
}

// Policy returns the policy of a domain; nil where none is in force that could be had. It waits, not for long, only where
// nothing is known of the domain: mail goes on without a policy then, as if there were none (RFC 8461 section 5.1).
func (c *Cache) Policy(ctx context.Context, domain string) *Policy {
	c.mu.Lock()
	e := c.entry(domain)
	if e == nil {
		c.mu.Unlock()
		return nil
	}
	e.used = time.Now()
	c.lookIfDue(domain, e)
	busy := e.busy
	if e.holds(e.used) || busy == nil || !e.looked.IsZero() {
		defer c.mu.Unlock()
		return e.inForce(e.used)
	}
	c.mu.Unlock()
	late := time.NewTimer(firstWait)
	defer late.Stop()
	select {
	case <-busy:
	case <-ctx.Done():
	case <-late.C:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return e.inForce(time.Now())
}

// Doubt has the record looked at soon: what a policy asks for was not found at the hosts of its domain, and a new one may say
// why (RFC 8461 section 5.1).
func (c *Cache) Doubt(domain string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.domains[domain]; e != nil {
		if soon := e.looked.Add(doubtAfter); soon.Before(e.due) {
			e.due = soon
		}
		c.lookIfDue(domain, e)
	}
}

// Known lists what is known, by domain.
func (c *Cache) Known() []Known {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	var out []Known
	for _, d := range slices.Sorted(maps.Keys(c.domains)) {
		e := c.domains[d]
		k := Known{Domain: d, Policy: e.inForce(now), Looked: e.looked, Record: e.record, Err: e.err}
		if k.Policy != nil {
			k.Fetched, k.Ends = e.fetched, e.ends()
		}
		out = append(out, k)
	}
	return out
}

// ends is when the policy no longer counts. It counts at least until it may be fetched again.
func (e *entry) ends() time.Time { return e.fetched.Add(max(e.policy.MaxAge, soonest)) }

func (e *entry) holds(now time.Time) bool { return e.policy != nil && now.Before(e.ends()) }

func (e *entry) inForce(now time.Time) *Policy {
	if !e.holds(now) {
		return nil
	}
	return e.policy
}

// entry returns that of a domain, and makes room for it. The caller holds the lock.
func (c *Cache) entry(domain string) *entry {
	if e := c.domains[domain]; e != nil {
		return e
	}
	if CheckPattern(domain) != nil {
		return nil
	}
	if len(c.domains) >= maxDomains {
		oldest := ""
		for d, e := range c.domains {
			if e.busy == nil && !slices.Contains(c.wanted, d) && (oldest == "" || e.used.Before(c.domains[oldest].used)) {
				oldest = d
			}
		}
		if oldest == "" {
			return nil
		}
		c.forget(oldest)
	}
	e := &entry{}
	c.domains[domain] = e
	return e
}

// lookIfDue begins a look unless one goes on or it is too soon. The caller holds the lock.
func (c *Cache) lookIfDue(domain string, e *entry) {
	if e.busy != nil || c.ended || time.Now().Before(e.due) {
		return
	}
	e.busy = make(chan struct{})
	before := *e
	c.looking.Go(func() { c.look(domain, e, before) })
}

// look asks for the record of a domain and, where it is time, for the policy.
func (c *Cache) look(domain string, e *entry, before entry) {
	ctx, cancel := context.WithTimeout(c.life, lookTime)
	defer cancel()
	after := before
	c.lookAt(ctx, domain, &after)
	c.mu.Lock()
	defer c.mu.Unlock()
	used := e.used
	*e = after
	e.used, e.busy = used, nil
	close(before.busy)
}

// lookAt does so on a copy that nobody else has.
func (c *Cache) lookAt(ctx context.Context, domain string, e *entry) {
	texts, ttl, err := c.TXT(ctx, RecordName(domain))
	if ctx.Err() != nil && c.life.Err() != nil {
		return
	}
	now := time.Now()
	e.looked = now
	if err != nil {
		e.err, e.due = err, now.Add(doubtAfter)
		return
	}
	id, err := ParseRecord(texts)
	e.record, e.due, e.err = err == nil, now.Add(min(max(ttl, soonest), latest)), nil
	if err != nil {
		if !errors.Is(err, ErrNoRecord) {
			e.err = err
		}
		return
	}
	if e.holds(now) && e.policy.ID == id && now.Sub(e.fetched) < min(freshFor, e.policy.MaxAge/2) {
		return
	}
	if now.Before(e.refetch) {
		e.due = e.refetch
		return
	}
	c.fetch(ctx, domain, id, e)
}

// fetch fetches the policy that a record names.
func (c *Cache) fetch(ctx context.Context, domain, id string, e *entry) {
	p, err := c.Fetch(ctx, domain)
	if c.life.Err() != nil {
		return
	}
	now := time.Now()
	if err != nil {
		pause := min(soonest<<min(e.failed, 8), latest)
		e.failed++
		e.err, e.refetch, e.due = err, now.Add(pause), now.Add(pause)
		c.Log.Warn("mta-sts: a policy cannot be fetched; one that is kept counts on", "domain", domain, "kept", e.holds(now), "error", err)
		var fault *Fault
		if c.Failed != nil && errors.As(err, &fault) {
			c.Failed(domain, fault)
		}
		return
	}
	p.ID = id
	if e.policy == nil || e.policy.ID != id || e.policy.Mode != p.Mode {
		c.Log.Info("mta-sts: policy of a next hop", "domain", domain, "mode", p.Mode, "id", id)
	}
	e.policy, e.fetched, e.failed, e.refetch = p, now, 0, now.Add(soonest)
	if err := c.save(domain, e); err != nil {
		c.Log.Warn("mta-sts: a policy cannot be kept over a restart", "domain", domain, "error", err)
	}
}
