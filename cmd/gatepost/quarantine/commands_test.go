package quarantine

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/gateway"
	"gatepost/gateway/quarantine"
	"gatepost/internal/config"
)

// sections are the tables of the policy that the checks describe, as far as an entry needs them.
func sections() config.Sections {
	out := config.Sections{}
	for _, d := range filters.Definitions() {
		out[d.Name] = config.Section{Name: d.Name, Doc: d.Doc, Options: d.Options, Moved: d.Moved, Parts: d.Parts, Action: config.Action(d.Action.String()), Unknown: config.Action(d.Unknown.String())}
	}
	return out
}

// TestAllowEntry shows which lines let a sender pass, and for whom there are none: that for the author wherever DMARC proved
// him and for nobody else, that for the host only where it is asked for.
func TestAllowEntry(t *testing.T) {
	now := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	looked := func(client, name, author string, class quarantine.Class, findings ...gateway.Finding) *quarantine.Looked {
		l := &quarantine.Looked{Row: quarantine.Row{ID: 1 << 40, From: "bounce@partner.example", Author: author, Class: class}, Record: &gateway.Record{Findings: findings}}
		l.Client = gateway.Client{Address: netip.AddrPortFrom(netip.MustParseAddr(client), 25), Name: name}
		return l
	}
	proves := func(check, who string) gateway.Finding { return gateway.Finding{Check: check, Proves: who} }
	for _, c := range []struct {
		name         string
		how          allowing
		l            *quarantine.Looked
		want, absent string // what is printed, or why there is none
	}{
		{"the author", allowing{author: true}, looked("192.0.2.7", "", "<ann@partner.example>", quarantine.Spam, proves("spf", "x@other.example"), proves("dmarc", "ann@partner.example")),
			"[[checks.access.author.entry]]\naddress = \"ann@partner.example\"  #", ""},
		{"his host is no matter", allowing{author: true}, looked("192.0.2.7", "o1.em.sendgrid.net", "<ann@partner.example>", quarantine.Other, proves("dmarc", "ann@partner.example")),
			"\nexpires = \"2027-02-24\"\n", ""},
		{"with a reason and a day", allowing{author: true, why: "ticket \"9\"", expires: "2027-01-31"}, looked("192.0.2.7", "", "", quarantine.Spam, proves("dmarc", "ann@partner.example")),
			"reason = \"ticket \\\"9\\\" (released ", ""},
		{"proven by SPF alone", allowing{author: true}, looked("192.0.2.7", "mx.partner.example", "<ann@partner.example>", quarantine.Spam, proves("spf", "ann@partner.example")), "", "anybody can write that name"},
		{"not proven", allowing{author: true}, looked("192.0.2.7", "mx.partner.example", "<ann@partner.example>", quarantine.Spam, gateway.Finding{Check: "dmarc"}), "", "--allow-client"},
		{"free mail", allowing{author: true}, looked("192.0.2.7", "mail.google.com", "", quarantine.Spam, proves("dmarc", "ann@gmail.com")), "", "gmail.com is free mail"},
		{"an attachment", allowing{author: true}, looked("192.0.2.7", "", "", quarantine.Attachment, proves("dmarc", "ann@partner.example")), "", "would not help"},
		{"an impersonation", allowing{author: true}, looked("192.0.2.7", "", "", quarantine.Impersonation, proves("dmarc", "ann@partner.example")), "", "would not help"},
		{"no address for an entry", allowing{author: true}, looked("192.0.2.7", "", "", quarantine.Spam, proves("dmarc", "a\nb@partner.example")), "", "cannot stand in an entry"},
		{"the host", allowing{client: true}, looked("::ffff:192.0.2.7", "mx.partner.example", "<ann@partner.example>", quarantine.Spam),
			"[[checks.access.client.entry]]\nnetwork = \"192.0.2.7/32\"  # mx.partner.example\nlist = \"allow\"\n", ""},
		{"malware", allowing{client: true}, looked("192.0.2.7", "mx.partner.example", "ann@partner.example", quarantine.Malware), "", "would not help"},
		{"this host", allowing{client: true}, looked("127.0.0.1", "localhost", "ann@partner.example", quarantine.Spam), "", "this host"},
		{"free mail by its host", allowing{client: true}, looked("192.0.2.7", "mx.partner.example", "Ann <ann@gmail.com>", quarantine.Spam), "", "gmail.com is free mail"},
		{"a sending service", allowing{client: true}, looked("192.0.2.7", "o1.em.sendgrid.net", "ann@partner.example", quarantine.Spam), "", "sendgrid.net is a shared"},
		{"no name", allowing{client: true}, looked("192.0.2.7", "", "ann@partner.example", quarantine.Spam), "", "no verified reverse name"},
		{"a name of many", allowing{client: true}, looked("192.0.2.7", "mail-a.google.com.", "ann@partner.example", quarantine.Other), "", "google.com is a shared"},
	} {
		if err := c.how.read(now); err != nil {
			t.Fatal(err)
		}
		entry := c.how.authorEntry
		if c.how.client {
			entry = c.how.clientEntry
		}
		text, refused := entry(c.l)
		if (text != "") != (c.want != "") || !strings.Contains(text, c.want) || (refused != "") != (c.absent != "") || !strings.Contains(refused, c.absent) {
			t.Errorf("%s: %q, %q", c.name, text, refused)
			continue
		}
		if text == "" {
			continue
		}
		for _, key := range [...]string{"\nowner = \"", "\nreason = \"", "\nexpires = \"20"} {
			if !strings.Contains(text, key) {
				t.Errorf("%s: no %q in %s", c.name, key, text)
			}
		}
		if _, problems := config.DecodePolicy(config.PolicyFile, []byte(text), sections()); problems.Refused() {
			t.Errorf("%s: what is printed is refused: %v\n%s", c.name, problems, text)
		}
	}
}

// TestAllowing shows options that do not go together.
func TestAllowing(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for want, a := range map[string]allowing{
		"choose one":           {author: true, client: true},
		"are about the entry":  {why: "x"},
		"are about the entry ": {expires: "2027-01-01"},
		"is no day to come":    {author: true, expires: "2026-11-24"},
		"is no day to come; write for example 2027-02-24": {client: true, expires: "soon"},
	} {
		if err := a.read(now); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
			t.Errorf("%+v: %v, want %q", a, err, want)
		}
	}
	for _, a := range []allowing{{}, {author: true, expires: "2026-11-26"}, {client: true, why: "x"}} {
		if err := a.read(now); err != nil {
			t.Errorf("%+v: %v", a, err)
		}
	}
}

// TestNarrow shows whose copies a filter lets go or erases: a message has other recipients than the one that it was looked for by.
func TestNarrow(t *testing.T) {
	for name, c := range map[string]struct {
		verb, only, to, query, want, rcpts string
	}{
		"a filter releases what was not":          {verb: "release", query: "from=a", want: "from=a&state=visible"},
		"but where its person says which":         {verb: "release", query: "from=a&state=released", want: "from=a&state=released"},
		"a reference is that message":             {verb: "release", query: "id=X", want: "id=X"},
		"of a recipient, his copies":              {verb: "release", query: "rcpt=b", want: "rcpt=b&state=visible", rcpts: "b"},
		"of a recipient and a reference, as well": {verb: "release", query: "id=X&rcpt=b", want: "id=X&rcpt=b", rcpts: "b"},
		"others are named":                        {verb: "release", only: "c", query: "rcpt=b", want: "rcpt=b&state=visible", rcpts: "c"},
		"one is named":                            {verb: "release", only: "c", query: "from=a", want: "from=a&rcpt=c&state=visible", rcpts: "c"},
		"one is named of one message":             {verb: "release", only: "c", query: "id=X", want: "id=X", rcpts: "c"},
		"two are named":                           {verb: "release", only: "c,d", query: "from=a", want: "from=a&state=visible", rcpts: "c,d"},
		"to somebody else":                        {verb: "release", to: "x", query: "rcpt=b", want: "rcpt=b"},
		"his copies are erased":                   {verb: "delete", query: "rcpt=b", want: "rcpt=b&state=visible", rcpts: "b"},
		"all is erased":                           {verb: "delete", query: "from=a", want: "from=a"},
		"a report is about the message":           {verb: "report", query: "rcpt=b", want: "rcpt=b"},
	} {
		v, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		do := keptDo{Verb: c.verb, To: c.to}
		if c.only != "" {
			do.Rcpts = strings.Split(c.only, ",")
		}
		do.narrow(v)
		if got := strings.Join(do.Rcpts, ","); v.Encode() != c.want || got != c.rcpts {
			t.Errorf("%s: %s for %q, want %s for %q", name, v.Encode(), got, c.want, c.rcpts)
		}
	}
}
