package filters

import (
	"bytes"
	"context"
	"hash/fnv"

	"gatepost/gateway"
	"gatepost/internal/dmarc"
	"gatepost/internal/freemail"
	"gatepost/internal/mime"
	"gatepost/internal/reputation"
)

// Engines that score cost a hundred times what all other checks cost together. With when = "undecided" one does not run
// where the verdict is final, as every check, nor for most of the mail that it never has anything to say about: plain text,
// nothing found against it, from a domain of its own that DMARC proves, whose mail was good, to somebody who had mail of the
// author before. Whatever is not known counts against leaving the engine out.

// sampled is how many of such messages are looked at all the same, so that the good name of a sender that was broken into
// does not last: one in so many.
const sampled = 20

// ifNeeded runs an engine where it is needed, and tells why or why not.
func (d *Deps) ifNeeded(run func(context.Context, *gateway.Input) gateway.Finding) func(context.Context, *gateway.Input) gateway.Finding {
	return func(ctx context.Context, in *gateway.Input) gateway.Finding {
		why := d.needed(ctx, in)
		if why == "" {
			return gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftSpared}.
				Show("spared", "plain text without a link, from a domain of good name that DMARC proves, to somebody who knows its author")
		}
		return run(ctx, in).Show("asked since", why)
	}
}

// needed says why an engine is needed for a message; "" where it can be spared. It is worked out once for all engines.
func (d *Deps) needed(ctx context.Context, in *gateway.Input) string {
	return gateway.Fact(&in.Envelope.Facts, "needed", func() string { return d.whyNeeded(ctx, in) })
}

func (d *Deps) whyNeeded(ctx context.Context, in *gateway.Input) string {
	e := in.Envelope
	author := authorOf(e)
	from := author.Domain
	switch {
	case from == "" || len(author.Addresses) != 1:
		return "it has no one author"
	case !proves(e.Findings, gateway.DMARCCheck):
		return "DMARC does not prove its author's domain"
	}
	for _, domain := range [...]string{from, dmarc.Registered(from), e.From.Domain} {
		if why := freemail.Shared(domain); why != "" {
			return why
		}
	}
	switch {
	case !d.ownGood(e, from):
		return "no good mail is known of its author's domain"
	case !cleared(e.Findings, "impersonation.first"):
		return "it is not known that the recipient had mail of its author before"
	case d.Policy.Suspicion(in.Session, e) > 0 || d.suspected(in.Session.Findings) || d.suspected(e.Findings):
		return "something was found against it"
	case foreignReply(e, from):
		return "answers to it go elsewhere"
	}
	if why := moreThanText(tree(in)); why != "" {
		return why
	}
	if l := d.linksIn(ctx, in); len(l.Links) > 0 || l.more || l.password >= 0 || l.failed != nil {
		return "it has a link"
	}
	if oneIn(e.ID, sampled) {
		return "it is one in 20 of those that are looked at all the same"
	}
	return ""
}

// ownGood reports whether reputation knows the organization of the author's domain for good mail, by SPF passes of its own.
func (d *Deps) ownGood(e *gateway.Envelope, from string) bool {
	if d.Reputation == nil || !gateway.Known(&e.Facts, factNames) || !proves(e.Findings, "spf") || dmarc.Registered(e.From.Domain) != dmarc.Registered(from) {
		return false
	}
	names := gateway.Fact(&e.Facts, factNames, func() past { return past{err: errNoPast} }).whole()
	return names.standing(reputation.Domain, e) == reputation.Known
}

func proves(findings []gateway.Finding, check string) bool {
	for i := range findings {
		if findings[i].Check == check && findings[i].Proves != "" {
			return true
		}
	}
	return false
}

func cleared(findings []gateway.Finding, check string) bool {
	for i := range findings {
		if findings[i].Check == check {
			return findings[i].Result == gateway.Pass
		}
	}
	return false
}

// suspected reports whether a check found something that decides or costs anything, or could not tell. What is published
// about the encryption of mail to a domain, which comes when it comes, says nothing of a message from it.
func (d *Deps) suspected(findings []gateway.Finding) bool {
	for i := range findings {
		f := &findings[i]
		switch {
		case f.Check == "posture" && f.Result == gateway.Unknown:
		case f.Result == gateway.Unknown, f.Result == gateway.Fail && d.Policy.Checks[f.Check].Action > gateway.ActionObserve:
			return true
		}
	}
	return false
}

// foreignReply reports whether answers go to another organization, or to whom it cannot be told.
func foreignReply(e *gateway.Envelope, from string) bool {
	if e.Header.Count("Reply-To") == 0 {
		return false
	}
	all := replyTo(e)
	for _, m := range all {
		if m.Address.Domain == "" || dmarc.Registered(m.Address.Domain) != dmarc.Registered(from) {
			return true
		}
	}
	return len(all) == 0
}

// moreThanText says what of a message is more than text without a link; "" where nothing is.
func moreThanText(t *mime.Tree) string {
	if t == nil || len(t.Parts) == 0 {
		return "it cannot be read"
	}
	if len(t.Defects) > 0 {
		return "clients may read it differently"
	}
	for i := range t.Parts {
		p := &t.Parts[i]
		switch {
		case !p.Leaf && p.Type == "multipart/alternative":
			continue
		case !p.Leaf, p.Doubt, p.Cut, p.Type != "text/plain" && p.Type != "text/html", p.Disposition == "attachment", len(p.Names) > 0:
			return "it has an attachment"
		}
		link := false
		if t.Text(i, func(text []byte) { link = mayLink(text) }) != nil {
			return "it cannot be read"
		}
		if link {
			return "it has a link"
		}
	}
	return ""
}

// mayLink reports whether a text has anything that a client could make a link, an image or a form of. It finds too much: a
// word with a dot in it and letters behind is a host to some.
func mayLink(text []byte) bool {
	lower := bytes.ToLower(text)
	for _, sign := range [...]string{"://", "www.", "href", "src=", "<form", "<img", "<script", "url(", "mailto:", "tel:", "data:", "background="} {
		if bytes.Contains(lower, []byte(sign)) {
			return true
		}
	}
	for i := 1; i+2 < len(lower); i++ {
		if lower[i] == '.' && hostLetter(lower[i-1]) && hostLetter(lower[i+1]) && hostLetter(lower[i+2]) {
			return true
		}
	}
	return false
}

func hostLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 0x80 }

// oneIn reports whether a transaction is one in n of all, the same in each judgement of it.
func oneIn(id gateway.ID, n uint64) bool {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id.String()))
	return h.Sum64()%n == 0
}
