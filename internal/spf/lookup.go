package spf

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// what is the kind of a question.
type what uint8

const (
	texts  what = iota // TXT, of which one may be a record
	hosts              // MX
	addrs4             // A
	addrs6             // AAAA
	names              // PTR
)

type question struct {
	what what
	name string
}

// answer is what DNS said to a question.
type answer struct {
	done  chan struct{} // closed when the rest is there; nil where it is
	texts []string
	mx    []*net.MX
	addrs []netip.Addr
	names []string
	err   error

	parsed bool // record and flaw are what choose says of texts
	record *record
	flaw   *trouble
}

// found is what an answer comes to.
type found uint8

const (
	something found = iota
	nothing         // no such records: a void lookup
	failed          // it could not be told
)

// state tells an answer's kind. While ctx is over nothing is known not to exist.
func (c *checker) state(a *answer) found {
	switch {
	case a.err == nil && len(a.texts)+len(a.mx)+len(a.addrs)+len(a.names) > 0:
		return something
	case a.err == nil || isNotFound(a.err) && c.ctx.Err() == nil:
		return nothing
	}
	return failed
}

func isNotFound(err error) bool {
	var e *net.DNSError
	return errors.As(err, &e) && e.IsNotFound
}

// ask answers a question, from a lookup that is under way where there is one.
func (c *checker) ask(q question) *answer {
	if a := c.ahead.get(q); a != nil {
		select {
		case <-a.done:
			return a
		case <-c.ctx.Done():
			return &answer{err: c.ctx.Err()}
		}
	}
	a := new(answer)
	c.fetch(c.ctx, q, a)
	return a
}

// fetch looks a question up.
func (c *checker) fetch(ctx context.Context, q question, a *answer) {
	if a.err = ctx.Err(); a.err != nil {
		return
	}
	switch q.what {
	case texts:
		a.texts, a.err = c.r.LookupTXT(ctx, q.name)
	case hosts:
		a.mx, a.err = c.r.LookupMX(ctx, q.name)
	case addrs4:
		a.addrs, a.err = c.r.LookupNetIP(ctx, "ip4", q.name)
	case addrs6:
		a.addrs, a.err = c.r.LookupNetIP(ctx, "ip6", q.name)
	case names:
		a.names, a.err = c.r.LookupAddr(ctx, q.name)
	}
}

// maxAhead bounds what is looked up ahead in one evaluation, whatever records say.
const maxAhead = 32

// ahead is what is looked up before the evaluation comes to it. Records that arrive are followed at once, so that an
// evaluation takes as many rounds of DNS as its records are deep, and not as many as it has terms.
type ahead struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	most   int

	mu    sync.Mutex
	table map[question]*answer
	terms int // of records; the others are hosts
}

// errand is a question that an evaluation will come to, unless it ends before.
type errand struct {
	question
	counted int // terms that are counted by then, at least; 0 where it is no term
}

func (h *ahead) get(q question) *answer {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.table[q]
}

// close ends what is under way and waits for it.
func (c *checker) close() {
	if c.ahead != nil {
		c.ahead.cancel()
		c.ahead.wg.Wait()
	}
}

// lookAhead starts the lookups of a record that is about to be evaluated, but for the first, which the evaluation does by
// itself: where there is only one, no goroutine is.
func (c *checker) lookAhead(r *record, domain string) {
	if !r.ahead {
		c.send(c.errands(r, domain, c.out.Lookups))
	}
}

// lookAheadAddrs does so for the hosts of an answer.
func (c *checker) lookAheadAddrs(a *answer) { c.send(c.hostErrands(a)) }

// send starts all errands but the first.
func (c *checker) send(list []errand) {
	if len(list) < 2 || c.most == 0 {
		return
	}
	if c.ahead == nil {
		ctx, cancel := context.WithCancel(c.ctx)
		c.ahead = &ahead{ctx: ctx, cancel: cancel, most: c.most, table: make(map[question]*answer, len(list))}
	}
	for _, e := range list[1:] {
		if e.question == list[0].question {
			continue
		}
		if a := c.ahead.enter(e); a != nil {
			c.ahead.wg.Go(func() { c.run(e, a) })
		}
	}
}

// enter makes room for the answer of an errand; nil where there is none or somebody is on it.
func (h *ahead) enter(e errand) *answer {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.table[e.question] != nil || len(h.table) >= h.most || e.counted > 0 && h.terms == maxLookups {
		return nil
	}
	if e.counted > 0 {
		h.terms++
	}
	a := &answer{done: make(chan struct{})}
	h.table[e.question] = a
	return a
}

// run does an errand and, of what it leads to, one more and so on; others are sent.
func (c *checker) run(e errand, a *answer) {
	for a != nil {
		list := c.fetchAhead(e, a)
		var next *answer
		var of errand
		for _, e := range list {
			b := c.ahead.enter(e)
			switch {
			case b == nil:
			case next == nil:
				next, of = b, e
			default:
				c.ahead.wg.Go(func() { c.run(e, b) })
			}
		}
		close(a.done) // after what it leads to is entered: so nobody asks that twice
		a, e = next, of
	}
}

// fetchAhead looks an errand up and returns what it leads to. A panic of the resolver is an answer that nobody has: it
// must not end the process, as it would in a goroutine.
func (c *checker) fetchAhead(e errand, a *answer) (list []errand) {
	defer func() {
		if p := recover(); p != nil {
			a.err, a.parsed, list = fmt.Errorf("lookup panicked: %v", p), false, nil
		}
	}()
	c.fetch(c.ahead.ctx, e.question, a)
	if a.err != nil || c.ahead.ctx.Err() != nil {
		return nil
	}
	if e.what != texts {
		return c.hostErrands(a)
	}
	a.record, a.flaw = choose(a.texts, e.name)
	a.parsed = true
	if a.record == nil {
		return nil
	}
	a.record.ahead = true
	return c.errands(a.record, e.name, e.counted)
}

// errands lists what the evaluation of a record will ask for as far as can be told: not behind a term that matches, not
// beyond the limit of terms, and not what needs the client's name first. counted is how many terms are counted before.
func (c *checker) errands(r *record, domain string, counted int) (list []errand) {
	add := func(w what, spec string) {
		if name, ok := c.target(spec, domain); ok && (lookable(name) && w != texts || hasRecords(name)) {
			list = append(list, errand{question{w, name}, counted})
		}
	}
	for i := range r.terms {
		m := &r.terms[i]
		switch m.kind {
		case all:
			return list
		case ip4, ip6:
			if m.net.Contains(c.ip) {
				return list
			}
			continue
		}
		if counted++; counted > maxLookups {
			return list
		}
		switch {
		case m.kind == ptr:
			list = append(list, errand{question{names, c.ip.String()}, counted})
		case m.byName:
		case m.kind == include:
			add(texts, m.spec)
		case m.kind == mx:
			add(hosts, m.spec)
		case m.kind == exists:
			add(addrs4, m.spec)
		default:
			add(c.family(), m.spec)
		}
	}
	if counted++; r.redirect != "" && !r.redirectName && counted <= maxLookups {
		add(texts, r.redirect)
	}
	return list
}

// hostErrands lists the addresses that an answer of MX or PTR leads to.
func (c *checker) hostErrands(a *answer) (list []errand) {
	if len(a.mx) > maxNames { // an error, whatever their addresses
		return nil
	}
	for _, host := range a.mx {
		if name := plain(host.Host); lookable(name) {
			list = append(list, errand{question{c.family(), name}, 0})
		}
	}
	for i, name := range a.names {
		if name = plain(name); i < maxNames && lookable(name) {
			list = append(list, errand{question{c.family(), name}, 0})
		}
	}
	return list
}
