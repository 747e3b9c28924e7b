package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gatepost/console/portal"
	"gatepost/gateway"
	"gatepost/gateway/digest"
	"gatepost/gateway/journal"
	"gatepost/gateway/quarantine"
	"gatepost/internal/cli"
)

// portalDesk answers for links of digests. It is the one door by which somebody without a login changes something: it hands on
// nothing but what the token names, and the quarantine asks once more whether users may.
type portalDesk struct {
	d *daemon
}

var _ portal.Desk = (*portalDesk)(nil)

// look reads a token, and what has become of its message for its recipient.
func (p *portalDesk) look(ctx context.Context, text string) (a portal.Answer, t *digest.Token) {
	d := p.d
	policy := &d.document.Load().Policy.Quarantine.Digest
	a.Language = policy.Language
	if d.digests.Digest == nil {
		return a, nil
	}
	t, err := digest.Read(d.digests.key, text, digest.Release, time.Now())
	switch {
	case errors.Is(err, digest.ErrExpired), err == nil && !policy.Links: // switched off, for all that are about
		a.State = portal.Expired
		return a, nil
	case err != nil:
		return a, nil
	}
	a.Reference, a.Rcpt, a.State = t.ID.String(), cli.Shown(t.Rcpt, 320), portal.Failed
	used, err := d.digests.file.Used(ctx, text)
	if err != nil {
		d.log.Warn("portal", "error", err)
		return a, nil
	}
	rows, err := d.vault.Find(ctx, &quarantine.Filter{IDs: []gateway.ID{t.ID}, Rcpt: t.Rcpt, Limit: 1})
	if err != nil {
		d.log.Warn("portal", "error", err)
		return a, nil
	}
	if len(rows) == 0 {
		if a.State = portal.Gone; used {
			a.State = portal.Released
		}
		return a, nil
	}
	r := &rows[0]
	e := digest.EntryOf(policy.Language, time.Local, r)
	a.From, a.Author, a.Arrived, a.Why = e.Envelope, e.Shown, e.When, e.Why
	switch {
	case used:
		a.State = portal.Released
	case !r.Class.UserMay():
		a.State = portal.Forbidden
	default:
		a.State = copyState(r, t.Rcpt)
	}
	return a, t
}

// copyState is what a link can do, as the copy of its recipient is. One to whom a message came twice has one mailbox.
func copyState(r *quarantine.Row, rcpt string) portal.State {
	for i := range r.Rcpts {
		if !strings.EqualFold(r.Rcpts[i].Address, rcpt) {
			continue
		}
		switch r.Rcpts[i].State {
		case quarantine.Visible:
			return portal.Ready
		case quarantine.Releasing:
			return portal.Busy
		case quarantine.Released:
			return portal.Released
		}
	}
	return portal.Gone
}

// Look is that of portal.Desk.
func (p *portalDesk) Look(ctx context.Context, text string) portal.Answer {
	a, _ := p.look(ctx, text)
	return a
}

// Release is that of portal.Desk. That a copy went out is a state of the vault, which has one caller for a message and lets a user
// release his copy once; it is on disk before and after. The mark of the token comes behind it, so that a crash between them makes no
// link good again; it outlives the message.
func (p *portalDesk) Release(ctx context.Context, text string) portal.Answer {
	a, t := p.look(ctx, text)
	if t != nil && a.State == portal.Forbidden {
		p.d.noteLink(ctx, t, a.State)
	}
	if t == nil || a.State != portal.Ready {
		return a
	}
	if a.State = p.d.letOut(ctx, t.ID, t.Rcpt, t.Rcpt+" (by a link)"); a.State == portal.Released {
		if err := p.d.digests.file.Use(context.WithoutCancel(ctx), text, t.Expires); err != nil {
			p.d.log.Warn("portal: a link was used, and that could not be noted; the quarantine knows it", "error", err)
		}
	}
	p.d.noteLink(ctx, t, a.State)
	return a
}

// letOut releases a message to one recipient as he may himself, and says what came of it.
func (d *daemon) letOut(ctx context.Context, id gateway.ID, rcpt, by string) portal.State {
	res, err := d.vault.Release(ctx, &quarantine.Release{ID: id, Rcpts: []string{rcpt}, By: by, User: true})
	done := err == nil && len(res) > 0
	for i := range res {
		done = done && res[i].Done
	}
	switch {
	case done, errors.Is(err, quarantine.ErrNobodyLeft):
		return portal.Released
	case errors.Is(err, quarantine.ErrNotAllowed), errors.Is(err, quarantine.ErrInfected):
		return portal.Forbidden
	case errors.Is(err, quarantine.ErrNone), errors.Is(err, quarantine.ErrNoRecipient):
		return portal.Gone
	case errors.Is(err, quarantine.ErrBusy):
		return portal.Busy
	}
	return portal.Failed
}

// portalTLS shows a certificate for the host of web.portal_url, and for no other name.
func (d *daemon) portalTLS() *tls.Config {
	host := ""
	if u, err := url.Parse(d.bootstrap.Web.PortalURL); err == nil {
		host = hostOf(u.Hostname())
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if host == "" || hostOf(hello.ServerName) != host {
			return nil, nil // which says unrecognized_name
		}
		return d.publicCertificate(hello)
	}}
}

// servePortal answers on a listener until the context is done. Connections are bounded as those of the listener public.
func (d *daemon) servePortal(ctx context.Context, l net.Listener) error {
	s := &http.Server{Handler: d.portal.Handler(), ReadTimeout: publicRead, WriteTimeout: portal.Longest() + publicWrite,
		IdleTimeout: publicIdle, MaxHeaderBytes: 2 * publicHeader, DisableGeneralOptionsHandler: true, ErrorLog: log.New(io.Discard, "", 0), // strangers do not write our log
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
	return answerOn(ctx, "web.portal", s, tls.NewListener(bounded(l, &d.portalRoom), d.portalTLS()))
}

// portalInstruments adds the page to the metrics. Requests are counted, and logged nowhere: their paths are secrets.
func (d *daemon) portalInstruments(m *journal.Metrics) {
	m.Counters("portal_requests_total", "Requests to the page of the digests, by method and status.", []string{"method", "status"}, func() (out []journal.Series) {
		for c, n := range d.portal.Counts() {
			out = append(out, journal.Series{Labels: []string{c.Method, strconv.Itoa(c.Status)}, Value: float64(n)})
		}
		return out
	})
}
