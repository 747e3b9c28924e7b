package arc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"

	"gatepost/internal/dkim"
)

// Options say how far a chain is looked at.
type Options struct {
	// Now is the time that x= is held against.
	Now time.Time
	// Oldest asks for the older message signatures too (RFC 8617 section 5.2 step 5), from the newest on to the first that no
	// longer holds, eight at most.
	Oldest bool
}

// Pending is a chain between what its fields say and what its keys and the body say.
type Pending struct {
	header  *dkim.Header
	options Options
	sets    []set
	chain   Chain
	done    bool // nothing of keys or body can change it
}

// Check looks at the fields of a chain. It costs next to nothing where there are none.
func Check(h *dkim.Header, o Options) *Pending {
	p := &Pending{header: h, options: o}
	p.chain.OldestPass = -1
	err := p.collect()
	switch {
	case err != nil:
		p.chain.Result, p.chain.Reason, p.sets, p.done = Fail, err.Error(), nil, true
	case len(p.sets) == 0:
		p.done = true
	}
	return p
}

// Want asks for what the chain needs: the hashes of the body and the keys, before one is read and the others are fetched.
func (p *Pending) Want(b *dkim.BodyHasher, k *dkim.Keys) {
	for i := range p.sets {
		s := &p.sets[i]
		k.Want(s.as.selector, s.as.domain)
		if i >= p.oldestOf() {
			k.Want(s.ams.selector, s.ams.domain)
			s.ams.want = b.Want(s.ams.body, s.ams.limit)
		}
	}
}

// Finish says what became of the chain, once the body was read and the keys were fetched. It waits for nothing.
func (p *Pending) Finish(b *dkim.BodyHasher, k *dkim.Keys) Chain {
	c := p.chain
	if p.done {
		return c
	}
	c.Sets = make([]Set, len(p.sets))
	for i := range p.sets {
		s := &p.sets[i]
		c.Sets[i] = Set{Instance: i + 1, Results: s.text, CV: s.as.cv, Seal: s.as.outline(), Message: s.ams.outline()}
		c.Sets[i].Message.Whole = s.ams.limit < 0
	}
	newest := &c.Sets[len(c.Sets)-1]
	p.message(&newest.Message, &p.sets[len(p.sets)-1], b, k)
	c.worsen(newest.Message, newest.Instance, fieldMessage)
	if newest.Message.Result == Fail {
		return c // by section 5.2 step 4 nothing else matters
	}
	p.seals(&c, k)
	if c.Result == None {
		c.Result = Pass
	}
	if c.Result == Pass && p.options.Oldest {
		p.oldest(&c, b, k)
	}
	return c
}

// Verify does it all: the keys are asked at the same time, each once, while nothing else waits, and the body is read once.
func Verify(ctx context.Context, r dkim.Resolver, h *dkim.Header, body io.Reader, o Options) Chain {
	var b dkim.BodyHasher
	var k dkim.Keys
	p := Check(h, o)
	p.Want(&b, &k)
	k.Fetch(ctx, r)
	_ = b.Read(body) // Sum says it too
	return p.Finish(&b, &k)
}

// worsen takes one signature into the result: what fails outweighs what DNS could not tell.
func (c *Chain) worsen(s Signature, instance int, kind string) {
	if s.Result == Fail && c.Result != Fail || s.Result == Unknown && c.Result == None {
		c.Result, c.Reason = s.Result, fmt.Sprintf("%s i=%d: %s", kind, instance, s.Reason)
	}
}

func (c *common) outline() Signature {
	return Signature{Domain: c.domain, Selector: c.selector, Algorithm: c.algorithm}
}

// message verifies a message signature (RFC 6376 section 6.1.3).
func (p *Pending) message(out *Signature, s *set, b *dkim.BodyHasher, k *dkim.Keys) {
	m := &s.ams
	if m.expires > 0 && !p.options.Now.IsZero() && p.options.Now.Unix() > m.expires {
		out.fails("expired")
		return
	}
	sum, err := b.Sum(m.want)
	switch {
	case err != nil:
		out.Result, out.Reason = Unknown, "the body could not be read"
		return
	case m.limit > sum.Total:
		out.fails("l= is more than the body has")
		return
	case !bytes.Equal(sum.Hash[:], m.hash):
		out.fails("the body was changed")
		return
	}
	h := dkim.NewHeaderHasher(m.header)
	chosen := p.header.Select(m.names, s.message)
	out.Doubled = p.doubled(m.names, chosen, s.message)
	for _, at := range chosen {
		if at >= 0 {
			h.Field(&p.header.Fields[at])
		}
	}
	h.Own(&p.header.Fields[s.message], &m.b)
	m.check(out, h.Sum(), k)
}

// doubled finds fields of signed names above the topmost that was chosen: anybody may have added them.
func (p *Pending) doubled(names []string, chosen []int, own int) (out []string) {
	for i := len(names) - 1; i >= 0; i-- {
		if chosen[i] < 0 || slices.ContainsFunc(names[i+1:], func(n string) bool { return strings.EqualFold(n, names[i]) }) {
			continue // none is left above, or a later name stands further up
		}
		above := p.header.Above(chosen[i])
		if above == own && above >= 0 {
			above = p.header.Above(above)
		}
		if above >= 0 {
			out = append(out, strings.ToLower(names[i]))
		}
	}
	return out
}

// seals verifies every seal. Each signs all sets up to its own, in their order, so that one growing hash serves all.
func (p *Pending) seals(c *Chain, k *dkim.Keys) {
	grown := sha256.New()
	var buf []byte
	for i := range p.sets {
		s, out := &p.sets[i], &c.Sets[i].Seal
		buf = p.canonical(buf[:0], s.results)
		buf = p.canonical(buf, s.message)
		grown.Write(buf)
		own := &p.header.Fields[s.seal]
		_, value := own.Value()
		buf = dkim.AppendUnsigned(buf[:0], own.Raw, dkim.Relaxed, value+s.as.b.Start, value+s.as.b.End)
		s.as.check(out, sumWith(grown, buf), k)
		grown.Write(p.canonical(buf[:0], s.seal))
	}
	for i := len(p.sets) - 1; i >= 0; i-- {
		c.worsen(c.Sets[i].Seal, i+1, fieldSeal)
	}
}

func (p *Pending) canonical(to []byte, field int) []byte {
	return dkim.AppendField(to, p.header.Fields[field].Raw, dkim.Relaxed)
}

// sumWith returns the hash of what was written to h and of some more, which h does not keep.
func sumWith(h hash.Hash, more []byte) (sum [sha256.Size]byte) {
	c, err := h.(hash.Cloner).Clone()
	if err != nil {
		return sum // no signature is one of it
	}
	c.Write(more)
	c.Sum(sum[:0])
	return sum
}

// maxOlder bounds the older message signatures that are looked at: each costs a key and a hash over the header section, and
// nothing depends on them.
const maxOlder = 8

// oldestOf returns the first set whose message signature is looked at.
func (p *Pending) oldestOf() int {
	last := len(p.sets) - 1
	if !p.options.Oldest {
		return last
	}
	return max(last-maxOlder, 0)
}

// oldest verifies the older message signatures until one no longer holds.
func (p *Pending) oldest(c *Chain, b *dkim.BodyHasher, k *dkim.Keys) {
	for i := len(p.sets) - 2; i >= p.oldestOf(); i-- {
		out := &c.Sets[i].Message
		if p.message(out, &p.sets[i], b, k); out.Result != Pass {
			c.OldestPass = i + 2
			return
		}
	}
	c.OldestPass = 0
	if first := p.oldestOf(); first > 0 {
		c.OldestPass = first + 1
	}
}

// check holds a signature against its key.
func (c *common) check(out *Signature, sum [sha256.Size]byte, k *dkim.Keys) {
	key, err := k.Get(c.selector, c.domain)
	if err != nil {
		out.Result, out.Reason = Fail, err.Error()
		if ke, ok := errors.AsType[*dkim.KeyError](err); ok && ke.Temporary {
			out.Result = Unknown
		}
		return
	}
	out.Bits = key.Bits
	switch {
	case !key.SHA256:
		out.fails("the key is not for SHA-256")
	case !key.Email:
		out.fails("the key is not for mail")
	default:
		if err := key.Check(c.algorithm, sum, c.signature); err != nil {
			out.fails(err.Error())
			return
		}
		out.Result = Pass
	}
}

func (s *Signature) fails(why string) { s.Result, s.Reason = Fail, why }
