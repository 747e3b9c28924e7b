package filters

import (
	"context"
	"crypto/sha256"
	"strings"
	"time"

	"gatepost/gateway"
)

// Contacts remembers who wrote to whom: what internal/memory does. Its methods never wait.
type Contacts interface {
	// Met reports whether a contact is remembered.
	Met(c Contact) bool
	// Since is when it began to remember; zero: it remembers nothing yet.
	Since() time.Time
}

// Contact is a sender and a domain that had mail of it, as a digest: the memory of a gateway is no address book for whoever
// gets hold of it.
type Contact = [16]byte

// ContactOf returns the contact of an author with a domain of ours. The author is told apart by whether the message was
// authenticated: whoever forges an address that is known here is not known.
func ContactOf(author string, authenticated bool, domain string) Contact {
	kind := "unauthenticated "
	if authenticated {
		kind = "authenticated "
	}
	sum := sha256.Sum256([]byte(kind + strings.ToLower(author) + " to " + strings.ToLower(domain)))
	return Contact(sum[:16])
}

// contactYouth is how long the memory learns before anybody is called a stranger.
const contactYouth = 14 * 24 * time.Hour

// firstContact tells who is new here.
func firstContact() Definition {
	return Definition{
		Name: "impersonation.first", Stage: gateway.Data, Class: gateway.ClassContent,
		Doc:      "Did the domain of a recipient ever have mail of this author that was delivered? A first contact is nothing bad; it tells apart the mail of those whom one knows from that of those who pose as them. A new gateway learns for 14 days before it calls anybody new.",
		Action:   gateway.ActionScore,
		Unknown:  gateway.ActionObserve,
		Measures: []Measure{{"first", "mail of this author is new to the domains of all recipients; its text is the author", 0.5}},
		Build: func(_ any, d *Deps) (Built, error) {
			return Built{Run: func(_ context.Context, in *gateway.Input) gateway.Finding { return d.runFirst(in.Envelope) }, Ready: always}, nil
		},
	}
}

// The evidence that ContactLessons reads again.
const (
	evidenceAuthor = "author"
	evidenceAuth   = "authenticated"
)

func (d *Deps) runFirst(e *gateway.Envelope) gateway.Finding {
	a := authorOf(e)
	if len(a.Addresses) != 1 || a.Domain == "" {
		return gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNoInput}
	}
	author, authenticated := a.Addresses[0].String(), "no"
	if aligned(dmarcSaid(e)) {
		authenticated = "yes"
	}
	f := gateway.Passed()
	switch {
	case d.Contacts == nil || d.Contacts.Since().IsZero() || e.Started.Sub(d.Contacts.Since()) < contactYouth:
		f = gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftLearning}
	case !d.met(e, author, authenticated == "yes"):
		f = gateway.Failed(gateway.FirstContact, author).With(gateway.Measure{Name: "first", Value: 1, Text: gateway.CleanText(author, 320)})
	}
	return f.Show(evidenceAuthor, author).Show(evidenceAuth, authenticated)
}

// met reports whether one of the recipients' domains knows the author.
func (d *Deps) met(e *gateway.Envelope, author string, authenticated bool) bool {
	last := ""
	for i := range e.Rcpts {
		r := &e.Rcpts[i]
		if !r.Accepted() || r.Address.Domain == last {
			continue
		}
		last = r.Address.Domain
		if d.Contacts.Met(ContactOf(author, authenticated, last)) {
			return true
		}
	}
	return false
}

// ContactLessons are the contacts that the event of a message teaches: those of mail that was let in, and lies with the next
// hop or in the spool.
func ContactLessons(e *gateway.Event) []Contact {
	if e.Kind != gateway.TransactionEvent || e.Record == nil || e.Outcome() > gateway.Tag || e.Relayed == nil && e.Spooled == "" {
		return nil
	}
	author, authenticated := "", false
	for i := range e.Record.Findings {
		if e.Record.Findings[i].Check != "impersonation.first" || i >= len(e.Evidence) {
			continue
		}
		for _, v := range e.Evidence[i] {
			switch v.Name {
			case evidenceAuthor:
				author = v.Text
			case evidenceAuth:
				authenticated = v.Text == "yes"
			}
		}
	}
	if author == "" {
		return nil
	}
	var out []Contact
	last := ""
	for i := range e.Record.Rcpts {
		if r := &e.Record.Rcpts[i]; r.Code == 250 && r.To.Domain != last && len(out) < mostContacts {
			last = r.To.Domain
			out = append(out, ContactOf(author, authenticated, last))
		}
	}
	return out
}

// mostContacts bounds what one message teaches.
const mostContacts = 16
