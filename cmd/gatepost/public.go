package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"gatepost/gateway/journal"
	"gatepost/internal/seats"
)

// Bounds of the listener public. Who reads a page of ours is a mail server or an authority, and is done in a second.
const (
	publicHeader       = 4 << 10 // octets; the library adds as much
	publicRead         = 5 * time.Second
	publicWrite        = 10 * time.Second
	publicIdle         = 15 * time.Second
	publicConnections  = 512 // in all
	publicOfEachClient = 16  // of an IPv4 address or an IPv6 /64
)

// acmeALPN is the protocol of tls-alpn-01 (RFC 8737 section 4).
const acmeALPN = "acme-tls/1"

// publicPage is something that strangers may read. Whatever is no page answers 404 and nothing more.
type publicPage struct {
	name   string                 // in the metrics
	secure bool                   // over HTTPS, else over HTTP; never over both
	path   string                 // of the one page, or with / at its end of all below
	hosts  func(host string) bool // whose page it is; a name in lower case. It is asked for each handshake
	text   func(host, below string) []byte
}

// public serves pages to strangers: of MTA-STS and ACME, and nothing else.
type public struct {
	pages []publicPage
	// certificate chooses for a name that has a page; without one, nil and no error, the handshake fails.
	certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// challenge answers an authority that proves a name by tls-alpn-01; nil, or a nil result, where none is asked for.
	challenge func(*tls.ClientHelloInfo) *tls.Config

	seats seats.Seats

	mu      sync.Mutex
	count   map[publicAnswer]uint64
	unnamed uint64 // handshakes for names without a page
}

// publicAnswer is what is counted of a request: which page, "none" for no page, and the status.
type publicAnswer struct{ page, status string }

// handler answers over HTTP or HTTPS.
func (p *public) handler(secure bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, text, status := p.find(r, secure)
		p.mu.Lock()
		if p.count == nil {
			p.count = make(map[publicAnswer]uint64)
		}
		p.count[publicAnswer{page, fmt.Sprint(status)}]++
		p.mu.Unlock()
		h := w.Header()
		if r.ContentLength != 0 {
			h.Set("Connection", "close") // what nobody reads is not waited for
		}
		if status == http.StatusOK {
			h.Set("Content-Type", "text/plain; charset=utf-8")
			h.Set("X-Content-Type-Options", "nosniff")
		}
		h.Set("Content-Length", fmt.Sprint(len(text)))
		w.WriteHeader(status)
		_, _ = w.Write(text) // the library leaves it out for HEAD
	})
}

// find looks for the page of a request.
func (p *public) find(r *http.Request, secure bool) (page string, text []byte, status int) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return "none", nil, http.StatusMethodNotAllowed
	}
	host := hostOf(r.Host)
	if host == "" || secure && host != hostOf(r.TLS.ServerName) {
		return "none", nil, http.StatusNotFound
	}
	for i := range p.pages {
		g := &p.pages[i]
		below, ok := strings.CutPrefix(r.URL.Path, g.path)
		if !ok || g.secure != secure || (below == "") == strings.HasSuffix(g.path, "/") || !g.hosts(host) {
			continue
		}
		if text := g.text(host, below); text != nil {
			return g.name, text, http.StatusOK
		}
	}
	return "none", nil, http.StatusNotFound
}

// hostOf is a name without its port, in lower case; "" where it is none.
func hostOf(s string) string {
	if name, port, ok := strings.Cut(s, ":"); ok {
		if strings.Trim(port, "0123456789") != "" {
			return ""
		}
		s = name
	}
	return strings.ToLower(strings.TrimSuffix(s, "."))
}

// tls is the configuration of HTTPS: a certificate for names that have a page, and for no other, so that nobody learns from it
// what else this machine is.
func (p *public) tls() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		host := hostOf(hello.ServerName)
		for i := range p.pages {
			if p.pages[i].secure && host != "" && p.pages[i].hosts(host) {
				return p.certificate(hello)
			}
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.unnamed++
		return nil, nil // which says unrecognized_name
	}
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != acmeALPN {
			return nil, nil
		}
		if p.challenge != nil {
			if c := p.challenge(hello); c != nil {
				return c, nil
			}
		}
		return nil, errors.New("nobody proves this name")
	}
	return c
}

// serve answers on a listener until the context is done.
func (p *public) serve(ctx context.Context, l net.Listener, secure bool) error {
	key := "web.public_http"
	l = bounded(l, &p.seats)
	if secure {
		key, l = "web.public_https", tls.NewListener(l, p.tls())
	}
	s := &http.Server{Handler: p.handler(secure), ReadTimeout: publicRead, WriteTimeout: publicWrite, IdleTimeout: publicIdle,
		MaxHeaderBytes: publicHeader, DisableGeneralOptionsHandler: true, ErrorLog: log.New(io.Discard, "", 0), // strangers do not write our log
		// A connection of tls-alpn-01 ends with its handshake (RFC 8737 section 3). There is no HTTP/2: a page is one request.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){acmeALPN: func(_ *http.Server, c *tls.Conn, _ http.Handler) { _ = c.Close() }}}
	return answerOn(ctx, key, s, l)
}

// bounded closes connections to a listener that are too many.
func bounded(l net.Listener, p *seats.Seats) net.Listener {
	return p.Listen(l, publicBounds(), func(a netip.Addr) (netip.Prefix, bool) { return seats.Client(a), true })
}

func publicBounds() seats.Bounds {
	return seats.Bounds{Most: publicConnections, OfEach: publicOfEachClient}
}

// instruments adds the listener to the metrics. Requests are counted, and logged nowhere.
func (p *public) instruments(m *journal.Metrics) {
	m.Gauge("public_connections", "Open connections to the listener public.", func() float64 { open, _, _ := p.seats.Counts(); return float64(open) })
	m.Counter("public_turned_away_total", "Connections to the listener public that were too many, in all or of one client.", func() float64 { _, _, turned := p.seats.Counts(); return float64(turned) })
	m.Counter("public_unknown_names_total", "TLS handshakes for names that have no page.", func() float64 {
		p.mu.Lock()
		defer p.mu.Unlock()
		return float64(p.unnamed)
	})
	m.Counters("public_requests_total", "Requests to the listener public, by page and status.", []string{"page", "status"}, func() (out []journal.Series) {
		p.mu.Lock()
		defer p.mu.Unlock()
		for a, n := range p.count {
			out = append(out, journal.Series{Labels: []string{a.page, a.status}, Value: float64(n)})
		}
		return out
	})
}

// newPublic makes the listener with its pages.
func (d *daemon) newPublic() *public {
	p := &public{certificate: d.publicCertificate, pages: []publicPage{d.policyPage()}}
	if d.acme != nil {
		p.pages = append(p.pages, d.acme.pages()...)
		p.challenge = d.acme.alpn.Config
	}
	return p
}

// publicCertificate chooses among the certificates that the daemon shows one that is for the name.
func (d *daemon) publicCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	var found *tls.Certificate
	for _, o := range d.certificates.All() {
		if o.Certificate.Leaf.VerifyHostname(hostOf(hello.ServerName)) != nil {
			continue
		}
		if found == nil || hello.SupportsCertificate(found) != nil {
			found = o.Certificate
		}
	}
	return found, nil
}
