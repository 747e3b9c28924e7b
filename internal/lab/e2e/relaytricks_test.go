package e2e

import (
	"slices"
	"strings"
	"testing"
)

// TestRelayTricks offers recipients that are meant to pass as ours and to be read as somebody else's further in. For each
// trick, on each way a message can come, the proof is what the next hop heard: the wanted paths and not one more, neither
// in a transaction nor in a question about a recipient.
func TestRelayTricks(t *testing.T) {
	served := []route{
		{name: "internal", domains: []string{"served.test", "*.deep.test", "xn--bcher-kva.test"}},
	}
	for name, s := range map[string]setup{
		"stranger": {routes: served},
		"trusted":  {routes: served, trusted: `"127.0.0.0/8"`},
		// An operator may let routed local parts pass; the domain behind them is still ours.
		"routed": {routes: served, policy: "[checks.relay]\nrouted_local_parts = true\n"},
		// Without questions to the next hop the wall is the same.
		"unasked": {routes: []route{{name: "internal", domains: served[0].domains, lines: `recipients = "none"`}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := begin(t, s)
			for _, trick := range relayTricks {
				want := trick.want
				if name == "routed" && trick.routed != "" {
					want = trick.routed
				}
				for _, way := range ways {
					// Once under TLS is enough: it is the same behind it.
					if way != "bdat in tls" || name == "stranger" {
						w.trick(t, way, trick.rcpt, want)
					}
				}
			}
		})
	}
}

// TestRelayTricksOfOtherAddresses offers tricks to addresses that stand for others: what the alias or the domain leads to is
// ours, and nothing of what the stranger wrote into the local part leads further.
func TestRelayTricksOfOtherAddresses(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{routes: []route{{name: "internal", domains: []string{"served.test", "*.deep.test"}}}, policy: `
[[domain_map]]
from = "old.test"
to = "served.test"

[[alias]]
address = "team@served.test"
to = ["bob@served.test"]

[[alias]]
address = "team@deep.test"
to = ["team@served.test"]
`})
	for _, trick := range []struct{ rcpt, want string }{
		{"<team@served.test>", "<bob@served.test>"},
		{"<TEAM@OLD.test>", "<bob@served.test>"},
		{`<"team"@deep.test>`, "<bob@served.test>"},
		{"<ann@old.test>", "<ann@served.test>"},
		{"<team+x@served.test>", "<team+x@served.test>"}, // no sub-addresses here
		{"<team%elsewhere.test@served.test>", "550 5.7.1"},
		{"<team%elsewhere.test@old.test>", "550 5.7.1"},
		{"<elsewhere.test!team@old.test>", "550 5.7.1"},
		{`<"team@elsewhere.test"@old.test>`, "550 5.7.1"},
		{`<"bob@elsewhere.test> NOTIFY=NEVER <x"@old.test>`, "550 5.7.1"},
		{"<@old.test:bob@elsewhere.test>", "553 5.1.3"},
		{"<bob@a.old.test>", "550 5.7.1"},
		{"<bob@old.test.elsewhere.test>", "550 5.7.1"},
		{"<bob@xold.test>", "550 5.7.1"},
		{"<team@elsewhere.test>", "550 5.7.1"},
		{"<bob@old.test.>", "501 5.1.3"},
		{"<team@[127.0.0.1]>", "550 5.7.1"},
	} {
		for _, way := range ways[:3] {
			w.trick(t, way, trick.rcpt, trick.want)
		}
	}
}

// relayTricks are arguments of RCPT TO:, and the path that the next hop may hear for each; none where want is a reply.
var relayTricks = []struct{ rcpt, want, routed string }{
	// What must work, in every form.
	{"<bob@served.test>", "<bob@served.test>", ""},
	{"<bob@SERVED.Test>", "<bob@served.test>", ""},
	{"<BoB@served.test>", "<BoB@served.test>", ""},
	{"<bob@deep.test>", "<bob@deep.test>", ""},
	{"<bob@a.deep.test>", "<bob@a.deep.test>", ""},
	{"<bob@a.b.DEEP.test>", "<bob@a.b.deep.test>", ""},
	{`<"bob"@served.test>`, "<bob@served.test>", ""},
	{`<"b ob"@served.test>`, `<"b ob"@served.test>`, ""},
	{`<"bob>"@served.test>`, `<"bob>"@served.test>`, ""},
	{"<postmaster>", "<postmaster>", ""},

	// Plain relaying.
	{"<bob@elsewhere.test>", "550 5.7.1", ""},
	{"<postmaster@elsewhere.test>", "550 5.7.1", ""},
	{"<abuse@elsewhere.test>", "550 5.7.1", ""},
	{"<bob>", "501 5.1.3", ""},
	{"<>", "501 5.1.3", ""},

	// The percent hack, bang paths and quoted @.
	{"<bob%elsewhere.test@served.test>", "550 5.7.1", "<bob%elsewhere.test@served.test>"},
	{"<bob%elsewhere.test%served.test@served.test>", "550 5.7.1", "<bob%elsewhere.test%served.test@served.test>"},
	{"<bob%elsewhere.test@elsewhere.test>", "550 5.7.1", ""},
	{"<bob%served.test@elsewhere.test>", "550 5.7.1", ""},
	{"<elsewhere.test!bob@served.test>", "550 5.7.1", "<elsewhere.test!bob@served.test>"},
	{"<served.test!bob@elsewhere.test>", "550 5.7.1", ""},
	{"<elsewhere.test!bob>", "501 5.1.3", ""},
	{`<"bob@elsewhere.test"@served.test>`, "550 5.7.1", `<"bob@elsewhere.test"@served.test>`},
	{`<"bob\@elsewhere.test"@served.test>`, "550 5.7.1", `<"bob@elsewhere.test"@served.test>`},
	{`<"bob@elsewhere.test> "@served.test>`, "550 5.7.1", `<"bob@elsewhere.test> "@served.test>`},
	{`<"bob@elsewhere.test> NOTIFY=NEVER <x"@served.test>`, "550 5.7.1", `<"bob@elsewhere.test> NOTIFY=NEVER <x"@served.test>`},
	{`<"bob%elsewhere.test"@served.test>`, "550 5.7.1", "<bob%elsewhere.test@served.test>"},
	{`<"@elsewhere.test:bob"@served.test>`, "550 5.7.1", `<"@elsewhere.test:bob"@served.test>`},
	{`<bob@elsewhere.test@served.test>`, "501 5.1.3", ""},
	{`<bob@served.test@elsewhere.test>`, "501 5.1.3", ""},
	{`<"bob"@elsewhere.test@served.test>`, "501 5.1.3", ""},
	{`<"bob"elsewhere.test@served.test>`, "501 5.1.3", ""},
	{`<"bob@served.test>`, "501 5.1.3", ""},
	{`<bob\@elsewhere.test@served.test>`, "501 5.1.3", ""},

	// Source routes.
	{"<@served.test:bob@elsewhere.test>", "553 5.1.3", ""},
	{"<@elsewhere.test:bob@served.test>", "553 5.1.3", ""},
	{"<@served.test,@elsewhere.test:bob@served.test>", "553 5.1.3", ""},
	{"<@:bob@served.test>", "553 5.1.3", ""},

	// Address literals, ours and others.
	{"<bob@[127.0.0.1]>", "550 5.7.1", ""},
	{"<bob@[IPv6:::1]>", "550 5.7.1", ""},
	{"<bob@[IPv6:::ffff:127.0.0.1]>", "550 5.7.1", ""},
	{"<bob@[served.test]>", "501 5.1.3", ""},
	{"<bob@[x:served.test]>", "501 5.1.3", ""},
	{"<bob@127.0.0.1>", "550 5.7.1", ""},
	{"<bob@2130706433>", "550 5.7.1", ""},
	{"<bob@0x7f.1>", "550 5.7.1", ""},
	{"<bob%elsewhere.test@[127.0.0.1]>", "550 5.7.1", ""},

	// Names around ours.
	{"<bob@a.served.test>", "550 5.7.1", ""},
	{"<bob@xserved.test>", "550 5.7.1", ""},
	{"<bob@xdeep.test>", "550 5.7.1", ""},
	{"<bob@test>", "550 5.7.1", ""},
	{"<bob@served.test.elsewhere.test>", "550 5.7.1", ""},
	{"<bob@deep.test.elsewhere.test>", "550 5.7.1", ""},
	{"<bob@mx.gatepost.test>", "550 5.7.1", ""},
	{"<bob@localhost>", "550 5.7.1", ""},
	{"<bob@served.test.>", "501 5.1.3", ""},
	{"<bob@.served.test>", "501 5.1.3", ""},
	{"<bob@.deep.test>", "501 5.1.3", ""},
	{"<bob@a..deep.test>", "501 5.1.3", ""},
	{"<bob@served..test>", "501 5.1.3", ""},
	{"<bob@-.deep.test>", "501 5.1.3", ""},
	{"<bob@*.deep.test>", "501 5.1.3", ""},
	{"<bob@served.test/elsewhere.test>", "501 5.1.3", ""},
	{"<bob@served.test#elsewhere.test>", "501 5.1.3", ""},
	{"<bob@elsewhere.test\\served.test>", "501 5.1.3", ""},
	{"<bob@served.test:25>", "501 5.1.3", ""},
	{"<bob@elsewhere.test(served.test)>", "501 5.1.3", ""},

	// Octets that another parser might end a name at.
	{"<bob@elsewhere.test\x00.served.test>", "500 5.5.2", ""},
	{"<bob@served.test\x00.elsewhere.test>", "500 5.5.2", ""},
	{"<bob\x00@elsewhere.test@served.test>", "500 5.5.2", ""},
	{"<bob@elsewhere.test\r@served.test>", "500 5.5.2", ""},
	{"<bob@elsewhere.test\t@served.test>", "5", ""},
	{"<bob@elsewhere.test @served.test>", "501 5.1.3", ""},
	{"<bob@served.test\x7f>", "5", ""},
	{"<bob@served.test\xa0>", "5", ""},
	{"<bob@elsewhere.test\x85@served.test>", "5", ""},

	// Two paths in one command.
	{"<bob@served.test,eve@elsewhere.test>", "501 5.1.3", ""},
	{"<bob@served.test>,<eve@elsewhere.test>", "501 5.", ""},
	{"<bob@served.test><eve@elsewhere.test>", "501 5.", ""},
	{"<bob@served.test> <eve@elsewhere.test>", "5", ""},
	{"<bob@served.test> TO:<eve@elsewhere.test>", "5", ""},
	{"<bob@served.test;eve@elsewhere.test>", "501 5.1.3", ""},
	{"<<eve@elsewhere.test>bob@served.test>", "501 5.1.3", ""},
	{"bob@served.test", "501 5.", ""},
	{"bob@served.test <eve@elsewhere.test>", "501 5.", ""},
	{"Bob <bob@served.test>", "501 5.", ""},
	{"(<bob@served.test>)<eve@elsewhere.test>", "501 5.", ""},

	// Encoded words and percent codes are no encodings here.
	{"<=?utf-8?q?bob=40elsewhere.test?=@served.test>", "<=?utf-8?q?bob=40elsewhere.test?=@served.test>", ""},
	{"<=?utf-8?q?bob?=@elsewhere.test>", "550 5.7.1", ""},
	{"<bob@=?utf-8?q?served.test?=>", "501 5.1.3", ""},
	{"<bob%40elsewhere.test@served.test>", "550 5.7.1", "<bob%40elsewhere.test@served.test>"},
	{"<bob+40elsewhere.test@served.test>", "<bob+40elsewhere.test@served.test>", ""},

	// IDN: what is ours in one form is ours in all, and nothing else is. Without SMTPUTF8 no octet over 127 is taken.
	{"<bob@xn--bcher-kva.test>", "<bob@xn--bcher-kva.test>", ""},
	{"<bob@XN--BCHER-KVA.test>", "<bob@xn--bcher-kva.test>", ""},
	{"<bob@b\u00fccher.test>", "553 5.6.7", ""},
	{"<bob@served\u3002test>", "553 5.6.7", ""},
	{"<bob@xn--served-.test>", "5", ""},
	{"<bob@xn--a.test>", "5", ""},
}

// ways are the ways a message can come.
var ways = []string{"step by step", "pipelined", "beside a good one", "bdat", "bdat in tls"}

// trick sends a message to the recipient on one way, and looks at what the next hop heard.
func (w *world) trick(t *testing.T, way, rcpt, want string) {
	t.Helper()
	w.hop(t).Forget()
	c := w.hello(t)
	good := ""
	switch way {
	case "step by step":
		c.want("250", "MAIL FROM:<alice@example.org>")
		c.answered(rcpt, c.say("RCPT TO:"+rcpt), want)
		if !taken(want) {
			c.want("5", "DATA")
			break
		}
		c.want("354", "DATA")
		c.send(head + "text\r\n.\r\n")
		c.delivered(c.reply())
	case "pipelined", "beside a good one":
		group := "MAIL FROM:<alice@example.org>\r\n"
		if way != "pipelined" {
			good = "<carol@served.test>"
			group += "RCPT TO:" + good + "\r\n"
		}
		c.send(group + "RCPT TO:" + rcpt + "\r\nDATA\r\n")
		c.reply()
		if good != "" {
			c.reply()
		}
		c.answered(rcpt, c.reply(), want)
		if strings.HasPrefix(c.reply(), "354") {
			c.send(head + "text\r\n.\r\n")
			c.delivered(c.reply())
		}
	default:
		if way == "bdat in tls" {
			c.startTLS()
		}
		c.send("MAIL FROM:<alice@example.org>\r\nRCPT TO:" + rcpt + "\r\n" + chunk(head+"text\r\n"))
		c.reply()
		c.answered(rcpt, c.reply(), want)
		if r := c.reply(); taken(want) {
			c.delivered(r)
		}
	}
	c.conn.Close()
	w.heardOnly(t, way+" "+rcpt, want, good)
}

// taken reports whether the wanted thing is a path, and no reply.
func taken(want string) bool { return want[0] == '<' }

// answered compares the reply to RCPT.
func (c *client) answered(rcpt, reply, want string) {
	c.t.Helper()
	if taken(want) {
		want = "250"
	}
	if !strings.HasPrefix(reply, want) {
		c.t.Errorf("RCPT TO:%q was answered with %q, not %s", rcpt, reply, want)
	}
}

func (c *client) delivered(reply string) {
	c.t.Helper()
	if !strings.HasPrefix(reply, "250") {
		c.t.Errorf("the message was answered with %q", reply)
	}
}

// heardOnly fails when the next hop heard of a recipient that was not wanted, or did not get the message for those that
// were.
func (w *world) heardOnly(t *testing.T, what, want, good string) {
	t.Helper()
	var allowed []string
	if good != "" {
		allowed = append(allowed, "RCPT TO:"+good)
	}
	if taken(want) {
		allowed = append(allowed, "RCPT TO:"+want)
	}
	hop := w.hop(t)
	for _, line := range hop.Commands() {
		if strings.HasPrefix(strings.ToUpper(line), "RCPT") && !slices.Contains(allowed, line) {
			t.Errorf("%q: the next hop heard %q", what, line)
		}
	}
	all := hop.Messages()
	if len(allowed) == 0 {
		if len(all) > 0 {
			t.Errorf("%q: the next hop got a message for %q", what, all[0].Rcpts)
		}
		return
	}
	if len(all) != 1 || !all[0].Accepted || !slices.Equal(all[0].Rcpts, allowed) {
		t.Errorf("%q: the next hop got %+v, not one message for %q", what, all, allowed)
	}
}

// TestRelayTricksUTF8 does the same with SMTPUTF8, where names can be dressed up.
func TestRelayTricksUTF8(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{routes: []route{{name: "internal", domains: []string{"served.test", "*.deep.test", "xn--bcher-kva.test"}}}})
	for _, trick := range []struct{ rcpt, want string }{
		{"<bob@b\u00fccher.test>", "<bob@xn--bcher-kva.test>"},
		{"<bob@B\u00dcCHER.test>", "<bob@xn--bcher-kva.test>"},
		{"<bob@bu\u0308cher.test>", "<bob@xn--bcher-kva.test>"}, // the same in NFD
		{"<b\u00f6b@served.test>", "<b\u00f6b@served.test>"},
		{"<b\u00f6b@elsewhere.test>", "550 5.7.1"},
		{"<bob@b\u00fccher.elsewhere.test>", "550 5.7.1"},
		{"<bob%elsewhere.test@b\u00fccher.test>", "550 5.7.1"},
		{"<bob\uff20elsewhere.test@elsewhere.test>", "550 5.7.1"}, // a full-width @ is a letter of the local part
		{"<bob@s\u0435rved.test>", "550 5.7.1"},                   // a Cyrillic e
		{"<bob@served.t\u0435st>", "550 5.7.1"},
		{"<bob@served\u2024test>", "5"}, // one dot leader
		{"<bob@serv\u200bed.test>", "5"},
		{"<bob@\xff.deep.test>", "5"},
		{"<b\xc0\x80b@served.test>", "5"}, // NUL in two octets
		{"<bob@\u2100.deep.test>", "5"},   // a/c
		{"<bob@elsewhere.test\u2025deep.test>", "5"},
	} {
		hop := w.hop(t)
		hop.Forget()
		c := w.hello(t)
		c.want("250", "MAIL FROM:<alice@example.org> SMTPUTF8")
		c.answered(trick.rcpt, c.say("RCPT TO:"+trick.rcpt), trick.want)
		if taken(trick.want) {
			c.want("354", "DATA")
			c.send(head + "text\r\n.\r\n")
			c.delivered(c.reply())
		}
		c.conn.Close()
		w.heardOnly(t, trick.rcpt, trick.want, "")
	}
}
