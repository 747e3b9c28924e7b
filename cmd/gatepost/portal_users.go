package main

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"gatepost/console/portal"
	"gatepost/gateway"
	"gatepost/gateway/digest"
	"gatepost/gateway/quarantine"
	"gatepost/internal/cli"
	"gatepost/internal/routing"
)

// Bounds of links by which users log in.
const (
	loginValid   = 15 * time.Minute
	loginsHourly = 3  // links to one address in an hour: nobody's mailbox is filled by strangers
	loginsAtOnce = 64 // that wait to be sent; more are left out
	loginsKnown  = 10_000
	pageOfUser   = 50
)

// portalUsers lets users log in and see what is kept for them. It holds no session: a session is a token, signed as links are.
type portalUsers struct {
	d    *daemon
	asks chan gateway.Address

	mu   sync.Mutex
	from time.Time      // when the hour began
	sent map[string]int // links of this hour, by address in lower case
}

var _ portal.Users = (*portalUsers)(nil)

func newPortalUsers(d *daemon) *portalUsers {
	return &portalUsers{d: d, asks: make(chan gateway.Address, loginsAtOnce), sent: map[string]int{}}
}

// Open is that of portal.Users.
func (u *portalUsers) Open() (bool, string) {
	p := u.d.document.Load().Policy
	return p.Portal.Login && u.d.digests.Digest != nil && u.d.vault != nil, p.Quarantine.Digest.Language
}

// serves reports whether mail for an address is kept here at all.
func (u *portalUsers) serves(a gateway.Address) bool {
	return a.Domain != "" && u.d.now.Load().snapshot.Policy.Serves(a) != nil
}

// Ask is that of portal.Users.
func (u *portalUsers) Ask(text string) {
	if len(text) > 320 {
		return
	}
	a, err := routing.Address(text)
	if err != nil || !u.serves(a) || !u.room(strings.ToLower(a.Text), time.Now()) {
		return
	}
	select {
	case u.asks <- a:
	default:
		u.d.log.Warn("portal: a link was asked for and not sent, since too many wait", "waiting", loginsAtOnce)
	}
}

// room counts a link to an address, and reports whether there may be one more.
func (u *portalUsers) room(address string, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now.Sub(u.from) >= time.Hour || now.Before(u.from) {
		u.from = now
		clear(u.sent)
	}
	n, known := u.sent[address]
	if n >= loginsHourly || !known && len(u.sent) >= loginsKnown {
		return false
	}
	u.sent[address] = n + 1
	return true
}

// run mails links until the context is done.
func (u *portalUsers) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-u.asks:
			u.invite(ctx, a)
		}
	}
}

func (u *portalUsers) invite(ctx context.Context, to gateway.Address) {
	open, language := u.Open()
	if !open {
		return
	}
	now := time.Now()
	link := digest.Make(u.d.digests.key, &digest.Token{ID: digest.Random(), Rcpt: to.Text, Action: digest.Login, Expires: now.Add(loginValid)})
	m := digest.Invitation{Host: u.d.bootstrap.Hostname, To: to, Language: language, Date: now, Valid: loginValid,
		Link: strings.TrimSuffix(u.d.bootstrap.Web.PortalURL, "/") + "/login/" + link}
	text, utf8 := m.Make()
	ctx, cancel := context.WithTimeout(ctx, portal.Longest())
	defer cancel()
	if err := u.d.sendDigest(ctx, to, text, utf8); err != nil {
		u.d.log.Info("portal: a link to log in could not be sent", "to", gateway.CleanText(to.Text, 320), slog.String("error", gateway.CleanText(err.Error(), 300)))
	}
}

// read reads a token that was not used and is of an address that is served.
func (u *portalUsers) read(ctx context.Context, text string, want digest.Action) *digest.Token {
	if open, _ := u.Open(); !open {
		return nil
	}
	t, err := digest.Read(u.d.digests.key, text, want, time.Now())
	if err != nil {
		return nil
	}
	a, err := routing.Address(t.Rcpt)
	if err != nil || !u.serves(a) {
		return nil
	}
	used, err := u.d.digests.file.Used(ctx, text)
	if err != nil {
		u.d.log.Warn("portal", "error", err)
		return nil
	}
	if used {
		return nil
	}
	return t
}

// May is that of portal.Users.
func (u *portalUsers) May(ctx context.Context, link string) (string, bool) {
	t := u.read(ctx, link, digest.Login)
	if t == nil {
		return "", false
	}
	return cli.Shown(t.Rcpt, 320), true
}

// Enter is that of portal.Users. The link is noted as used before there is a session, so that a crash between them costs a link.
func (u *portalUsers) Enter(ctx context.Context, link string) (string, time.Time, bool) {
	u.mu.Lock() // of two that use a link at the same time one does
	defer u.mu.Unlock()
	t := u.read(ctx, link, digest.Login)
	if t == nil {
		return "", time.Time{}, false
	}
	if err := u.d.digests.file.Use(ctx, link, t.Expires); err != nil {
		u.d.log.Warn("portal: nobody can log in, since a link that was used could not be noted", "error", err)
		return "", time.Time{}, false
	}
	ends := time.Now().Add(u.d.document.Load().Policy.Portal.Session)
	u.d.log.Info("portal: a user logged in", "user", gateway.CleanText(t.Rcpt, 320))
	return digest.Make(u.d.digests.key, &digest.Token{ID: digest.Random(), Rcpt: t.Rcpt, Action: digest.Session, Expires: ends}), ends, true
}

// Who is that of portal.Users.
func (u *portalUsers) Who(ctx context.Context, session string) (string, bool) {
	t := u.read(ctx, session, digest.Session)
	if t == nil {
		return "", false
	}
	return t.Rcpt, true
}

// Leave is that of portal.Users.
func (u *portalUsers) Leave(ctx context.Context, session string) {
	if t := u.read(ctx, session, digest.Session); t != nil {
		if err := u.d.digests.file.Use(context.WithoutCancel(ctx), session, t.Expires); err != nil {
			u.d.log.Warn("portal: the end of a session could not be noted; it ends by itself", "error", err, "ends", t.Expires)
		}
	}
}

// Mine is that of portal.Users.
func (u *portalUsers) Mine(ctx context.Context, address, before string) (out []portal.Item, next string, err error) {
	f := &quarantine.Filter{Rcpt: address, Limit: pageOfUser}
	if before != "" {
		id, err := gateway.ParseID(before)
		if err != nil {
			return nil, "", nil // it is behind the end
		}
		f.Before = id
	}
	rows, err := u.d.vault.Find(ctx, f)
	if err != nil {
		u.d.log.Warn("portal", "error", err)
		return nil, "", err
	}
	language := u.d.document.Load().Policy.Quarantine.Digest.Language
	for i := range rows {
		r := &rows[i]
		e := digest.EntryOf(language, time.Local, r)
		it := portal.Item{Reference: r.ID.String(), Arrived: e.When, From: e.Envelope, Author: e.Shown, Subject: cli.Shown(r.Subject, 200), Why: e.Why, State: copyState(r, address)}
		if it.State == portal.Gone {
			continue // his copy was deleted
		}
		if it.State == portal.Ready && !r.Class.UserMay() {
			it.State = portal.Forbidden
		}
		out = append(out, it)
	}
	if len(rows) == pageOfUser {
		next = rows[len(rows)-1].ID.String()
	}
	return out, next, nil
}

// Let is that of portal.Users. The quarantine asks once more whether he may, and whose message it is.
func (u *portalUsers) Let(ctx context.Context, address, reference string) portal.Answer {
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
		return portal.Answer{State: portal.Forbidden}
	}
	if s := copyState(&rows[0], address); s != portal.Ready {
		return portal.Answer{State: s}
	}
	return portal.Answer{State: u.d.letOut(ctx, id, address, "by the portal")}
}
