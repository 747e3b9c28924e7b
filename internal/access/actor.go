package access

import (
	"context"
	"net/netip"
	"slices"
	"strings"
)

// Via is how somebody came in.
type Via string

// The ways.
const (
	BySocket  Via = "socket"  // root or the daemon's user, by the control socket
	BySession Via = "session" // a browser that logged in
	ByToken   Via = "token"   // a program with a token of the API
	BySSH     Via = "ssh"     // a person with a key, at the restricted shell
	ByPortal  Via = "portal"  // a recipient of mail, of his own
	BySelf    Via = "daemon"  // the daemon itself: what runs out, what undoes itself
)

// Actor is who is behind a call. The zero value may do nothing.
type Actor struct {
	Name    string     `json:"name"` // of the user; of the socket, what the kernel says of the other side
	Role    Role       `json:"role"`
	Domains []string   `json:"domains,omitempty"` // lower-case A-labels; none: all of the installation
	Rights  []Right    `json:"rights,omitempty"`  // of a token that has fewer than its user; none: those of the role
	Via     Via        `json:"via"`
	Address netip.Addr `json:"address,omitzero"` // of the client; zero by the socket
	Session string     `json:"-"`                // that it acts under, for what concerns sessions; "" without one
}

// May reports whether the actor has a right, be it for some domains only.
func (a *Actor) May(r Right) bool {
	if len(a.Rights) > 0 && !slices.Contains(a.Rights, r) {
		return false
	}
	return a.Role.Has(r) && (len(a.Domains) == 0 || r.Bounded())
}

// Everywhere reports whether the actor is bounded by no domain.
func (a *Actor) Everywhere() bool { return len(a.Domains) == 0 && a.Role.Known() }

// Sees reports whether what belongs to a domain, a lower-case A-label, is the actor's to see. Of a name below one of his
// domains it is not: that is another domain, and may be another's.
func (a *Actor) Sees(domain string) bool {
	return a.Everywhere() || slices.Contains(a.Domains, strings.ToLower(domain))
}

// SeesAny reports whether one of the addresses is in a domain of his. Of a message to several he sees the copies of his own
// domains only: whoever shows it leaves out the other recipients.
func (a *Actor) SeesAny(addresses ...string) bool {
	if a.Everywhere() {
		return true
	}
	return slices.ContainsFunc(addresses, func(s string) bool { return a.Sees(s[strings.LastIndexByte(s, '@')+1:]) })
}

type actorKey struct{}

// With notes who is behind what is done under the context.
func With(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// Of returns who is behind what is done under the context; the zero Actor, who may do nothing, where nobody noted one.
func Of(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey{}).(Actor)
	return a
}
