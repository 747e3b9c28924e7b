package filters

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"gatepost/gateway"
	"gatepost/internal/dmarc"
	"gatepost/internal/dns"
)

// instant is a DNS that answers at once: texts by name, and nothing else.
type instant map[string]string

func none[T any](name string) dns.Answer[T] {
	return dns.Answer[T]{Status: dns.None, Kind: dns.NXDomain, Name: name}
}

func (instant) A(_ context.Context, name string) dns.Answer[netip.Addr] {
	return none[netip.Addr](name)
}
func (instant) AAAA(_ context.Context, name string) dns.Answer[netip.Addr] {
	return none[netip.Addr](name)
}
func (instant) MX(_ context.Context, name string) dns.Answer[dns.MX] { return none[dns.MX](name) }
func (instant) PTR(_ context.Context, a netip.Addr) dns.Answer[string] {
	return none[string](a.String())
}
func (r instant) TXT(_ context.Context, name string) dns.Answer[string] {
	if text, ok := r[strings.ToLower(strings.TrimSuffix(name, "."))]; ok {
		return dns.Answer[string]{Status: dns.Found, Name: name, Records: []string{text}}
	}
	return none[string](name)
}

// FuzzForgedAuthor gives an attacker a host that SPF lets send for evil.example, a signature by evil.example over fields of
// his choice, and the whole header section: whatever he writes there, nothing but evil.example ever passes DMARC, in the
// finding, in Authentication-Results and in what is learned.
func FuzzForgedAuthor(f *testing.F) {
	for _, seed := range []string{
		"From: info@bank.example\r\n", "From: x@evil.example\r\n", "From: x@evil.example\r\nFrom: info@bank.example\r\n",
		"From: x@evil.example, info@bank.example\r\n", "From: info@bank.example <x@evil.example>\r\n", "From: \"info@bank.example\" <x@evil.example>\r\n",
		"From : info@bank.example\r\nFrom: x@evil.example\r\n", "From: =?utf-8?q?info@bank.example?= <x@evil.example>\r\n", "FROM:\r\n <info@bank.example>\r\n",
		"From: <@evil.example:info@bank.example>\r\n", "From: g: info@bank.example;\r\nSender: x@evil.example\r\n", "From: info@bank.example\x00.evil.example\r\n",
		"From: info@bank.example.evil.example\r\n", "From: info@(x@evil.example)bank.example\r\n", "Resent-From: info@bank.example\r\nFrom: a@mail.evil.example\r\n",
		"DKIM-Signature: v=1; a=rsa-sha256; d=bank.example; s=x; h=from; bh=AAAA; b=AAAA\r\nFrom: info@bank.example\r\nList-Id: <a.bank.example>\r\n",
		"\r\nFrom: info@bank.example\r\n", " From: x\r\nFrom: a@b@bank.example\r\n", "From: info@bank。example\r\n", "",
	} {
		f.Add(seed, "<x@evil.example>", true)
		f.Add(seed, "<>", false)
	}
	s := newSigner(f)
	zones := instant{"evil.example": "v=spf1 all", "_dmarc.evil.example": "v=DMARC1; p=none", "bank.example": "v=spf1 -all",
		"_dmarc.bank.example": "v=DMARC1; p=reject", "_dmarc.example": "v=DMARC1; p=reject"}
	_, key, _ := strings.Cut(s.record(f, "one", s.ed, ""), "\"")
	zones["one._domainkey.evil.example"] = strings.NewReplacer("\" \"", "", "\"", "", "\n", "").Replace(key)
	f.Fuzz(func(t *testing.T, header, path string, sign bool) {
		if len(header) > 20_000 || strings.Contains(header, "\r\n\r\n") {
			return
		}
		text := header + "\r\ntext\r\n"
		if sign {
			text = s.sign(t, s.ed, "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=evil.example; s=one;", "from:from:subject", text)
		}
		d := &Deps{Resolver: zones, Policy: servedPolicy()}
		e := dataOf(t, text)
		if path == "<>" {
			e.From = gateway.Address{}
		}
		got := run(t, d.runDMARC, input(from("192.0.2.1", "evil.example"), e))
		for _, a := range got.Auth {
			domain := a.Prop("header", "from")
			if a.Result == string(dmarc.Pass) && (got.Result != gateway.Pass || domain != authorOf(e).Domain || domain != "evil.example" && !strings.HasSuffix(domain, ".evil.example")) {
				t.Errorf("%s passes with %q", domain, text)
			}
			if d := a.DMARC; d != nil && (d.SPF || d.DKIM) && a.Result != string(dmarc.Pass) {
				t.Errorf("%s is %s, and is learned as aligned: %q", domain, a.Result, text)
			}
		}
	})
}

// TestSample shows that a message gets the same number whenever it comes, and that messages differ.
func TestSample(t *testing.T) {
	seen := map[uint32]int{}
	for i := range 1000 {
		text := "Message-ID: <" + strings.Repeat("x", i) + "@a.example>\r\nFrom: a@a.example\r\n\r\n"
		n := sample(dataOf(t, text))
		if n != sample(dataOf(t, text)) || n > 99 {
			t.Fatalf("sample %d", n)
		}
		seen[n]++
	}
	if len(seen) < 95 {
		t.Errorf("only %d numbers", len(seen))
	}
}

// TestSigners: what signatures claim is read without being believed, and bounded.
func TestSigners(t *testing.T) {
	text := "DKIM-Signature: v=1; d=a.example; s=x\r\nDKIM-Signature: v=1; xd=b.example; d = \r\n c.example ; d=d.example\r\nDkim-signature: nothing\r\n"
	if got := strings.Join(signers(dataOf(t, text+with("")).Header), " "); got != "a.example c.example" {
		t.Errorf("%q", got)
	}
	if n := len(signers(dataOf(t, strings.Repeat("DKIM-Signature: d=a.example\r\n", 30)+with("")).Header)); n != 8 {
		t.Errorf("%d of 30", n)
	}
}

func TestDMARCOptions(t *testing.T) {
	for policy, want := range map[string]string{
		`hints = ["List-Id", "List-Post"]`: "",
		`hints = []`:                       "",
		`hints = ["List-Id:"]`:             `checks.dmarc.hints: "List-Id:" is no name of a header field`,
		`hints = ["X-A", ""]`:              `checks.dmarc.hints: "" is no name of a header field`,
		`method = "both"`:                  `checks.dmarc.method: "both" is not a value of this key`,
		`reasons.dmarc.rejects = "tag"`:    `checks.dmarc.reasons.dmarc.rejects: check dmarc has no such reason`,
	} {
		_, problems := load(t, "[checks.dmarc]\n"+policy+"\n")
		if got := problems.Error(); problems.Refused() != (want != "") || !strings.Contains(got, want) {
			t.Errorf("%s: %s", policy, got)
		}
	}
}
