package filters

import (
	"context"
	"errors"
	"strconv"
	"time"

	"gatepost/gateway"
	"gatepost/internal/arc"
	"gatepost/internal/dkim"
)

// dkimCheck looks at the DKIM signatures of a message.
func dkimCheck() Definition {
	return Definition{
		Name: "dkim", Stage: gateway.Data,
		Doc:     "Does a DKIM signature hold: by its key, over the header fields and the body as they came? One that does not is as none, and says so; a domain counts for DMARC only by one that holds and that the options take.",
		RFC:     "RFC 6376, RFC 8301, RFC 8463",
		Action:  gateway.ActionScore,
		Unknown: gateway.ActionScore,
		Measures: []Measure{
			{"fail", "there are signatures, and none of them holds", 0},
			{"weak", "a signature holds, but by a key or a coverage that the options do not take, and none that they do", 0.5},
			{"many", "more signatures than the option signatures looks at", 0.5},
		},
		Options: usualDKIM(),
		Build: func(options any, d *Deps) (Built, error) {
			if d.Resolver == nil {
				return Built{}, errors.New("needs a resolver")
			}
			d.dkim = options.(*DKIMOptions)
			return Built{Run: d.runDKIM, Ready: signaturesKnown}, nil
		},
	}
}

// DKIMOptions are the options of checks.dkim.
type DKIMOptions struct {
	Signatures int    `toml:"signatures" default:"8" min:"1" max:"32" unit:"signatures" doc:"How many signatures are looked at, from the top of the message. More cost the points of the measure many."`
	MinBits    int    `toml:"min_bits" default:"1024" min:"1024" max:"4096" unit:"bits" doc:"RSA keys that are shorter do not count. The RFC allows 1024, which many still use; 2048 is what it recommends." rfc:"RFC 8301 section 3.2"`
	Length     string `toml:"length" enum:"refuse,count" default:"refuse" doc:"What a signature is worth that covers only the beginning of the body (l=) where more follows, which anybody may have added. refuse: it does not count; count: it does." rfc:"RFC 6376 section 8.2"`
	Testing    bool   `toml:"testing" default:"true" doc:"Count signatures that hold by a key whose owner says that he tests (t=y). No: such a message is as one without that signature, as the RFC has it; many owners forgot the flag in their records." rfc:"RFC 6376 section 3.6.1"`
}

func usualDKIM() *DKIMOptions {
	return &DKIMOptions{Signatures: dkim.DefaultSignatures, MinBits: dkim.MinBits, Length: "refuse", Testing: true}
}

// signed is what the signatures of a message say: DKIM's, in the order of the message, and those of its ARC chain.
type signed struct {
	DKIM    []dkim.Result
	ARC     arc.Chain
	skipped int  // signatures of DKIM beyond the option
	testing bool // those of keys that test count
	broken  bool // it could not be told at all
	asked   *lookups
}

// factSignatures is the name of the fact.
const factSignatures = "signatures"

// signatures verifies the signatures of a message, once. One pass over the body and one round of lookups serve them all.
// It never returns nil.
func (d *Deps) signatures(ctx context.Context, e *gateway.Envelope) *signed {
	s := gateway.Fact(&e.Facts, factSignatures, func() *signed { return d.verify(ctx, e) })
	if s == nil { // a panic
		return &signed{broken: true, asked: &lookups{}}
	}
	return s
}

func (d *Deps) verify(ctx context.Context, e *gateway.Envelope) *signed {
	o := d.dkim
	if o == nil { // the check is off, and DMARC asks
		o = usualDKIM()
	}
	s := &signed{testing: o.Testing, asked: &lookups{r: d.Resolver}}
	if !hasSignatures(e) {
		return s
	}
	header := dkim.NewHeader(fieldsOf(e.Header))
	m := dkim.NewMessage(header, dkim.Options{Signatures: o.Signatures, MinBits: o.MinBits, TakeUncovered: o.Length == "count"})
	chain := arc.Check(header, arc.Options{Now: time.Now(), Oldest: true})
	var body dkim.BodyHasher
	var keys dkim.Keys
	m.Want(&body, &keys)
	chain.Want(&body, &keys)
	_ = body.Read(gateway.Rest(e.Body, e.Header.BodyStart)) // each signature says so
	within := gateway.Within(ctx, time.Now().Add(lookupTime))
	defer within.End()
	keys.Fetch(within, s.asked)
	s.DKIM, s.skipped = m.Results(&body, &keys), m.Skipped()
	s.ARC = chain.Finish(&body, &keys)
	return s
}

// hasSignatures reports whether there is anything to verify.
func hasSignatures(e *gateway.Envelope) bool { return hasDKIM(e) || hasChain(e) }

func hasDKIM(e *gateway.Envelope) bool { return e.Header.Count("DKIM-Signature") > 0 }

// signaturesKnown reports whether asking for the signatures waits for nothing.
func signaturesKnown(in *gateway.Input) bool {
	return !hasSignatures(in.Envelope) || gateway.Known(&in.Envelope.Facts, factSignatures)
}

// fieldsOf hands the fields of the house's one parser to the engines.
func fieldsOf(h *gateway.Header) []dkim.Field {
	out := make([]dkim.Field, len(h.Fields))
	for i := range h.Fields {
		f := &h.Fields[i]
		out[i] = dkim.Field{Name: f.Name, Raw: h.Raw[f.Start:f.End:f.End]}
	}
	return out
}

// counts reports whether a signature may speak for its domain. One that holds, while a field that people are shown stands
// once more above the signed one, speaks for a message that they are not shown (RFC 6376 section 8.15).
func (s *signed) counts(r *dkim.Result) bool {
	return r.Status == dkim.Pass && (s.testing || !r.Testing) && doubled(r.Duplicates) == ""
}

// doubled returns, of fields that stand once more than is signed, one that decides what people see, or "". One of the others, as
// MIME-Version, is a mistake that real mail has.
func doubled(names []string) string {
	for _, name := range names {
		switch name {
		case "from", "sender", "reply-to", "to", "cc", "subject", "date", "content-type", "content-transfer-encoding":
			return name
		}
	}
	return ""
}

// domains returns the domains (d=, A-labels) of the signatures that hold and count for alignment, each once.
func (s *signed) domains() []string {
	return s.domainsOf(s.counts)
}

// doubtful returns the domains of signatures that DNS could not tell about: neither passed nor failed.
func (s *signed) doubtful() []string {
	return s.domainsOf(func(r *dkim.Result) bool { return r.Status == dkim.TempError })
}

func (s *signed) domainsOf(which func(*dkim.Result) bool) []string {
	var out []string
next:
	for i := range s.DKIM {
		if r := &s.DKIM[i]; which(r) {
			for _, d := range out {
				if d == r.Domain {
					continue next
				}
			}
			out = append(out, r.Domain)
		}
	}
	return out
}

func (d *Deps) runDKIM(ctx context.Context, in *gateway.Input) gateway.Finding {
	if !hasDKIM(in.Envelope) {
		return gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNoInput}.
			Says(gateway.AuthResult{Method: "dkim", Result: "none"})
	}
	return d.signatures(ctx, in.Envelope).finding()
}

// finding is what the check dkim reports: it passes by one signature that counts, whatever becomes of others.
func (s *signed) finding() gateway.Finding {
	if s.broken {
		return gateway.CouldNotTell(gateway.CheckPanicked).Says(gateway.AuthResult{Method: "dkim", Result: "temperror"})
	}
	f := s.verdict()
	if s.skipped > 0 {
		f = f.With(gateway.Measure{Name: "many", Value: 1, Text: strconv.Itoa(len(s.DKIM) + s.skipped)}).
			Show("not looked at", strconv.Itoa(s.skipped)+" signatures further down")
	}
	for i := range s.DKIM {
		f = s.tell(f, &s.DKIM[i])
	}
	return s.asked.show(f)
}

// verdict looks for what decides: one that counts, one that DNS could not tell about, one that holds and does not count, the
// first one.
func (s *signed) verdict() gateway.Finding {
	var doubtful, weak *dkim.Result
	for i := range s.DKIM {
		r := &s.DKIM[i]
		switch {
		case s.counts(r):
			return gateway.Passed()
		case r.Status == dkim.TempError && doubtful == nil:
			doubtful = r
		case (r.Status == dkim.Policy || r.Status == dkim.Pass) && weak == nil:
			weak = r
		}
	}
	switch {
	case doubtful != nil:
		return gateway.CouldNotTell(gateway.DNSFailed, dkim.KeyName(doubtful.Selector, doubtful.Domain))
	case weak != nil:
		return gateway.Failed(gateway.DKIMWeak, weak.Domain, s.why(weak)).
			With(gateway.Measure{Name: "weak", Value: 1, Text: weak.Domain})
	}
	r := &s.DKIM[0]
	return gateway.Failed(gateway.DKIMFail, named(r), s.why(r)).With(gateway.Measure{Name: "fail", Value: 1, Text: r.Domain})
}
