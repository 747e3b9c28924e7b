package certs

import (
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Set is the certificates that a server shows, from several sources: files, an authority (ACME), one of our own. It is
// safe for concurrent use; a handshake takes no lock. The zero value is empty.
type Set struct {
	mu       sync.Mutex // of writers
	put      []Shown
	fallback []Shown // one or none
	now      atomic.Pointer[[]Shown]
}

// Shown is one certificate of a Set.
type Shown struct {
	Source      string // what Put was called with
	Certificate *tls.Certificate
}

// errNone says that there is nothing to show.
var errNone = errors.New("there is no certificate")

// Put shows these certificates, each with its Leaf, in place of those that the source had before. A source keeps its place:
// the one that was put first is the default, for clients that ask for no name or for one that nobody has. None at all
// withdraws what the source had.
func (s *Set) Put(source string, certificates ...*tls.Certificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := func(o Shown) bool { return o.Source == source }
	at := slices.IndexFunc(s.put, of)
	if at < 0 {
		at = len(s.put)
	}
	s.put = slices.DeleteFunc(slices.Clone(s.put), of)
	for i, c := range certificates {
		s.put = slices.Insert(s.put, at+i, Shown{source, c})
	}
	s.show()
}

// Fallback shows this certificate, with its Leaf, while no source has any: one that nobody but us vouches for.
func (s *Set) Fallback(source string, c *tls.Certificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fallback = []Shown{{source, c}}
	s.show()
}

// show puts in force what there is. The caller holds the lock.
func (s *Set) show() {
	all := s.put
	if len(all) == 0 {
		all = s.fallback
	}
	s.now.Store(&all)
}

// All returns the certificates in their order.
func (s *Set) All() []Shown {
	if now := s.now.Load(); now != nil {
		return slices.Clone(*now)
	}
	return nil
}

// Covers reports whether one of the certificates is for a name.
func (s *Set) Covers(name string) bool {
	return slices.ContainsFunc(s.All(), func(o Shown) bool { return o.Certificate.Leaf.VerifyHostname(strings.TrimSuffix(name, ".")) == nil })
}

// Get chooses for a client (tls.Config.GetCertificate): of those for the name it asks for, the first whose key it can verify;
// else of all. A client that can use none gets the first, and ends the handshake itself.
func (s *Set) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	now := s.now.Load()
	if now == nil || len(*now) == 0 {
		return nil, errNone
	}
	able := *hello
	able.ServerName = "" // else SupportsCertificate says no to every certificate that is not for the name
	var first *tls.Certificate
	if name := strings.TrimSuffix(hello.ServerName, "."); name != "" {
		for _, o := range *now {
			if o.Certificate.Leaf.VerifyHostname(name) != nil {
				continue
			}
			if able.SupportsCertificate(o.Certificate) == nil {
				return o.Certificate, nil
			}
			if first == nil {
				first = o.Certificate
			}
		}
	}
	for _, o := range *now {
		if able.SupportsCertificate(o.Certificate) == nil {
			return o.Certificate, nil
		}
	}
	if first == nil {
		first = (*now)[0].Certificate
	}
	return first, nil
}
