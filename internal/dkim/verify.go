package dkim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// The bounds where Options says nothing.
const (
	DefaultSignatures = 8
	DefaultSkew       = 5 * time.Minute
)

// maxPrefix bounds the octets of b= in text form that are kept to tell signatures apart.
const maxPrefix = 64

// Options are what policy says of signatures. The zero value is safe.
type Options struct {
	Now        time.Time     // zero: time.Now
	Skew       time.Duration // by how much clocks may differ; 0: DefaultSkew
	Signatures int           // how many are looked at, from the top; 0: DefaultSignatures
	MinBits    int           // RSA keys that are shorter give Policy; below MinBits always
	// TakeUncovered lets a signature pass though octets of the body follow those that its l= covers: anybody may have
	// added them.
	TakeUncovered bool
}

// Message is the verification of the signatures of one message: first it collects what it wants of the body and of DNS,
// then it tells. So one pass and one round of lookups serve it and ARC.
type Message struct {
	h       *Header
	o       Options
	skipped int
	items   []item
}

type item struct {
	sig    *Signature
	result Result
	body   int // number in the BodyHasher; -1 where nothing is wanted
}

// NewMessage finds and parses the signatures. It costs next to nothing where there are none.
func NewMessage(h *Header, o Options) *Message {
	m := &Message{h: h, o: o}
	if m.o.Now.IsZero() {
		m.o.Now = time.Now()
	}
	if m.o.Skew == 0 {
		m.o.Skew = DefaultSkew
	}
	if m.o.Signatures <= 0 {
		m.o.Signatures = DefaultSignatures
	}
	n := 0
	for i := h.Last("DKIM-Signature"); i >= 0; i = h.Above(i) {
		n++
	}
	if n == 0 {
		return m
	}
	m.skipped = max(n-m.o.Signatures, 0)
	m.items = make([]item, n-m.skipped)
	at := n - 1 // from the bottom up; the topmost are looked at
	for i := h.Last("DKIM-Signature"); i >= 0; i = h.Above(i) {
		if at < len(m.items) {
			m.items[at].read(m, i)
		}
		at--
	}
	return m
}

// Skipped returns how many signatures are beyond Options.Signatures.
func (m *Message) Skipped() int { return m.skipped }

// Len returns how many signatures are looked at.
func (m *Message) Len() int { return len(m.items) }

// Want tells what has to be hashed and looked up.
func (m *Message) Want(b *BodyHasher, k *Keys) {
	for i := range m.items {
		if it := &m.items[i]; it.result.Status == None {
			it.body = b.Want(it.sig.BodyCanon, it.sig.Length)
			k.Want(it.sig.Selector, it.sig.Domain)
		}
	}
}

// Results verifies, with the body read and the keys fetched. The results stand in the order of the message.
func (m *Message) Results(b *BodyHasher, k *Keys) []Result {
	out, values := make([]Result, len(m.items)), make([]string, len(m.items))
	for i := range m.items {
		it := &m.items[i]
		if it.result.Status == None {
			it.verify(m, b, k)
		}
		out[i] = it.result
		if v, ok := it.sig.Tags.Get("b"); ok {
			v = strings.Map(func(r rune) rune {
				if r <= ' ' {
					return -1
				}
				return r
			}, v[:min(len(v), 2*maxPrefix)])
			values[i] = v[:min(len(v), maxPrefix)]
		}
	}
	prefixes(out, values)
	return out
}

// Verify does all of it for a message whose signatures are DKIM's only. skipped is how many signatures were too many.
func Verify(ctx context.Context, h *Header, body io.Reader, r Resolver, o Options) (results []Result, skipped int) {
	m := NewMessage(h, o)
	if m.Len() == 0 {
		return nil, 0
	}
	var b BodyHasher
	var k Keys
	m.Want(&b, &k)
	_ = b.Read(body) // Sum says so
	k.Fetch(ctx, r)
	return m.Results(&b, &k), m.Skipped()
}

// read parses a signature and checks what needs neither body nor key.
func (it *item) read(m *Message, field int) {
	sig, err := ParseSignature(&m.h.Fields[field])
	it.sig, it.body = sig, -1
	r := &it.result
	*r = Result{Field: field, Domain: sig.Domain, Selector: sig.Selector, Algorithm: sig.Algorithm, HeaderCanon: sig.HeaderCanon,
		BodyCanon: sig.BodyCanon, Length: sig.Length, Time: sig.Time, Expires: sig.Expires}
	if sig.Domain != "" {
		r.Identity = "@" + sig.Domain
	}
	if err == nil {
		err = it.readOwn()
	}
	if err == nil && m.h.Last("From") < 0 {
		err = errors.New("the message has no From")
	}
	switch {
	case errors.Is(err, errBound):
		r.stop(Neutral, Bound, err.Error())
	case err != nil:
		r.stop(PermError, BadSyntax, err.Error())
	default:
		if err := sig.Timely(m.o.Now, m.o.Skew); err != nil {
			r.stop(PermError, BadTime, err.Error())
		}
	}
}

// readOwn checks what is DKIM's own: v=, i=, q=, and that From is signed (RFC 6376 section 6.1.1).
func (it *item) readOwn() error {
	tags := it.sig.Tags
	if v, ok := tags.Get("v"); !ok {
		return errors.New("v= is missing")
	} else if v != "1" {
		return fmt.Errorf("v=%.20q is not known", v)
	}
	if q, ok := tags.Get("q"); ok {
		known := false
		for _, way := range SplitList(q, maxNames) {
			known = known || strings.EqualFold(way, "dns/txt")
		}
		if !known {
			return errors.New("q= knows no way that we know")
		}
	}
	from := false
	for _, name := range it.sig.Names {
		from = from || sameName(name, "From")
	}
	if !from {
		return errors.New("h= does not sign From")
	}
	i, ok := tags.Get("i")
	if !ok {
		return nil
	}
	at := strings.LastIndexByte(i, '@')
	if at < 0 {
		return errors.New("i= is no identity")
	}
	domain, err := ASCIIName(i[at+1:])
	if err != nil {
		return fmt.Errorf("i=: %w", err)
	}
	it.result.Identity = i[:at] + "@" + domain
	if !Below(domain, it.sig.Domain) {
		return errors.New("i= is not of d=")
	}
	return nil
}

// verify is the signature against body, header and key. A body that was changed is so whatever DNS says.
func (it *item) verify(m *Message, b *BodyHasher, k *Keys) {
	r, sig := &it.result, it.sig
	sum, bodyErr := b.Sum(it.body)
	changed := bodyErr == nil && (sum.Hash != sig.BodyHash || sum.Octets < sig.Length)
	hash, chosen, err := sig.HeaderHash(m.h, r.Field)
	r.coverage(m.h, sig.Names, chosen, r.Field)
	if bodyErr == nil && sig.Length >= 0 {
		r.Uncovered = max(sum.Total-sig.Length, 0)
	}
	if err != nil {
		r.stop(Neutral, Bound, err.Error())
		return
	}
	key, err := k.Get(sig.Selector, sig.Domain)
	if err != nil {
		r.noKey(err)
	} else {
		r.Bits, r.Testing = key.Bits, key.Testing
		if err := it.fits(key); err != nil {
			r.stop(PermError, BadKey, err.Error())
			return
		}
		err = key.Check(sig.Algorithm, hash, sig.Value)
	}
	switch {
	case r.Status == PermError: // no key, and never one
	case bodyErr != nil:
		r.stop(TempError, BodyRead, "the body could not be read")
	case changed:
		r.HeaderHolds = err == nil
		reason := "body hash differs"
		if sum.Octets < sig.Length {
			reason = fmt.Sprintf("the body has %d octets, and l=%d", sum.Total, sig.Length)
		} else if r.HeaderHolds {
			reason += "; the header is as it was signed"
		}
		r.stop(Fail, BodyChanged, reason)
	case r.Status == TempError:
	case err != nil:
		r.stop(Fail, HeaderChanged, "signature does not match")
	default:
		it.count(m, key)
	}
}

// noKey tells why there is no key.
func (r *Result) noKey(err error) {
	var e *KeyError
	if errors.As(err, &e) && e.Temporary {
		r.DNSError = e.Err
		r.stop(TempError, KeyLookup, e.Reason)
		return
	}
	cause := BadKey
	if errors.Is(err, ErrWeak) {
		cause = WeakKey
	}
	r.stop(PermError, cause, err.Error())
}

// fits checks that the key is one for this signature (RFC 6376 section 6.1.2).
func (it *item) fits(k *Key) error {
	switch {
	case !k.Email:
		return errors.New("key is not for email (s=)")
	case !k.SHA256:
		return errors.New("key does not allow sha256 (h=)")
	case k.Algorithm() != it.sig.Algorithm:
		return errKeyType
	case k.Strict && !strings.HasSuffix(it.result.Identity, "@"+it.sig.Domain):
		return errors.New("key allows no domain below d= in i= (t=s)")
	}
	return nil
}

// count applies what policy says of a signature that holds.
func (it *item) count(m *Message, k *Key) {
	r := &it.result
	switch {
	case slices.Contains(r.Duplicates, "from"): // which of them a mail client shows nobody knows
		r.stop(Policy, Doubled, "a From that is not signed stands above the signed one")
	case r.Uncovered > 0 && !m.o.TakeUncovered:
		r.stop(Policy, Uncovered, fmt.Sprintf("l=%d does not cover the last %d octets of the body", r.Length, r.Uncovered))
	case k.Algorithm() == RSASHA256 && k.Bits < m.o.MinBits:
		r.stop(Policy, WeakKey, fmt.Sprintf("key of %d bits; at least %d count here", k.Bits, m.o.MinBits))
	default:
		r.Status = Pass
	}
}
