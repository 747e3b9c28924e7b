package filters

import (
	"net/netip"
	"strings"
	"testing"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

func TestTLSRequired(t *testing.T) {
	const pin, key, other = "aa", "bb", "cc"
	rules := []TLSRule{
		{Domains: []string{"partner.example", "*.bank.example"}, Version: "TLS1.2"},
		{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8:1::/48")}, Version: "TLS1.3"},
		{Domains: []string{"pinned.example"}, Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.7/32")}, Pins: []string{pin, key}, Version: "TLS1.2"},
	}
	on := func(version, cert, key string) gateway.TLS {
		return gateway.TLS{Version: version, Cipher: "x", Certificate: cert, Key: key}
	}
	policy := &gateway.Policy{Where: map[string]string{"tls_required.1.domains": "policy.toml:3"}}
	for _, c := range []struct {
		name, client, from string
		relay              bool
		tls                gateway.TLS
		want               gateway.Reason // "" passes; LeftNoInput: nobody asks anything
		code               int
		text               string // of the reply or of the evidence
	}{
		{"nobody's", "203.0.113.1", "<a@other.example>", false, gateway.TLS{}, gateway.LeftNoInput, 0, ""},
		{"clear", "203.0.113.1", "<a@partner.example>", false, gateway.TLS{}, gateway.TLSNone, 530, "Must issue a STARTTLS command first: mail of the domain partner.example is taken only over TLS"},
		{"case", "203.0.113.1", "<a@PARTNER.example>", false, gateway.TLS{}, gateway.TLSNone, 530, ""},
		{"encrypted", "203.0.113.1", "<a@partner.example>", false, on("TLS1.2", "", ""), "", 0, `tls_required.1.domains = "partner.example" (policy.toml:3)`},
		{"below is another", "203.0.113.1", "<a@mail.partner.example>", false, gateway.TLS{}, gateway.LeftNoInput, 0, ""},
		{"below", "203.0.113.1", "<a@mail.bank.example>", false, gateway.TLS{}, gateway.TLSNone, 530, ""},
		{"not itself", "203.0.113.1", "<a@bank.example>", false, gateway.TLS{}, gateway.LeftNoInput, 0, ""},
		{"looks alike", "203.0.113.1", "<a@evilbank.example>", false, gateway.TLS{}, gateway.LeftNoInput, 0, ""},
		{"null path", "203.0.113.1", "<>", false, gateway.TLS{}, gateway.LeftNoInput, 0, ""},
		{"null path from the network", "192.0.2.9", "<>", false, gateway.TLS{}, gateway.TLSNone, 530, "mail from your network 192.0.2.0/24"},
		{"mapped address", "::ffff:192.0.2.9", "<>", false, gateway.TLS{}, gateway.TLSNone, 530, ""},
		{"IPv6", "2001:db8:1::25", "<a@other.example>", false, gateway.TLS{}, gateway.TLSNone, 530, ""},
		{"too old", "192.0.2.9", "<a@other.example>", false, on("TLS1.2", "", ""), gateway.TLSOld, 550, "only over TLS1.3 or later, and your mail server used TLS1.2"},
		{"new enough", "192.0.2.9", "<a@other.example>", false, on("TLS1.3", "", ""), "", 0, ""},
		{"both rules hold", "192.0.2.9", "<a@partner.example>", false, on("TLS1.2", "", ""), gateway.TLSOld, 550, ""},
		{"no certificate", "203.0.113.1", "<a@pinned.example>", false, on("TLS1.3", "", ""), gateway.TLSNoCertificate, 550, "gave none"},
		{"pins, in clear", "203.0.113.1", "<a@pinned.example>", false, gateway.TLS{}, gateway.TLSNone, 530, ""},
		{"another certificate", "198.51.100.7", "<a@other.example>", false, on("TLS1.3", other, other), gateway.TLSOtherCertificate, 550, "SHA-256 cc"},
		{"its certificate", "198.51.100.7", "<a@other.example>", false, on("TLS1.3", pin, other), "", 0, ""},
		{"its key", "203.0.113.1", "<a@pinned.example>", false, on("TLS1.3", other, key), "", 0, ""},
		{"by a trusted relay", "203.0.113.1", "<a@partner.example>", true, gateway.TLS{}, gateway.LeftNoInput, 0, ""},
		{"a trusted relay's network", "192.0.2.9", "<a@partner.example>", true, gateway.TLS{}, gateway.TLSNone, 530, ""},
	} {
		m, err := smtpwire.ParseMail("FROM:"+c.from, smtpwire.Offer{})
		if err != nil {
			t.Fatal(err)
		}
		s := &gateway.Session{Client: netip.AddrPortFrom(netip.MustParseAddr(c.client), 1), TLS: c.tls, Relay: c.relay}
		in := &gateway.Input{Session: s, Envelope: &gateway.Envelope{Session: s, From: addressOf(m.From)}, Rcpt: -1}
		f := tlsFinding(rules, policy, in)
		reply := gateway.Word(gateway.Reject, f.Reason, f.Args)
		if f.Reason != c.want || (f.Result == gateway.Pass) != (c.want == "") || (f.Result == gateway.Fail) != (c.code > 0) {
			t.Errorf("%s: %v %s", c.name, f.Result, f.Reason)
		}
		if c.code > 0 && (reply.Code != c.code || !strings.Contains(reply.Text, c.text)) {
			t.Errorf("%s: %s", c.name, reply)
		}
		if c.code == 0 && c.text != "" && gateway.Evident([]gateway.Finding{f}, "required by") != c.text {
			t.Errorf("%s: %+v", c.name, f.Evidence)
		}
	}
}

// TestAskCertificate: nobody is asked whose certificate nobody looks at.
func TestAskCertificate(t *testing.T) {
	network := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	inside, outside := netip.MustParseAddr("::ffff:192.0.2.1"), netip.MustParseAddr("203.0.113.1")
	for _, c := range []struct {
		rules           []TLSRule
		inside, outside bool
	}{
		{nil, false, false},
		{[]TLSRule{{Domains: []string{"a.example"}}, {Networks: network}}, false, false},
		{[]TLSRule{{Domains: []string{"a.example"}}, {Networks: network, Pins: []string{"aa"}}}, true, false},
		{[]TLSRule{{Domains: []string{"a.example"}, Pins: []string{"aa"}}}, true, true},
	} {
		ask := AskCertificate(c.rules)
		if ask == nil {
			ask = func(netip.Addr) bool { return false }
		}
		if ask(inside) != c.inside || ask(outside) != c.outside {
			t.Errorf("%+v: %t %t", c.rules, ask(inside), ask(outside))
		}
	}
}

// TestDemandIsNotWaived: an allow entry overrules opinions, and not what is asked of the transport; who must be reachable in
// any case stays so.
func TestDemandIsNotWaived(t *testing.T) {
	p := &gateway.Policy{Mode: gateway.Enforce, Checks: map[string]gateway.CheckPolicy{
		"tls":           {Class: tlsCheck().Class, Action: gateway.ActionReject, Intended: gateway.ActionReject},
		"access.client": {Class: gateway.ClassList, Action: gateway.ActionReject, Intended: gateway.ActionReject}}}
	judge := func(to string) gateway.Verdict {
		allowed := gateway.Passed(gateway.Measure{Name: gateway.AllowMeasure, Value: 1, Text: "192.0.2.1"})
		allowed.Check, allowed.Rcpt = "access.client", -1
		clear := gateway.Failed(gateway.TLSNone, "mail")
		clear.Check, clear.Stage, clear.Rcpt = "tls", gateway.Mail, -1
		m, err := smtpwire.ParseRcpt("TO:"+to, smtpwire.Offer{}, false)
		if err != nil {
			t.Fatal(err)
		}
		return p.Judge(&gateway.Record{Stage: gateway.Rcpt, Rcpts: []gateway.RecordRcpt{{To: addressOf(m.To)}}, Findings: []gateway.Finding{allowed, clear}})
	}
	if v := judge("<b@example.org>"); v.Rcpts[0].Outcome != gateway.Reject || v.Rcpts[0].Reason != gateway.TLSNone {
		t.Errorf("%+v", v.Rcpts)
	}
	if v := judge("<postmaster@example.org>"); v.Rcpts[0].Outcome != gateway.Accept {
		t.Errorf("%+v", v.Rcpts)
	}
	p.Mode = gateway.ObserveOnly
	if v := judge("<b@example.org>"); v.Rcpts[0].Outcome != gateway.Accept || v.Would == nil {
		t.Errorf("observe: %+v", v)
	}
}
