package main

import (
	"context"
	"net/netip"
	"strings"

	"gatepost/console/portal"
	"gatepost/gateway"
	"gatepost/gateway/digest"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// What users do in the portal, as the audit log names it. What becomes of links to further addresses has names of its own.
const (
	userLogsIn  = "portal login"
	userAdds    = "portal list add"
	userRemoves = "portal list remove"
)

// noteUser has the audit log tell what a user of the portal did.
func (d *daemon) noteUser(ctx context.Context, user string, from netip.Addr, e control.Entry) {
	note := d.noting()
	if note == nil {
		return
	}
	e.Actor = access.Actor{Name: user, Via: access.ByPortal, Address: from}
	note(context.WithoutCancel(ctx), e)
}

// noteLink has the audit log tell who pressed the button of a link in a digest, for which message, and what came of it. The token, which
// lets in whoever has it, is not in the entry.
func (d *daemon) noteLink(ctx context.Context, t *digest.Token, became portal.State) {
	d.noteRelease(ctx, t.Rcpt, t.ID, t.Rcpt, "a link", became)
}

// noteRelease has the audit log tell which message a user released to which address of his, by what, and what came of it.
func (d *daemon) noteRelease(ctx context.Context, user string, id gateway.ID, rcpt, by string, became portal.State) {
	e := control.Entry{Operation: "quarantine release", In: map[string]string{"by": by, "to": rcpt}, Change: control.Change{Object: id.String(), Domain: domainOf(rcpt)}}
	switch became {
	case portal.Released:
		e.Change.Before, e.Change.After = map[string]string{rcpt: "visible"}, map[string]string{rcpt: "released"}
	case portal.Forbidden:
		e.Error = "users may not release it"
	default:
		e.Error = "it was not released"
	}
	d.noteUser(ctx, user, netip.Addr{}, e)
}

// noteLogin has the audit log tell who logged in, how, under which name elsewhere ("": none), and for which addresses. It belongs to
// their domain, where they have one.
func (d *daemon) noteLogin(ctx context.Context, how, name string, addresses []string, from netip.Addr) {
	after := map[string]any{"how": how, "addresses": addresses}
	if name != "" {
		after["name"] = gateway.CleanText(name, 256)
	}
	e := control.Entry{Operation: userLogsIn, Change: control.Change{Object: addresses[0], After: after, Domain: domainOf(addresses[0])}}
	for _, a := range addresses {
		if domainOf(a) != e.Change.Domain {
			e.Change.Domain = ""
		}
	}
	d.noteUser(ctx, addresses[0], from, e)
}

// noteOwnList has the audit log tell that a sender is on another list of an address than before; "" for none. Who changed nothing is
// not in it.
func (d *daemon) noteOwnList(ctx context.Context, user, address, sender, before, after string) {
	if before == after {
		return
	}
	list := func(kind string) any {
		if kind == "" {
			return nil
		}
		return map[string]string{kind: sender}
	}
	e := control.Entry{Operation: userAdds, Change: control.Change{Object: address, Before: list(before), After: list(after), Domain: domainOf(address)}}
	if after == "" {
		e.Operation = userRemoves
	}
	d.noteUser(ctx, user, netip.Addr{}, e)
}

// domainOf is the domain of an address, in lower case.
func domainOf(address string) string {
	return strings.ToLower(api.Domain(address))
}
