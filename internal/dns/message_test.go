package dns

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	wire "github.com/miekg/dns"
)

func TestReverseName(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1":          "1.2.0.192.in-addr.arpa",
		"255.100.10.9":       "9.10.100.255.in-addr.arpa",
		"::ffff:192.0.2.1":   "1.2.0.192.in-addr.arpa",
		"2001:db8::567:89ab": "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
		"fe80::1%eth0":       "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.e.f.ip6.arpa",
		"0.0.0.0":            "0.0.0.0.in-addr.arpa",
	} {
		if got := ReverseName(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %s", addr, got)
		}
	}
	if got := ReverseName(netip.Addr{}); got != "" {
		t.Errorf("no address: %s", got)
	}
}

func TestValidName(t *testing.T) {
	long := strings.Repeat(strings.Repeat("a", 61)+".", 4) // 248 octets
	for name, want := range map[string]bool{
		"example.com": true, "EXAMPLE.com.": true, "_dmarc.example.com": true, "xn--bcher-kva.example": true,
		"-odd-.example": true, "1.2.3.4": true, "localhost": true, strings.Repeat("a", 63) + ".b": true,
		long + "abcde": true, long + "abcde.": true,
		long + "abcdef": false, strings.Repeat("a", 64) + ".b": false, "": false, ".": false, "..": false,
		".example": false, "a..b": false, "a.b..": false, "*.example": false, `a\.b`: false, "a/b": false,
		"a b": false, "a\nb": false, "a\x00": false, "b\u00fccher": false, "[192.0.2.1]": false, "a:b": false, "a@b": false,
	} {
		if got := ValidName(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestZeroValuesCannotTell(t *testing.T) {
	if a := (Answer[MX]{}); a.Status != Failed || a.Err() == nil {
		t.Errorf("%+v", a)
	}
	if (MailHostResult{}).Status != MailFailed || (Reverse{}).Status != Failed {
		t.Error("the zero value says something")
	}
}

// TestWords: every value has a word of its own, for labels and logs.
func TestWords(t *testing.T) {
	seen := map[string]bool{}
	for k := NoKind; k <= BadSignature; k++ {
		seen["kind "+k.String()] = true
	}
	for s := Failed; s <= Bogus; s++ {
		seen["status "+s.String()] = true
	}
	for s := MailFailed; s <= MailNoRecords; s++ {
		seen["mail "+s.String()] = true
	}
	for p := NoProblem; p <= NotAName; p++ {
		seen["problem "+p.String()] = true
	}
	if len(seen) != 14+4+5+6 || seen["kind unknown"] || seen["mail unknown"] || seen["problem unknown"] {
		t.Errorf("%v", seen)
	}
	if Kind(99).String() != "unknown" || MailStatus(-1).String() != "unknown" || HostProblem(99).String() != "unknown" || TypeMX.String() != "MX" {
		t.Error("values out of range")
	}
}

// fuzzQuery is the question of FuzzReply.
func fuzzQuery() query { return query{id: 0x1234, name: "x.example", typ: TypeMX, edns: true} }

func fuzzSeed(f *testing.F, edit func(*wire.Msg), records ...string) []byte {
	f.Helper()
	packed, err := fuzzQuery().pack()
	if err != nil {
		f.Fatal(err)
	}
	var req wire.Msg
	if err := req.Unpack(packed); err != nil {
		f.Fatal(err)
	}
	m := new(wire.Msg).SetReply(&req)
	for _, s := range records {
		r, err := wire.NewRR(s)
		if err != nil {
			f.Fatal(err)
		}
		m.Answer = append(m.Answer, r)
	}
	edit(m)
	b, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	return b
}

// FuzzReply reads arbitrary packets as replies: nothing panics, the result is
// bounded, consistent, and never says "none" about a packet that is cut off.
func FuzzReply(f *testing.F) {
	same := func(*wire.Msg) {}
	whole := fuzzSeed(f, same, "x.example. 300 IN CNAME y.example.", "y.example. 300 IN MX 10 mx.example.")
	f.Add(whole, uint16(TypeMX))
	f.Add(whole[:len(whole)-3], uint16(TypeMX))
	f.Add(whole[:12], uint16(TypeMX))
	f.Add(fuzzSeed(f, same, "x.example. 300 IN TXT \"a\\200\\\"\" \"b\""), uint16(TypeTXT))
	f.Add(fuzzSeed(f, same, "x.example. 300 IN CNAME x.example."), uint16(TypeA))
	f.Add(fuzzSeed(f, same, "x.example. 300 IN TLSA 3 1 1 00ff"), uint16(TypeTLSA))
	f.Add(fuzzSeed(f, func(m *wire.Msg) { m.Rcode = wire.RcodeNameError }), uint16(TypeA))
	f.Add(fuzzSeed(f, func(m *wire.Msg) {
		m.Rcode = wire.RcodeServerFailure
		m.SetEdns0(1232, false)
		m.IsEdns0().Option = []wire.EDNS0{&wire.EDNS0_EDE{InfoCode: 6, ExtraText: "\x00"}}
	}), uint16(TypeA))
	f.Fuzz(func(t *testing.T, packet []byte, typ uint16) {
		q := fuzzQuery()
		q.typ = Type(typ)
		if err := q.check(packet); err != nil && !errors.Is(err, errNotOurs) && !errors.Is(err, errTruncated) {
			t.Fatalf("check: %v", err)
		}
		if len(packet) < 12 {
			return // check refuses it before anything reads it
		}
		res := interpret(packet, q)
		if len(res.records) > maxRecords || len(res.chain) > maxChain || len(res.detail) > 200 {
			t.Fatalf("not bounded: %d records, %d names, %d octets", len(res.records), len(res.chain), len(res.detail))
		}
		if (res.status == Found) != (len(res.records) > 0) || (res.status == Found) != (res.kind == NoKind && res.next == "") {
			t.Fatalf("inconsistent: %+v", res)
		}
		if strings.ContainsFunc(res.detail, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("detail %q", res.detail)
		}
		for _, rec := range res.records {
			if (rec.Type == TypeA || rec.Type == TypeAAAA) && !rec.Addr.IsValid() {
				t.Fatalf("record without an address: %+v", rec)
			}
			if strings.ContainsFunc(rec.Host, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Fatalf("host %q", rec.Host)
			}
		}
		promised := packet[4] | packet[5] | packet[6] | packet[7] | packet[8] | packet[9] | packet[10] | packet[11]
		if promised != 0 && interpret(packet[:12], q).status != Failed {
			t.Fatal("a reply that was cut off is not a failure")
		}
	})
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"example.com", "EXAMPLE.com.", "a..b", `a\.b`, strings.Repeat("a", 300), "\xff", "."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got, status, kind := canonicalName(name)
		if status != Found {
			if got != "" || kind != InvalidName {
				t.Fatalf("%q: %q %v", name, got, kind)
			}
			return
		}
		again, status, _ := canonicalName(got)
		if status != Found || again != got {
			t.Fatalf("%q: %q is not canonical", name, got)
		}
		if _, err := (query{name: got, typ: TypeA, edns: true}).pack(); err != nil {
			t.Fatalf("%q cannot be packed: %v", got, err)
		}
	})
}

// TestContradictions is replies that are well-formed and still prove nothing.
func TestContradictions(t *testing.T) {
	const soa = "example. 60 IN SOA a. b. 1 2 3 4 60"
	for _, c := range []struct {
		about  string
		edit   func(*wire.Msg)
		answer string
		ns     string
		status Status
		kind   Kind
	}{
		{"records of a name that does not exist", func(m *wire.Msg) { m.Rcode = wire.RcodeNameError }, "x.example. 60 IN A 192.0.2.1", "", Failed, Malformed},
		{"nothing, from one that does not recurse", func(m *wire.Msg) { m.RecursionAvailable = false }, "", "", Failed, Lame},
		{"nothing, from the authority", func(m *wire.Msg) { m.RecursionAvailable, m.Authoritative = false, true }, "", "", None, NoData},
		{"nothing, with an SOA", func(m *wire.Msg) { m.RecursionAvailable = false }, "", soa, None, NoData},
		{"the address of another name", func(*wire.Msg) {}, "y.example. 60 IN A 192.0.2.1", soa, None, NoData},
		{"the address of another name, and no SOA", func(*wire.Msg) {}, "y.example. 60 IN A 192.0.2.1", "", Failed, Malformed},
		{"an address of another class", func(*wire.Msg) {}, "x.example. 60 CH A 192.0.2.1", soa, None, NoData},
		{"an address without octets", func(m *wire.Msg) {
			m.Answer = []wire.RR{&wire.ANY{Hdr: wire.RR_Header{Name: "x.example.", Rrtype: wire.TypeA, Class: wire.ClassINET}}}
		}, "", soa, Failed, Malformed},
		{"an alias for the root", func(*wire.Msg) {}, "x.example. 60 IN CNAME .", soa, None, NoData},
		{"a code nobody knows", func(m *wire.Msg) { m.Rcode = 11 }, "", "", Failed, ServFail},
	} {
		r := fake(t, Options{}, func(_ context.Context, req, reply *wire.Msg) {
			if c.answer != "" && req.Question[0].Name == "x.example." {
				reply.Answer = []wire.RR{rr(t, c.answer)}
			}
			if c.ns != "" {
				reply.Ns = []wire.RR{rr(t, c.ns)}
			}
			c.edit(reply)
		})
		if a := r.A(t.Context(), "x.example"); a.Status != c.status || a.Kind != c.kind {
			t.Errorf("%s: %+v", c.about, a)
		}
	}
}
