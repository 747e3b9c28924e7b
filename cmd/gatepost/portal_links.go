package main

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"gatepost/cmd/gatepost/links"
	"gatepost/cmd/gatepost/privacy"
	"gatepost/console/portal"
	"gatepost/gateway"
	"gatepost/gateway/digest"
	"gatepost/gateway/recipients"
	"gatepost/internal/control"
	"gatepost/internal/routing"
	"gatepost/internal/store/admin"
)

// Bounds of links to further addresses.
const (
	linkValid  = time.Hour
	linkHourly = 10 // further addresses that one user asks for in an hour, whichever they are
)

// linksOfUsers lets the portal change them.
type linksOfUsers struct{ u *portalUsers }

// Links is that of portal.Users.
func (u *portalUsers) Links() portal.Links {
	if u.d.data == nil {
		return nil
	}
	return linksOfUsers{u}
}

// away logs why links cannot be had.
func (l linksOfUsers) away(err error) portal.Fault {
	l.u.d.log.Warn("portal: linked addresses", "error", err)
	return portal.Away
}

// served is an address that mail is taken for here, as its links have it.
func (u *portalUsers) served(text string) (gateway.Address, string, bool) {
	if len(text) > 320 {
		return gateway.Address{}, "", false
	}
	a, err := routing.Address(text)
	return a, strings.ToLower(a.Text), err == nil && u.serves(a)
}

// Of is that of portal.Links. Addresses of a domain that is not served any more are left out.
func (l linksOfUsers) Of(ctx context.Context, address string) (further, seenBy []string, fault portal.Fault) {
	address = strings.ToLower(address)
	all, err := l.u.d.data.Links().About(ctx, address)
	if err != nil {
		return nil, nil, l.away(err)
	}
	for _, x := range all {
		if _, _, ok := l.u.served(x.Address); !ok {
			continue
		}
		if x.Owner == address {
			further = append(further, x.Address)
		} else if _, _, ok := l.u.served(x.Owner); ok {
			seenBy = append(seenBy, x.Owner)
		}
	}
	return further, seenBy, portal.Fine
}

// Ask is that of portal.Links.
func (l linksOfUsers) Ask(ctx context.Context, user, text string) portal.Fault {
	owner := strings.ToLower(user)
	to, address, ok := l.u.served(text)
	if !ok {
		return portal.BadAddress
	}
	all, err := l.u.d.data.Links().About(ctx, owner)
	if err != nil {
		return l.away(err)
	}
	n := 0
	for _, x := range all {
		if x.Owner == owner && x.Address == address {
			return portal.Already
		}
		if x.Owner == owner {
			n++
		}
	}
	now := time.Now()
	switch {
	case address == owner:
		return portal.Already
	case n >= admin.MostLinked:
		return portal.Full
	case !l.u.room("links of "+owner, linkHourly, now):
		return portal.Often
	case !l.u.room(address, loginsHourly, now):
		return portal.Fine // as where it is none
	}
	l.u.later(l.u.asks, portalMail{to: to, may: func(ctx context.Context) bool { return l.u.exists(ctx, to) }, make: func(language string, now time.Time) ([]byte, bool) {
		link := digest.Make(l.u.d.digests.key, &digest.Token{ID: digest.Random(), Rcpt: address, Owner: owner, Action: digest.Link, Expires: now.Add(linkValid)})
		m := digest.LinkMail{Host: l.u.d.bootstrap.Hostname, To: to, Language: language, Date: now, News: digest.LinkAsked, Owner: owner, Address: address, Valid: linkValid, Link: l.u.page("/link/" + link)}
		return m.Make()
	}})
	return portal.Fine
}

// exists reports whether there may be such a recipient: false for one that nobody knows.
func (u *portalUsers) exists(ctx context.Context, to gateway.Address) bool {
	now := u.d.now.Load()
	way := now.snapshot.Policy.Destination(to)
	if way.Route == "" || way.To != nil || now.rcpts == nil {
		return way.Route != ""
	}
	a := now.rcpts.Ask(ctx, way.Route, u.d.rcptSender(), to)
	return a.Kind != recipients.Unknown
}

// token reads one of a link that was not used, both addresses of which are served.
func (l linksOfUsers) token(ctx context.Context, link string) *digest.Token {
	t := l.u.read(ctx, link, digest.Link)
	if t != nil {
		if _, _, ok := l.u.served(t.Owner); ok {
			return t
		}
	}
	return nil
}

// May is that of portal.Links.
func (l linksOfUsers) May(ctx context.Context, link string) (user, address string, ok bool) {
	if t := l.token(ctx, link); t != nil {
		return t.Owner, t.Rcpt, true
	}
	return "", "", false
}

// Prove is that of portal.Links. Where it cannot be noted that the link was used nothing is linked.
func (l linksOfUsers) Prove(ctx context.Context, user, link string) portal.Fault {
	u := l.u
	u.using.Lock() // of two that use a link at the same time one does
	defer u.using.Unlock()
	t := l.token(ctx, link)
	switch {
	case t == nil:
		return portal.BadLink
	case !strings.EqualFold(user, t.Owner):
		return portal.NotYours
	}
	fresh, err := u.d.data.Links().Put(ctx, t.Owner, t.Rcpt, time.Now())
	if errors.Is(err, admin.ErrLinksFull) {
		return portal.Full
	}
	if err != nil {
		return l.away(err)
	}
	if err := u.d.digests.file.Use(context.WithoutCancel(ctx), link, t.Expires); err != nil {
		if fresh {
			_, undo := u.d.data.Links().Remove(context.WithoutCancel(ctx), t.Owner, t.Rcpt)
			err = errors.Join(err, undo)
		}
		return l.away(err)
	}
	if fresh {
		u.noted(ctx, user, links.Made, t.Owner, t.Rcpt)
		u.tell(digest.LinkMade, t.Owner, t.Rcpt, "")
	}
	return portal.Fine
}

// End is that of portal.Links.
func (l linksOfUsers) End(ctx context.Context, by, owner, address string) portal.Fault {
	by, owner, address = strings.ToLower(by), strings.ToLower(owner), strings.ToLower(address)
	if by != owner && by != address {
		return portal.NotYours
	}
	was, err := l.u.d.data.Links().Remove(ctx, owner, address)
	if err != nil {
		return l.away(err)
	}
	if was {
		l.u.noted(ctx, by, links.Ended, owner, address)
		l.u.tell(digest.LinkEnded, owner, address, by)
	}
	return portal.Fine
}

// noted has the audit log know what a user did with a link.
func (u *portalUsers) noted(ctx context.Context, user, what, owner, address string) {
	u.d.log.Info("portal: "+what, "user", gateway.CleanText(user, 320), "owner", gateway.CleanText(owner, 320), "address", gateway.CleanText(address, 320))
	u.d.noteUser(ctx, user, netip.Addr{}, control.Entry{Operation: what, Change: links.Change(owner, address)})
}

// tell mails to both sides of a link what became of it.
func (u *portalUsers) tell(news digest.News, owner, address, by string) {
	for _, text := range []string{owner, address} {
		to, _, ok := u.served(text)
		if !ok {
			continue
		}
		u.later(u.told, portalMail{to: to, make: func(language string, now time.Time) ([]byte, bool) {
			m := digest.LinkMail{Host: u.d.bootstrap.Hostname, To: to, Language: language, Date: now, News: news, Owner: owner, Address: address, By: by, Link: u.page("/addresses")}
			return m.Make()
		}})
	}
}

// linkOperations are those about linked addresses.
func (d *daemon) linkOperations() []control.Operation {
	return links.Operations(&links.Desk{Store: func() links.Store { return d.data.Links() }, Away: storeAway,
		Ended: func(x admin.Link) { d.portalUsers.tell(digest.LinkEnded, x.Owner, x.Address, "") }})
}

// linksPart are the links in which somebody stands, for what is kept of him.
func (d *daemon) linksPart() privacy.Part {
	return privacy.Part{Name: "linked addresses", Find: func(ctx context.Context, address string, add func(any) error) error {
		all, err := d.data.Links().About(ctx, strings.ToLower(address))
		for i := range all {
			if err == nil {
				err = add(&all[i])
			}
		}
		return err
	}, Erase: func(ctx context.Context, address string) (int, error) {
		n, err := d.data.Links().Forget(ctx, strings.ToLower(address))
		return int(n), err
	}}
}
