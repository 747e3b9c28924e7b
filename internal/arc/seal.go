package arc

import (
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"gatepost/internal/dkim"
)

// Sealer adds sets to chains (RFC 8617 section 5.1).
type Sealer struct {
	Domain, Selector string // A-labels, as dkim.ASCIIName returns them
	Key              crypto.Signer
}

// Draft is a message that is to be sealed, as it goes out.
type Draft struct {
	Header []dkim.Field // all its fields, without the set that is added
	Body   io.Reader    // behind the empty line
	Chain  Chain        // as it came in
	// Results is what the new ARC-Authentication-Results tells: the value of our Authentication-Results, from the
	// authserv-id on, folded as it may be.
	Results string
	Now     time.Time
}

// Why a message is not sealed.
var (
	ErrEnded   = errors.New("the chain was ended by cv=fail (RFC 8617 section 5.1 step 2)")
	ErrFull    = errors.New("the chain has as many sets as it may have")
	ErrUnknown = errors.New("DNS did not give all keys of the chain, so that nothing true can be said of it")
)

// signedNames are the fields that our message signature covers, as often as they are there: who wrote the message, to
// whom, about what, and what makes its form; and the signatures that were on it (RFC 8617 section 4.1.2). Trace fields and
// results are left out, since hosts behind us change them.
var signedNames = [...]string{"From", "Sender", "Reply-To", "Subject", "Date", "Message-ID", "To", "Cc", "In-Reply-To", "References",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding", "List-Id", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Post", "DKIM-Signature"}

// maxSigned bounds the names in h=: a message with more of these fields is malformed, and has its upper ones unsigned.
const maxSigned = 90

// Seal returns the three fields of the new set, to be written above the message: seal, signature, results. It fails with
// ErrEnded, ErrFull or ErrUnknown where no set is to be added. A chain that failed gets one set with cv=fail, which signs
// nothing but itself (section 5.1.2).
func (s *Sealer) Seal(d *Draft) ([]byte, int, error) {
	instance, cv, err := d.next()
	if err != nil {
		return nil, 0, err
	}
	results := fmt.Sprintf("%s: i=%d; %s\r\n", fieldResults, instance, strings.TrimSpace(d.Results))
	message, err := s.message(d, instance)
	if err != nil {
		return nil, 0, err
	}
	above := []dkim.Field{{Name: fieldMessage, Raw: message}, {Name: fieldResults, Raw: []byte(results)}}
	h := dkim.NewHeaderHasher(dkim.Relaxed)
	if cv == "pass" {
		p := Check(dkim.NewHeader(d.Header), Options{})
		if p.done || len(p.sets) != instance-1 {
			return nil, 0, errors.New("the chain that goes out is not the one that came in")
		}
		for i := range p.sets {
			for _, at := range [...]int{p.sets[i].results, p.sets[i].message, p.sets[i].seal} {
				h.Field(&d.Header[at])
			}
		}
	}
	h.Field(&above[1])
	h.Field(&above[0])
	start := fmt.Sprintf("%s: i=%d; a=%s; cv=%s; d=%s; s=%s;\r\n\tt=%d; b=", fieldSeal, instance, s.algorithm(), cv, s.Domain, s.Selector, d.Now.Unix())
	seal, err := s.sign(h, fieldSeal, start)
	if err != nil {
		return nil, 0, err
	}
	return append(append(seal, message...), results...), instance, nil
}

// next returns the instance of the new set and what it says of the chain before.
func (d *Draft) next() (instance int, cv string, err error) {
	c := &d.Chain
	switch {
	case c.Ended:
		return 0, "", ErrEnded
	case c.Result == Unknown:
		return 0, "", ErrUnknown
	case c.Highest >= MaxSets:
		return 0, "", ErrFull
	case c.Result == None:
		return 1, "none", nil
	case c.Result == Pass:
		return c.Highest + 1, "pass", nil
	}
	return c.Highest + 1, "fail", nil
}

// message makes the message signature.
func (s *Sealer) message(d *Draft, instance int) ([]byte, error) {
	var body dkim.BodyHasher
	n := body.Want(dkim.Relaxed, -1)
	if err := body.Read(d.Body); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	sum, err := body.Sum(n)
	if err != nil {
		return nil, err
	}
	header := dkim.NewHeader(d.Header)
	names := present(header)
	h := dkim.NewHeaderHasher(dkim.Relaxed)
	for _, at := range header.Select(names, -1) {
		if at >= 0 {
			h.Field(&header.Fields[at])
		}
	}
	start := fmt.Sprintf("%s: i=%d; a=%s; c=relaxed/relaxed; d=%s;\r\n\ts=%s; t=%d;\r\n\th=%s;\r\n\tbh=%s;\r\n\tb=", fieldMessage, instance,
		s.algorithm(), s.Domain, s.Selector, d.Now.Unix(), foldList(names), base64.StdEncoding.EncodeToString(sum.Hash[:]))
	return s.sign(h, fieldMessage, start)
}

// present lists the names for h=: each as often as it is there, and From once more, so that none can be added.
func present(h *dkim.Header) []string {
	names := []string{"From"}
	for _, name := range signedNames {
		for at := h.Last(name); at >= 0 && len(names) < maxSigned; at = h.Above(at) {
			names = append(names, name)
		}
	}
	return names
}

func foldList(names []string) string {
	var b strings.Builder
	width := 0
	for i, n := range names {
		if i > 0 {
			b.WriteByte(':')
			if width > 56 {
				b.WriteString("\r\n\t ")
				width = 0
			}
		}
		b.WriteString(n)
		width += len(n) + 1
	}
	return b.String()
}

// sign hashes the field that is begun, signs, and ends it.
func (s *Sealer) sign(h *dkim.HeaderHasher, name, start string) ([]byte, error) {
	h.Own(&dkim.Field{Name: name, Raw: []byte(start)}, nil)
	signature, _, err := dkim.Sign(s.Key, h.Sum())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	text, out := base64.StdEncoding.EncodeToString(signature), []byte(start)
	for len(text) > 70 {
		out = append(append(out, text[:70]...), "\r\n\t "...)
		text = text[70:]
	}
	return append(append(out, text...), "\r\n"...), nil
}

// algorithm is that of dkim.Sign with our key.
func (s *Sealer) algorithm() dkim.Algorithm {
	if _, ok := s.Key.(ed25519.PrivateKey); ok {
		return dkim.Ed25519SHA256
	}
	return dkim.RSASHA256
}

// publicKey is the key as others read it from DNS.
func publicKey(k crypto.Signer) (*dkim.Key, error) {
	record, err := Record(k)
	if err != nil {
		return nil, err
	}
	return dkim.ParseKey(record)
}
