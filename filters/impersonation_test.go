package filters

import (
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	known "gatepost/internal/memory"
)

// dmarcFound is the finding of a check that told what DMARC says.
func dmarcFound(result string, aligned bool, override string) gateway.Finding {
	return gateway.Passed().Says(gateway.AuthResult{Method: "dmarc", Result: result, DMARC: &gateway.DMARCResult{DKIM: aligned, Override: override}})
}

// impersonation runs one of the checks over a message of which an earlier row found something.
func impersonation(t *testing.T, d *Deps, pl *gateway.Pipeline, check, client string, e *gateway.Envelope, found ...gateway.Finding) gateway.Finding {
	t.Helper()
	s := from(client, "good.example")
	s.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl, Hostname: d.Hostname}
	for _, row := range pl.Rows[gateway.Data] {
		for _, c := range row.Checks {
			if c.Name == check {
				e.Findings = found
				f := run(t, c.Run, input(s, e))
				f.Check, f.Stage, f.Rcpt = check, gateway.Data, -1
				return f
			}
		}
	}
	t.Fatalf("no check %s in the plan", check)
	return gateway.Finding{}
}

const peoplePolicy = `[checks.impersonation.person]
people = ["Jane Doe <jane.doe@served.example>", "Jane Doe <jd@private.example>", "Dr. Zoë Müller-Lüdenscheidt <zoe@served.example>"]
`

func TestImpersonatedPerson(t *testing.T) {
	d := &Deps{}
	pl := build(t, peoplePolicy, d)
	for name, c := range map[string]struct {
		from string
		more string
		want string // the person; "" for nobody
	}{
		"a stranger":           {from: "John Roe <john@else.example>"},
		"with her name":        {from: "Jane Doe <x@else.example>", want: "Jane Doe"},
		"in the other order":   {from: `"DOE, Jane" <x@else.example>`, want: "Jane Doe"},
		"with a title":         {from: `"Prof. Jane A. Doe (CEO)" <x@else.example>`, want: "Jane Doe"},
		"encoded":              {from: "=?utf-8?q?Jane_Doe?= <x@else.example>", want: "Jane Doe"},
		"in Cyrillic letters":  {from: "=?utf-8?q?J=D0=B0n=D0=B5_D=D0=BE=D0=B5?= <x@else.example>", want: "Jane Doe"},
		"with digits":          {from: "Jane D0e <x@else.example>", want: "Jane Doe"},
		"with a soft hyphen":   {from: "=?utf-8?q?Ja=C2=ADne_Doe?= <x@else.example>", want: "Jane Doe"},
		"as a comment":         {from: "x@else.example (Jane Doe)", want: "Jane Doe"},
		"her private mailbox":  {from: "Jane Doe <JD@private.example>"},
		"her own":              {from: "Jane Doe <jane.doe@served.example>"},
		"another of ours":      {from: "Jane Doe <billing@served.example>"},
		"half of her name":     {from: "Jane <x@else.example>"},
		"a longer word":        {from: "Jane Doering <x@else.example>"},
		"accents left out":     {from: "Zoe Muller Ludenscheidt <x@else.example>", want: "Dr. Zoë Müller-Lüdenscheidt"},
		"the name in Reply-To": {from: "Office <x@else.example>", more: "Reply-To: Jane Doe <y@else.example>", want: "Jane Doe"},
	} {
		lines := []string{"From: " + c.from}
		if c.more != "" {
			lines = append(lines, c.more)
		}
		f := impersonation(t, d, pl, "impersonation.person", "192.0.2.1", dataOf(t, with("From", lines...)))
		got := ""
		for _, m := range f.Measures {
			got = m.Text
		}
		if got != c.want || (f.Result == gateway.Fail) != (c.want != "") || c.want != "" && f.Reason != gateway.ImpersonatedPerson {
			t.Errorf("%s: %+v, want %q", name, f, c.want)
		}
	}
	if f := impersonation(t, &Deps{Policy: d.Policy}, build(t, "", &Deps{}), "impersonation.person", "192.0.2.1", dataOf(t, with(""))); f.Result != gateway.NotRun {
		t.Errorf("without people: %+v", f)
	}
}

// TestPeopleRefused: what cannot be compared is refused, with words.
func TestPeopleRefused(t *testing.T) {
	for people, want := range map[string]string{
		`"Jane Doe"`:                    `"Jane Doe" is no mailbox`,
		`"Jane <jane@served.example>"`:  `the name "Jane" has less than two words`,
		`"<jane@served.example>"`:       `has no name, and the name is what strangers use`,
		`"Dr. X <jane@served.example>"`: `the name "Dr. X" has less than two words`,
	} {
		_, problems := load(t, "[checks.impersonation.person]\npeople = ["+people+"]\n")
		if got := problems.Error(); !strings.Contains(got, want) || !strings.Contains(got, "policy.toml:2") {
			t.Errorf("%s: %s", people, got)
		}
	}
}

func TestImpersonatedOwn(t *testing.T) {
	d := &Deps{}
	pl := build(t, "", d)
	ours := dataOf(t, with("From", "From: a@served.example"))
	for name, c := range map[string]struct {
		e      *gateway.Envelope
		client string
		found  []gateway.Finding
		want   gateway.Result
	}{
		"of another":             {dataOf(t, with("")), "192.0.2.1", []gateway.Finding{dmarcFound("none", false, "")}, gateway.Pass},
		"unauthenticated":        {ours, "192.0.2.1", []gateway.Finding{dmarcFound("none", false, "")}, gateway.Fail},
		"fails":                  {ours, "192.0.2.1", []gateway.Finding{dmarcFound("fail", false, "")}, gateway.Fail},
		"below one of ours":      {dataOf(t, with("From", "From: a@x.wide.example")), "192.0.2.1", []gateway.Finding{dmarcFound("none", false, "")}, gateway.Fail},
		"passes":                 {ours, "192.0.2.1", []gateway.Finding{dmarcFound("pass", true, "")}, gateway.Pass},
		"signed, without record": {ours, "192.0.2.1", []gateway.Finding{dmarcFound("none", true, "")}, gateway.Pass},
		"by a trusted sealer":    {ours, "192.0.2.1", []gateway.Finding{dmarcFound("fail", false, "trusted_forwarder")}, gateway.Pass},
		"DNS is away":            {ours, "192.0.2.1", []gateway.Finding{dmarcFound("temperror", false, "")}, gateway.Unknown},
		"nobody looked":          {ours, "192.0.2.1", nil, gateway.Unknown},
		"from inside":            {ours, "10.0.0.1", []gateway.Finding{dmarcFound("none", false, "")}, gateway.NotRun},
	} {
		f := impersonation(t, d, pl, "impersonation.own", c.client, c.e, c.found...)
		if f.Result != c.want || f.Result == gateway.Fail && (f.Reason != gateway.ImpersonatedOwn || len(f.Measures) != 1) {
			t.Errorf("%s: %+v, want %s", name, f, c.want)
		}
	}
}

// TestOwnInName shows that an address of ours is seen in the display name of an author who is not, and in no other.
func TestOwnInName(t *testing.T) {
	d := &Deps{}
	pl := build(t, "", d)
	for from, want := range map[string]string{
		`"boss@served.example" <x@evil.example>`:                "boss@served.example",
		`"Boss <BOSS@Served.Example>" <x@evil.example>`:         "BOSS@served.example",
		`=?utf-8?Q?boss=40served=2Eexample?= <x@evil.example>`:  "boss@served.example",
		`"'anna@served.example' via list" <list@lists.example>`: "anna@served.example",
		`"boss@served.example." <x@evil.example>`:               "boss@served.example",
		`"boss@sub.wide.example" <x@evil.example>`:              "boss@sub.wide.example",
		`"x@evil.example" <x@evil.example>`:                     "",
		`"served.example" <x@evil.example>`:                     "",
		`"@served.example" <x@evil.example>`:                    "",
		`"boss@served.example.evil.example" <x@evil.example>`:   "",
		`"anna @ served.example" <x@evil.example>`:              "",
		`"boss@.served.example" <x@evil.example>`:               "",
		`"` + strings.Repeat("a@", 5000) + `" <x@evil.example>`: "",
		`"me <anna@served.example>" <anna@served.example>`:      "own",
	} {
		f := impersonation(t, d, pl, "impersonation.own", "192.0.2.1", dataOf(t, with("From", "From: "+from)), dmarcFound("none", false, ""))
		switch {
		case want == "":
			if f.Result != gateway.Pass {
				t.Errorf("%.80s: %+v", from, f)
			}
		case want == "own":
			if f.Reason != gateway.ImpersonatedOwn {
				t.Errorf("%.80s: %+v", from, f)
			}
		case f.Reason != gateway.ImpersonatedName || len(f.Measures) != 1 || f.Measures[0].Text != want:
			t.Errorf("%.80s: %+v, want %s", from, f, want)
		}
	}
}

func TestReplyElsewhere(t *testing.T) {
	d := &Deps{}
	pl := build(t, "", d)
	for name, c := range map[string]struct {
		lines []string
		want  []string
	}{
		"none":                      {[]string{"From: a@b.example"}, nil},
		"the same":                  {[]string{"From: a@b.example", "Reply-To: c@b.example"}, nil},
		"the same organization":     {[]string{"From: a@news.b.example", "Reply-To: c@b.example"}, nil},
		"another":                   {[]string{"From: a@b.example", "Reply-To: c@d.example"}, []string{"elsewhere"}},
		"one of two":                {[]string{"From: a@b.example", "Reply-To: c@b.example, Some One <c@d.example>"}, []string{"elsewhere"}},
		"a mailbox of anybody":      {[]string{"From: a@b.example", "Reply-To: a.b@gmail.com"}, []string{"elsewhere", "freemail"}},
		"from one to another":       {[]string{"From: a@gmail.com", "Reply-To: a.b@yahoo.co.uk"}, []string{"elsewhere"}},
		"of a list":                 {[]string{"From: a@b.example", "Reply-To: list@d.example", "List-Id: <list.d.example>"}, nil},
		"nothing that can be read":  {[]string{"From: a@b.example", "Reply-To: <<<@"}, nil},
		"without an author":         {[]string{"Reply-To: c@d.example"}, nil},
		"a Reply-To of 10,000 at's": {[]string{"From: a@b.example", "Reply-To: " + strings.Repeat("x@y.example,\r\n ", 10000) + "z@y.example"}, nil},
	} {
		f := impersonation(t, d, pl, "impersonation.reply", "192.0.2.1", dataOf(t, with("From", c.lines...)))
		if got := measured(f); !slices.Equal(got, c.want) || (f.Result == gateway.Fail) != (c.want != nil) {
			t.Errorf("%s: %+v, want %v", name, f, c.want)
		}
	}
}

// TestFirstContact: nobody is new while the memory is young; then who was never delivered to a domain is, and whoever forges
// an address that is known.
func TestFirstContact(t *testing.T) {
	memory := known.NewKnown(known.KnownOptions{})
	d := &Deps{Contacts: memory}
	pl := build(t, "", d)
	letter := func(at time.Time) *gateway.Envelope {
		e := dataOf(t, with("From", "From: Some One <A@b.example>"))
		e.Started = at
		e.Rcpts = []gateway.Recipient{{Address: gateway.Address{Text: "x@served.example", Local: "x", Domain: "served.example"}, Reply: gateway.Reply{Code: 250}}}
		return e
	}
	now := time.Now()
	if f := impersonation(t, d, pl, "impersonation.first", "192.0.2.1", letter(now)); f.Result != gateway.NotRun || f.Reason != gateway.LeftLearning {
		t.Errorf("an empty memory: %+v", f)
	}
	memory.LearnContacts([]Contact{ContactOf("other@b.example", true, "served.example")})
	later := now.Add(15 * 24 * time.Hour)
	if f := impersonation(t, d, pl, "impersonation.first", "192.0.2.1", letter(now.Add(13*24*time.Hour))); f.Reason != gateway.LeftLearning {
		t.Errorf("a young memory: %+v", f)
	}
	e := letter(later)
	f := impersonation(t, d, pl, "impersonation.first", "192.0.2.1", e, dmarcFound("pass", true, ""))
	if f.Result != gateway.Fail || f.Reason != gateway.FirstContact {
		t.Fatalf("%+v", f)
	}
	r := gateway.NewRecord(gateway.Data, e.Session, e)
	r.Findings = []gateway.Finding{f}
	event := &gateway.Event{Kind: gateway.TransactionEvent, Record: r, Evidence: [][]gateway.Evidence{f.Evidence}, Relayed: &gateway.Relayed{Result: gateway.Delivered}}
	for outcome, teaches := range map[gateway.Outcome]int{gateway.Accept: 1, gateway.Tag: 1, gateway.Quarantine: 0, gateway.Reject: 0} {
		event.Verdict.Outcome = outcome
		if got := len(ContactLessons(event)); got != teaches {
			t.Errorf("%s teaches %d contacts, want %d", outcome, got, teaches)
		}
	}
	event.Verdict.Outcome = gateway.Accept
	memory.LearnContacts(ContactLessons(event))
	if f := impersonation(t, d, pl, "impersonation.first", "192.0.2.1", letter(later), dmarcFound("pass", true, "")); f.Result != gateway.Pass {
		t.Errorf("who wrote before: %+v", f)
	}
	if f := impersonation(t, d, pl, "impersonation.first", "192.0.2.1", letter(later), dmarcFound("fail", false, "")); f.Result != gateway.Fail {
		t.Errorf("who forges an address that is known: %+v", f)
	}
}

func TestImpersonatedDomain(t *testing.T) {
	d := &Deps{}
	pl := build(t, "[checks.impersonation.domain]\nalso = [\"partnerbank.example\"]\nallow = [\"servad.example\"]\n", d)
	for name, c := range map[string]struct {
		lines []string
		path  string
		want  string // measure and its text; fails where it is lookalike
	}{
		"another":                {lines: []string{"From: a@b.example"}},
		"ours":                   {lines: []string{"From: a@served.example"}},
		"below ours":             {lines: []string{"From: a@x.y.wide.example"}},
		"a digit":                {lines: []string{"From: a@5erved.example"}, want: "lookalike 5erved.example"},
		"another alphabet":       {lines: []string{"From: a@xn--srved-zwe.example"}, want: "lookalike xn--srved-zwe.example"},
		"a letter too many":      {lines: []string{"From: a@serveed.example"}, want: "lookalike serveed.example"},
		"two the wrong way":      {lines: []string{"From: a@sevred.example"}, want: "lookalike sevred.example"},
		"in front of another":    {lines: []string{"From: a@served.example.evil.test"}, want: "lookalike served.example.evil.test"},
		"of a partner":           {lines: []string{"From: a@partnerbank-login.example"}, want: "addition partnerbank-login.example"},
		"under another end":      {lines: []string{"From: a@served.org"}, want: "other_end served.org"},
		"allowed":                {lines: []string{"From: a@servad.example"}},
		"below what is allowed":  {lines: []string{"From: a@mail.servad.example"}},
		"answers go there":       {lines: []string{"From: a@b.example", "Reply-To: a@5erved.example"}, want: "lookalike 5erved.example"},
		"bounces go there":       {lines: []string{"From: a@b.example"}, path: "<a@5erved.example>", want: "lookalike 5erved.example"},
		"without a domain":       {lines: []string{"From: root@localhost"}},
		"several in From":        {lines: []string{"From: a@b.example, c@5erved.example"}, want: "lookalike 5erved.example"},
		"a domain of 63 letters": {lines: []string{"From: a@" + strings.Repeat("s", 63) + ".example"}},
	} {
		e := dataOf(t, with("From", c.lines...))
		if c.path != "" {
			e.From = mailFrom(t, c.path)
		}
		f := impersonation(t, d, pl, "impersonation.domain", "192.0.2.1", e)
		got := ""
		for _, m := range f.Measures {
			got = m.Name + " " + m.Text
		}
		if got != c.want || (f.Result == gateway.Fail) != strings.HasPrefix(c.want, "lookalike") {
			t.Errorf("%s: %+v, want %q", name, f, c.want)
		}
	}
}
