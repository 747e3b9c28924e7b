package accept

import (
	"context"
	"strings"
	"time"

	"gatepost/gateway"
)

// spools reports whether the message goes to the spool after a relay: its route spools, no next hop could be reached or the
// one that was will take it another day, and whoever answers for it later will have no cause to wish it had not: it was
// looked through by every check, nothing marks it, and each recipient is known to exist.
func (t *transfer) spools(ctx context.Context, r *gateway.Relayed) bool {
	if t.a.Spool == nil || !t.e.Session.Snapshot.Spools[t.e.Route] || !another(r) {
		return false
	}
	if t.v.Outcome > gateway.Tag || len(t.v.Marks) > 0 || t.kept != nil || ctx.Err() != nil {
		return false
	}
	for i := range t.e.Rcpts {
		if to := &t.e.Rcpts[i]; to.Accepted() && !to.Verified {
			return false
		}
	}
	return true
}

// another reports whether another day may see the message delivered that nobody has now.
func another(r *gateway.Relayed) bool {
	return r.Unreached() || r.Result == gateway.DeferredByHop && (r.At == gateway.AtDot || strings.HasPrefix(r.Said, "421"))
}

// maxWhy bounds what is kept of why a message is in the spool.
const maxWhy = 300

// spool gives the message into the spool's keeping, and reports whether that took it.
func (t *transfer) spool(ctx context.Context, which []int) bool {
	r := t.result.Relayed
	why := gateway.CleanText(reason(r), maxWhy)
	d := t.delivery(which)
	if t.a.Spool.Takes(d.Content.Size) != "" {
		return false
	}
	err := t.a.Spool.Put(ctx, d, gateway.Custody{Arrived: time.Now(), Notify: authenticated(t.e), Subject: t.e.LoggedSubject(), Why: why,
		Message: t.claim.message()})
	if err != nil {
		t.a.fault("spool", t.e, err)
		return false
	}
	t.result.Spooled = why
	return true
}

// reason says in words at which step a relay ended, and why.
func reason(r *gateway.Relayed) string {
	words := r.Said
	if words == "" {
		words = r.Reply.Text
	}
	return r.AtStep(words)
}

// authenticated reports whether the owner of the reverse-path's domain is known to have sent the message, so that a notice
// of failure reaches whom it concerns: the domain passed SPF, or DMARC passed for it or for one above or below it.
func authenticated(e *gateway.Envelope) bool {
	domain := e.From.Domain
	if e.From.IsNull() || domain == "" {
		return false
	}
	for i := range e.Findings {
		for j := range e.Findings[i].Auth {
			r := &e.Findings[i].Auth[j]
			if r.Result != "pass" {
				continue
			}
			switch r.Method {
			case "spf":
				mailbox := r.Prop("smtp", "mailfrom")
				if strings.EqualFold(mailbox[strings.LastIndexByte(mailbox, '@')+1:], domain) {
					return true
				}
			case "dmarc":
				if r.DMARC != nil && aligned(domain, r.DMARC) {
					return true
				}
			}
		}
	}
	return false
}

// aligned reports whether a domain is the author's or, with it, below one organizational domain (RFC 9989 section 5.1).
func aligned(domain string, d *gateway.DMARCResult) bool {
	return strings.EqualFold(domain, d.Author) || d.Organization != "" && below(domain, d.Organization)
}

func below(domain, top string) bool {
	domain, top = strings.ToLower(domain), strings.ToLower(top)
	return domain == top || strings.HasSuffix(domain, "."+top)
}
