package recipients

import (
	"context"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/relay"
)

// How long answers hold (PRODUCT: recipient check cache).
const (
	takesFor   = 24 * time.Hour
	unknownFor = 10 * time.Minute
	refusedFor = 24 * time.Hour
)

// Kind is what is known of a recipient.
type Kind uint8

// The kinds. The zero value tells nothing.
const (
	Away     Kind = iota // nobody could be asked, and nothing is remembered: the sender comes back
	Known                // the next hop takes mail for it
	Unknown              // the next hop says that there is no such recipient
	Refused              // the next hop refuses this sender or this recipient with 5xx, for another reason
	Deferred             // the next hop says 4xx
	NotAsked             // the route does not want its recipients checked
)

func (k Kind) String() string {
	return [...]string{"away", "known", "unknown", "refused", "deferred", "not asked"}[min(k, NotAsked)]
}

// Answer is what is known of a recipient, and how.
type Answer struct {
	Kind      Kind
	Reply     gateway.Reply // the next hop's, mapped and cleaned; of Away, what the sender is told
	FromCache bool
	Age       time.Duration // of an answer from the cache
	NextHop   string        // host:port that answered now
	Said      string        // its own words, cleaned, or why it could not be asked; for the journal
}

// Verifier asks a next hop; *relay.Relay is one.
type Verifier interface {
	Verify(ctx context.Context, route string, from, rcpt gateway.Address) relay.Verified
}

// Recipients answers for the routes of one policy. It is immutable and safe for concurrent use; what it remembers lies in
// a Cache and outlives it.
type Recipients struct {
	cache    *Cache
	verifier Verifier
	unasked  map[string]bool
}

// New returns the recipients behind verifier. The routes of unasked are not asked: their next hops would say yes to all,
// or nothing useful.
func New(cache *Cache, verifier Verifier, unasked ...string) *Recipients {
	r := &Recipients{cache: cache, verifier: verifier, unasked: make(map[string]bool)}
	for _, route := range unasked {
		r.unasked[route] = true
	}
	return r
}

// Ask tells whether rcpt exists, for mail from this sender. It waits at most until ctx is done.
func (r *Recipients) Ask(ctx context.Context, route string, from, rcpt gateway.Address) Answer {
	if r.unasked[route] {
		return Answer{Kind: NotAsked}
	}
	q := newQuestion(route, from, rcpt)
	for {
		if a, ok := r.cache.holds(q); ok {
			return r.cache.counted(a)
		}
		f, first := r.cache.join(q)
		if first {
			return r.cache.counted(r.lead(ctx, q, f, from, rcpt))
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return r.cache.counted(r.cache.instead(q, relay.Verified{Said: "asked by another session: " + ctx.Err().Error()}))
		}
		if f.shared || f.sender == q.sender && f.told {
			return r.cache.counted(f.answer)
		}
	}
}

// lead asks for itself and for those that wait.
func (r *Recipients) lead(ctx context.Context, q question, f *flight, from, rcpt gateway.Address) Answer {
	defer r.cache.leave(q, f)
	v := r.verifier.Verify(ctx, q.route, from, rcpt)
	r.cache.count.Asked.Add(1)
	a := r.cache.learn(q, v)
	f.answer = a
	f.told = ctx.Err() == nil
	// A refusal may be about the sender; the others ask for theirs. Nothing is shared of a question that was cut short.
	f.shared = f.told && (a.Kind == Known || a.Kind == Unknown || a.Kind == Away)
	return a
}

// Learn takes in what the next hop answered to RCPT when a message was handed over (Relayed.Rcpts), so that the sender's
// retry is answered at RCPT.
func (r *Recipients) Learn(route string, rcpt, from gateway.Address, reply gateway.Reply) {
	q := newQuestion(route, from, rcpt)
	switch {
	case reply.Code == 250 || reply.Code == 251:
		r.cache.takes(q)
	case reply.Code >= 500:
		r.cache.refuses(q, reply, isUnknown(reply))
	case reply.Code >= 400 && reply.Enhanced != "4.5.3": // too many recipients says nothing of this one
		r.cache.doubts(q)
	}
}

// isUnknown reports whether a refusal of RCPT says that there is no such mailbox. 550 alone does not: it may be about the
// sender, the content rules or a full mailbox.
func isUnknown(reply gateway.Reply) bool {
	switch reply.Enhanced {
	case "5.1.0", "5.1.1", "5.1.10":
		return true
	case "5.4.1": // Exchange Online's word for it; elsewhere it says that no route was found
		return strings.Contains(reply.Text, "Recipient address rejected: Access denied")
	}
	return false
}
