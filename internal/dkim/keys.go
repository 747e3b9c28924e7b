package dkim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// Resolver is the DNS that keys are asked of, in the shape of net.Resolver: a *net.DNSError with IsNotFound says that there
// are no texts, any other error that DNS could not tell.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// maxKeys bounds the keys of one message: those of its signatures, of its ARC chain, and some.
const maxKeys = 128

// atOnce bounds the lookups of a message that are under way. A message may name more keys than all honest ones together, on
// name servers that never answer: it must not take the resolver away from others.
const atOnce = 24

// Keys looks up the keys of a message: each Want names one, Fetch asks for them at the same time and each once, Get tells.
// The zero value is ready; it is for one message. Only Fetch waits.
type Keys struct {
	keys []keyOf
}

type keyOf struct {
	name string
	key  *Key
	err  error
	done bool
}

// KeyError says why there is no key.
type KeyError struct {
	Temporary bool // DNS could not tell: another day it may
	Reason    string
	Err       error // what DNS or the record said; may be nil
}

func (e *KeyError) Error() string { return e.Reason }

// Unwrap returns what is behind it.
func (e *KeyError) Unwrap() error { return e.Err }

// Want asks for a key; selector and domain are as ASCIIName returns them.
func (k *Keys) Want(selector, domain string) {
	name := KeyName(selector, domain)
	if name == "" || len(k.keys) == maxKeys {
		return
	}
	for i := range k.keys {
		if k.keys[i].name == name {
			return
		}
	}
	k.keys = append(k.keys, keyOf{name: name})
}

// Fetch looks up what was wanted since the last Fetch and waits for all of it. No goroutine outlives it, and a panic of the
// resolver is a temporary error of its key.
func (k *Keys) Fetch(ctx context.Context, r Resolver) {
	var missing []*keyOf
	for i := range k.keys {
		if !k.keys[i].done {
			missing = append(missing, &k.keys[i])
		}
	}
	if len(missing) == 0 {
		return
	}
	var next atomic.Int32
	some := func() {
		for i := int(next.Add(1)); i <= len(missing); i = int(next.Add(1)) {
			missing[i-1].ask(ctx, r)
		}
	}
	var wg sync.WaitGroup
	for range min(len(missing), atOnce) - 1 {
		wg.Go(some)
	}
	some()
	wg.Wait()
}

func (m *keyOf) ask(ctx context.Context, r Resolver) {
	m.done = true
	defer func() {
		if p := recover(); p != nil {
			m.key, m.err = nil, &KeyError{Temporary: true, Reason: fmt.Sprintf("key lookup: panic: %v", p)}
		}
	}()
	m.key, m.err = lookupKey(ctx, r, m.name)
}

// Get returns a key, or a *KeyError.
func (k *Keys) Get(selector, domain string) (*Key, error) {
	name := KeyName(selector, domain)
	for i := range k.keys {
		if m := &k.keys[i]; m.name == name && m.done {
			return m.key, m.err
		}
	}
	if name == "" {
		return nil, &KeyError{Reason: "key: its name is too long for DNS"}
	}
	return nil, &KeyError{Temporary: true, Reason: "key: not looked up"}
}

// lookupKey finds the one key record at a name. Texts that are no key records stand beside it in practice (wildcards); two
// that are key records are undefined by RFC 6376 section 3.6.2.2, and here no key: it must not depend on their order.
func lookupKey(ctx context.Context, r Resolver, name string) (*Key, error) {
	texts, err := r.LookupTXT(ctx, name)
	if err != nil {
		var dns *net.DNSError
		if errors.As(err, &dns) && dns.IsNotFound && ctx.Err() == nil {
			return nil, &KeyError{Reason: "no key for signature", Err: err}
		}
		return nil, &KeyError{Temporary: true, Reason: "key lookup failed", Err: err}
	}
	if len(texts) > maxTexts {
		return nil, &KeyError{Reason: fmt.Sprintf("%d texts where one key record should be", len(texts))}
	}
	var key *Key
	first := error(nil)
	for _, text := range texts {
		k, err := ParseKey(text)
		switch {
		case err != nil && (first == nil || errors.Is(err, ErrRevoked)):
			first = err
		case err == nil && key != nil:
			return nil, &KeyError{Reason: "several key records"}
		case err == nil:
			key = k
		}
	}
	switch {
	case errors.Is(first, ErrRevoked):
		return nil, &KeyError{Reason: first.Error(), Err: first} // whatever stands beside it
	case key != nil:
		return key, nil
	case first == nil:
		return nil, &KeyError{Reason: "no key for signature"}
	}
	return nil, &KeyError{Reason: first.Error(), Err: first}
}

// maxTexts bounds the texts at the name of a key that are looked at.
const maxTexts = 16
