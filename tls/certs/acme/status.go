package acme

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Status is what is known of an entry.
type Status struct {
	Name      string // its first
	Names     []string
	Challenge string
	Keys      KeyType
	NotAfter  time.Time // of the certificate that ends first; zero: one is missing
	Next      time.Time // when it is tried next; zero: now
	Busy      bool      // it is tried now
	Done      time.Time // the last certificate came; zero: never
	Error     string    // of the last try; empty: it went well
	ErrorAt   time.Time
	Failures  int    // one after another
	Orders    int    // in 24 hours
	KeptKey   string // why the last renewal kept its key; empty: it did not have to
	Broken    bool   // none is ordered before somebody has looked: Error says why, and Next says nothing
}

// Status returns what is known of each entry.
func (m *Manager) Status() (out []Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for _, k := range m.kept {
		s := Status{Name: k.Name(), Names: slices.Clone(k.Names), Challenge: k.Solver.Type(), Keys: k.Keys, Next: k.when(now), Busy: k.busy,
			Done: k.Done, Error: k.Error, ErrorAt: k.ErrorAt, Failures: k.Failures, Orders: len(recent(k.Orders, now)), KeptKey: k.keptKey(), Broken: k.broken}
		for i, t := range k.Keys.each() {
			c, err := k.certificate(t)
			if err != nil {
				s.NotAfter = time.Time{}
				break
			}
			if i == 0 || c.Leaf.NotAfter.Before(s.NotAfter) {
				s.NotAfter = c.Leaf.NotAfter
			}
		}
		out = append(out, s)
	}
	return out
}

// keptKey is why the last renewal kept a key, of each kind that it did not change.
func (k *kept) keptKey() string {
	var all []string
	for _, t := range k.Keys.each() {
		if why := k.KeptKeys[t.String()]; why != "" && !slices.Contains(all, why) {
			all = append(all, why)
		}
	}
	return strings.Join(all, "; ")
}

// certificate is the one of a kind of key.
func (k *kept) certificate(t KeyType) (*tls.Certificate, error) {
	if h := k.pairs[t]; h != nil && h.current != nil {
		return h.current.certificate()
	}
	return nil, errors.New(k.Error)
}

// PublicKeys are those of an entry, of one kind: what TLSA records are made of.
type PublicKeys struct {
	Names         []string
	Kind          KeyType // ECDSA or RSA
	Current, Next crypto.PublicKey
	Shown         bool // there is a certificate of Current
}

// PublicKeys returns the keys of each entry that are shown, or will be with the first certificate, and those that come next.
func (m *Manager) PublicKeys() (out []PublicKeys) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.kept {
		if k.broken {
			continue
		}
		for _, t := range k.Keys.each() {
			out = append(out, PublicKeys{Names: slices.Clone(k.Names), Kind: t, Shown: len(k.pairs[t].current.chain) > 0,
				Current: k.pairs[t].current.key.Public(), Next: k.pairs[t].next.key.Public()})
		}
	}
	return out
}

// look checks a certificate before it is shown: it must be of our key, for all names, in force, and its chain in order.
func (m *Manager) look(p *pair, names []string) error {
	c, err := p.certificate()
	if err != nil {
		return err
	}
	now := time.Now()
	if now.After(c.Leaf.NotAfter) {
		return fmt.Errorf("it has expired on %s; is the clock right?", c.Leaf.NotAfter.Format(time.RFC3339))
	}
	for _, name := range names {
		if !slices.Contains(c.Leaf.DNSNames, name) {
			return fmt.Errorf("it is not for %s", name)
		}
	}
	if err := inOrder(c); err != nil {
		return err
	}
	if m.Check != nil {
		return m.Check(c, names)
	}
	return nil
}

// inOrder checks that each certificate of a chain is signed by the next (RFC 8555 section 9.1).
func inOrder(c *tls.Certificate) error {
	below := c.Leaf
	for _, der := range c.Certificate[1:] {
		above, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("its chain: %w", err)
		}
		if err := below.CheckSignatureFrom(above); err != nil {
			return errors.New("its chain is not in order: each must be signed by the next")
		}
		below = above
	}
	return nil
}
