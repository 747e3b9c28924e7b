package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"gatepost/gateway/journal"
	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/dns"
	"gatepost/tls/certs/acme"
	"gatepost/tls/dane"
)

// sourceACME begins the source of a certificate that an authority gave; the first of its names follows.
const sourceACME = "acme:"

// issuing is how certificates are got from an authority.
type issuing struct {
	manager *acme.Manager
	http    *acme.HTTP
	alpn    *acme.ALPN
}

// newIssuing makes what the document names of [acme] and [[tls.acme]]; nil where it names no certificate. It reads the files with
// secrets, and asks nobody.
func newIssuing(b *config.Bootstrap, r *dns.Resolver, log *slog.Logger) (*issuing, error) {
	if len(b.TLS.ACME) == 0 {
		return nil, nil
	}
	dir := certificateFolder(b.StateDir)
	a := &acme.Authority{Directory: b.ACME.Directory, Email: b.ACME.Email, Agreed: b.ACME.AgreeTerms, Dir: dir, Log: log}
	x := &issuing{http: new(acme.HTTP), alpn: new(acme.ALPN), manager: &acme.Manager{Authority: a, Dir: dir, Log: log}}
	if b.ACME.CAFile != "" {
		var err error
		if a.Roots, err = readCAs(b.ACME.CAFile); err != nil {
			return nil, fmt.Errorf("acme.ca_file: %w", err)
		}
	}
	if b.ACME.EABKeyID != "" {
		text, err := readPassword(b.ACME.EABKeyFile, log)
		if err != nil {
			return nil, fmt.Errorf("acme.eab_key_file: %w", err)
		}
		if a.BindingKey, err = acme.ParseBindingKey(text); err != nil {
			return nil, fmt.Errorf("acme.eab_key_file: %s %w", b.ACME.EABKeyFile, err)
		}
		a.BindingID = b.ACME.EABKeyID
	}
	var zones *acme.DNS
	for i := range b.TLS.ACME {
		e := acme.Entry{Names: b.TLS.ACME[i].Names, Keys: keyTypes(b.TLS.ACME[i].KeyType)}
		switch b.TLS.ACME[i].Challenge {
		case config.ChallengeHTTP:
			e.Solver = x.http
		case config.ChallengeALPN:
			e.Solver = x.alpn
		default:
			if zones == nil {
				var err error
				if zones, err = newZones(b, r, log); err != nil {
					return nil, err
				}
			}
			e.Solver = zones
		}
		x.manager.Entries = append(x.manager.Entries, e)
	}
	return x, nil
}

func keyTypes(word string) acme.KeyType {
	return map[string]acme.KeyType{"ecdsa": acme.ECDSA, "rsa": acme.RSA, "both": acme.Both}[word]
}

// newZones makes what answers dns-01.
func newZones(b *config.Bootstrap, r *dns.Resolver, log *slog.Logger) (*acme.DNS, error) {
	secret, err := readPassword(b.ACME.TSIGSecretFile, log)
	if err != nil {
		return nil, fmt.Errorf("acme.tsig_secret_file: %w", err)
	}
	u, err := dns.NewUpdates(dns.UpdateOptions{Server: b.ACME.DNSServer, Key: b.ACME.TSIGName, Algorithm: b.ACME.TSIGAlgorithm, Secret: secret, Resolver: r, Logger: log})
	if err != nil {
		return nil, fmt.Errorf("acme.tsig_secret_file: %w", err)
	}
	return &acme.DNS{Zones: u, File: filepath.Join(certificateFolder(b.StateDir), "dns-01.json"), Log: log}, nil
}

// openACME shows the certificates that an authority gave, and makes the keys of those that it is to give. It asks nobody.
func (d *daemon) openACME() (err error) {
	if d.acme, err = newIssuing(d.bootstrap, d.parts.resolver, d.log); err != nil || d.acme == nil {
		return err
	}
	m := d.acme.manager
	m.Show = func(entry string, all []*tls.Certificate) {
		d.certificates.Put(sourceACME+entry, all...)
		for _, c := range all {
			go d.noteCertificate(nil, sourceACME+entry, c) // to verify a chain takes milliseconds
		}
	}
	m.Usable, m.Told, d.renewal = d.usableKey, d.tellACME, d.acme.renewal
	d.tlsa.next = d.acme.nextKeys
	m.Load()
	return nil
}

// nextKeys are the keys that no certificate has been shown of, for TLSA records that are published before there is one.
func (x *issuing) nextKeys() (out []dane.Key) {
	for _, k := range x.manager.PublicKeys() {
		if !k.Shown {
			out = append(out, dane.Key{Names: k.Names, Public: k.Current})
		}
		out = append(out, dane.Key{Names: k.Names, Public: k.Next})
	}
	return out
}

// tellACME tells the journal what came of a try to get a certificate.
func (d *daemon) tellACME(entry string, err error) {
	verb, attrs := journal.Certificate, []slog.Attr{slog.String("source", sourceACME+entry)}
	if err != nil {
		verb, attrs = journal.CertificateFailed, append(attrs, slog.String("detail", err.Error()))
	}
	d.journal.Daemon(verb, attrs...)
}

// renewal tells of the certificates of an entry when they are renewed next, and what came of the last time.
func (x *issuing) renewal(source string) (next time.Time, told string) {
	for _, s := range x.manager.Status() {
		if sourceACME+s.Name != source {
			continue
		}
		switch {
		case s.Broken:
			return next, "none is ordered before somebody has looked: " + s.Error
		case s.Error != "":
			tries := fmt.Sprintf("%d tries failed, the last", s.Failures)
			if s.Failures == 1 {
				tries = "a try failed"
			}
			told = fmt.Sprintf("%s on %s: %s", tries, s.ErrorAt.UTC().Format(time.DateTime), s.Error)
		case s.KeptKey != "":
			told = "the last renewal kept its key: " + s.KeptKey
		}
		if next = s.Next; next.IsZero() {
			next = time.Now()
		}
	}
	return next, told
}

// missing are the entries that have no certificate yet, as tls status shows them.
func (x *issuing) missing() (out []certificateState) {
	for _, s := range x.manager.Status() {
		if !s.NotAfter.IsZero() {
			continue
		}
		c := certificateState{Source: sourceACME + s.Name, SNI: []string{}, State: certificateMissing}
		c.Facts.Names = s.Names
		c.Renewal, c.Told = x.renewal(c.Source)
		out = append(out, c)
	}
	return out
}

// pages are what the listener public answers to authorities.
func (x *issuing) pages() []publicPage {
	return []publicPage{{name: "acme", path: acme.ChallengePath, hosts: func(string) bool { return true },
		text: func(_, token string) []byte { return x.http.Answer(token) }}}
}

// health is well while each entry has a certificate that is in force. That a renewal is late is told of all certificates alike.
func (x *issuing) health() (bool, string) {
	var bad []string
	next := time.Time{}
	for _, s := range x.manager.Status() {
		if s.Broken || s.Error != "" && time.Now().After(s.NotAfter) {
			bad = append(bad, s.Name+": "+s.Error)
		}
		if next.IsZero() || s.Next.Before(next) {
			next = s.Next
		}
	}
	if len(bad) > 0 {
		return false, strings.Join(bad, "; ")
	}
	if next.Before(time.Now()) {
		return true, "an order is under way"
	}
	return true, "the next order is placed on " + next.UTC().Format(time.DateOnly)
}

// acmeInstruments shows what is got from an authority in metrics and health. Names are those of the document: few.
func (d *daemon) acmeInstruments(m *journal.Metrics) {
	if d.acme == nil {
		return
	}
	d.journal.Health().Watch("acme", d.acme.health)
	each := func(number func(s *acme.Status) float64) func() []journal.Series {
		return func() (out []journal.Series) {
			for _, s := range d.acme.manager.Status() {
				out = append(out, journal.Series{Labels: []string{s.Name}, Value: number(&s)})
			}
			return out
		}
	}
	m.Gauges("acme_next_order_seconds", "When the authority is asked for a certificate next, in seconds since 1970; 0: now.", []string{"name"}, each(func(s *acme.Status) float64 {
		return float64(max(s.Next.Unix(), 0))
	}))
	m.Gauges("acme_failures", "Tries to get a certificate that failed, since the last that did not.", []string{"name"}, each(func(s *acme.Status) float64 { return float64(s.Failures) }))
	m.Gauges("acme_orders", "Orders at the authority in the last 24 hours.", []string{"name"}, each(func(s *acme.Status) float64 { return float64(s.Orders) }))
}

// renewed is what gatepost tls renew did.
type renewed struct {
	Asked []string `json:"asked"`
}

// renewVerb answers gatepost tls renew.
func (d *daemon) renewVerb(ctx context.Context, in *api.RenewAsk) (*renewed, error) {
	if d.acme == nil {
		return nil, &control.Fault{Status: http.StatusNotFound, Message: "no certificate is got from an authority", Hint: "[[tls.acme]] in gatepost.toml names those that are"}
	}
	control.Changed(ctx, control.Change{Object: "certificate " + in.Name})
	asked, err := d.acme.manager.Renew(in.Name, in.Force)
	switch {
	case errors.Is(err, acme.ErrUnknown):
		return nil, &control.Fault{Status: http.StatusNotFound, Message: err.Error(), Hint: "name the first of its names"}
	case errors.Is(err, acme.ErrTooSoon):
		return nil, &control.Fault{Status: http.StatusConflict, Message: err.Error(), Hint: "--force orders all the same; authorities refuse more than a few orders for the same names in a week"}
	case err != nil:
		return nil, &control.Fault{Status: http.StatusConflict, Message: err.Error(), Hint: "gatepost tls status says when it is tried again"}
	}
	return &renewed{asked}, nil
}

// acmeLive asks the authority for its directory, as check --live does with every server.
func acmeLive(ctx context.Context, c *config.Config, p *parts) []answer {
	x, err := newIssuing(c.Bootstrap, p.resolver, slog.New(slog.DiscardHandler))
	if x == nil && err == nil {
		return nil
	}
	a := answer{What: "acme", Server: c.Bootstrap.ACME.Directory, Err: err}
	if err == nil {
		a.Said, a.Err = x.manager.Authority.Look(ctx)
	}
	return []answer{a}
}
