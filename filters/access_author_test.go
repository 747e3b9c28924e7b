package filters

import (
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/lab/dnslab"
)

// allowed writes an entry for an author.
func allowedAuthor(address, expires string) string {
	return entries("access.author", `address = "`+address+`"; owner = "anna"; reason = "ticket 4711"; expires = "`+expires+`"`)
}

const authorZones = `
_dmarc.partner.example. TXT "v=DMARC1; p=none"
partner.example. TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc.open.example. TXT "v=DMARC1; p=none"
open.example. TXT "v=spf1 +all"
norecord.example. TXT "v=spf1 ip4:192.0.2.1 -all"
`

// TestAccessAuthor shows whose mail an entry lets pass, and that a From that anybody can write lets nobody pass; and that
// what a message holds, malware and what else no entry overrules stays as it is.
func TestAccessAuthor(t *testing.T) {
	s := newSigner(t)
	zones := authorZones
	for _, d := range []string{"partner.example", "open.example", "evil.example"} {
		zones += s.record(t, "one._domainkey."+d, s.ed, "")
	}
	server := dnslab.New(t, dnslab.Text(zones))
	server.SetFault("_dmarc.broken.example", dnslab.Fault{Kind: dnslab.ServFail})
	r := resolver(t, server)
	year := time.Now().AddDate(1, 0, 0).UTC().Format(time.DateOnly)
	yesterday := time.Now().AddDate(0, 0, -1).UTC().Format(time.DateOnly)
	for name, c := range map[string]struct {
		entry, policy      string
		client, from, sign string // client "": one that SPF of partner.example lets send; sign: d=
		author             string // From; "": ann@partner.example
		class              gateway.Class
		waived             string
		why                string // why it is not used
		result             gateway.Result
	}{
		"by SPF":                        {entry: "@partner.example", from: "b@partner.example", waived: "@partner.example"},
		"by DKIM":                       {entry: "ann@partner.example", client: "203.0.113.9", from: "b@elsewhere.example", sign: "partner.example", waived: "ann@partner.example"},
		"case does not count":           {entry: "ANN@Partner.example", author: "Ann@PARTNER.example", from: "b@partner.example", waived: "ANN@Partner.example"},
		"names below":                   {entry: "@.partner.example", author: "ann@mail.partner.example", sign: "partner.example", from: "b@elsewhere.example", waived: "@.partner.example"},
		"not the domain itself":         {entry: "@.partner.example", from: "b@partner.example", result: gateway.Pass},
		"not the names below":           {entry: "@partner.example", author: "ann@mail.partner.example", sign: "partner.example", from: "b@elsewhere.example", result: gateway.Pass},
		"another author":                {entry: "bob@partner.example", from: "b@partner.example", result: gateway.Pass},
		"forged":                        {entry: "@partner.example", client: "203.0.113.9", from: "b@evil.example", why: "DMARC of partner.example says fail", result: gateway.Fail},
		"forged, signed by the forger":  {entry: "@partner.example", client: "203.0.113.9", from: "b@evil.example", sign: "evil.example", why: "DMARC of partner.example says fail", result: gateway.Fail},
		"forged, with the reverse-path": {entry: "@partner.example", client: "203.0.113.9", from: "ann@partner.example", why: "DMARC of partner.example says fail", result: gateway.Fail},
		"an author in the display name": {entry: "@partner.example", client: "203.0.113.9", from: "b@evil.example", author: `"ann@partner.example" <x@evil.example>`, sign: "evil.example", result: gateway.Pass},
		"two authors, both proven":      {entry: "@partner.example", from: "b@partner.example", author: "ann@partner.example, bob@partner.example", why: "does not name one author", result: gateway.Fail},
		"of two authors one":            {entry: "@partner.example", from: "b@evil.example", sign: "evil.example", author: "x@evil.example, ann@partner.example", why: "does not name one author", result: gateway.Fail},
		"everybody passes SPF":          {entry: "@open.example", client: "203.0.113.9", from: "b@open.example", author: "ann@open.example", why: "+all", result: gateway.Fail},
		"everybody, but a signature":    {entry: "@open.example", client: "203.0.113.9", from: "b@open.example", author: "ann@open.example", sign: "open.example", waived: "@open.example"},
		"no DMARC record":               {entry: "@norecord.example", from: "b@norecord.example", author: "ann@norecord.example", why: "publishes no DMARC record", result: gateway.Fail},
		"DNS cannot tell":               {entry: "@broken.example", from: "b@broken.example", author: "ann@broken.example", why: "DMARC of broken.example says temperror", result: gateway.Unknown},
		"over":                          {entry: "@partner.example until " + yesterday, from: "b@partner.example", why: "it is over", result: gateway.Pass},
		"DMARC is off":                  {entry: "@partner.example", policy: "[checks.dmarc]\naction = \"off\"\n", from: "b@partner.example", why: "checks.dmarc is off", result: gateway.Fail},
		"DMARC is observed":             {entry: "@partner.example", policy: "[checks.dmarc]\naction = \"observe\"\n", from: "b@partner.example", waived: "@partner.example"},
		"inside, unsigned":              {entry: "@partner.example", client: "10.0.0.1", from: "b@partner.example", why: "one of your own", result: gateway.Fail},
		"inside, signed":                {entry: "@partner.example", client: "10.0.0.1", from: "b@partner.example", sign: "partner.example", waived: "@partner.example"},
		"a list":                        {entry: "@partner.example", from: "b@partner.example", class: gateway.ClassList, waived: "@partner.example"},
		"what a message holds":          {entry: "@partner.example", from: "b@partner.example", class: gateway.ClassContent, waived: "@partner.example"},
		"malware":                       {entry: "@partner.example", from: "b@partner.example", class: gateway.ClassMalware, waived: "@partner.example"},
		"transport":                     {entry: "@partner.example", from: "b@partner.example", class: gateway.ClassDemand, waived: "@partner.example"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entry, until, _ := strings.Cut(c.entry, " until ")
			if until == "" {
				until = year
			}
			d := &Deps{Resolver: r, Only: []string{"dmarc", "access.author"}}
			pl := build(t, allowedAuthor(entry, until)+c.policy, d)
			d.Policy.Checks["other"] = gateway.CheckPolicy{Class: c.class, Action: gateway.ActionQuarantine}
			if c.author == "" {
				c.author = "ann@partner.example"
			}
			if c.client == "" {
				c.client = "192.0.2.1"
			}
			text := "From: " + c.author + "\r\nDate: Thu, 26 Nov 2026 10:00:00 +0000\r\nSubject: x\r\n\r\nx\r\n"
			if c.sign != "" {
				text = s.sign(t, s.ed, "v=1; a=ed25519-sha256; c=relaxed/relaxed; d="+c.sign+"; s=one;", "from:subject", text)
			}
			e := dataOf(t, text)
			e.From = mailFrom(t, "<"+c.from+">")
			e.Findings = append(e.Findings, gateway.Finding{Check: "other", Stage: gateway.Data, Rcpt: -1, Result: gateway.Fail, Reason: gateway.SpamRules})
			session := from(c.client, "mx.x.example")
			session.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl}
			v := pl.Run(t.Context(), gateway.Data, input(session, e))
			f := e.Findings[len(e.Findings)-1]
			if f.Check != "access.author" {
				t.Fatalf("the last finding is of %s", f.Check)
			}
			want := gateway.Quarantine
			if c.waived != "" {
				c.result = gateway.Pass
				if c.class <= gateway.ClassLimiting {
					want = gateway.Accept
				}
			}
			if v.Waived != c.waived || v.Outcome != want || f.Result != c.result {
				t.Errorf("%s, waived by %q, finding %s", v.Explain(), v.Waived, f.Result)
			}
			got := evidence(f, unused)
			if (got != "") != (c.why != "") || !strings.Contains(got, c.why) || c.why != "" && c.why != "it is over" && !strings.HasPrefix(got, "not authenticated: ") {
				t.Errorf("not used since %q, want %q", got, c.why)
			}
			if named := evidence(f, "entry"); (named != "") != (c.waived != "" || c.why != "") ||
				named != "" && named != "allow "+entry+", owner anna, reason ticket 4711, until "+until {
				t.Errorf("the trace shows %q", named)
			}
			if c.waived != "" && evidence(f, "proven") == "" {
				t.Error("the trace does not say who is proven")
			}
		})
	}
}

// TestAccessAuthorWithoutEntries shows that who allows nobody pays nothing.
func TestAccessAuthorWithoutEntries(t *testing.T) {
	d := &Deps{Only: []string{"dmarc", "access.author"}}
	pl := build(t, "", d)
	e := dataOf(t, "From: <any@x.example>\r\n\r\nx\r\n")
	session := from("192.0.2.1", "mx.x.example")
	session.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl}
	pl.Run(t.Context(), gateway.Data, input(session, e))
	if len(e.Findings) != 1 || e.Findings[0].Check != "dmarc" || gateway.Known(&e.Facts, "dmarc") {
		t.Errorf("%+v", e.Findings)
	}
}

// TestAccessAuthorBreaks shows that a fault of ours is neither a pass nor a way in, whoever of the two checks meets it.
func TestAccessAuthorBreaks(t *testing.T) {
	s := dnslab.New(t, dnslab.Text("_dmarc.bank.example. TXT \"v=DMARC1; p=reject; np=none\"\n"))
	d := &Deps{Resolver: hurtAddresses{resolver(t, s)}, Only: []string{"dmarc", "access.author"}}
	pl := build(t, allowedAuthor("@.bank.example", "2999-01-01"), d)
	e := dataOf(t, "From: <any@new.bank.example>\r\nDate: Thu, 26 Nov 2026 10:00:00 +0000\r\n\r\nx\r\n")
	in := input(from("192.0.2.1", "mx.sender.example"), e)
	in.Session.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl, Hostname: d.Hostname}
	if v := pl.Run(t.Context(), gateway.Data, in); v.Outcome != gateway.Defer || v.Reason != gateway.CheckPanicked || v.Waived != "" {
		t.Errorf("%s, waived by %q", v.Explain(), v.Waived)
	}
	for i := range e.Findings {
		if f := &e.Findings[i]; f.Result != gateway.Unknown || f.Reason != gateway.CheckPanicked {
			t.Errorf("%+v", f)
		}
	}
}

// TestAuthorEntriesRefused shows entries that would let everybody pass, or that nobody could answer for.
func TestAuthorEntriesRefused(t *testing.T) {
	const note = `; owner = "anna"; reason = "ticket"; expires = "2999-06-30"`
	for line, want := range map[string]string{
		`address = "@partner.example"` + note:                                             "",
		`address = "ann@bücher.example"` + note:                                           "",
		`address = "partner.example"` + note:                                              `"partner.example" is no address; write user@domain`,
		`address = "@"` + note:                                                            `"@" is no address`,
		`address = "ann@gmail.com"` + note:                                                "gmail.com is free mail: that a message comes from there says nothing of who wrote it",
		`address = "@.mail.sendgrid.net"` + note:                                          "sendgrid.net is a shared sending service",
		`address = "@.com"` + note:                                                        `"@.com" is everybody below com`,
		`address = "@co.uk"` + note:                                                       `"@co.uk" is everybody below co.uk`,
		`address = "@partner.example"`:                                                    "owner: is missing",
		`address = "@partner.example"; owner = "a"; reason = "b"`:                         "expires: is missing",
		`address = "@partner.example"; owner = " "; reason = "b"; expires = "2999-06-30"`: "owner: is empty",
		`owner = "a"; reason = "b"; expires = "2999-06-30"`:                               "address: is missing",
		`address = "@partner.example"; owner = "a"; reason = "b"; expires = "2999-02-30"`: "expires:",
		`address = "@partner.example"; list = "allow"` + note:                             "list: unknown key",
	} {
		_, problems := load(t, entries("access.author", line))
		if problems.Refused() != (want != "") || !strings.Contains(problems.Error(), want) {
			t.Errorf("%s: %q, want %q", line, problems.Error(), want)
		}
	}
	_, problems := load(t, allowedAuthor("@partner.example", "2020-01-01"))
	if problems.Refused() || !strings.Contains(problems.Error(), "expires: is over: the entry does nothing; remove the entry, or write another day") {
		t.Errorf("%v", problems)
	}
}
