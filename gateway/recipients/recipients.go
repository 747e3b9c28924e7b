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
	Age       time.Duration // of an answer from the cache or from a directory
	NextHop   string        // host:port that answered now
	Said      string        // its own words, cleaned, or why it could not be asked; for the journal
	Directory string        // the directory that has it; of Unknown and Away, the first that was asked
	// Role says that it is postmaster or abuse of a domain of ours, which always exist: whoever was asked said Unknown, and
	// it is taken all the same (NotAsked).
	Role bool
	// Everyone says that the next hop takes every recipient of this domain, so that its yes is worth nothing: it is taken all
	// the same (NotAsked).
	Everyone bool
}

// Verified reports whether somebody who knows was asked, and said that the recipient exists.
func (a *Answer) Verified() bool { return a.Kind == Known }

// Verifier asks a next hop; *relay.Relay is one.
type Verifier interface {
	Verify(ctx context.Context, route string, from, rcpt gateway.Address) relay.Verified
}

// Directory is a list of those who exist that does not come from the next hop; *directory.Directory is one.
type Directory interface {
	Name() string
	// Has never waits. ready is false while nothing is known; age is how long ago it was seen to be so.
	Has(local, domain string) (found, ready bool, age time.Duration)
}

// Source is who knows the recipients of a route or a domain. The zero value is the next hop.
type Source struct {
	// None: nobody; every recipient is taken, and none is verified.
	None bool
	// Directories know them; who is in one of them exists.
	Directories []Directory
	// ThenAsk has the next hop asked for who is in no directory; else such a recipient does not exist.
	ThenAsk bool
	// Ends: its mail ends here, and whoever policy gives it is one that it names: all of them exist, whatever the domain says.
	Ends bool
	// Spare has a next hop that takes everyone not asked, while it does.
	Spare bool
}

// Sources are those of a policy.
type Sources struct {
	Policy *gateway.Policy   // tells which domain a recipient is of
	Routes map[string]Source // of a route that is not in it the next hop is asked
	// Domains replace the source of the route for some domains, by their name in the policy.
	Domains map[string]Source
}

// of returns the source for a recipient and the domain that it is of, which is nil where the policy serves none.
func (s *Sources) of(route string, rcpt gateway.Address) (Source, *gateway.Domain) {
	var d *gateway.Domain
	if own := s.Routes[route]; own.Ends {
		return Source{None: true}, nil
	}
	if s.Policy != nil {
		if d = s.Policy.Serves(rcpt); d != nil {
			if own, ok := s.Domains[d.Name]; ok {
				return own, d
			}
		}
	}
	return s.Routes[route], d
}

// Recipients answers for the routes of one policy. It is immutable and safe for concurrent use; what it remembers lies in
// a Cache and outlives it.
type Recipients struct {
	cache    *Cache
	verifier Verifier
	sources  Sources
}

// New returns the recipients behind verifier, as the sources of a policy know them.
func New(cache *Cache, verifier Verifier, sources Sources) *Recipients {
	return &Recipients{cache: cache, verifier: verifier, sources: sources}
}

// Ask tells whether rcpt exists, for mail from this sender. It waits at most until ctx is done.
func (r *Recipients) Ask(ctx context.Context, route string, from, rcpt gateway.Address) Answer {
	source, domain := r.sources.of(route, rcpt)
	q := newQuestion(route, from, rcpt)
	var a Answer
	switch {
	case source.None || len(source.Directories) > 0:
		var told bool
		if a, told = r.cache.told(q); told { // by the next hop when a message was handed over: it has the last word
			break
		}
		if a.Kind = NotAsked; source.None {
			return a
		}
		if a = find(&source, domain, rcpt); a.Kind != Known && source.ThenAsk {
			a = r.askHop(ctx, q, from, rcpt, &source, domain)
		}
	default:
		a = r.askHop(ctx, q, from, rcpt, &source, domain)
	}
	if a.Kind == Unknown && domain != nil && rcpt.RoleOf() != "" {
		a.Kind, a.Role = NotAsked, true
	}
	return r.cache.counted(a)
}

// find looks a recipient up in directories: as it is, and then without its sub-address. One that was never read could know
// it; while there is one, a recipient that no other has is not unknown.
func find(s *Source, domain *gateway.Domain, rcpt gateway.Address) Answer {
	plain := rcpt.Local
	if domain != nil {
		plain = domain.Base(plain)
	}
	a := Answer{Kind: Unknown, Directory: s.Directories[0].Name()}
	for i, d := range s.Directories {
		found, ready, age := d.Has(rcpt.Local, rcpt.Domain)
		if !found && plain != rcpt.Local {
			found, _, _ = d.Has(plain, rcpt.Domain)
		}
		switch {
		case found:
			return Answer{Kind: Known, Directory: d.Name(), Age: age}
		case !ready:
			a = Answer{Kind: Away, Directory: d.Name(), Said: "was never read"}
		case i == 0:
			a.Age = age
		}
	}
	if a.Kind == Away {
		a.Reply = gateway.Word(gateway.Defer, gateway.DirectoryAway, nil)
	} else {
		a.Reply = gateway.Word(gateway.Reject, gateway.RcptUnknown, []string{rcpt.Text})
	}
	return a
}

// askHop tells what the next hop says, or what is remembered of it, as far as that is worth something.
func (r *Recipients) askHop(ctx context.Context, q question, from, rcpt gateway.Address, source *Source, domain *gateway.Domain) Answer {
	if domain == nil || !r.cache.everyone(q.route, domain.Name) {
		return r.answer(ctx, q, from, rcpt)
	}
	a := Answer{Kind: Known}
	if source.Spare {
		if told, ok := r.cache.told(q); ok {
			return told
		}
	} else {
		a = r.answer(ctx, q, from, rcpt)
	}
	if a.Kind == Known {
		a.Kind, a.Everyone = NotAsked, true
	}
	return a
}

// answer tells what the next hop says, or what is remembered of it.
func (r *Recipients) answer(ctx context.Context, q question, from, rcpt gateway.Address) Answer {
	for {
		if a, ok := r.cache.holds(q); ok {
			return a
		}
		f, first := r.cache.join(q)
		if first {
			return r.lead(ctx, q, f, from, rcpt)
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return r.cache.instead(q, relay.Verified{Said: "asked by another session: " + ctx.Err().Error()})
		}
		if f.shared || f.sender == q.sender && f.told {
			return f.answer
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
// retry is answered at RCPT. Where the next hop is not whom RCPT asks, or its no is not believed, what it refuses is told in
// its own words to this sender: else the retry would be taken again, and fail again.
func (r *Recipients) Learn(route string, rcpt, from gateway.Address, reply gateway.Reply) {
	q := newQuestion(route, from, rcpt)
	source, domain := r.sources.of(route, rcpt)
	asks := !source.None && len(source.Directories) == 0 && (domain == nil || rcpt.RoleOf() == "")
	switch {
	case reply.Code == 250 || reply.Code == 251:
		r.cache.takes(q)
	case reply.Code >= 500:
		r.cache.refuses(q, reply, asks && isUnknown(reply))
	case reply.Code >= 400 && reply.Enhanced != "4.5.3": // too many recipients says nothing of this one
		r.cache.doubts(q)
	}
}

// messageFor is how long a refusal of one message counts: until its sender came again, and was told. It may be about nothing but
// that message, so that it must not stand for a day as one of RCPT does.
const messageFor = 2 * time.Hour

// LearnOfMessage takes in what the next hop answered for one recipient after the end of a message (RFC 2033 section 4.2), so
// that the sender's retry, which is for all recipients again, is told at RCPT.
func (r *Recipients) LearnOfMessage(route string, rcpt, from gateway.Address, reply gateway.Reply) {
	if reply.Code >= 500 {
		r.cache.refusesFor(newQuestion(route, from, rcpt), reply, messageFor)
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
