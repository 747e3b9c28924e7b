package dns_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatepost/internal/dns"
	"gatepost/internal/lab/dnslab"
)

const world = `
example.com        300 IN MX 20 mx2.example.com.
example.com        300 IN MX 10 MX1.example.com.
example.com        300 IN TXT "v=spf1 " "ip4:192.0.2.0/24 -all"
mx1.example.com     60 IN A 192.0.2.1
mx1.example.com     60 IN AAAA 2001:db8::1
mx2.example.com    300 IN A 192.0.2.2
alias.example.com  300 IN CNAME mx1.example.com.
abroad.example.com 300 IN CNAME nothing.example.org.
odd.example.com    300 IN TXT "quote \" backslash \\ octet \200 end"
huge.example.com   300 IN TXT "small in the zone"
_25._tcp.mx1.example.com 300 IN TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
_smtp._tcp.example.com   300 IN SRV 5 7 2525 mx1.example.com.
null.example.com   300 IN MX 0 .
*.wild.example.com 300 IN A 192.0.2.9
deep.ent.example.com 300 IN A 192.0.2.10
1.2.0.192.in-addr.arpa 300 IN PTR mx1.example.com.
a.example.com 300 IN A 192.0.2.20
b.example.com 300 IN A 192.0.2.21
`

// start gives a name server and a resolver that asks it, with times that keep
// the tests short where nothing answers.
func start(t testing.TB, edit ...func(*dns.Options)) (*dnslab.Server, *dns.Resolver) {
	t.Helper()
	lab := dnslab.New(t, dnslab.Text(world))
	opt := dns.Options{Servers: []string{lab.Addr()}, Timeout: time.Second, Attempts: 2, Deadline: 5 * time.Second}
	for _, e := range edit {
		e(&opt)
	}
	r, err := dns.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return lab, r
}

// short makes a test whose server never answers end soon.
func short(o *dns.Options) { o.Attempts = 1 }

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func TestRecords(t *testing.T) {
	_, r := start(t)
	ctx := t.Context()
	if a := r.MX(ctx, "Example.COM."); a.Status != dns.Found || a.Name != "example.com" ||
		!slices.Equal(a.Records, []dns.MX{{Host: "mx1.example.com", Pref: 10}, {Host: "mx2.example.com", Pref: 20}}) {
		t.Errorf("MX: %+v", a)
	}
	if a := r.TXT(ctx, "example.com"); !slices.Equal(a.Records, []string{"v=spf1 ip4:192.0.2.0/24 -all"}) {
		t.Errorf("TXT: %+v", a)
	}
	if a := r.TXT(ctx, "odd.example.com"); !slices.Equal(a.Records, []string{"quote \" backslash \\ octet \xc8 end"}) {
		t.Errorf("TXT with odd octets: %q", a.Records)
	}
	if a := r.Addrs(ctx, "mx1.example.com"); !slices.Equal(a.Records, addrs("192.0.2.1", "2001:db8::1")) || a.TTL != time.Minute {
		t.Errorf("Addrs: %+v", a)
	}
	if a := r.Addrs(ctx, "mx2.example.com"); a.Status != dns.Found || a.Cut || !slices.Equal(a.Records, addrs("192.0.2.2")) {
		t.Errorf("Addrs of one family: %+v", a)
	}
	if a := r.PTR(ctx, netip.MustParseAddr("::ffff:192.0.2.1")); !slices.Equal(a.Records, []string{"mx1.example.com"}) {
		t.Errorf("PTR: %+v", a)
	}
	a := r.A(ctx, "alias.example.com")
	if !slices.Equal(a.Records, addrs("192.0.2.1")) || !slices.Equal(a.Chain, []string{"mx1.example.com"}) || a.TTL != time.Minute {
		t.Errorf("A over a CNAME: %+v", a)
	}
	tlsa := r.Query(ctx, "_25._tcp.mx1.example.com", dns.TypeTLSA)
	if len(tlsa.Records) != 1 || tlsa.Records[0].Usage != 3 || tlsa.Records[0].Selector != 1 || tlsa.Records[0].Matching != 1 ||
		len(tlsa.Records[0].Data) != 32 || tlsa.Records[0].Data[1] != 0x23 {
		t.Errorf("TLSA: %+v", tlsa)
	}
	srv := r.Query(ctx, "_smtp._tcp.example.com", dns.TypeSRV)
	if len(srv.Records) != 1 || srv.Records[0].Host != "mx1.example.com" || srv.Records[0].Pref != 5 ||
		srv.Records[0].Weight != 7 || srv.Records[0].Port != 2525 {
		t.Errorf("SRV: %+v", srv)
	}
	if a := r.Query(ctx, "alias.example.com", dns.TypeCNAME); len(a.Records) != 1 || a.Records[0].Host != "mx1.example.com" {
		t.Errorf("CNAME: %+v", a)
	}
	if a := r.Query(ctx, "example.com", 255); a.Status != dns.Failed || a.Kind != dns.Refused {
		t.Errorf("ANY: %+v", a)
	}
}

func TestNone(t *testing.T) {
	_, r := start(t)
	for _, c := range []struct {
		name string
		kind dns.Kind
		ttl  time.Duration
	}{
		{"mx2.example.com", dns.NoData, time.Minute},
		{"ent.example.com", dns.NoData, time.Minute},
		{"nowhere.example.com", dns.NXDomain, time.Minute},
		{"abroad.example.com", dns.NXDomain, time.Minute},
		{"", dns.InvalidName, 0},
		{".", dns.InvalidName, 0},
		{"a..b", dns.InvalidName, 0},
		{"a b.example.com", dns.InvalidName, 0},
		{"a\x00b.example.com", dns.InvalidName, 0},
		{`a\.b.example.com`, dns.InvalidName, 0},
		{strings.Repeat("x", 64) + ".example.com", dns.InvalidName, 0},
		{strings.Repeat("abcdefg.", 40) + "example.com", dns.InvalidName, 0},
	} {
		a := r.AAAA(t.Context(), c.name)
		var e *net.DNSError
		if a.Status != dns.None || a.Kind != c.kind || a.TTL != c.ttl || len(a.Records) != 0 ||
			!errors.As(a.Err(), &e) || !e.IsNotFound || e.IsTemporary {
			t.Errorf("%q: %+v, error %v", c.name, a, a.Err())
		}
	}
	if a := r.A(t.Context(), "b\u00fccher.example"); a.Status != dns.Failed || a.Kind != dns.InvalidName {
		t.Errorf("U-label: %+v", a)
	}
}

// TestFaults is what the caller is told when the server is broken or hostile.
func TestFaults(t *testing.T) {
	good := addrs("192.0.2.1")
	many := slices.Repeat(addrs("10.0.0.0"), 100)
	for _, c := range []struct {
		about  string
		kind   dnslab.Kind
		status dns.Status
		why    dns.Kind
		addrs  []netip.Addr
	}{
		{"silence", dnslab.Timeout, dns.Failed, dns.Timeout, nil},
		{"server failure", dnslab.ServFail, dns.Failed, dns.ServFail, nil},
		{"nxdomain", dnslab.NXDomain, dns.None, dns.NXDomain, nil},
		{"refused", dnslab.Refused, dns.Failed, dns.Refused, nil},
		{"format error", dnslab.FormErr, dns.Failed, dns.Refused, nil},
		{"not implemented", dnslab.NotImp, dns.Failed, dns.Refused, nil},
		{"knows no EDNS", dnslab.NoEDNS, dns.Found, dns.NoKind, good},
		{"truncated", dnslab.Truncate, dns.Found, dns.NoKind, good},
		{"truncated over TCP too", dnslab.TruncateBoth, dns.Failed, dns.Malformed, nil},
		{"truncated, silence over TCP", dnslab.TruncateSilent, dns.Failed, dns.Timeout, nil},
		{"wrong ID", dnslab.WrongID, dns.Failed, dns.Malformed, nil},
		{"wrong question", dnslab.WrongQuestion, dns.Failed, dns.Malformed, nil},
		{"a query for a reply", dnslab.NoQR, dns.Failed, dns.Malformed, nil},
		{"forged replies first", dnslab.Spoof, dns.Found, dns.NoKind, good},
		{"a flood of forged replies", dnslab.Flood, dns.Found, dns.NoKind, good},
		{"garbage", dnslab.Garbage, dns.Failed, dns.Malformed, nil},
		{"garbage after the question", dnslab.GarbageTail, dns.Failed, dns.Malformed, nil},
		{"fewer records than promised", dnslab.ShortCount, dns.Failed, dns.Malformed, nil},
		{"CNAMEs in a circle", dnslab.CNAMELoop, dns.Failed, dns.Loop, nil},
		{"twenty CNAMEs", dnslab.CNAMEChain, dns.Failed, dns.Loop, nil},
		{"a CNAME and no more", dnslab.Dangling, dns.None, dns.NXDomain, nil},
		{"two thousand addresses", dnslab.ManyRecords, dns.Found, dns.NoKind, many},
		{"bogus", dnslab.Bogus, dns.Bogus, dns.BadSignature, nil},
		{"bogus, not said", dnslab.BogusNoEDE, dns.Bogus, dns.BadSignature, nil},
		{"case changed", dnslab.MangleCase, dns.Found, dns.NoKind, good},
		{"the records of another name", dnslab.ForeignOwner, dns.Failed, dns.Malformed, nil},
		{"the records of a name below", dnslab.ForeignBelow, dns.Failed, dns.Malformed, nil},
		{"case changed, and the records of another name", dnslab.MangleForeign, dns.Failed, dns.Malformed, nil},
		{"records of others beside", dnslab.Stowaway, dns.Found, dns.NoKind, good},
		{"referral", dnslab.Referral, dns.Failed, dns.Lame, nil},
	} {
		t.Run(c.about, func(t *testing.T) {
			t.Parallel()
			lab, r := start(t, short)
			lab.SetFault("mx1.example.com", dnslab.Fault{Kind: c.kind})
			a := r.A(t.Context(), "mx1.example.com")
			if a.Status != c.status || a.Kind != c.why || len(a.Records) != len(c.addrs) {
				t.Fatalf("got %v %v (%s) with %d records, want %v %v with %d", a.Status, a.Kind, a.Detail, len(a.Records), c.status, c.why, len(c.addrs))
			}
			if len(c.addrs) > 0 && a.Records[0] != c.addrs[0] {
				t.Errorf("got %v", a.Records[0])
			}
			if c.kind == dnslab.ManyRecords && !a.Cut {
				t.Error("Cut is not set")
			}
			if strings.ContainsFunc(a.Detail, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("Detail is not printable: %q", a.Detail)
			}
			if (a.Status == dns.Found) != (a.Err() == nil) {
				t.Errorf("Err is %v", a.Err())
			}
		})
	}
}

func TestHugeTXT(t *testing.T) {
	lab, r := start(t)
	lab.SetFault("huge.example.com", dnslab.Fault{Kind: dnslab.HugeTXT})
	a := r.TXT(t.Context(), "huge.example.com")
	if a.Status != dns.Found || len(a.Records) != 1 || len(a.Records[0]) != 60_000 {
		t.Fatalf("%v %v %s", a.Status, a.Kind, a.Detail)
	}
	if lab.TCPQueries() != 1 || r.Stats().TCP != 1 {
		t.Errorf("%d TCP queries, %+v", lab.TCPQueries(), r.Stats())
	}
}

// TestTextsAreCapped: a hundred texts are taken, and the answer says that there are more, so that what was not seen is
// never told as not there.
func TestTextsAreCapped(t *testing.T) {
	lab, r := start(t)
	lab.SetFault("example.com", dnslab.Fault{Kind: dnslab.ManyTexts})
	a := r.TXT(t.Context(), "example.com")
	if a.Status != dns.Found || len(a.Records) != 100 || !a.Cut || lab.Count("example.com", "TXT") != 2 {
		t.Errorf("%v %v with %d records, cut %v, after %d queries", a.Status, a.Kind, len(a.Records), a.Cut, lab.Count("example.com", "TXT"))
	}
}

// TestCaseIsNoName (RFC 4343): the case of a name, in the question or in the owner, in the reply or as it is asked for,
// makes no other name, and no second entry of the cache.
func TestCaseIsNoName(t *testing.T) {
	lab, r := start(t)
	lab.SetFault("*", dnslab.Fault{Kind: dnslab.MangleCase})
	for i, name := range []string{"alias.example.com", "ALIAS.example.COM", "aLiAs.eXaMpLe.CoM."} {
		a := r.A(t.Context(), name)
		if a.Status != dns.Found || !slices.Equal(a.Records, addrs("192.0.2.1")) || !slices.Equal(a.Chain, []string{"mx1.example.com"}) || a.Cached != (i > 0) {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if a := r.MX(t.Context(), "example.com"); a.Status != dns.Found || a.Records[0].Host != "mx1.example.com" {
		t.Errorf("MX: %+v", a)
	}
	if n := lab.Count("alias.example.com", "A"); n != 1 {
		t.Errorf("%d queries", n)
	}
}

// TestStowawaysAreNotKept: records of other names that come with an answer are not believed, then or later.
func TestStowawaysAreNotKept(t *testing.T) {
	lab, r := start(t)
	lab.SetFault("a.example.com", dnslab.Fault{Kind: dnslab.Stowaway})
	if a := r.A(t.Context(), "a.example.com"); !slices.Equal(a.Records, addrs("192.0.2.20")) {
		t.Errorf("%+v", a)
	}
	if a := r.A(t.Context(), "victim.invalid"); a.Status != dns.None || a.Kind != dns.NXDomain || a.Cached {
		t.Errorf("the victim: %+v", a)
	}
}

// TestFaultsAreBounded: whatever a name server does, a lookup costs a bounded number of queries.
func TestFaultsAreBounded(t *testing.T) {
	for kind := dnslab.Honest; kind <= dnslab.Referral; kind++ {
		t.Run(strconv.Itoa(int(kind)), func(t *testing.T) {
			t.Parallel()
			lab, r := start(t, func(o *dns.Options) { o.Timeout = 300 * time.Millisecond })
			lab.SetFault("*", dnslab.Fault{Kind: kind})
			r.TXT(t.Context(), "example.com")
			n := 0
			for _, queries := range lab.Queries() {
				n += queries
			}
			// Two tries, each with and without EDNS and over UDP and TCP; a server failure is asked about twice more; nine
			// names where each is an alias of the next.
			if n == 0 || n > 12 {
				t.Errorf("%d queries: %v", n, lab.Queries())
			}
		})
	}
}

// TestDanglingCNAME: the server leaves off at a CNAME, the resolver goes on.
func TestDanglingCNAME(t *testing.T) {
	lab, r := start(t)
	lab.SetFault("wild.example.com", dnslab.Fault{Kind: dnslab.Dangling})
	a := r.A(t.Context(), "wild.example.com")
	if a.Status != dns.Found || !slices.Equal(a.Records, addrs("192.0.2.9")) || !slices.Equal(a.Chain, []string{"target.wild.example.com"}) {
		t.Fatalf("%+v", a)
	}
	lab.SetFault("*", dnslab.Fault{Kind: dnslab.Dangling})
	if a := r.A(t.Context(), "endless.example.com"); a.Status != dns.Failed || a.Kind != dns.Loop {
		t.Fatalf("endless: %+v", a)
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	lab, r := start(t)
	lab.SetFault("a.example.com", dnslab.Fault{Kind: dnslab.Timeout, Times: 1})
	if a := r.A(t.Context(), "a.example.com"); a.Status != dns.Found || lab.Count("a.example.com", "A") != 2 {
		t.Fatalf("%+v after %d queries", a, lab.Count("a.example.com", "A"))
	}
	lab.SetFault("b.example.com", dnslab.Fault{Delay: 50 * time.Millisecond})
	if a := r.A(t.Context(), "b.example.com"); a.Status != dns.Found || a.Duration == 0 || lab.Count("b.example.com", "A") != 1 {
		t.Fatalf("delayed: %+v", a)
	}
	lab.SetFault("mx2.example.com", dnslab.Fault{Kind: dnslab.ServFail})
	untrusting := func(o *dns.Options) { o.TrustAD = dns.TrustNone; o.Servers = []string{lab.Addr()} }
	_, r = start(t, untrusting)
	if a := r.A(t.Context(), "mx2.example.com"); a.Kind != dns.ServFail || lab.Count("mx2.example.com", "A") != 1 {
		t.Fatalf("a server that said no was asked %d times: %+v", lab.Count("mx2.example.com", "A"), a)
	}
}

func TestSeveralServers(t *testing.T) {
	t.Parallel()
	good := dnslab.New(t, dnslab.Text(world))
	for _, kind := range []dnslab.Kind{dnslab.Timeout, dnslab.ServFail, dnslab.Refused, dnslab.Garbage, dnslab.Referral, dnslab.TruncateBoth} {
		bad := dnslab.New(t, nil)
		r, err := dns.New(dns.Options{Servers: []string{bad.Addr(), good.Addr()}, Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		bad.SetFault("*", dnslab.Fault{Kind: kind})
		if a := r.A(t.Context(), "a.example.com"); a.Status != dns.Found || a.Server != good.Addr() {
			t.Errorf("fault %d: %+v", kind, a)
		}
	}
	// Bogus is final: a second server may not validate, and would hand out
	// what the first kept back.
	bad := dnslab.New(t, dnslab.Text(world))
	bad.SetFault("a.example.com", dnslab.Fault{Kind: dnslab.BogusNoEDE})
	r, err := dns.New(dns.Options{Servers: []string{bad.Addr(), good.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	if a := r.A(t.Context(), "a.example.com"); a.Status != dns.Bogus || a.Server != bad.Addr() {
		t.Errorf("bogus: %+v", a)
	}
}

func TestSickServerIsAskedLast(t *testing.T) {
	t.Parallel()
	bad, good := dnslab.New(t, nil), dnslab.New(t, dnslab.Text(world))
	bad.SetFault("*", dnslab.Fault{Kind: dnslab.Timeout})
	r, err := dns.New(dns.Options{Servers: []string{bad.Addr(), good.Addr()}, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.example.com", "b.example.com", "mx1.example.com", "mx2.example.com", "x.wild.example.com"} {
		if a := r.A(t.Context(), name); a.Status != dns.Found {
			t.Fatalf("%s: %+v", name, a)
		}
	}
	s := r.Stats().Servers
	if s[0].Tries != 3 || s[0].Failed != 3 || !s[0].Sick || s[0].LastError == "" || s[1].Tries != 5 || s[1].Sick {
		t.Errorf("%+v", s)
	}
}

func TestNobodyListens(t *testing.T) {
	lab := dnslab.New(t, nil)
	lab.Close()
	r, err := dns.New(dns.Options{Servers: []string{lab.Addr()}, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if a := r.A(t.Context(), "example.com"); a.Status != dns.Failed || a.Kind != dns.Network {
		t.Errorf("%+v", a)
	}
}

func TestAD(t *testing.T) {
	for _, c := range []struct {
		trust dns.Trust
		want  bool
	}{{dns.TrustLoopback, true}, {dns.TrustAll, true}, {dns.TrustNone, false}} {
		lab, r := start(t, func(o *dns.Options) { o.TrustAD = c.trust })
		lab.SetFault("a.example.com", dnslab.Fault{Kind: dnslab.AD})
		if a := r.A(t.Context(), "a.example.com"); a.AD != c.want || a.Status != dns.Found {
			t.Errorf("trust %d: %+v", c.trust, a)
		}
		if a := r.A(t.Context(), "a.example.com"); a.AD != c.want || !a.Cached {
			t.Errorf("trust %d, cached: %+v", c.trust, a)
		}
		if a := r.A(t.Context(), "b.example.com"); a.AD {
			t.Errorf("trust %d: AD without the bit", c.trust)
		}
		if s := r.Stats().Servers[0]; s.Trusted != c.want {
			t.Errorf("trust %d: %+v", c.trust, s)
		}
	}
}

func TestServerFailureOnceIsNotBogus(t *testing.T) {
	lab, r := start(t)
	lab.SetFault("a.example.com", dnslab.Fault{Kind: dnslab.BogusNoEDE, Times: 1})
	if a := r.A(t.Context(), "a.example.com"); a.Status != dns.Found {
		t.Errorf("%+v", a)
	}
}

func TestCancelIsPrompt(t *testing.T) {
	lab, r := start(t, func(o *dns.Options) { o.Timeout = time.Minute; o.Deadline = time.Minute })
	lab.SetFault("*", dnslab.Fault{Kind: dnslab.Timeout})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if a := r.A(ctx, "a.example.com"); a.Status != dns.Failed || a.Kind != dns.Canceled {
		t.Errorf("cancelled: %+v", a)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if a := r.A(ctx, "a.example.com"); a.Kind != dns.Timeout {
		t.Errorf("deadline: %+v", a)
	}
	// The lookups that nobody waits for end, and leave nothing behind.
	for r.Stats().UnderWay != 0 {
		time.Sleep(time.Millisecond)
	}
	lab.SetFault("*")
	if a := r.A(t.Context(), "a.example.com"); a.Status != dns.Found {
		t.Errorf("afterwards: %+v", a)
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		opt  dns.Options
		want string
	}{
		{dns.Options{Servers: []string{"ns.example.com:53"}}, `resolver: server "ns.example.com:53": not an IP address with or without a port`},
		{dns.Options{Servers: []string{"127.0.0.1:0"}}, `resolver: server "127.0.0.1:0": not an IP address with or without a port`},
		{dns.Options{Servers: []string{"127.0.0.1"}, Timeout: -1}, "resolver: a limit is negative"},
		{dns.Options{ResolvConf: "testdata/missing.conf"}, "resolver: read testdata/missing.conf: open testdata/missing.conf: no such file or directory"},
		{dns.Options{ResolvConf: "testdata/empty.conf"}, "resolver: testdata/empty.conf names no name server"},
	} {
		if _, err := dns.New(c.opt); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	r, err := dns.New(dns.Options{ResolvConf: "testdata/resolv.conf"})
	if err != nil {
		t.Fatal(err)
	}
	s := r.Stats().Servers
	if len(s) != 2 || s[0].Addr != "127.0.0.1:53" || !s[0].Trusted || s[1].Addr != "[2001:db8::53]:53" || s[1].Trusted {
		t.Errorf("%+v", s)
	}
}

// TestLostPacket: a query that gets no answer goes out again within its try, so that a lost packet costs no whole one.
func TestLostPacket(t *testing.T) {
	lab, r := start(t)
	if err := lab.SetZones(dnslab.Text("lost.example. A 192.0.2.1\n")); err != nil {
		t.Fatal(err)
	}
	lab.SetFault("lost.example", dnslab.Fault{Kind: dnslab.Timeout, Times: 1})
	if a := r.A(t.Context(), "lost.example"); a.Status != dns.Found {
		t.Errorf("%+v", a)
	}
	if sent, came := r.Stats().Sent, lab.Count("lost.example", "A"); sent != 1 || came != 2 {
		t.Errorf("%d tries, %d packets", sent, came)
	}
}

// TestAskTakesNothingRemembered: what has changed is seen, and others find it remembered.
func TestAskTakesNothingRemembered(t *testing.T) {
	lab, r := start(t)
	before := r.Query(t.Context(), "a.example.com", dns.TypeA)
	if err := lab.SetZones(dnslab.Text("a.example.com. 300 IN A 192.0.2.99\n")); err != nil {
		t.Fatal(err)
	}
	if a := r.Query(t.Context(), "a.example.com", dns.TypeA); !a.Cached || a.Records[0].Addr != before.Records[0].Addr {
		t.Errorf("%+v", a)
	}
	for _, a := range []dns.Answer[dns.Record]{r.Ask(t.Context(), "A.example.com.", dns.TypeA), r.Query(t.Context(), "a.example.com", dns.TypeA)} {
		if a.Status != dns.Found || a.Records[0].Addr.String() != "192.0.2.99" || a.TTL <= 0 {
			t.Errorf("%+v", a)
		}
	}
	if a := r.Ask(t.Context(), "a.example.com", 255); a.Status != dns.Failed || a.Kind != dns.Refused {
		t.Errorf("ANY: %+v", a)
	}
	if a := r.Ask(t.Context(), "a..b", dns.TypeA); a.Kind != dns.InvalidName {
		t.Errorf("no name: %+v", a)
	}
}
