package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"gatepost/console/portal"
	"gatepost/gateway"
	"gatepost/internal/ownlist"
)

// ownListsFile is the copy of users' own lists in the state folder, for the time in which control data do not answer.
const ownListsFile = "own-lists.json"

// openOwnLists makes the book of users' own lists, with the copy in force.
func (d *daemon) openOwnLists() {
	d.parts.own.Store(ownlist.NewBook(d.data.OwnLists(), filepath.Join(d.bootstrap.StateDir, ownListsFile), d.log))
}

// ownEntries are users' own lists as they are now.
func (p *parts) ownEntries() *ownlist.Lists {
	if b := p.own.Load(); b != nil {
		return b.Lists()
	}
	return nil
}

// followOwnLists keeps them as they are on all nodes.
func (d *daemon) followOwnLists(ctx context.Context) { d.parts.own.Load().Run(ctx) }

// listsOfUsers lets the portal change them.
type listsOfUsers struct{ d *daemon }

// Lists is that of portal.Users.
func (u *portalUsers) Lists() portal.Lists {
	if u.d.data == nil {
		return nil
	}
	return listsOfUsers{u.d}
}

// Of is that of portal.Lists.
func (l listsOfUsers) Of(ctx context.Context, address string) (allow, block []string, fault portal.Fault) {
	all, err := l.d.data.OwnLists().Of(ctx, strings.ToLower(address))
	if err != nil {
		l.d.log.Warn("portal: a user's own lists", "error", err)
		return nil, nil, portal.Away
	}
	for _, e := range all {
		if e.Kind == ownlist.Allow {
			allow = append(allow, e.Sender)
		} else {
			block = append(block, e.Sender)
		}
	}
	return allow, block, portal.Fine
}

// Put is that of portal.Lists.
func (l listsOfUsers) Put(ctx context.Context, user, address, kind, text string) portal.Fault {
	sender, err := ownlist.Parse(ownlist.Kind(kind), text)
	if err != nil {
		return l.told(err, "", address, kind, sender)
	}
	address = strings.ToLower(address)
	was := l.on(ctx, address, sender)
	if err = l.d.data.OwnLists().Put(ctx, ownlist.Entry{Rcpt: address, Kind: ownlist.Kind(kind), Sender: sender, Time: time.Now()}); err == nil {
		l.d.noteOwnList(ctx, user, address, sender, was, kind)
	}
	return l.told(err, "added", address, kind, sender)
}

// Remove is that of portal.Lists.
func (l listsOfUsers) Remove(ctx context.Context, user, address, kind, sender string) portal.Fault {
	address = strings.ToLower(address)
	was := l.on(ctx, address, sender)
	err := l.d.data.OwnLists().Remove(ctx, address, ownlist.Kind(kind), sender)
	if err == nil && was == kind {
		l.d.noteOwnList(ctx, user, address, sender, was, "")
	}
	return l.told(err, "removed", address, kind, sender)
}

// on is the list of an address that a sender is on, for the audit log; "" for none, and where that cannot be told.
func (l listsOfUsers) on(ctx context.Context, address, sender string) string {
	all, _ := l.d.data.OwnLists().Of(ctx, address) // what fails here fails again where it counts
	for _, e := range all {
		if e.Sender == sender {
			return string(e.Kind)
		}
	}
	return ""
}

// told logs who changed what, and says for the page what came of it.
func (l listsOfUsers) told(err error, what, address, kind, sender string) portal.Fault {
	switch {
	case err == nil:
		l.d.log.Info("portal: an entry of a user's own list was "+what, "user", gateway.CleanText(address, 320), "kind", kind, "sender", gateway.CleanText(sender, 320))
		return portal.Fine
	case errors.Is(err, ownlist.ErrAddress):
		return portal.BadSender
	case errors.Is(err, ownlist.ErrShared):
		return portal.Shared
	case errors.Is(err, ownlist.ErrFull):
		return portal.Full
	}
	l.d.log.Warn("portal: a user's own list", "error", err)
	return portal.Away
}
