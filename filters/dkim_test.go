package filters

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"gatepost/gateway"
	"gatepost/internal/dkim"
	"gatepost/internal/lab/dnslab"
)

// signer signs messages by the engine's own parts; whether others agree with it is a test of internal/dkim.
type signer struct {
	rsa2048, rsa1024 *rsa.PrivateKey
	ed               ed25519.PrivateKey
}

func newSigner(t testing.TB) *signer {
	t.Helper()
	s := &signer{ed: ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", ed25519.SeedSize)))}
	var err error
	if s.rsa2048, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if s.rsa1024, err = rsa.GenerateKey(rand.Reader, 1024); err != nil {
		t.Fatal(err)
	}
	return s
}

// record is the TXT record of a key, in strings that a zone file takes.
func (s *signer) record(t testing.TB, name string, key crypto.Signer, flags string) string {
	t.Helper()
	kind, p := "ed25519", []byte(nil)
	switch k := key.Public().(type) {
	case ed25519.PublicKey:
		p = k
	default:
		var err error
		kind = "rsa"
		if p, err = x509.MarshalPKIXPublicKey(k); err != nil {
			t.Fatal(err)
		}
	}
	text := base64.StdEncoding.EncodeToString(p)
	half := len(text) / 2
	return fmt.Sprintf("%s. TXT \"v=DKIM1; k=%s; %sp=%s\" \"%s\"\n", name, kind, flags, text[:half], text[half:])
}

// sign puts a signature in front of a message. tags end in a semicolon.
func (s *signer) sign(t testing.TB, key crypto.Signer, tags, names, text string) string {
	t.Helper()
	e := dataOf(t, text)
	list, err := dkim.ParseTags(tags)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := list.Get("c")
	hc, bc, err := dkim.ParseCanon(c)
	if err != nil {
		t.Fatal(err)
	}
	limit := int64(-1)
	if l, ok := list.Get("l"); ok {
		if _, err := fmt.Sscan(l, &limit); err != nil {
			t.Fatal(err)
		}
	}
	var body dkim.BodyHasher
	n := body.Want(bc, limit)
	if err := body.Read(gateway.Rest(e.Body, e.Header.BodyStart)); err != nil {
		t.Fatal(err)
	}
	sum, err := body.Sum(n)
	if err != nil {
		t.Fatal(err)
	}
	field := dkim.Field{Name: "DKIM-Signature", Raw: fmt.Appendf(nil, "DKIM-Signature: %s\r\n h=%s;\r\n bh=%s;\r\n b=\r\n", tags, names, base64.StdEncoding.EncodeToString(sum.Hash[:]))}
	h, w := dkim.NewHeader(fieldsOf(e.Header)), dkim.NewHeaderHasher(hc)
	for _, i := range h.Select(strings.Split(names, ":"), -1) {
		if i >= 0 {
			w.Field(&h.Fields[i])
		}
	}
	w.Own(&field, nil)
	sig, _, err := dkim.Sign(key, w.Sum())
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(field.Raw), "\r\n") + base64.StdEncoding.EncodeToString(sig) + "\r\n" + text
}

// said is what a finding says in Authentication-Results.
func said(f gateway.Finding) string {
	var out []string
	for _, a := range f.Auth {
		text := a.Method + "=" + a.Result
		for _, p := range a.Props {
			if p.Name != "b" {
				text += " " + p.Name + "=" + p.Value
			}
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}

func TestDKIM(t *testing.T) {
	s := newSigner(t)
	zones := ""
	for name, key := range map[string]crypto.Signer{"r": s.rsa2048, "e": s.ed, "k": s.rsa1024} {
		zones += s.record(t, name+"._domainkey.d.example", key, "") + s.record(t, name+"t._domainkey.d.example", key, "t=y; ")
	}
	server := dnslab.New(t, dnslab.Text(zones))
	server.SetFault("dead._domainkey.d.example", dnslab.Fault{Kind: dnslab.Timeout})
	server.SetFault("broken._domainkey.d.example", dnslab.Fault{Kind: dnslab.ServFail})
	plain := with("")
	const names = "from:subject:date"
	tags := func(selector, more string) string {
		return "v=1; a=rsa-sha256; c=relaxed/relaxed; d=d.example; s=" + selector + ";" + more
	}
	good := s.sign(t, s.rsa2048, tags("r", ""), names, plain)
	ed := s.sign(t, s.ed, strings.Replace(tags("e", " i=anna@mail.d.example;"), "rsa", "ed25519", 1), names, plain)
	short := s.sign(t, s.rsa1024, tags("k", ""), names, plain)
	long := s.sign(t, s.rsa2048, tags("r", " l=4;"), names, plain)
	tests := s.sign(t, s.rsa2048, tags("rt", ""), names, plain)
	twice := s.sign(t, s.rsa1024, tags("k", ""), names, good)
	for name, c := range map[string]struct {
		text     string
		policy   string
		result   gateway.Result
		reason   gateway.Reason
		measures string
		points   float64
		reply    string
		auth     string
		domains  string
		doubtful string
	}{
		"unsigned":  {text: plain, result: gateway.NotRun, reason: gateway.LeftNoInput, auth: "dkim=none"},
		"signed":    {text: good, result: gateway.Pass, auth: "dkim=pass d=d.example i=@d.example s=r a=rsa-sha256", domains: "d.example"},
		"Ed25519":   {text: ed, result: gateway.Pass, auth: "dkim=pass d=d.example i=anna@mail.d.example s=e a=ed25519-sha256", domains: "d.example"},
		"short key": {text: short, result: gateway.Pass, auth: "dkim=pass d=d.example i=@d.example s=k a=rsa-sha256", domains: "d.example"},
		"too short a key": {text: short, policy: "min_bits = 2048\n", result: gateway.Fail, reason: gateway.DKIMWeak, measures: "weak", points: 0.5,
			auth: "dkim=policy d=d.example i=@d.example s=k a=rsa-sha256"},
		"two":            {text: twice, result: gateway.Pass, auth: "dkim=pass d=d.example i=@d.example s=k a=rsa-sha256; dkim=pass d=d.example i=@d.example s=r a=rsa-sha256", domains: "d.example"},
		"one is enough":  {text: twice, policy: "min_bits = 2048\n", result: gateway.Pass, auth: "dkim=policy d=d.example i=@d.example s=k a=rsa-sha256; dkim=pass d=d.example i=@d.example s=r a=rsa-sha256", domains: "d.example"},
		"only the first": {text: twice, policy: "signatures = 1\n", result: gateway.Pass, measures: "many", points: 0.5, auth: "dkim=pass d=d.example i=@d.example s=k a=rsa-sha256", domains: "d.example"},
		"body changed":   {text: good + "more\r\n", result: gateway.Fail, reason: gateway.DKIMFail, measures: "fail", auth: "dkim=fail d=d.example i=@d.example s=r a=rsa-sha256"},
		"header changed": {text: strings.Replace(good, "Subject: x", "Subject: y", 1), result: gateway.Fail, reason: gateway.DKIMFail, measures: "fail",
			auth: "dkim=fail d=d.example i=@d.example s=r a=rsa-sha256"},
		"refused by policy": {text: good + "more\r\n", policy: "action = \"reject\"\n", result: gateway.Fail, reason: gateway.DKIMFail, measures: "fail",
			reply: "550 5.7.20 Message refused: its DKIM signature by d.example does not hold: body hash differs; the header is as it was signed (RFC 6376)",
			auth:  "dkim=fail d=d.example i=@d.example s=r a=rsa-sha256"},
		"l= of all": {text: strings.Replace(long, "text\r\n", "text", 1), result: gateway.Fail, reason: gateway.DKIMWeak, measures: "weak", points: 0.5,
			auth: "dkim=policy d=d.example i=@d.example s=r a=rsa-sha256"}, // but for the CRLF
		"l= and more":          {text: long + "<html>\r\n", result: gateway.Fail, reason: gateway.DKIMWeak, measures: "weak", points: 0.5, auth: "dkim=policy d=d.example i=@d.example s=r a=rsa-sha256"},
		"l= and more, counted": {text: long + "<html>\r\n", policy: "length = \"count\"\n", result: gateway.Pass, auth: "dkim=pass d=d.example i=@d.example s=r a=rsa-sha256", domains: "d.example"},
		"testing":              {text: tests, result: gateway.Pass, auth: "dkim=pass d=d.example i=@d.example s=rt a=rsa-sha256", domains: "d.example"},
		"testing, not counted": {text: tests, policy: "testing = false\n", result: gateway.Fail, reason: gateway.DKIMWeak, measures: "weak", points: 0.5,
			auth: "dkim=pass d=d.example i=@d.example s=rt a=rsa-sha256"},
		"no key":      {text: strings.Replace(good, " s=r;", " s=none;", 1), result: gateway.Fail, reason: gateway.DKIMFail, measures: "fail", auth: "dkim=permerror d=d.example i=@d.example s=none a=rsa-sha256"},
		"DNS is dead": {text: strings.Replace(good, " s=r;", " s=dead;", 1), result: gateway.Unknown, reason: gateway.DNSFailed, auth: "dkim=temperror d=d.example i=@d.example s=dead a=rsa-sha256", doubtful: "d.example"},
		"DNS is broken": {text: strings.Replace(good, " s=r;", " s=broken;", 1), result: gateway.Unknown, reason: gateway.DNSFailed,
			auth: "dkim=temperror d=d.example i=@d.example s=broken a=rsa-sha256", doubtful: "d.example"},
		"DNS is dead, and one holds": {text: strings.Replace(twice, " s=k;", " s=dead;", 1), result: gateway.Pass, domains: "d.example", doubtful: "d.example",
			auth: "dkim=temperror d=d.example i=@d.example s=dead a=rsa-sha256; dkim=pass d=d.example i=@d.example s=r a=rsa-sha256"},
		"no tags":     {text: "DKIM-Signature: hello\r\n" + plain, result: gateway.Fail, reason: gateway.DKIMFail, measures: "fail", auth: "dkim=permerror"},
		"d= with NUL": {text: strings.Replace(good, "d=d.example", "d=d.example\x00.evil.example", 1), result: gateway.Fail, reason: gateway.DKIMFail, measures: "fail", auth: "dkim=permerror"},
		"a second From": {text: strings.Replace(good, "From: ", "From: x@y.example\r\nFrom: ", 1), policy: "[checks.author]\naction = \"off\"\n", result: gateway.Fail,
			reason: gateway.DKIMWeak, measures: "weak", points: 0.5, auth: "dkim=policy d=d.example i=@d.example s=r a=rsa-sha256"},
	} {
		t.Run(name, func(t *testing.T) {
			d := &Deps{Resolver: resolver(t, server)}
			pl := build(t, "[checks.clamav]\naction = \"off\"\n[checks.spamassassin]\naction = \"off\"\n[checks.dkim]\n"+c.policy, d)
			e := dataOf(t, c.text)
			v, f := judge(t, d, pl, e, "dkim")
			if f.Result != c.result || f.Reason != c.reason || strings.Join(measured(f), ",") != c.measures || said(f) != c.auth {
				t.Errorf("%s %s %v\n%s, want %s %s %s\n%s\n%v", f.Result, f.Reason, measured(f), said(f), c.result, c.reason, c.measures, c.auth, f.Evidence)
			}
			if !strings.HasPrefix(v.Reply.String(), c.reply) || (c.reply == "") != v.Reply.IsZero() || v.Score != c.points {
				t.Errorf("%s, %v points; want %s, %v", v.Reply, v.Score, c.reply, c.points)
			}
			signed := d.signatures(t.Context(), e)
			if got := strings.Join(signed.domains(), " "); got != c.domains {
				t.Errorf("domains %q, want %q", got, c.domains)
			}
			if got := strings.Join(signed.doubtful(), " "); got != c.doubtful {
				t.Errorf("doubtful %q, want %q", got, c.doubtful)
			}
			if c.result != gateway.NotRun && evidence(f, "signature") == "" {
				t.Error("no evidence")
			}
		})
	}
}

// TestDKIMIsDoneOnce shows that whoever asks gets what is there: one pass, one lookup; and what a check that is off leaves.
func TestDKIMIsDoneOnce(t *testing.T) {
	s := newSigner(t)
	server := dnslab.New(t, dnslab.Text(s.record(t, "r._domainkey.d.example", s.rsa2048, "")))
	d := &Deps{Resolver: resolver(t, server)}
	build(t, "[checks.dkim]\naction = \"off\"\n", d)
	e := dataOf(t, s.sign(t, s.rsa2048, "v=1; a=rsa-sha256; c=simple; d=d.example; s=r;", "from:from", with("")))
	in := input(from("192.0.2.1", "good.example"), e)
	if d.dkim != nil || signaturesKnown(in) {
		t.Error("known before anybody asked")
	}
	first := d.signatures(t.Context(), e)
	if d.signatures(t.Context(), e) != first || !signaturesKnown(in) || server.Count("r._domainkey.d.example", "TXT") != 1 {
		t.Error("verified twice")
	}
	if len(first.DKIM) != 1 || first.DKIM[0].Status != dkim.Pass {
		t.Errorf("%+v", first.DKIM)
	}
	f := d.runDKIM(t.Context(), in)
	if f.Result != gateway.Pass || !strings.HasPrefix(evidence(f, "dns"), "TXT r._domainkey.d.example: 1 found") || evidence(f, "signed as absent") != "from" {
		t.Errorf("%s %v", f.Result, f.Evidence)
	}
}

// TestDKIMThatPanics shows that what cannot be told is told as that.
func TestDKIMThatPanics(t *testing.T) {
	e := dataOf(t, "DKIM-Signature: v=1\r\n"+with(""))
	func() {
		defer func() { _ = recover() }()
		gateway.Fact(&e.Facts, factSignatures, func() *signed { panic("boom") })
	}()
	d := &Deps{}
	f := d.runDKIM(t.Context(), input(from("192.0.2.1", "good.example"), e))
	if f.Result != gateway.Unknown || f.Reason != gateway.CheckPanicked || said(f) != "dkim=temperror" {
		t.Errorf("%s %s %s", f.Result, f.Reason, said(f))
	}
	if s := d.signatures(t.Context(), e); !s.broken || s.domains() != nil {
		t.Errorf("%+v", s)
	}
}
