package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"gatepost/tls/dane"
	"gatepost/tls/mtasts"
)

// errNotNamed says that the MTA-STS policy of a domain names other mail hosts than DNS does.
var errNotNamed = errors.New("is none of the mail hosts that the MTA-STS policy of the domain names")

// bySTS makes of what a connection must have what the MTA-STS policy of the domain says whose mail host this is (RFC 8461
// section 4): under enforce, encryption with a certificate that is valid for the host's name, of a host that the policy names;
// under testing nothing more, but what is wrong is noted. TLSA records that can be used come first: a policy never takes the
// place of DANE, failing or not (RFC 8461 section 2).
func (h *hop) bySTS(ctx context.Context, p *protection) error {
	if !h.sts || p.mode != Opportunistic && (p.mode != DANE || len(dane.Usable(p.tlsa)) > 0) {
		return nil
	}
	policy := h.stsPolicy(ctx)
	if policy == nil || policy.Mode == mtasts.Testing && p.mode == DANE {
		return nil // records that cannot be used ask for more than testing does
	}
	p.basis, p.sts = BySTS, policy
	host, _, _ := net.SplitHostPort(h.address)
	if !policy.Matches(host) {
		p.flaw = fmt.Errorf("%s %w (%s)", host, errNotNamed, h.domain)
	}
	if policy.Mode == mtasts.Testing {
		return nil
	}
	p.mode = Required
	if p.flaw != nil {
		h.pools.published.Doubt(h.domain)
		return unprotected{p.flaw}
	}
	return nil
}

// stsPolicy is what the domain publishes; nil where that asks for nothing.
func (h *hop) stsPolicy(ctx context.Context) *mtasts.Policy {
	if !h.sts || h.pools.published == nil {
		return nil
	}
	if p := h.pools.published.MTASTS(ctx, h.domain); p != nil && p.Mode != mtasts.None {
		return p
	}
	return nil
}

// republished reports whether the domain has another policy than that under which a connection was made: an idle one that was
// made before there was any is not used under enforce.
func (h *hop) republished(ctx context.Context, p *protection) bool {
	return h.sts && p.basis != ByTLSA && !samePolicy(h.stsPolicy(ctx), p.sts)
}

// samePolicy reports whether two policies ask for the same.
func samePolicy(a, b *mtasts.Policy) bool {
	return a == b || a != nil && b != nil && a.Mode == b.Mode && slices.Equal(a.MX, b.MX)
}

// noteFlaw has a connection noted whose certificate would not do under enforce, and used all the same.
func (h *hop) noteFlaw(p *protection) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if p.flaw == nil {
			p.flaw = h.verify(s)
		}
		return nil
	}
}

// verify verifies as crypto/tls does for the mode Required.
func (h *hop) verify(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("no certificate")
	}
	o := x509.VerifyOptions{Roots: h.roots, DNSName: h.serverName, CurrentTime: time.Now(), Intermediates: x509.NewCertPool()}
	for _, c := range s.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(o)
	return err
}
