package mtasts

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MaxPolicy is how many octets of a policy are read (RFC 8461 section 3.3 suggests it).
const MaxPolicy = 64 << 10

// MaxAge is the longest time that a policy may be kept (RFC 8461 section 3.2).
const MaxAge = 31557600 * time.Second

// Parse reads the text of a policy (RFC 8461 section 3.2). Lines end with LF or CRLF; fields that nobody knows do not count; of
// one that is there twice, but for mx, the first counts. A time over MaxAge is MaxAge. The ID is left to the caller.
func Parse(text []byte) (*Policy, error) {
	if len(text) > MaxPolicy {
		return nil, errors.New("mta-sts: the policy is longer than 64 KiB")
	}
	p := &Policy{}
	var seen []string
	for n, line := range strings.Split(string(text), "\n") {
		line = strings.TrimRight(line, " \t\r")
		if line == "" {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok || key == "" {
			return nil, fmt.Errorf("mta-sts: line %d of the policy is no key: value", n+1)
		}
		value = strings.TrimLeft(value, " \t")
		if key != "mx" {
			if slices.Contains(seen, key) {
				continue
			}
			if known(key) {
				seen = append(seen, key)
			}
		}
		if err := p.take(key, value); err != nil {
			return nil, err
		}
	}
	for _, key := range [...]string{"version", "mode", "max_age"} {
		if !slices.Contains(seen, key) {
			return nil, errors.New("mta-sts: the policy has no " + key)
		}
	}
	if len(p.MX) == 0 && p.Mode != None {
		return nil, errors.New("mta-sts: the policy has no mx")
	}
	return p, nil
}

func known(key string) bool { return key == "version" || key == "mode" || key == "max_age" }

// take takes one field.
func (p *Policy) take(key, value string) error {
	switch key {
	case "version":
		if value != "STSv1" {
			return errors.New("mta-sts: the version of the policy is not STSv1")
		}
	case "mode":
		switch m := Mode(value); m {
		case None, Testing, Enforce:
			p.Mode = m
		default:
			return errors.New("mta-sts: the mode of the policy is not enforce, testing or none")
		}
	case "max_age":
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil || len(value) > 10 {
			return errors.New("mta-sts: the max_age of the policy is not 1 to 10 digits")
		}
		p.MaxAge = MaxAge
		if n < uint64(MaxAge/time.Second) {
			p.MaxAge = time.Duration(n) * time.Second
		}
	case "mx":
		pattern := strings.ToLower(value)
		if err := CheckPattern(pattern); err != nil {
			return err
		}
		p.MX = append(p.MX, pattern)
	}
	return nil
}

// CheckPattern refuses what is no mx pattern: a host name, or *. and one. The name is ASCII, of labels of letters, digits and
// hyphens, without a final dot.
func CheckPattern(pattern string) error {
	name := strings.TrimPrefix(pattern, "*.")
	labels := strings.Split(name, ".")
	bad := len(name) > 253 || len(labels) < 2
	for _, l := range labels {
		bad = bad || l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' ||
			strings.ContainsFunc(l, func(r rune) bool { return !isAlphanumeric(r) && r != '-' && r != '_' })
	}
	if bad {
		return errors.New("mta-sts: an mx of the policy is no host name and no *.domain")
	}
	return nil
}

// Matches reports whether a mail host may receive mail for the domain of the policy: its name is one of the patterns, or has
// exactly one label more than one that begins with *. (RFC 8461 section 4.1).
func (p *Policy) Matches(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	_, parent, _ := strings.Cut(host, ".")
	return slices.ContainsFunc(p.MX, func(pattern string) bool {
		if under, ok := strings.CutPrefix(pattern, "*."); ok {
			return parent == under && host[0] != '.'
		}
		return host == pattern
	})
}

// Text is the policy as it is published (RFC 8461 section 3.2).
func (p *Policy) Text() []byte {
	var b strings.Builder
	b.WriteString("version: STSv1\r\nmode: " + string(p.Mode) + "\r\n")
	for _, mx := range p.MX {
		b.WriteString("mx: " + mx + "\r\n")
	}
	fmt.Fprintf(&b, "max_age: %d\r\n", p.MaxAge/time.Second)
	return []byte(b.String())
}

// ContentID is an id for a policy that changes with what it says, and with nothing else.
func (p *Policy) ContentID() string {
	sum := sha256.Sum256(p.Text())
	return hex.EncodeToString(sum[:10])
}
