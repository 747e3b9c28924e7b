package main

import (
	"cmp"
	"context"
	"slices"
	"time"

	"gatepost/console/portal"
	"gatepost/gateway"
	"gatepost/gateway/digest"
	"gatepost/gateway/quarantine"
	"gatepost/internal/cli"
)

// keptFor is a message that is kept for an address of a user.
type keptFor struct {
	row     quarantine.Row
	address string
}

// Mine is that of portal.Users. A page has all addresses of its last message, so that the next one begins behind it.
func (u *portalUsers) Mine(ctx context.Context, addresses []string, before string) (out []portal.Item, next string, err error) {
	var behind gateway.ID
	if before != "" {
		if behind, err = gateway.ParseID(before); err != nil {
			return nil, "", nil // it is behind the end
		}
	}
	var all []keptFor
	for _, address := range addresses {
		rows, err := u.d.vault.Find(ctx, &quarantine.Filter{Rcpt: address, Limit: u.most, Before: behind})
		if err != nil {
			u.d.log.Warn("portal", "error", err)
			return nil, "", err
		}
		for i := range rows {
			all = append(all, keptFor{rows[i], address})
		}
		if len(rows) == u.most {
			next = "more"
		}
	}
	slices.SortStableFunc(all, func(a, b keptFor) int { return cmp.Compare(b.row.ID, a.row.ID) })
	end := len(all)
	if end > u.most {
		for end = u.most; end < len(all) && all[end].row.ID == all[end-1].row.ID; end++ {
		}
	}
	if next != "" || end < len(all) {
		next = all[end-1].row.ID.String()
	}
	for i := range all[:end] {
		if it := u.item(&all[i].row, all[i].address); it.State != portal.Gone { // else his copy was deleted
			out = append(out, it)
		}
	}
	return out, next, nil
}

// item is a message as a user sees it.
func (u *portalUsers) item(r *quarantine.Row, address string) portal.Item {
	e := digest.EntryOf(u.d.document.Load().Policy.Quarantine.Digest.Language, time.Local, r)
	it := portal.Item{Reference: r.ID.String(), For: address, Arrived: e.When, From: e.Envelope, Author: e.Shown, Subject: cli.Shown(r.Subject, 200), Why: e.Why, State: copyState(r, address)}
	if it.State == portal.Ready && !r.Class.UserMay() {
		it.State = portal.Forbidden
	}
	return it
}

// Let is that of portal.Users. The quarantine asks once more whether he may, and whose message it is.
func (u *portalUsers) Let(ctx context.Context, user, address, reference string) portal.Answer {
	id, err := gateway.ParseID(reference)
	if err != nil {
		return portal.Answer{State: portal.Gone}
	}
	rows, err := u.d.vault.Find(ctx, &quarantine.Filter{IDs: []gateway.ID{id}, Rcpt: address, Limit: 1})
	switch {
	case err != nil:
		return portal.Answer{State: portal.Failed}
	case len(rows) == 0:
		return portal.Answer{State: portal.Gone}
	case !rows[0].Class.UserMay():
		u.d.noteRelease(ctx, user, id, address, "the portal", portal.Forbidden)
		return portal.Answer{State: portal.Forbidden}
	}
	if s := copyState(&rows[0], address); s != portal.Ready {
		return portal.Answer{State: s}
	}
	became := u.d.letOut(ctx, id, address, user+" (by the portal)")
	u.d.noteRelease(ctx, user, id, address, "the portal", became)
	return portal.Answer{State: became}
}
