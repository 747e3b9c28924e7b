package dns

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	sickAfter = 3               // failed tries in a row
	sickFor   = 5 * time.Second // after the last one, a sick server is asked last
)

// server is one configured name server and how it has been doing.
type server struct {
	addr    string
	trusted bool // its AD bit and its refusals to hand out bogus data count

	mu      sync.Mutex
	sent    uint64
	failed  uint64
	inARow  int
	lastErr string
	lastBad time.Time
	latency time.Duration // moving average of tries that brought a reply
}

// note records the outcome of a try. A server failure is an outcome of the
// name asked for and not of the server, else a hostile zone could make any
// server look sick.
func (s *server) note(res *result, took time.Duration) (turnedSick bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent++
	switch res.kind {
	case Canceled:
		return false
	case Timeout, Network, Malformed:
		s.failed++
		s.inARow++
		s.lastErr, s.lastBad = res.detail, time.Now()
		return s.inARow == sickAfter
	}
	s.inARow = 0
	if s.latency == 0 {
		s.latency = took
	}
	s.latency += (took - s.latency) / 8
	return false
}

func (s *server) sick(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inARow >= sickAfter && now.Sub(s.lastBad) < sickFor
}

// ordered returns the servers in their configured order, sick ones last.
func (r *Resolver) ordered() []*server {
	if len(r.servers) == 1 {
		return r.servers
	}
	now := time.Now()
	list := make([]*server, 0, len(r.servers))
	var sick []*server
	for _, s := range r.servers {
		if s.sick(now) {
			sick = append(sick, s)
		} else {
			list = append(list, s)
		}
	}
	return append(list, sick...)
}

// try asks one server once, within Options.Timeout: over UDP, over TCP when
// that is asked for, and without EDNS when the server does not know it.
func (r *Resolver) try(ctx context.Context, s *server, name string, typ Type, checking bool) *result {
	ctx, cancel := context.WithTimeout(ctx, r.opt.Timeout)
	defer cancel()
	start := time.Now()
	q := query{name: name, typ: typ, edns: true, checking: checking}
	res := r.send(ctx, s, q)
	if res.kind == Refused && res.unknownQuery {
		q.edns = false
		res = r.send(ctx, s, q)
	}
	res.server = s.addr
	res.ad = res.ad && s.trusted
	if s.note(res, time.Since(start)) {
		r.opt.Logger.Warn("name server does not answer", "server", s.addr, "error", res.detail)
	}
	return res
}

// send does one query with a new random ID, and its repetition over TCP.
func (r *Resolver) send(ctx context.Context, s *server, q query) *result {
	var id [2]byte
	_, _ = rand.Read(id[:]) // it never fails: the program ends if it would
	q.id = binary.BigEndian.Uint16(id[:])
	packed, err := q.pack()
	if err != nil {
		// Only a CNAME target that cannot be written down again gets here. The error may hold it.
		return failure(Malformed, "name cannot be asked for")
	}
	r.count.sent.Add(1)
	packet, err := r.exchange(ctx, "udp", s.addr, packed, q.check)
	if errors.Is(err, errTruncated) || errors.Is(err, errStrangers) {
		r.count.tcp.Add(1)
		packet, err = r.exchange(ctx, "tcp", s.addr, packed, q.check)
	}
	if err != nil {
		return exchangeFailure(ctx, err)
	}
	return interpret(packet, q)
}

// exchangeFailure names the reason why no usable reply came.
func exchangeFailure(ctx context.Context, err error) *result {
	kind := Network
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		kind = Canceled
	case errors.Is(err, errNotOurs), errors.Is(err, errTruncated), errors.Is(err, errOnlyStrange):
		kind = Malformed
	case isTimeout(err):
		return failure(Timeout, "no reply in time")
	}
	return failure(kind, printable(err.Error(), 120))
}

// ask puts a question to the servers until one has a usable answer: each in
// turn, and again in the next round unless it has already said that it cannot.
func (r *Resolver) ask(ctx context.Context, name string, typ Type) *result {
	last := failure(Timeout, "no time left")
	servers := r.ordered()
	done := make([]bool, len(servers))
	for range r.opt.Attempts {
		for i, s := range servers {
			if done[i] {
				continue
			}
			if ctx.Err() != nil {
				return last
			}
			res := r.try(ctx, s, name, typ, false)
			if res.kind == ServFail && s.trusted {
				res = r.confirmBogus(ctx, s, name, typ, res)
			}
			if res.status != Failed || res.next != "" || res.kind == Loop {
				return res
			}
			r.opt.Logger.Debug("name server failed", "server", s.addr, "name", logged(ctx, name), "type", typ.String(), "kind", res.kind.String(), "error", res.detail)
			done[i] = res.kind == ServFail || res.kind == Refused || res.kind == Lame
			last = res
		}
	}
	return last
}

// confirmBogus finds out whether a validating server failed because the data
// does not validate: it then hands them out when checking is disabled (RFC
// 4035 section 3.2.2), and fails again when it is not. The second plain
// question keeps a passing failure from being called bogus.
func (r *Resolver) confirmBogus(ctx context.Context, s *server, name string, typ Type, first *result) *result {
	unchecked := r.try(ctx, s, name, typ, true)
	if unchecked.status == Failed && unchecked.next == "" {
		return first
	}
	again := r.try(ctx, s, name, typ, false)
	if again.kind != ServFail {
		return again
	}
	return &result{status: Bogus, kind: BadSignature, server: s.addr,
		detail: fmt.Sprintf("%s, but not with checking disabled", first.detail)}
}
