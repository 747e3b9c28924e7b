package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/relay"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/dns"
	"gatepost/internal/lab/dnslab"
	"gatepost/tls/mtasts"
)

// certificateFor makes a certificate that is its own authority.
func certificateFor(t *testing.T, life time.Duration, names ...string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(life), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// mailServer is one that offers STARTTLS with a certificate, and says those replies; "" in their place breaks off.
func mailServer(t *testing.T, cert *tls.Certificate, replies ...string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for i, r := range replies {
					if i > 0 {
						if _, err := in.ReadString('\n'); err != nil {
							return
						}
					}
					if _, err := io.WriteString(c, r); r == "" || err != nil {
						return
					}
				}
				s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*cert}})
				if s.Handshake() == nil {
					_, _ = s.Read(make([]byte, 1))
				}
			}()
		}
	}()
	return l.Addr().String()
}

// TestPolicyLook looks at a domain whose parts are right, missing, or broken one at a time.
func TestPolicyLook(t *testing.T) {
	want := &mtasts.Policy{Mode: mtasts.Testing, MX: []string{"mx1.example.org", "mx2.example.org"}, MaxAge: 24 * time.Hour}
	want.ID = want.ContentID()
	year := 365 * 24 * time.Hour
	one, two := certificateFor(t, year, "mx1.example.org"), certificateFor(t, year, "mx2.example.org", "mx3.example.org")
	expired, other := certificateFor(t, -time.Hour, "mx2.example.org"), certificateFor(t, year, "other.example.org")
	roots := x509.NewCertPool()
	for _, c := range []*tls.Certificate{one, two, expired, other} {
		roots.AddCert(c.Leaf)
	}
	steps := []string{"220 mx ESMTP\r\n", "250-mx\r\n250 STARTTLS\r\n", "220 go\r\n"}
	good := mailServer(t, one, steps...)
	const zone = "example.org. MX 10 mx1.example.org.\nexample.org. MX 20 mx2.example.org.\nmx1.example.org. A 192.0.2.1\nmx2.example.org. A 192.0.2.2\nmx3.example.org. A 192.0.2.2\n"
	record := "_mta-sts.example.org. TXT \"" + mtasts.Record(want.ID) + "\"\n"
	const tlsrpt = "_smtp._tls.example.org. TXT \"v=TLSRPTv1; rua=mailto:r@example.org\"\n"
	read := func(p *mtasts.Policy, err error) func(context.Context, string) (*mtasts.Policy, error) {
		return func(context.Context, string) (*mtasts.Policy, error) {
			if p == nil {
				return nil, err
			}
			q := *p
			q.ID = ""
			return &q, err
		}
	}
	enforce := *want
	enforce.Mode = mtasts.Enforce
	for _, c := range []struct {
		name   string
		none   bool // policy.toml has none
		zone   string
		fetch  func(context.Context, string) (*mtasts.Policy, error)
		second string   // mx2
		want   []string // lines but those that are ok, "verdict what: part of detail > part of do"; nil for all ok
	}{
		{"right", false, zone + record + tlsrpt, read(want, nil), mailServer(t, two, steps...), nil},
		{"no record", false, zone, read(want, nil), mailServer(t, two, steps...), []string{"bad TXT record: there is no TXT > paste _mta-sts.example.org. 3600 IN TXT \"v=STSv1; id=" + want.ID + ";\""}},
		{"another record, no reports", false, zone + "_mta-sts.example.org. TXT \"v=STSv1; id=1\"\n", read(want, nil), mailServer(t, two, steps...), []string{
			"bad TXT record: has id 1 > paste _mta-sts.example.org.", "bad TLSRPT record: there is none > paste _smtp._tls.example.org. 3600 IN TXT \"v=TLSRPTv1"}},
		{"two records", false, zone + record + "_mta-sts.example.org. TXT \"v=STSv1; id=1\"\n", read(want, nil), mailServer(t, two, steps...), []string{"bad TXT record: there are several > paste"}},
		{"another policy", false, zone + record + tlsrpt, read(&enforce, nil), mailServer(t, two, steps...), []string{"bad https://mta-sts.example.org/.well-known/mta-sts.txt: another policy: mode enforce > gatepost reload"}},
		{"nothing to read", false, zone + record + tlsrpt, read(nil, &mtasts.Fault{Result: mtasts.FetchError, Err: io.EOF}), mailServer(t, two, steps...), []string{"bad https://mta-sts.example.org/.well-known/mta-sts.txt:  > web.public_https"}},
		{"no certificate to read with", false, zone + record + tlsrpt, read(nil, &mtasts.Fault{Result: mtasts.WebPKIInvalid, Err: io.EOF}), mailServer(t, two, steps...), []string{"bad https://mta-sts.example.org/.well-known/mta-sts.txt:  > [[tls.acme]]"}},
		{"expired", false, zone + record + tlsrpt, read(want, nil), mailServer(t, expired, steps...), []string{"bad certificate of mx2.example.org: expired > under enforce"}},
		{"another name", false, zone + record + tlsrpt, read(want, nil), mailServer(t, other, steps...), []string{"bad certificate of mx2.example.org: not mx2.example.org > under enforce"}},
		{"no STARTTLS", false, zone + record + tlsrpt, read(want, nil), mailServer(t, two, "220 mx\r\n", "250 mx\r\n", "502 no\r\n"), []string{"bad certificate of mx2.example.org: STARTTLS is answered by 502 > under enforce"}},
		{"breaks off", false, zone + record + tlsrpt, read(want, nil), mailServer(t, two, "220 mx\r\n", ""), []string{"bad certificate of mx2.example.org: no answer > under enforce"}},
		{"away", false, zone + record + tlsrpt, read(want, nil), "127.0.0.1:1", []string{"bad certificate of mx2.example.org: cannot be reached > under enforce"}},
		{"not named", false, strings.Replace(zone, "20 mx2.", "20 mx3.", 1) + record + tlsrpt, read(want, nil), mailServer(t, two, steps...), []string{
			"bad MX mx3.example.org: none of the hosts > add it to mx", "note policy: mx2.example.org is no MX > no harm"}},
		{"nothing at all", true, zone, read(nil, &mtasts.Fault{Result: mtasts.FetchError, Err: io.EOF}), mailServer(t, two, steps...), []string{"note policy.toml: publishes no policy > mta_sts = { mode = \"testing\" }"}},
		{"forgotten record", true, zone + record + tlsrpt, read(nil, &mtasts.Fault{Result: mtasts.FetchError, Err: io.EOF}), mailServer(t, two, steps...), []string{"note policy.toml: publishes no policy > mta_sts", "bad TXT record: has id > mode = \"none\""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := dnslab.New(t, dnslab.Text(c.zone))
			r, err := dns.New(dns.Options{Servers: []string{server.Addr()}})
			if err != nil {
				t.Fatal(err)
			}
			l := &policyLook{domain: "example.org", want: want, hostname: "mx1.example.org", resolver: r, roots: roots, fetch: c.fetch,
				dial: func(ctx context.Context, network, address string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, map[string]string{"192.0.2.1:25": good, "192.0.2.2:25": c.second}[address])
				}}
			if c.none {
				l.want = nil
			}
			var got []found
			for _, f := range l.all(t.Context()) {
				if f.Verdict != "ok" {
					got = append(got, f)
				}
			}
			if len(got) != len(c.want) {
				t.Fatalf("found %+v, want %q", got, c.want)
			}
			for i, w := range c.want {
				verdict, w, _ := strings.Cut(w, " ")
				w, do, _ := strings.Cut(w, " > ")
				what, detail, _ := strings.Cut(w, ": ")
				if f := got[i]; f.Verdict != verdict || f.What != what || !strings.Contains(f.Detail, detail) || !strings.Contains(f.Do, do) {
					t.Errorf("found %+v, want %s %s: %s > %s", f, verdict, what, detail, do)
				}
			}
		})
	}
}

// TestPolicyLookUnknown shows that what DNS cannot tell is not called missing.
func TestPolicyLookUnknown(t *testing.T) {
	server := dnslab.New(t, dnslab.Text("example.org. MX 10 mx1.example.org.\n"))
	server.SetFault("_mta-sts.example.org", dnslab.Fault{Kind: dnslab.ServFail})
	server.SetFault("example.org", dnslab.Fault{Kind: dnslab.ServFail})
	r, err := dns.New(dns.Options{Servers: []string{server.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	want := &mtasts.Policy{Mode: mtasts.Testing, MX: []string{"mx1.example.org"}, ID: "1"}
	l := &policyLook{domain: "example.org", want: want, resolver: r,
		fetch: func(context.Context, string) (*mtasts.Policy, error) { q := *want; return &q, nil }}
	for _, f := range l.all(t.Context()) {
		if f.Verdict == "bad" || (f.What == "TXT record" || f.What == "MX") && f.Verdict != "note" {
			t.Errorf("found %+v", f)
		}
	}
	if got := lookRecord(t.Context(), r, "example.org", "1"); got != "" {
		t.Errorf("the record: %s", got)
	}
	if got := lookRecord(t.Context(), r, "example.net", "1"); got == "" {
		t.Error("a record that is not there is found")
	}
}

// TestPolicyAdvice shows the way of a policy from nothing to enforce, and back.
func TestPolicyAdvice(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	policy := func(mode mtasts.Mode) *mtasts.Policy {
		p := &mtasts.Policy{Mode: mode, MX: []string{"mx.example.org"}, MaxAge: day}
		p.ID = p.ContentID()
		return p
	}
	enforced := &mtasts.Policy{Mode: mtasts.Enforce, MX: []string{"mx.example.org"}, MaxAge: 7 * day}
	fine, bad := []found{{"ok", "x", "", ""}}, []found{{"bad", "x", "", ""}}
	for name, c := range map[string]struct {
		policy *mtasts.Policy
		since  time.Duration
		held   time.Duration // from now
		stale  bool
		looked []found
		want   string // verdicts, and a part of the last advice
	}{
		"nothing yet":      {nil, 0, 0, false, fine, `ok next|mta_sts = { mode = "testing" }`},
		"not served":       {policy(mtasts.Testing), 0, 0, true, fine, "ok bad next|"},
		"a day":            {policy(mtasts.Testing), day, 0, false, fine, "ok bad note next|"},
		"two weeks":        {policy(mtasts.Testing), 14 * day, 0, false, fine, "ok ok note next|id=" + enforced.ContentID()},
		"two weeks of bad": {policy(mtasts.Testing), 14 * day, 0, false, bad, "bad ok note next|"},
		"enforce":          {policy(mtasts.Enforce), day, 0, false, fine, `ok next|mode = "none"`},
		"going back":       {policy(mtasts.None), day, 6 * day, false, fine, "ok next|leave it as it is until then"},
		"gone":             {policy(mtasts.None), 8 * day, -day, false, fine, "ok next|remove the record _mta-sts.example.org, then mta_sts"},
	} {
		a := advice{domain: "example.org", policy: c.policy, enforced: 7 * day, at: "policy.toml:12", now: now,
			served: servedPolicy{Since: now.Add(-c.since), Held: now.Add(c.held)}}
		if c.policy != nil && !c.stale {
			a.served.ID = c.policy.ID
		}
		var verdicts []string
		all := a.on(c.looked)
		for _, f := range all {
			verdicts = append(verdicts, f.Verdict)
		}
		words, do, _ := strings.Cut(c.want, "|")
		last := all[len(all)-1]
		if strings.Join(verdicts, " ") != words || !strings.Contains(last.Do, do) || do == "" && last.Do != "" {
			t.Errorf("%s: %+v, want %s", name, all, c.want)
		}
	}
}

// TestHostedSince shows that it is kept since when a policy is served, and for how long others may keep the one before.
func TestHostedSince(t *testing.T) {
	dir := documents(t, "", servesOne)
	c, problems := config.Load(dir, sections())
	if c == nil {
		t.Fatal(problems)
	}
	policy := func(mode mtasts.Mode, age time.Duration) *mtasts.Policy {
		p := &mtasts.Policy{Mode: mode, MX: []string{"mx.example.org"}, MaxAge: age}
		p.ID = p.ContentID()
		return p
	}
	start := func(policies map[string]*mtasts.Policy) (*daemon, servedPolicy) {
		d := &daemon{bootstrap: c.Bootstrap, log: newLogger(cli.Env{Err: io.Discard, Sections: sections}, c.Bootstrap)}
		d.now.Store(&built{policies: policies})
		d.hostPolicies()
		kept, err := readServed(c.Bootstrap.StateDir)
		if err != nil {
			t.Fatal(err)
		}
		return d, kept["example.org"]
	}
	week, day := 7*24*time.Hour, 24*time.Hour
	_, first := start(map[string]*mtasts.Policy{"example.org": policy(mtasts.Enforce, week)})
	if first.Mode != "enforce" || first.Since.IsZero() || !first.Held.IsZero() {
		t.Fatalf("%+v", first)
	}
	// A policy of the day before, as a file that an earlier process left.
	text := fmt.Sprintf(`{"example.org":{"id":%q,"mode":"enforce","since":"2026-01-02T03:04:05Z","max_age":%d}}`, first.ID, week)
	if err := os.WriteFile(hostedFile(c.Bootstrap.StateDir), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d, kept := start(map[string]*mtasts.Policy{"example.org": policy(mtasts.Enforce, week)})
	if kept.Since.Year() != 2026 || kept.Since.Month() != time.January {
		t.Errorf("after a restart it is served since %s", kept.Since)
	}
	d.now.Store(&built{policies: map[string]*mtasts.Policy{"example.org": policy(mtasts.None, day)}})
	d.hostPolicies()
	back, err := readServed(c.Bootstrap.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	if b := back["example.org"]; b.Mode != "none" || b.Held.Sub(b.Since) != week {
		t.Errorf("taken back: %+v", b)
	}
	d.now.Store(&built{})
	d.hostPolicies()
	if back, err = readServed(c.Bootstrap.StateDir); err != nil || len(back) != 0 {
		t.Errorf("taken away: %+v, %v", back, err)
	}
	if err := os.WriteFile(hostedFile(c.Bootstrap.StateDir), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if back, err = readServed(c.Bootstrap.StateDir); err == nil || back == nil {
		t.Errorf("a damaged file: %+v, %v", back, err)
	}
	if cache := mtasts.NewCache(mtasts.Options{Dir: policyFolder(c.Bootstrap.StateDir), Log: d.log}); len(cache.Known()) != 0 {
		t.Errorf("the file is taken for a policy: %+v", cache.Known())
	}
}

// TestHostingWarnings shows what check says of a policy that nobody could read.
func TestHostingWarnings(t *testing.T) {
	const hosted = "[[domain]]\nname = \"example.net\"\nroute = \"in\"\nmta_sts = { mode = \"enforce\" }\n"
	for name, c := range map[string]struct {
		bootstrap string
		want      []string
	}{
		"nothing":     {"", []string{"nobody can read the policy", "no certificate is for mta-sts.example.net"}},
		"no listener": {"[[tls.acme]]\nnames = [\"mx.example.org\", \"mta-sts.example.net\"]\n[acme]\ndirectory = \"https://ca.example.org/\"\n[web]\npublic_http = [\"127.0.0.1:80\"]\n", []string{"nobody can read the policy"}},
		"all":         {"[[tls.acme]]\nnames = [\"mx.example.org\", \"mta-sts.example.net\"]\n[acme]\ndirectory = \"https://ca.example.org/\"\n[web]\npublic_http = [\"127.0.0.1:80\"]\npublic_https = [\"127.0.0.1:443\"]\n", nil},
	} {
		c2, problems := config.Load(documents(t, c.bootstrap, servesOne+hosted), sections())
		if c2 == nil {
			t.Fatalf("%s: %v", name, problems)
		}
		got := hostingWarnings(c2)
		if len(got) != len(c.want) {
			t.Fatalf("%s: %v, want %q", name, got, c.want)
		}
		for i, w := range c.want {
			if !strings.HasPrefix(got[i].Message, w) || !got[i].Warning || got[i].Line == 0 {
				t.Errorf("%s: %+v, want %q", name, got[i], w)
			}
		}
	}
}

// TestEveryWayIsProtected shows that mail, reports and failure notices alike go by what the domains of next hops publish: whoever
// wrote dane for a route wants it for all that takes this route.
func TestEveryWayIsProtected(t *testing.T) {
	server := dnslab.New(t, dnslab.Text("example.org. MX 10 mx.example.org.\nmx.example.org. A 127.0.0.1\n"))
	c, problems := config.Load(documents(t, "[dns]\nservers = [\""+server.Addr()+"\"]\n", servesOne), sections())
	if c == nil {
		t.Fatal(problems)
	}
	log := newLogger(cli.Env{Err: io.Discard, Sections: sections}, c.Bootstrap)
	p, err := newParts(c.Bootstrap, log)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := `{"id":"1","fetched":"` + time.Now().UTC().Format(time.RFC3339) + `","policy":"version: STSv1\nmode: enforce\nmx: other.example.org\nmax_age: 86400\n"}`
	if err := os.WriteFile(dir+"/example.org.json", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.usePolicies(dir, log)
	for name, ways := range map[string]*relay.Pools{"mail": p.hops, "reports": p.reportHops, "notices": p.noticeHops} {
		r, err := relay.New(ways, []relay.Route{{Name: "out", Hostname: "mx.example.net", Hops: []relay.Hop{{MX: "example.org"}}, MTASTS: true}})
		if err != nil {
			t.Fatal(err)
		}
		v := r.Verify(t.Context(), "out", gateway.Address{}, gateway.Address{Text: "a@example.org", Local: "a", Domain: "example.org"})
		if !strings.Contains(v.Said, "none of the mail hosts that the MTA-STS policy of the domain names") {
			t.Errorf("%s: %+v", name, v)
		}
		r.Close()
	}
}
