package filters

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/dns"
	"gatepost/internal/lab/dnslab"
)

// memories is what was learned, for tests: domains and the hosts of paths by name.
type memories struct {
	domains map[string]gateway.KnownDomain
	hosts   map[string]gateway.Past
}

func (m *memories) Domain(author string) gateway.KnownDomain { return m.domains[author] }
func (m *memories) Path(p gateway.Path) gateway.KnownPath {
	return gateway.KnownPath{Path: p, Host: m.hosts[p.Host], Told: m.hosts[p.Told]}
}

// dmarcCase is a file of testdata/dmarc: what the world is, the message below "---", and what is to be found.
type dmarcCase struct {
	relay              bool // the client is a trusted relay
	client, helo, from string
	policy             string
	mode               gateway.Mode
	zones              strings.Builder
	faults             map[string]dnslab.Fault
	signs              []string
	seals              []string
	edited             bool
	known              memories
	message            string
	expect             [][2]string
}

var dnsFaults = map[string]dnslab.Kind{"timeout": dnslab.Timeout, "servfail": dnslab.ServFail, "nxdomain": dnslab.NXDomain, "refused": dnslab.Refused,
	"garbage": dnslab.Garbage, "loop": dnslab.CNAMELoop, "huge": dnslab.HugeTXT, "texts": dnslab.ManyTexts, "truncated": dnslab.TruncateBoth,
	"question": dnslab.WrongQuestion, "foreign": dnslab.ForeignOwner, "bogus": dnslab.Bogus}

func readDMARCCase(t *testing.T, file string) *dmarcCase {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := &dmarcCase{client: "192.0.2.1", helo: "mx.sender.example", from: "<>", faults: map[string]dnslab.Fault{},
		known: memories{map[string]gateway.KnownDomain{}, map[string]gateway.Past{}}}
	head, message, ok := strings.Cut(string(text), "\n---\n")
	if !ok {
		t.Fatal("no line --- before the message")
	}
	c.message = strings.ReplaceAll(message, "\n", "\r\n")
	now := time.Now()
	for n, line := range strings.Split(head, "\n") {
		word, rest, _ := strings.Cut(line, " ")
		f := strings.Fields(rest)
		switch word {
		case "", "#":
		case "relay":
			c.relay, c.client = true, rest
		case "client":
			c.client = rest
		case "helo":
			c.helo = rest
		case "from":
			c.from = rest
		case "policy":
			c.policy += rest + "\n"
		case "mode":
			c.mode = map[string]gateway.Mode{"soft": gateway.Soft, "observe": gateway.ObserveOnly}[rest]
		case "zone":
			c.zones.WriteString(rest + "\n")
		case "fault":
			if c.faults[f[0]] = (dnslab.Fault{Kind: dnsFaults[f[1]]}); dnsFaults[f[1]] == 0 {
				t.Fatalf("line %d: no such fault", n+1)
			}
		case "sign": // tags of one signature; "broken" in front for one of another text
			c.signs = append(c.signs, rest)
		case "seal": // DOMAIN RESULTS: a set of ARC above the signatures; "edit" changes the body before
			c.seals = append(c.seals, rest)
		case "edit":
			c.edited = true
		case "asks": // DOMAIN POLICY SINCE [OUTAGE]
			k := gateway.KnownDomain{Asks: f[1], AsksSince: now.Add(-length(t, f[2]))}
			if len(f) > 3 {
				k.Outage, k.Untold = now.Add(-length(t, f[3])), now.Add(-time.Minute)
			}
			c.known.domains[f[0]] = k
		case "host": // NAME good|bad SINCE
			p := gateway.Past{First: now.Add(-length(t, f[2])), Last: now, Messages: 100, Judged: 100, Days: 20, Authors: 5}
			if f[1] == "good" {
				p.Passed = 90
			}
			c.known.hosts[f[0]] = p
		case "reason", "verdict", "auth", "reply", "evidence", "without", "override", "learned", "rescuers", "comment", "path", "priced", "asked", "would", "marks":
			c.expect = append(c.expect, [2]string{word, rest})
		default:
			t.Fatalf("line %d: %q", n+1, line)
		}
	}
	return c
}

func length(t *testing.T, s string) time.Duration {
	t.Helper()
	unit := map[byte]time.Duration{'d': 24 * time.Hour, 'h': time.Hour, 'm': time.Minute}[s[len(s)-1]]
	var n int
	if _, err := fmt.Sscan(s[:len(s)-1], &n); err != nil || unit == 0 {
		t.Fatalf("no length of time: %q", s)
	}
	return time.Duration(n) * unit
}

// TestDMARC runs each file of testdata/dmarc.
func TestDMARC(t *testing.T) {
	files, err := filepath.Glob("testdata/dmarc/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	s := newSigner(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			readDMARCCase(t, file).run(t, s)
		})
	}
}

func (c *dmarcCase) run(t *testing.T, s *signer) {
	for _, sign := range c.signs {
		tags, broken := strings.CutPrefix(sign, "broken ")
		signed := s.sign(t, s.ed, "v=1; a=ed25519-sha256; c=relaxed/relaxed; "+tags+";", "from:subject", c.message)
		if broken {
			signed = strings.Replace(signed, " b=", " b=AAAA", 1)
		}
		c.message = signed
		list := map[string]string{}
		for _, tag := range strings.Split(tags, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(tag), "=")
			list[name] = value
		}
		c.zones.WriteString(s.record(t, list["s"]+"._domainkey."+list["d"], s.ed, ""))
	}
	if c.edited {
		c.message += "-- \r\nlist footer\r\n"
	}
	sealers := newArcWorld(t)
	for i, seal := range c.seals {
		domain, results, _ := strings.Cut(seal, " ")
		c.message = sealers.seal(t, c.message, domain, results, i)
	}
	for name, record := range sealers.zone {
		c.zones.WriteString(name + ". TXT \"" + record + "\"\n")
	}
	server := dnslab.New(t, dnslab.Text(c.zones.String()))
	for name, f := range c.faults {
		server.SetFault(name, f)
	}
	r, err := dns.New(dns.Options{Servers: []string{server.Addr()}, Timeout: time.Second, Attempts: 1, Deadline: 1500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	d := &Deps{Resolver: r, Known: &c.known, Only: []string{"arc", "dmarc"}}
	pl := build(t, c.policy, d)
	d.Policy.Mode = c.mode
	e := dataOf(t, c.message)
	e.From = mailFrom(t, c.from)
	session := from(c.client, c.helo)
	session.Relay = c.relay
	session.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl}
	v := pl.Run(t.Context(), gateway.Data, input(session, e))
	var f gateway.Finding
	for _, one := range e.Findings {
		if one.Check == "dmarc" {
			f = one
		}
	}
	if len(c.expect) == 0 {
		t.Fatal("the file expects nothing")
	}
	for _, want := range c.expect {
		if got, ok := c.compare(want[0], want[1], &f, &v, server); !ok {
			t.Errorf("%s\n%s\nwant\n%s\n%s", want[0], got, want[1], allEvidence(f))
		}
	}
	for _, a := range f.Auth {
		if a.Result == "pass" && f.Result != gateway.Pass {
			t.Errorf("says %s and found %v", said(f), f.Result)
		}
	}
}

// compare returns what was found of one kind, and whether it is what is wanted.
func (c *dmarcCase) compare(kind, want string, f *gateway.Finding, v *gateway.Verdict, s *dnslab.Server) (string, bool) {
	got := ""
	switch kind {
	case "reason":
		got = strings.TrimSpace(f.Result.String() + " " + string(f.Reason) + " " + strings.Join(f.Args, ", "))
	case "verdict":
		got = v.Outcome.String()
		if v.Line != "" {
			got += " by " + v.Line
		}
		return got, got == want || !strings.Contains(want, " by ") && v.Outcome.String() == want
	case "would":
		if v.Would != nil {
			got = v.Would.Outcome.String()
		}
	case "auth":
		got = said(*f)
	case "reply":
		got = v.Reply.String()
		return got, strings.Contains(got, want)
	case "evidence":
		got = allEvidence(*f)
		return got, strings.Contains(got, want)
	case "without":
		got = allEvidence(*f)
		return got, !strings.Contains(got, want)
	case "rescuers":
		got = strings.Join(f.Auth[0].DMARC.Sealers, " ")
	case "comment":
		got = f.Auth[0].Comment
	case "learned":
		if d := f.Auth[0].DMARC; d != nil {
			got = fmt.Sprintf("%s asks=%s record=%t spf=%t dkim=%t", d.Author, d.Requested, d.Record != "", d.SPF, d.DKIM)
		}
	case "override":
		got = f.Auth[0].DMARC.Override
	case "path":
		got = strings.TrimSpace(f.Auth[0].DMARC.Path.Host + " " + f.Auth[0].DMARC.Path.Told)
	case "priced":
		for _, p := range v.Priced {
			got = strings.TrimSpace(fmt.Sprintf("%s %s=%g", got, p.Measure, p.Points))
		}
	case "marks":
		got = strings.Join(v.Marks, " ")
	case "asked":
		for name := range s.Queries() {
			if strings.HasPrefix(name, "_dmarc.") {
				got += " " + name
			}
		}
		return got, strings.Contains(got+" ", " "+want+" ")
	}
	return got, got == want
}

func allEvidence(f gateway.Finding) string {
	var b strings.Builder
	for _, e := range f.Evidence {
		b.WriteString(e.Name + ": " + e.Text + "\n")
	}
	return b.String()
}

// TestAuthenticationExamples loads every example of policy that docs/authentication.md shows.
func TestAuthenticationExamples(t *testing.T) {
	text, err := os.ReadFile("../docs/authentication.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```toml\n")[1:]
	if len(blocks) < 4 {
		t.Fatalf("%d examples", len(blocks))
	}
	for _, b := range blocks {
		b, _, _ = strings.Cut(b, "```")
		if _, problems := load(t, b); problems.Refused() {
			t.Errorf("%s\n%s", problems, b)
		}
	}
}

// hurtAddresses is a resolver whose A panics.
type hurtAddresses struct{ Resolver }

func (hurtAddresses) A(context.Context, string) dns.Answer[netip.Addr] { panic("out of order") }

// TestDMARCBreaks shows that mail waits while the check itself breaks: a fault of ours is no way in.
func TestDMARCBreaks(t *testing.T) {
	s := dnslab.New(t, dnslab.Text("_dmarc.bank.example. TXT \"v=DMARC1; p=reject; np=none\"\n"))
	d := &Deps{Resolver: hurtAddresses{resolver(t, s)}, Only: []string{"dmarc"}}
	pl := build(t, "", d)
	e := dataOf(t, "From: <any@new.bank.example>\r\nDate: Thu, 26 Nov 2026 10:00:00 +0000\r\n\r\nx\r\n")
	in := input(from("192.0.2.1", "mx.sender.example"), e)
	in.Session.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl, Hostname: d.Hostname}
	if v := pl.Run(t.Context(), gateway.Data, in); v.Outcome != gateway.Defer || v.Reason != gateway.CheckPanicked || v.Reply.Code != 451 {
		t.Errorf("%s, %+v", v.Explain(), v.Reply)
	}
}
