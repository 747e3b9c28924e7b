package dns

import (
	"time"
)

// Stats is a snapshot of what a resolver has done since it was made.
type Stats struct {
	// Lookups is how many were asked of the resolver; CacheHits of them were
	// answered from the cache and Joined by a lookup that was under way.
	Lookups, CacheHits, Joined uint64
	// Failures and Bogus count lookups that ended so, each once, however many
	// waited for it.
	Failures, Bogus uint64
	// Sent is the queries sent to servers, TCP those repeated over TCP.
	Sent, TCP uint64
	// UnderWay is the lookups that are going on now.
	UnderWay int
	// CacheEntries and CacheOctets are what the cache holds now.
	CacheEntries, CacheOctets int
	// Servers is in the configured order.
	Servers []ServerStats
}

// ServerStats is how one name server has been doing.
type ServerStats struct {
	Addr    string
	Trusted bool // its AD bit counts
	Sick    bool // failed three times in a row just now, and is asked last
	// Tries and Failed count tries, Failed those without a usable reply. An
	// error code about a name is a reply.
	Tries, Failed uint64
	// Latency is a moving average over replies.
	Latency time.Duration
	// LastError and LastFailed are about the last failed try, if there was one.
	LastError  string
	LastFailed time.Time
}

// Stats returns the numbers for metrics and for the console.
func (r *Resolver) Stats() Stats {
	s := Stats{
		Lookups: r.count.lookups.Load(), CacheHits: r.count.cacheHits.Load(), Joined: r.count.joined.Load(),
		Failures: r.count.failures.Load(), Bogus: r.count.bogus.Load(),
		Sent: r.count.sent.Load(), TCP: r.count.tcp.Load(),
		UnderWay: len(r.slots),
	}
	r.mu.Lock()
	s.CacheEntries, s.CacheOctets = len(r.cache.entries), r.cache.octets
	r.mu.Unlock()
	now := time.Now()
	for _, srv := range r.servers {
		sick := srv.sick(now)
		srv.mu.Lock()
		s.Servers = append(s.Servers, ServerStats{
			Addr: srv.addr, Trusted: srv.trusted, Sick: sick, Tries: srv.sent, Failed: srv.failed,
			Latency: srv.latency, LastError: srv.lastErr, LastFailed: srv.lastBad,
		})
		srv.mu.Unlock()
	}
	return s
}
