package relay

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"time"

	"gatepost/tls/dane"
)

// tlsConfig is what the protection asks of the next hop's certificate.
func (h *hop) tlsConfig(p *protection) *tls.Config {
	cfg := &tls.Config{ServerName: h.serverName, RootCAs: h.roots, MinVersion: tls.VersionTLS12}
	if h.certificate != nil {
		// It is shown whatever authorities the next hop names: it may know the certificate itself.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return h.certificate, nil }
	}
	switch p.mode {
	case Opportunistic:
		cfg.InsecureSkipVerify = true     // any encryption is better than none, and a bad certificate would mean none
		cfg.MinVersion = tls.VersionTLS10 // for the same reason
		if p.basis == BySTS {
			cfg.VerifyConnection = h.noteFlaw(p)
		}
	case Fingerprint:
		cfg.InsecureSkipVerify = true // the pin takes the place of names, dates and authorities
		cfg.VerifyConnection = h.pinned
	case DANE:
		cfg.InsecureSkipVerify = true // the TLSA records do
		cfg.ServerName = p.base
		if len(dane.Usable(p.tlsa)) > 0 {
			cfg.VerifyConnection = func(s tls.ConnectionState) (err error) {
				p.proof, err = dane.Verify(p.tlsa, s.PeerCertificates, h.names(p), time.Now())
				return err
			}
		}
	}
	return cfg
}

// errNotPinned says that a certificate is none of the list.
var errNotPinned = errors.New("is not the pinned one")

// pinned accepts the connection only with a certificate, or a key, of the list.
func (h *hop) pinned(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("no certificate")
	}
	leaf := s.PeerCertificates[0]
	whole, key := Digest(sha256.Sum256(leaf.Raw)), Digest(sha256.Sum256(leaf.RawSubjectPublicKeyInfo))
	if slices.Contains(h.fingerprints, whole) || slices.Contains(h.fingerprints, key) {
		return nil
	}
	return fmt.Errorf("certificate %s (key %s) %w", whole, key, errNotPinned)
}
