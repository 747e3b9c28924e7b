package dkim

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The bounds of one signature.
const (
	maxField = 64 << 10 // octets of its field
	maxNames = 100      // in h=
	maxText  = 1 << 20  // octets of the fields that h= names
)

// errBound says that a signature is beyond a bound of ours, and not against the RFC.
var errBound = errors.New("too much to look at")

// Signature is what the field of a signature says, of DKIM or of ARC-Message-Signature (RFC 8617 section 4.1.2), which has
// the same tags but for v= and i=. What they share is checked.
type Signature struct {
	Tags        Tags      // of Field.Value
	Algorithm   Algorithm // a=
	Domain      string    // d=, as ASCIIName returns it
	Selector    string    // s=, likewise
	HeaderCanon Canon     // c=
	BodyCanon   Canon
	Names       []string          // h=, as written
	BodyHash    [sha256.Size]byte // bh=
	Value       []byte            // b=
	Length      int64             // l=; -1 without one
	Time        time.Time         // t=; zero without one
	Expires     time.Time         // x=; zero without one
}

// ParseSignature reads the field of a signature. With an error it returns what was read up to there, to be shown.
func ParseSignature(f *Field) (*Signature, error) {
	s := &Signature{Length: -1}
	if len(f.Raw) > maxField {
		return s, fmt.Errorf("%w: a signature of %d octets", errBound, len(f.Raw))
	}
	value, _ := f.Value()
	var err error
	if s.Tags, err = ParseTags(string(value)); err != nil {
		return s, err
	}
	for _, t := range [...]struct {
		name string
		read func(string) error
	}{ // names first, so that a result can say whose signature it is about
		{"d", func(v string) (err error) { s.Domain, err = ASCIIName(v); return }},
		{"s", func(v string) (err error) { s.Selector, err = ASCIIName(v); return }},
		{"a", func(v string) (err error) { s.Algorithm, err = ParseAlgorithm(v); return }},
		{"b", s.readValue},
		{"bh", s.readBodyHash},
		{"h", s.readNames},
	} {
		v, ok := s.Tags.Get(t.name)
		if !ok {
			return s, fmt.Errorf("%s= is missing", t.name)
		}
		if err := t.read(v); err != nil {
			return s, prefixed(t.name, err)
		}
	}
	if v, ok := s.Tags.Get("c"); ok {
		if s.HeaderCanon, s.BodyCanon, err = ParseCanon(v); err != nil {
			return s, err
		}
	}
	if v, ok := s.Tags.Get("l"); ok {
		if s.Length, err = number(v, 18); err != nil {
			return s, fmt.Errorf("l=: %w", err)
		}
	}
	return s, s.readTimes()
}

// prefixed names the tag where the error does not.
func prefixed(name string, err error) error {
	if strings.HasPrefix(err.Error(), name+"=") {
		return err
	}
	return fmt.Errorf("%s=: %w", name, err)
}

func (s *Signature) readValue(v string) (err error) {
	if s.Value, err = DecodeBase64(v, MaxSignature); err == nil && len(s.Value) == 0 {
		err = errors.New("empty")
	}
	return err
}

func (s *Signature) readBodyHash(v string) error {
	sum, err := DecodeBase64(v, 64)
	if err == nil && copy(s.BodyHash[:], sum) != len(sum) || err == nil && len(sum) != len(s.BodyHash) {
		err = fmt.Errorf("%d octets, not the %d of SHA-256", len(sum), len(s.BodyHash))
	}
	return err
}

func (s *Signature) readNames(v string) error {
	if strings.Count(v, ":") >= maxNames {
		return fmt.Errorf("%w: more than %d names", errBound, maxNames)
	}
	if s.Names = SplitList(v, maxNames); s.Names == nil {
		return errors.New("no list of names")
	}
	for _, name := range s.Names {
		for i := 0; i < len(name); i++ {
			if name[i] <= ' ' || name[i] >= 0x7f {
				return errors.New("a name that no field can have")
			}
		}
	}
	return nil
}

// readTimes reads t= and x=.
func (s *Signature) readTimes() error {
	for _, t := range [...]struct {
		name string
		to   *time.Time
	}{{"t", &s.Time}, {"x", &s.Expires}} {
		if v, ok := s.Tags.Get(t.name); ok {
			n, err := number(v, 12)
			if err != nil {
				return fmt.Errorf("%s=: %w", t.name, err)
			}
			*t.to = time.Unix(n, 0).UTC()
		}
	}
	if !s.Expires.IsZero() && !s.Time.IsZero() && !s.Expires.After(s.Time) {
		return errors.New("x= is not after t=")
	}
	return nil
}

// number reads at most max digits.
func number(v string, max int) (int64, error) {
	if v == "" || len(v) > max || strings.Trim(v, "0123456789") != "" {
		return 0, fmt.Errorf("%.20q is no number of up to %d digits", v, max)
	}
	return strconv.ParseInt(v, 10, 64)
}

// Timely checks t= and x= (RFC 6376 section 3.5), with the difference that clocks may have.
func (s *Signature) Timely(now time.Time, skew time.Duration) error {
	switch {
	case !s.Expires.IsZero() && now.After(s.Expires.Add(skew)):
		return fmt.Errorf("expired at %s", s.Expires.Format(time.DateTime))
	case !s.Time.IsZero() && s.Time.After(now.Add(skew)):
		return fmt.Errorf("made in the future, at %s", s.Time.Format(time.DateTime))
	}
	return nil
}

// HeaderHash hashes the fields that h= names, and the signature's own field, number own of the header. It also returns which
// fields were chosen, as Header.Select does.
func (s *Signature) HeaderHash(h *Header, own int) (sum [sha256.Size]byte, chosen []int, err error) {
	chosen = h.Select(s.Names, own)
	octets := 0
	for _, i := range chosen {
		if i >= 0 {
			octets += len(h.Fields[i].Raw)
		}
	}
	if octets > maxText {
		return sum, chosen, fmt.Errorf("%w: signed fields of %d octets", errBound, octets)
	}
	w := NewHeaderHasher(s.HeaderCanon)
	for _, i := range chosen {
		if i >= 0 {
			w.Field(&h.Fields[i])
		}
	}
	w.Own(&h.Fields[own], s.Tags.Find("b"))
	return w.Sum(), chosen, nil
}
