package spf

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// world is a DNS in memory: by name in lower case, records as {type, value...}. It is a Resolver, and counts.
type world struct {
	zone  map[string][]rr
	delay time.Duration // of each answer

	mu    sync.Mutex
	asked map[string]int // "TXT example.org"
}

// rr is a record. Of type TIMEOUT it says that other types of the name get no answer.
type rr struct {
	kind  string
	value string
	pref  uint16
}

func (w *world) note(kind, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asked == nil {
		w.asked = map[string]int{}
	}
	w.asked[kind+" "+strings.ToLower(name)]++
}

// questions is how many were asked.
func (w *world) questions() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for v := range maps.Values(w.asked) {
		n += v
	}
	return n
}

// get is a recursive resolver's answer.
func (w *world) get(ctx context.Context, kind, name string) ([]rr, error) {
	w.note(kind, name)
	if w.delay > 0 {
		select {
		case <-time.After(w.delay):
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for range 10 {
		var out []rr
		alias, silent := "", false
		for _, r := range w.zone[strings.ToLower(name)] {
			switch r.kind {
			case kind:
				out = append(out, r)
			case "CNAME":
				alias = strings.TrimSuffix(r.value, ".")
			case "TIMEOUT":
				silent = true
			}
		}
		switch {
		case len(out) > 0:
			return out, nil
		case silent:
			return nil, fmt.Errorf("lookup: %w", &net.DNSError{Err: "i/o timeout", Name: name, IsTimeout: true, IsTemporary: true})
		case alias == "":
			return nil, fmt.Errorf("lookup: %w", &net.DNSError{Err: "no such host", Name: name, IsNotFound: true})
		}
		name = alias
	}
	return nil, &net.DNSError{Err: "too many aliases", Name: name}
}

func (w *world) LookupTXT(ctx context.Context, name string) (out []string, err error) {
	list, err := w.get(ctx, "TXT", name)
	for _, r := range list {
		out = append(out, r.value)
	}
	return out, err
}

func (w *world) LookupMX(ctx context.Context, name string) (out []*net.MX, err error) {
	list, err := w.get(ctx, "MX", name)
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b rr) int { return int(a.pref) - int(b.pref) })
	for _, r := range list {
		out = append(out, &net.MX{Host: r.value, Pref: r.pref})
	}
	return out, err
}

func (w *world) LookupNetIP(ctx context.Context, network, name string) (out []netip.Addr, err error) {
	list, err := w.get(ctx, map[string]string{"ip4": "A", "ip6": "AAAA"}[network], name)
	for _, r := range list {
		out = append(out, netip.MustParseAddr(r.value))
	}
	return out, err
}

func (w *world) LookupAddr(ctx context.Context, addr string) (out []string, err error) {
	list, err := w.get(ctx, "PTR", reverse(netip.MustParseAddr(addr)))
	for _, r := range list {
		out = append(out, r.value)
	}
	return out, err
}

// reverse is the name of the PTR records of an address.
func reverse(a netip.Addr) string {
	const hex = "0123456789abcdef"
	var parts []string
	if a.Is4() {
		for _, b := range a.As4() {
			parts = append(parts, strconv.Itoa(int(b)))
		}
	} else {
		for _, b := range a.As16() {
			parts = append(parts, hex[b>>4:b>>4+1], hex[b&15:b&15+1])
		}
	}
	slices.Reverse(parts)
	if a.Is4() {
		return strings.Join(parts, ".") + ".in-addr.arpa"
	}
	return strings.Join(parts, ".") + ".ip6.arpa"
}

// worldOf reads lines "name TYPE value"; a TXT is in quotes, of several strings too, an MX has its preference first, the
// name of a PTR may be an address.
func worldOf(t testing.TB, text string) *world {
	t.Helper()
	w := &world{zone: map[string][]rr{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		kind, value, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if err := w.add(name, kind, strings.TrimSpace(value)); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
	}
	return w
}

func (w *world) add(name, kind, value string) error {
	r := rr{kind: kind, value: value}
	switch kind {
	case "TXT":
		r.value = ""
		for value != "" {
			q, err := strconv.QuotedPrefix(value)
			if err != nil {
				return err
			}
			value = strings.TrimSpace(value[len(q):])
			s, _ := strconv.Unquote(q)
			r.value += s
		}
	case "MX":
		pref, host, _ := strings.Cut(value, " ")
		n, err := strconv.ParseUint(pref, 10, 16)
		if err != nil {
			return err
		}
		r.pref, r.value = uint16(n), strings.TrimSpace(host)
	case "A", "AAAA":
		if _, err := netip.ParseAddr(value); err != nil {
			return err
		}
	case "PTR":
		if a, err := netip.ParseAddr(name); err == nil {
			name = reverse(a)
		}
	case "CNAME", "TIMEOUT":
	default:
		return fmt.Errorf("no such type")
	}
	name = strings.ToLower(name)
	w.zone[name] = append(w.zone[name], r)
	return nil
}

// queryOf is a query of a message: the MAIL FROM identity, or postmaster at HELO where that is empty.
func queryOf(ip, helo, from string) Query {
	q := Query{IP: netip.MustParseAddr(ip), Helo: helo, Sender: from, Now: time.Unix(1_795_000_000, 0)}
	if from == "" {
		q.Sender = "postmaster@" + helo
	}
	q.Domain = q.Sender[strings.LastIndexByte(q.Sender, '@')+1:]
	return q
}

// suite is testdata/rfc7208-tests.json.
type suite struct {
	Notice    []string
	Scenarios []struct {
		Description string
		Tests       map[string]struct {
			Spec, Host, Helo, MailFrom string
			Result                     []string
			Explanation                *string
		}
		ZoneData map[string][][]any
	}
}

func loadSuite(t testing.TB) suite {
	t.Helper()
	var s suite
	text, err := os.ReadFile("testdata/rfc7208-tests.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// suiteWorld makes a world of a scenario's zone. As the suite asks, records of the type SPF, which RFC 7208 has no more,
// stand for TXT where a name has no TXT.
func suiteWorld(t testing.TB, zone map[string][][]any) *world {
	t.Helper()
	w := &world{zone: map[string][]rr{}}
	for name, records := range zone {
		copied := !slices.ContainsFunc(records, func(r []any) bool { return r[0] == "TXT" })
		for _, r := range records {
			kind := r[0].(string)
			switch {
			case kind == "TIMEOUT":
				r = []any{kind, ""}
			case kind == "SPF" && copied, kind == "TXT":
				joined := ""
				for _, s := range r[1].([]any) {
					joined += s.(string)
				}
				if kind == "TXT" && joined == "NONE" {
					continue
				}
				r = []any{"TXT", strconv.Quote(joined)}
			case kind == "SPF":
				continue
			case kind == "MX":
				mx := r[1].([]any)
				r = []any{kind, fmt.Sprintf("%v %s", mx[0], mx[1])}
			}
			if err := w.add(name, r[0].(string), r[1].(string)); err != nil {
				t.Fatalf("%s %v: %v", name, r, err)
			}
		}
	}
	return w
}
