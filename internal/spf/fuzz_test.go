package spf

import (
	"context"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// FuzzRecord shows that parse takes what the grammar of RFC 7208 section 12 takes, by laws: it never panics, adding spaces
// or changing the case of names changes nothing, and a broken term breaks the record wherever it stands.
func FuzzRecord(f *testing.F) {
	for _, s := range loadSuite(f).Scenarios {
		for _, records := range s.ZoneData {
			for _, r := range records {
				if list, ok := r[len(r)-1].([]any); ok && (r[0] == "SPF" || r[0] == "TXT") && len(list) > 0 {
					f.Add(fmt.Sprint(list[0]))
				}
			}
		}
	}
	for seed := range uint64(20) {
		for _, r := range makeCase(seed).w.zone["a.example"] {
			f.Add(r.value)
		}
	}
	f.Add("v=spf1 a:%{d}/24//64 exists:%{ir-}.x.%{D2}. ip6:::/0 redirect=%{o} exp=%{h}%%")
	f.Fuzz(func(t *testing.T, text string) {
		if !isRecord(text) {
			if r, trouble := choose([]string{text}, "d.example"); r != nil || trouble != nil {
				t.Fatalf("%q is a record", text)
			}
			return
		}
		r, problem := parse(text)
		if (r == nil) != (problem != "") {
			t.Fatalf("%q: %v %q", text, r, problem)
		}
		if !printable(problem) || len(problem) > 400 {
			t.Errorf("%q: the problem is %q", text, problem)
		}
		if broken, p := parse(text + " !"); broken != nil || p == "" {
			t.Errorf("%q with a broken term behind is no broken record", text)
		}
		spaced, p := parse("V=SPF1  " + strings.ReplaceAll(text[len("v=spf1"):], " ", "   ") + " ")
		if p != problem {
			t.Fatalf("%q with more spaces: %q, not %q", text, p, problem)
		}
		if r == nil {
			return
		}
		if len(spaced.terms) != len(r.terms) || spaced.redirect != r.redirect || spaced.exp != r.exp {
			t.Errorf("%q with more spaces: %+v, not %+v", text, spaced, r)
		}
		for _, m := range r.terms {
			if strings.IndexByte(text, m.text[0]) < 0 || m.kind == ip4 != (m.net.IsValid() && m.net.Addr().Is4()) {
				t.Errorf("%q: %+v", text, m)
			}
			if strings.IndexByte(m.text, '%') < 0 && m.byName {
				t.Errorf("%q needs a name", m.text)
			}
		}
	})
}

// FuzzMacro shows that an expansion never panics, never holds more than may be looked up or shown, and holds what has no
// macro as it is.
func FuzzMacro(f *testing.F) {
	for _, s := range []string{"%{d}", "%{ir}.%{v}.arpa", "%{l1r-+}", "%{S}%%%_%-", "%{p}", "%{c}%{r}%{t}", "x.%{d300}", "%{H}.%{o2r./}", "%{", "%", "%{d", "%{dR}", "%{d00}"} {
		f.Add(s, "a.b-c@example.org", "mx.example.org")
	}
	f.Fuzz(func(t *testing.T, spec, sender, helo string) {
		for _, explains := range []bool{false, true} {
			_, byName, problem := checkMacros(spec, explains)
			if problem != "" {
				continue
			}
			for _, ip := range []string{"192.0.2.1", "2001:db8::1"} {
				q := Query{IP: netip.MustParseAddr(ip), Sender: sender, Domain: "example.org", Helo: helo, Now: time.Unix(1, 0)}
				c := checker{ctx: t.Context(), r: (&world{}), q: &q, ip: q.IP}
				c.identities()
				text, ok := c.expand(spec, q.Domain, explains)
				if ok && len(text) > keepSlack+6*maxValue+len(spec) {
					t.Errorf("%q: %d octets", spec, len(text))
				}
				if explains {
					continue
				}
				name, ok := c.target(spec, q.Domain)
				if len(name) > 253 && strings.IndexByte(name, '.') >= 0 {
					t.Errorf("%q is %d octets: %q", spec, len(name), name)
				}
				if ok && strings.IndexByte(spec, '%') < 0 && spec != "" && len(spec) <= 253 && name != plain(spec) {
					t.Errorf("%q became %q", spec, name)
				}
				if c.named != (byName && ok) && !(byName && !ok) {
					t.Errorf("%q: the client's name was looked up: %v", spec, c.named)
				}
			}
		}
	})
}

// hostile answers whatever a hash of the question picks from what was fuzzed: records that include any of ten names in
// circles, too many and too long names, octets of any kind, errors. It counts what it is asked.
type hostile struct {
	data  []byte
	asked atomic.Int32
}

func (h *hostile) pick(kind, name string) (rest []byte, n uint32) {
	h.asked.Add(1)
	sum := fnv.New32a()
	sum.Write([]byte(kind + strings.ToLower(name)))
	sum.Write(h.data)
	n = sum.Sum32()
	if len(h.data) > 0 {
		rest = h.data[n%uint32(len(h.data)):]
	}
	return rest, n >> 8
}

func (h *hostile) fail(n uint32) error {
	switch n % 11 {
	case 0:
		return &net.DNSError{IsNotFound: true}
	case 1:
		return &net.DNSError{IsTimeout: true}
	}
	return nil
}

func (h *hostile) LookupTXT(_ context.Context, name string) ([]string, error) {
	rest, n := h.pick("TXT", name)
	if err := h.fail(n); err != nil {
		return nil, err
	}
	b := []byte("v=spf1")
	for i := 0; i < len(rest) && i < 60; i++ {
		words := [...]string{" a:", " mx:", " include:", " exists:", " ptr", " ip4:192.0.2.", " redirect=", " exp=", ".%{p}", "%{lr-}", "%{i}", "n1.example", "n2.example", "n3.example", " -all", " mx", "a.b.c"}
		if c := int(rest[i]); c < 0xe0 {
			b = append(b, words[c%len(words)]...)
		} else {
			b = append(b, rest[i:min(i+3, len(rest))]...)
		}
	}
	return [][]string{{string(b)}, {"x", string(b)}, {string(b), string(b)}, {string(rest)}, {"v=spf1 include:n1.example include:n2.example mx ptr a ~all"}}[n%5], nil
}

func (h *hostile) LookupMX(_ context.Context, name string) (out []*net.MX, err error) {
	rest, n := h.pick("MX", name)
	for i := range n % 13 {
		host := fmt.Sprintf("h%d.example.", i)
		if i%3 == 0 {
			host = string(rest)
		}
		out = append(out, &net.MX{Host: host})
	}
	return out, h.fail(n)
}

func (h *hostile) LookupNetIP(_ context.Context, network, name string) (out []netip.Addr, err error) {
	rest, n := h.pick(network, name)
	for i := range min(len(rest), int(n%4)) {
		out = append(out, netip.AddrFrom4([4]byte{192, 0, 2, rest[i]}), netip.Addr{}, netip.AddrFrom16([16]byte{15: rest[i]}).WithZone("z"))
	}
	return out, h.fail(n)
}

func (h *hostile) LookupAddr(_ context.Context, addr string) (out []string, err error) {
	rest, n := h.pick("PTR", addr)
	for range n % 25 {
		out = append(out, string(rest))
	}
	return append(out, "h1.example."), h.fail(n)
}

// FuzzCheck shows that an evaluation against a hostile DNS never panics, asks a bounded number of questions, counts as it
// should, and comes to what it comes to one after another.
func FuzzCheck(f *testing.F) {
	for seed := range 40 {
		b := make([]byte, 80)
		for i := range b {
			b[i] = byte(seed*31 + i*i*7 + i*seed)
		}
		f.Add(b, "joe@n1.example", "mx.example", seed%2 == 0)
	}
	f.Add([]byte{}, "", "", true)
	f.Fuzz(func(t *testing.T, data []byte, sender, helo string, six bool) {
		q := Query{IP: netip.MustParseAddr("192.0.2.7"), Sender: sender, Domain: "n1.example", Helo: helo, Now: time.Unix(1, 0)}
		if six {
			q.IP = netip.MustParseAddr("2001:db8::7")
		}
		h := &hostile{data: data}
		o := Check(t.Context(), h, q)
		// The record; ten terms, each with ten hosts; the client's name with ten; an explanation; and what was ahead of it.
		if n := h.asked.Load(); n > 1+10+100+11+1+maxAhead {
			t.Errorf("%d questions", n)
		}
		if o.Lookups > maxLookups+1 || o.Voids > maxVoids+1 || len(o.Chain) > maxLookups+1 {
			t.Errorf("%+v", o)
		}
		if (o.Problem != "") != (o.Result == PermError || o.Result == TempError) || o.Explanation != "" && o.Result != Fail {
			t.Errorf("%+v", o)
		}
		for _, s := range append(o.Chain, o.Record, o.Mechanism, o.Explanation, o.Problem) {
			if !printable(s) || len(s) > maxRecordShown {
				t.Errorf("evidence %q", s)
			}
		}
		if alone := check(t.Context(), &hostile{data: data}, q, 0); fmt.Sprint(alone) != fmt.Sprint(o) {
			t.Errorf("one after another %+v, ahead %+v", alone, o)
		}
	})
}
