package acme

import (
	"context"
	"crypto/tls"
	"strings"
	"sync"
)

// Challenge is what must be shown to the authority to prove that a name is ours (RFC 8555 section 8).
type Challenge struct {
	Name  string // without "*."
	Token string
	// Answer is the key authorization (http-01), or its digest as the text of a TXT record (dns-01).
	Answer string
	// Certificate is what a client that asks for acme-tls/1 is shown (tls-alpn-01).
	Certificate *tls.Certificate
}

// Solver answers challenges of one type. Its methods may be called at the same time.
type Solver interface {
	// Type is http-01, tls-alpn-01 or dns-01.
	Type() string
	// Present makes the answer visible, and returns when the authority can see it.
	Present(ctx context.Context, c Challenge) error
	// Remove takes away what Present made, or tried to.
	Remove(ctx context.Context, c Challenge) error
}

// HTTP answers http-01 (RFC 8555 section 8.3). The zero value is ready.
type HTTP struct {
	mu      sync.RWMutex
	answers map[string]string // by token
}

// ChallengePath is where an authority asks over HTTP, on port 80; the token follows.
const ChallengePath = "/.well-known/acme-challenge/"

// Type is "http-01".
func (*HTTP) Type() string { return "http-01" }

// Present keeps the answer until Remove.
func (h *HTTP) Present(_ context.Context, c Challenge) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.answers == nil {
		h.answers = map[string]string{}
	}
	h.answers[c.Token] = c.Answer
	return nil
}

// Remove forgets the answer.
func (h *HTTP) Remove(_ context.Context, c Challenge) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.answers, c.Token)
	return nil
}

// Answer is what the page of a token says; nil for a token that is not waited for.
func (h *HTTP) Answer(token string) []byte {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if a, ok := h.answers[token]; ok {
		return []byte(a)
	}
	return nil
}

// ALPN answers tls-alpn-01 (RFC 8737). The zero value is ready.
type ALPN struct {
	mu    sync.RWMutex
	shown map[string]*tls.Certificate // by name
}

// ALPNProtocol is what an authority asks for, on port 443.
const ALPNProtocol = "acme-tls/1"

// Type is "tls-alpn-01".
func (*ALPN) Type() string { return "tls-alpn-01" }

// Present keeps the certificate of the challenge until Remove.
func (a *ALPN) Present(_ context.Context, c Challenge) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.shown == nil {
		a.shown = map[string]*tls.Certificate{}
	}
	a.shown[c.Name] = c.Certificate
	return nil
}

// Remove forgets the certificate, where it is still this one.
func (a *ALPN) Remove(_ context.Context, c Challenge) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.shown[c.Name] == c.Certificate {
		delete(a.shown, c.Name)
	}
	return nil
}

// Config is the configuration for a client that asks for acme-tls/1 and nothing else, as an authority does that verifies a name
// (RFC 8737 section 3); nil where the name that it asks for is not waited for. The connection carries nothing: it ends after the
// handshake.
func (a *ALPN) Config(hello *tls.ClientHelloInfo) *tls.Config {
	a.mu.RLock()
	c := a.shown[strings.ToLower(hello.ServerName)]
	a.mu.RUnlock()
	if c == nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{ALPNProtocol}, Certificates: []tls.Certificate{*c}, SessionTicketsDisabled: true}
}
