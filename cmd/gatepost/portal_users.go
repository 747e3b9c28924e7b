package main

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"gatepost/console/portal"
	"gatepost/gateway"
	"gatepost/gateway/digest"
	"gatepost/internal/accounts"
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
	asks chan portalMail // that strangers cause
	told chan portalMail // that tell of what was done
	most int             // messages on a page

	guesses *accounts.Guesses // at passwords of the directory

	using sync.Mutex // a link is used

	mu   sync.Mutex
	from time.Time      // when the hour began
	sent map[string]int // links of this hour, by address in lower case
}

// portalMail is one that waits to be sent.
type portalMail struct {
	to   gateway.Address
	may  func(ctx context.Context) bool // whether it is sent after all; nil: it is
	make func(language string, now time.Time) (text []byte, utf8 bool)
}

var _ portal.Users = (*portalUsers)(nil)

func newPortalUsers(d *daemon) *portalUsers {
	return &portalUsers{d: d, asks: make(chan portalMail, loginsAtOnce), told: make(chan portalMail, loginsAtOnce), most: pageOfUser, guesses: accounts.NewGuesses(), sent: map[string]int{}}
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
	if err != nil || !u.serves(a) || !u.room(strings.ToLower(a.Text), loginsHourly, time.Now()) {
		return
	}
	u.later(u.asks, portalMail{to: a, make: func(language string, now time.Time) ([]byte, bool) { return u.invitation(a, language, now) }})
}

// later has a mail sent, where there is room among those that wait.
func (u *portalUsers) later(queue chan portalMail, m portalMail) {
	select {
	case queue <- m:
	default:
		u.d.log.Warn("portal: a mail was not sent, since too many wait", "to", gateway.CleanText(m.to.Text, 320), "waiting", loginsAtOnce)
	}
}

// room counts what is done for a name in an hour, and reports whether there may be one more.
func (u *portalUsers) room(address string, most int, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now.Sub(u.from) >= time.Hour || now.Before(u.from) {
		u.from = now
		clear(u.sent)
	}
	n, known := u.sent[address]
	if n >= most || !known && len(u.sent) >= loginsKnown {
		return false
	}
	u.sent[address] = n + 1
	return true
}

// run mails links, and what was done with them, until the context is done.
func (u *portalUsers) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-u.asks:
			u.send(ctx, m)
		case m := <-u.told:
			u.send(ctx, m)
		}
	}
}

func (u *portalUsers) send(ctx context.Context, m portalMail) {
	open, language := u.Open()
	if !open {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, portal.Longest())
	defer cancel()
	if m.may != nil && !m.may(ctx) {
		return
	}
	text, utf8 := m.make(language, time.Now())
	if err := u.d.sendDigest(ctx, m.to, text, utf8); err != nil {
		u.d.log.Info("portal: a mail could not be sent", "to", gateway.CleanText(m.to.Text, 320), slog.String("error", gateway.CleanText(err.Error(), 300)))
	}
}

// page is the address of one of the pages.
func (u *portalUsers) page(path string) string {
	return strings.TrimSuffix(u.d.bootstrap.Web.PortalURL, "/") + path
}

func (u *portalUsers) invitation(to gateway.Address, language string, now time.Time) ([]byte, bool) {
	link := digest.Make(u.d.digests.key, &digest.Token{ID: digest.Random(), Rcpt: to.Text, Action: digest.Login, Expires: now.Add(loginValid)})
	m := digest.Invitation{Host: u.d.bootstrap.Hostname, To: to, Language: language, Date: now, Valid: loginValid, Link: u.page("/login/" + link)}
	return m.Make()
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
	u.using.Lock() // of two that use a link at the same time one does
	defer u.using.Unlock()
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
	u.d.noteLogin(ctx, "a mailed link", "", []string{strings.ToLower(t.Rcpt)}, netip.Addr{})
	return digest.Make(u.d.digests.key, &digest.Token{ID: digest.Random(), Rcpt: t.Rcpt, Action: digest.Session, Expires: ends}), ends, true
}

// Who is that of portal.Users.
func (u *portalUsers) Who(ctx context.Context, session string) (addresses []string, ok bool) {
	t := u.read(ctx, session, digest.Session)
	if t == nil {
		return nil, false
	}
	addresses = []string{t.Rcpt}
	for _, text := range digest.SplitFurther(t.Further) {
		if _, a, ok := u.served(text); ok {
			addresses = append(addresses, a)
		}
	}
	return addresses, true
}

// Leave is that of portal.Users.
func (u *portalUsers) Leave(ctx context.Context, session string) {
	if t := u.read(ctx, session, digest.Session); t != nil {
		if err := u.d.digests.file.Use(context.WithoutCancel(ctx), session, t.Expires); err != nil {
			u.d.log.Warn("portal: the end of a session could not be noted; it ends by itself", "error", err, "ends", t.Expires)
		}
	}
}
