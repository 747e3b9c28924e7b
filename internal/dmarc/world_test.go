package dmarc

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// world is a DNS for tests: the texts of each name. A name of failing gives no answer; what exists is what has texts, or
// names below it, or stands in exists.
type world struct {
	texts   map[string][]string
	failing map[string]bool
	exists  map[string]bool
	mu      sync.Mutex
	asked   []string
}

// zone reads lines "name text"; a text "-" only makes the name exist, and "!" makes it fail.
func zone(lines ...string) *world {
	w := &world{texts: map[string][]string{}, failing: map[string]bool{}, exists: map[string]bool{}}
	for _, l := range lines {
		name, text, _ := strings.Cut(l, " ")
		switch {
		case name == "exists": // the question whether it does fails
			w.failing[l] = true
			continue
		case text == "-":
			w.exists[name] = true
		case text == "!":
			w.failing[name] = true
		default:
			w.texts[name] = append(w.texts[name], text)
		}
	}
	return w
}

func (w *world) ask(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, name)
}

func (w *world) LookupTXT(ctx context.Context, name string) ([]string, error) {
	w.ask(name)
	if w.failing[name] {
		return nil, errors.New("SERVFAIL")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(w.texts[name]) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return w.texts[name], nil
}

func (w *world) Exists(_ context.Context, name string) (bool, error) {
	w.ask("exists " + name)
	if w.failing["exists "+name] {
		return false, &net.DNSError{Err: "timeout", Name: name, IsTimeout: true}
	}
	for have := range w.texts {
		if under(have, name) {
			return true, nil
		}
	}
	for have := range w.exists {
		if under(have, name) {
			return true, nil
		}
	}
	return false, nil
}

// questions are what was asked, sorted; each at most once.
func (w *world) questions(t testing.TB) []string {
	t.Helper()
	out := slices.Clone(w.asked)
	slices.Sort(out)
	if n := len(out); len(slices.Compact(slices.Clone(out))) != n {
		t.Errorf("asked twice: %q", out)
	}
	return out
}

// identifiers reads "spf=a.example dkim=b.example dkim?=c.example", where "?" is unsure.
func identifiers(list string) *Input {
	in := &Input{}
	for _, one := range strings.Fields(list) {
		method, domain, _ := strings.Cut(one, "=")
		id := Identifier{Method: strings.TrimSuffix(method, "?"), Domain: domain, Unsure: strings.HasSuffix(method, "?")}
		in.Identifiers = append(in.Identifiers, id)
	}
	return in
}
