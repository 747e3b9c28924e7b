package recipients

import (
	"sync"
	"sync/atomic"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/relay"
)

// DefaultEntries is how many recipients are remembered.
const DefaultEntries = 100_000

// Cache is what was learned, for all policies of a process. It is safe for concurrent use.
type Cache struct {
	count Counters

	mu      sync.Mutex
	known   table[time.Time]
	unknown table[refusal] // apart, so that guessing strangers cannot push the known ones out
	refused table[refusal] // by sender and recipient
	flights map[string]*flight
	keeper  Keeper
	changed map[string]struct{} // keys of known that are to be saved; nil without a keeper
	open    map[domainOf]Canary // by route and domain
}

// Counters count answers since the start.
type Counters struct {
	Asked                                                 atomic.Uint64 // questions to the next hop
	Cached                                                atomic.Uint64 // answers without one
	Stale                                                 atomic.Uint64 // of those, too old, while no next hop could be asked
	Joined                                                atomic.Uint64 // waited for the question of another session
	Canaries                                              atomic.Uint64 // questions for recipients that cannot exist
	KnownTo, UnknownTo, RefusedTo, DeferredTo, AwayAnswer atomic.Uint64 // answers by kind
}

// Counters returns the live counters.
func (c *Cache) Counters() *Counters { return &c.count }

// Entries returns how many answers are remembered of each kind.
func (c *Cache) Entries() (known, unknown, refused int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known.len(), c.unknown.len(), c.refused.len()
}

type refusal struct {
	reply gateway.Reply
	at    time.Time
}

// NewCache returns a cache of that many known recipients, and a quarter of it for each kind of refusal; 0 is
// DefaultEntries.
func NewCache(entries int) *Cache {
	if entries <= 0 {
		entries = DefaultEntries
	}
	return &Cache{known: newTable[time.Time](entries), unknown: newTable[refusal](max(entries/4, 1)),
		refused: newTable[refusal](max(entries/4, 1)), flights: make(map[string]*flight), open: make(map[domainOf]Canary)}
}

// question is one recipient and who writes to it, as keys.
type question struct{ route, rcpt, sender string }

// newQuestion separates by line ends, which no parsed address has.
func newQuestion(route string, from, rcpt gateway.Address) question {
	return question{route: route, rcpt: route + "\n" + rcpt.Key(), sender: from.Key()}
}

func (q question) both() string { return q.rcpt + "\n" + q.sender }

// flight is a question on its way to the next hop. Its fields are written before done is closed.
type flight struct {
	done   chan struct{}
	sender string
	answer Answer
	shared bool // the answer is good for every sender
	told   bool // the answer is good for the same sender
}

// join returns the question that is on its way for this recipient, or makes one that the caller must leave.
func (c *Cache) join(q question) (f *flight, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f = c.flights[q.rcpt]; f != nil {
		c.count.Joined.Add(1)
		return f, false
	}
	f = &flight{done: make(chan struct{}), sender: q.sender}
	c.flights[q.rcpt] = f
	return f, true
}

func (c *Cache) leave(q question, f *flight) {
	c.mu.Lock()
	delete(c.flights, q.rcpt)
	c.mu.Unlock()
	close(f.done)
}

// holds returns an answer that needs no question.
func (c *Cache) holds(q question) (Answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if a, ok := c.refusal(q, now); ok {
		return a, true
	}
	if at, ok := c.known.get(q.rcpt); ok {
		if age := now.Sub(at); age < takesFor {
			return Answer{Kind: Known, FromCache: true, Age: age}, true
		}
	}
	return Answer{}, false
}

// told returns what the next hop refused to this sender when a message was handed over.
func (c *Cache) told(q question) (Answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refusal(q, time.Now())
}

func (c *Cache) refusal(q question, now time.Time) (Answer, bool) {
	r, ok := c.refused.get(q.both())
	if !ok {
		return Answer{}, false
	}
	age := now.Sub(r.at)
	if age < refusedFor {
		return Answer{Kind: Refused, Reply: r.reply, FromCache: true, Age: age}, true
	}
	c.refused.remove(q.both())
	return Answer{}, false
}

// instead returns what is remembered when no next hop could be asked.
func (c *Cache) instead(q question, v relay.Verified) Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := Answer{FromCache: true, NextHop: v.NextHop, Said: v.Said}
	now := time.Now()
	if r, ok := c.unknown.get(q.rcpt); ok {
		if a.Age = now.Sub(r.at); a.Age < unknownFor {
			a.Kind, a.Reply = Unknown, r.reply
			return a
		}
	}
	if at, ok := c.known.get(q.rcpt); ok && now.Sub(at) < staleFor {
		a.Kind, a.Age = Known, now.Sub(at)
		c.count.Stale.Add(1)
		return a
	}
	if v.Reply.IsZero() || v.Reply.Code/100 != 4 {
		v.Reply = gateway.Word(gateway.Defer, gateway.NextHopAway, nil)
	}
	return Answer{Reply: v.Reply, NextHop: v.NextHop, Said: v.Said}
}

// learn keeps what the next hop said and makes the answer of it.
func (c *Cache) learn(q question, v relay.Verified) Answer {
	a := Answer{Reply: v.Reply, NextHop: v.NextHop, Said: v.Said}
	switch v.Result {
	case relay.Takes:
		a.Kind = Known
		c.takes(q)
	case relay.Refuses:
		a.Kind = Refused
		if v.At == "ehlo" { // what it cannot carry today: not about the recipient
			break
		}
		if v.At == "rcpt" && isUnknown(v.Reply) {
			a.Kind = Unknown
		}
		c.refuses(q, v.Reply, a.Kind == Unknown)
	case relay.Postpones:
		a.Kind = Deferred
	default:
		return c.instead(q, v)
	}
	return a
}

func (c *Cache) takes(q question) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known.put(q.rcpt, time.Now())
	c.touched(q.rcpt)
	c.unknown.remove(q.rcpt)
	c.refused.remove(q.both())
}

func (c *Cache) refuses(q question, reply gateway.Reply, unknown bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := refusal{reply: reply, at: time.Now()}
	if !unknown {
		c.refused.put(q.both(), r)
		return
	}
	c.known.remove(q.rcpt)
	c.touched(q.rcpt)
	c.unknown.put(q.rcpt, r)
}

// refusesFor remembers a refusal for less time than others.
func (c *Cache) refusesFor(q question, reply gateway.Reply, holds time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused.put(q.both(), refusal{reply: reply, at: time.Now().Add(holds - refusedFor)})
}

// doubts lets a known recipient be asked for again; it stays known while no next hop can be asked.
func (c *Cache) doubts(q question) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at, ok := c.known.get(q.rcpt); ok {
		if old := time.Now().Add(-takesFor); at.After(old) {
			c.known.put(q.rcpt, old)
			c.touched(q.rcpt)
		}
	}
}

// counted counts an answer on its way out.
func (c *Cache) counted(a Answer) Answer {
	if a.FromCache {
		c.count.Cached.Add(1)
	}
	switch a.Kind {
	case Known:
		c.count.KnownTo.Add(1)
	case Unknown:
		c.count.UnknownTo.Add(1)
	case Refused:
		c.count.RefusedTo.Add(1)
	case Deferred:
		c.count.DeferredTo.Add(1)
	case Away:
		c.count.AwayAnswer.Add(1)
	}
	return a
}
