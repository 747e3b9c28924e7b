package arc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gatepost/internal/dkim"
)

// The names of the three fields of a set.
const (
	fieldResults = "ARC-Authentication-Results"
	fieldMessage = "ARC-Message-Signature"
	fieldSeal    = "ARC-Seal"
)

// set is one set while it is looked at: where its fields are in the header section, and what they say.
type set struct {
	results, message, seal int
	text                   string
	ams                    messageSignature
	as                     seal
}

// collect finds the fields of the chain and puts them into sets by instance. It fails at the first thing that makes a chain
// invalid (RFC 8617 section 5.2 steps 1 to 3), with what could be learned of it by then. No field: no set and no error.
func (p *Pending) collect() error {
	var broken error
	note := func(err error) {
		if broken == nil {
			broken = err
		}
	}
	count := 0
	for _, kind := range [...]string{fieldSeal, fieldMessage, fieldResults} {
		for at := p.header.Last(kind); at >= 0; at = p.header.Above(at) {
			if count++; count > 3*MaxSets {
				note(fmt.Errorf("more than %d fields", 3*MaxSets))
				return broken
			}
			note(p.place(kind, at))
		}
	}
	if count == 0 {
		return nil
	}
	if p.chain.Ended {
		return fmt.Errorf("i=%d says cv=fail", p.chain.Highest)
	}
	if broken != nil {
		return broken
	}
	return p.structure()
}

// place reads one field and gives it its place.
func (p *Pending) place(kind string, at int) error {
	value, _ := p.header.Fields[at].Value()
	s := set{results: -1, message: -1, seal: -1}
	instance, err := 0, error(nil)
	switch kind {
	case fieldResults:
		instance, s.text, err = readResults(string(value))
		s.results = at
	case fieldMessage:
		instance, s.ams, err = readMessage(string(value))
		s.message = at
	case fieldSeal:
		instance, s.as, err = readSeal(string(value))
		s.seal = at
	}
	if instance > p.chain.Highest {
		p.chain.Highest, p.chain.Ended = instance, false
	}
	if kind == fieldSeal && instance == p.chain.Highest && s.as.cv == "fail" {
		p.chain.Ended = true
	}
	if err != nil {
		if instance > 0 {
			return fmt.Errorf("%s i=%d: %w", kind, instance, err)
		}
		return fmt.Errorf("%s: %w", kind, err)
	}
	for len(p.sets) < instance {
		p.sets = append(p.sets, set{results: -1, message: -1, seal: -1})
	}
	to := &p.sets[instance-1]
	if kind == fieldResults && to.results >= 0 || kind == fieldMessage && to.message >= 0 || kind == fieldSeal && to.seal >= 0 {
		return fmt.Errorf("%s i=%d is there twice", kind, instance)
	}
	switch kind {
	case fieldResults:
		to.results, to.text = at, s.text
	case fieldMessage:
		to.message, to.ams = at, s.ams
	case fieldSeal:
		to.seal, to.as = at, s.as
	}
	return nil
}

// structure wants three fields in each set from 1 to N without a gap, and the right cv= in each seal.
func (p *Pending) structure() error {
	for i := range p.sets {
		s, want := &p.sets[i], "pass"
		if i == 0 {
			want = "none"
		}
		for _, f := range [...]struct {
			kind string
			at   int
		}{{fieldSeal, s.seal}, {fieldMessage, s.message}, {fieldResults, s.results}} {
			if f.at < 0 {
				return fmt.Errorf("%s i=%d is missing", f.kind, i+1)
			}
		}
		if s.as.cv != want {
			return fmt.Errorf("i=%d says cv=%.20s and not %s", i+1, s.as.cv, want)
		}
	}
	return nil
}

var errInstance = errors.New("i= is no number from 1 to 50")

// instanceOf reads the value of i=.
func instanceOf(value string) (int, error) {
	if len(value) == 0 || len(value) > 2 || value[0] == '0' {
		return 0, errInstance
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > MaxSets {
		return 0, errInstance
	}
	return n, nil
}

// readResults cuts i= off the value of an ARC-Authentication-Results: it comes first (section 4.1.1), with white space and
// comments around it as everywhere.
func readResults(value string) (instance int, rest string, err error) {
	s := skip(value)
	if s == "" || s[0] != 'i' {
		return 0, "", errors.New("does not begin with i=")
	}
	s, ok := strings.CutPrefix(skip(s[1:]), "=")
	if !ok {
		return 0, "", errors.New("does not begin with i=")
	}
	s = skip(s)
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	if instance, err = instanceOf(s[:n]); err != nil {
		return 0, "", err
	}
	rest, ok = strings.CutPrefix(skip(s[n:]), ";")
	if !ok {
		return instance, "", errors.New("no semicolon behind i=")
	}
	return instance, strings.TrimSpace(rest), nil
}

// skip leaves out white space, folds and comments (RFC 5322 section 3.2.2). A comment that does not end hides all.
func skip(s string) string {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == '\\' && depth > 0:
			i++
		case depth > 0 || c == ' ' || c == '\t' || c == '\r' || c == '\n':
		default:
			return s[i:]
		}
	}
	return ""
}

// messageSignature is an ARC-Message-Signature (section 4.1.2), which is read as a DKIM-Signature but for i= and v=.
type messageSignature struct {
	common
	header, body dkim.Canon
	names        []string
	hash         []byte
	limit        int64 // l=; -1 without
	expires      int64 // x=, seconds; 0 without
	want         int   // of the body hasher
}

// seal is an ARC-Seal (section 4.1.3).
type seal struct {
	common
	cv string
}

// common is what both have.
type common struct {
	algorithm        dkim.Algorithm
	domain, selector string
	signature        []byte
	b                dkim.Tag // where b= stands
}

// limits of what one signature may hold.
const (
	maxNames  = 100 // of h=
	maxDigits = 20
)

// readMessage reads the value of an ARC-Message-Signature.
func readMessage(value string) (instance int, m messageSignature, err error) {
	tags, instance, err := readTags(value)
	if err != nil {
		return instance, m, err
	}
	if m.common, err = readCommon(tags); err != nil {
		return instance, m, err
	}
	m.header, m.body = dkim.Relaxed, dkim.Relaxed // what all implementations take for granted
	if c, ok := tags.Get("c"); ok {
		if m.header, m.body, err = dkim.ParseCanon(c); err != nil {
			return instance, m, err
		}
	}
	bh, _ := tags.Get("bh")
	if m.hash, err = dkim.DecodeBase64(bh, 32); err != nil || len(m.hash) != 32 {
		return instance, m, errors.New("bh= is missing or no SHA-256")
	}
	h, _ := tags.Get("h")
	if m.names = dkim.SplitList(h, maxNames); m.names == nil {
		return instance, m, fmt.Errorf("h= is missing, or no list of at most %d names", maxNames)
	}
	from := false
	for _, name := range m.names {
		if strings.EqualFold(name, fieldSeal) {
			return instance, m, errors.New("h= names ARC-Seal")
		}
		from = from || strings.EqualFold(name, "From")
	}
	if !from {
		return instance, m, errors.New("h= does not name From")
	}
	m.limit = -1
	if l, ok := tags.Get("l"); ok {
		if m.limit, err = number("l", l); err != nil {
			return instance, m, err
		}
	}
	if x, ok := tags.Get("x"); ok {
		if m.expires, err = number("x", x); err != nil {
			return instance, m, err
		}
	}
	return instance, m, nil
}

// readSeal reads the value of an ARC-Seal.
func readSeal(value string) (instance int, s seal, err error) {
	tags, instance, err := readTags(value)
	if err != nil {
		return instance, s, err
	}
	s.cv, _ = tags.Get("cv") // also of one that is broken otherwise
	if s.common, err = readCommon(tags); err != nil {
		return instance, s, err
	}
	if _, ok := tags.Get("h"); ok {
		return instance, s, errors.New("h= is not allowed")
	}
	if s.cv != "none" && s.cv != "pass" && s.cv != "fail" {
		return instance, s, errors.New("cv= is missing, or neither none, pass nor fail")
	}
	return instance, s, nil
}

func readTags(value string) (dkim.Tags, int, error) {
	tags, err := dkim.ParseTags(value)
	if err != nil {
		return nil, 0, err
	}
	i, _ := tags.Get("i")
	instance, err := instanceOf(i)
	return tags, instance, err
}

func readCommon(tags dkim.Tags) (c common, err error) {
	a, _ := tags.Get("a")
	if c.algorithm, err = dkim.ParseAlgorithm(a); err != nil {
		return c, err
	}
	d, _ := tags.Get("d")
	if c.domain, err = dkim.ASCIIName(d); err != nil {
		return c, fmt.Errorf("d= is missing or wrong: %w", err)
	}
	s, _ := tags.Get("s")
	if c.selector, err = dkim.ASCIIName(s); err != nil {
		return c, fmt.Errorf("s= is missing or wrong: %w", err)
	}
	b := tags.Find("b")
	if b == nil {
		return c, errors.New("b= is missing")
	}
	c.b = *b
	if c.signature, err = dkim.DecodeBase64(b.Value, dkim.MaxBits/8); err != nil || len(c.signature) == 0 {
		return c, errors.New("b= is no signature")
	}
	if t, ok := tags.Get("t"); ok {
		_, err = number("t", t)
	}
	return c, err
}

// number reads a tag that counts octets or seconds.
func number(name, value string) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || len(value) > maxDigits || n < 0 || value[0] == '+' || value[0] == '-' {
		return 0, fmt.Errorf("%s= is no number", name)
	}
	return n, nil
}
