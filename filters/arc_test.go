package filters

import (
	"crypto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/arc"
	"gatepost/internal/lab/dnslab"
)

// arcWorld seals messages by the engine; whether others agree with it is a test of internal/arc.
type arcWorld struct {
	key  crypto.Signer
	zone map[string]string
}

func newArcWorld(t testing.TB) *arcWorld {
	t.Helper()
	text, err := arc.MakeKey(arc.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	key, err := arc.ReadKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return &arcWorld{key: key, zone: map[string]string{}}
}

// add publishes the key of a sealer.
func (w *arcWorld) add(t testing.TB, domain string) {
	t.Helper()
	record, err := arc.Record(w.key)
	if err != nil {
		t.Fatal(err)
	}
	w.zone["s._domainkey."+strings.ToLower(domain)] = record
}

func (w *arcWorld) server(t testing.TB) *dnslab.Server {
	t.Helper()
	text := ""
	for name, record := range w.zone {
		half := len(record) / 2
		text += name + ". TXT \"" + record[:half] + "\" \"" + record[half:] + "\"\n"
	}
	return dnslab.New(t, dnslab.Text(text))
}

// seal puts a set of a sealer above a message, in whose chain of n sets it believes.
func (w *arcWorld) seal(t testing.TB, text, domain, results string, n int) string {
	t.Helper()
	w.add(t, domain)
	e := dataOf(t, text)
	c := arc.Chain{Highest: n}
	if n > 0 {
		c.Result = arc.Pass
	}
	s := &arc.Sealer{Domain: domain, Selector: "s", Key: w.key}
	set, _, err := s.Seal(&arc.Draft{Header: fieldsOf(e.Header), Body: gateway.Rest(e.Body, e.Header.BodyStart), Chain: c, Results: results, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return string(set) + text
}

// arcCase is a file of testdata/arc. Its lines are carried out in their order:
//
//	trusted: DOMAIN [servers=NAME,NAME] [expires=DAY]
//	from: ADDRESS             the author, by default anna@sender.example
//	set: DOMAIN RESULTS       a set of this sealer, with these results
//	edit: body                what a list does before it seals
//	change: body | from ADDRESS | add FIELD | results OLD NEW | dns DOMAIN    what happens behind the last sealer
//	want: by DOMAIN | untold DOMAIN | would DOMAIN ... | nobody
type arcCase struct {
	options ARCOptions
	author  string
	text    string
	sets    int
	dead    string
	want    string
}

func (c *arcCase) line(t *testing.T, w *arcWorld, verb, rest string) {
	t.Helper()
	words := strings.Fields(rest)
	switch verb {
	case "trusted":
		s := ARCSealer{Domain: words[0]}
		for _, o := range words[1:] {
			if list, ok := strings.CutPrefix(o, "servers="); ok {
				s.Servers = strings.Split(list, ",")
			}
			if day, ok := strings.CutPrefix(o, "expires="); ok {
				if err := s.Expires.UnmarshalText([]byte(day)); err != nil {
					t.Fatal(err)
				}
			}
		}
		c.options.Sealers = append(c.options.Sealers, s)
	case "from":
		c.text = strings.Replace(c.text, "From: anna@sender.example", "From: "+rest, 1)
		c.author = rest[strings.IndexByte(rest, '@')+1:]
	case "set":
		domain, results, _ := strings.Cut(rest, " ")
		c.text = w.seal(t, c.text, strings.ToLower(domain), results, c.sets)
		c.sets++
	case "edit":
		c.text += "-- \r\nfooter of the list\r\n"
	case "change":
		c.change(t, words, rest)
	case "want":
		c.want = rest
	default:
		t.Fatalf("no line begins with %s", verb)
	}
}

func (c *arcCase) change(t *testing.T, words []string, rest string) {
	t.Helper()
	before := c.text
	switch words[0] {
	case "body":
		c.text += "added\r\n"
	case "from":
		at := strings.Index(c.text, "\r\nFrom: ") + 2
		end := at + strings.Index(c.text[at:], "\r\n")
		c.text = c.text[:at] + "From: " + words[1] + c.text[end:]
		c.author = words[1][strings.IndexByte(words[1], '@')+1:]
	case "add":
		c.text = strings.TrimPrefix(rest, "add ") + "\r\n" + c.text
	case "results":
		c.text = strings.Replace(c.text, "dmarc="+words[1], "dmarc="+words[2], 1)
	case "dns":
		c.dead = "s._domainkey." + words[1]
		return
	}
	if c.text == before {
		t.Fatalf("nothing was changed by %q", rest)
	}
}

// TestWhoVouches reads testdata/arc.
func TestWhoVouches(t *testing.T) {
	files, _ := filepath.Glob("testdata/arc/*.txt")
	if len(files) < 35 {
		t.Fatalf("only %d cases", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			w := newArcWorld(t)
			c := arcCase{author: "sender.example", text: "From: anna@sender.example\r\nTo: b@served.example\r\nSubject: hello\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n\r\ntext\r\n"}
			lines := strings.Split(strings.TrimSpace(string(data)), "\n")
			if !strings.HasPrefix(lines[0], "# ") {
				t.Fatal("the first line is its purpose")
			}
			for _, line := range lines[1:] {
				verb, rest, _ := strings.Cut(line, ": ")
				c.line(t, w, verb, rest)
			}
			server := w.server(t)
			if c.dead != "" {
				server.SetFault(c.dead, dnslab.Fault{Kind: dnslab.ServFail})
			}
			d := &Deps{Resolver: resolver(t, server), arc: &c.options}
			e := dataOf(t, c.text)
			got := d.arcVouches(t.Context(), e, c.author)
			said := "nobody"
			switch {
			case got.By != "":
				said = "by " + got.By
			case got.Untold != "":
				said = "untold " + got.Untold
			case len(got.Would) > 0:
				said = "would " + strings.Join(got.Would, " ")
			}
			if said != c.want || (got.By != "") != (got.Entry != nil) || got.By != "" && got.Would != nil || got.Why == "" {
				t.Errorf("%s (%s), want %s; the chain: %+v", said, got.Why, c.want, d.signatures(t.Context(), e).ARC)
			}
			// Nobody speaks for another author, and nobody who is not trusted speaks at all.
			if v := d.arcVouches(t.Context(), e, "bank.example"); v.By != "" || v.Would != nil || v.Untold != "" {
				t.Errorf("%+v for another author", v)
			}
			d.On = func(string) bool { return false }
			if v := d.arcVouches(t.Context(), e, c.author); v.By != "" || strings.HasPrefix(c.want, "by ") && v.Would == nil {
				t.Errorf("%+v with the check observed", v)
			}
			d.On, d.arc = nil, &ARCOptions{}
			if v := d.arcVouches(t.Context(), e, c.author); v.By != "" || v.Untold != "" {
				t.Errorf("%+v without any trusted sealer", v)
			}
			d.arc = nil // the check is off
			if v := d.arcVouches(t.Context(), e, c.author); v.By != "" {
				t.Errorf("%+v with the check off", v)
			}
		})
	}
}

// TestWeakSeal shows that a key which does not count for DKIM does not for a seal.
func TestWeakSeal(t *testing.T) {
	text, err := arc.MakeKey(arc.RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	w := newArcWorld(t)
	if w.key, err = arc.ReadKey(text); err != nil {
		t.Fatal(err)
	}
	sealed := w.seal(t, "From: anna@sender.example\r\n\r\ntext\r\n", "lists.example", "lists.example; dmarc=pass header.from=sender.example", 0)
	for bits, by := range map[int]string{1024: "lists.example", 2048: "lists.example", 3072: ""} {
		d := &Deps{Resolver: resolver(t, w.server(t)), arc: &ARCOptions{Sealers: []ARCSealer{{Domain: "lists.example"}}}, dkim: &DKIMOptions{Signatures: 8, MinBits: bits}}
		if v := d.arcVouches(t.Context(), dataOf(t, sealed), "sender.example"); v.By != by || v.Would != nil {
			t.Errorf("with at least %d bits: %+v", bits, v)
		}
	}
}

// TestARCFinding shows what the check reports of each state of a chain.
func TestARCFinding(t *testing.T) {
	w := newArcWorld(t)
	plain := "From: anna@sender.example\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n\r\ntext\r\n"
	one := w.seal(t, plain, "lists.example", "lists.example; dmarc=pass header.from=sender.example", 0)
	two := w.seal(t, one, "forwarder.example", "forwarder.example; none", 1)
	w.add(t, "dead.example")
	dead := w.seal(t, one, "dead.example", "dead.example; none", 1)
	server := w.server(t)
	server.SetFault("s._domainkey.dead.example", dnslab.Fault{Kind: dnslab.Timeout})
	for name, tt := range map[string]struct {
		text   string
		result gateway.Result
		reason gateway.Reason
		says   string
	}{
		"none":    {plain, gateway.NotRun, gateway.LeftNoInput, "arc=none"},
		"one":     {one, gateway.Pass, "", "arc=pass oldest-pass=0 remote-ip=192.0.2.1"},
		"two":     {two, gateway.Pass, "", "arc=pass oldest-pass=0 remote-ip=192.0.2.1"},
		"broken":  {two + "more\r\n", gateway.Fail, gateway.ARCFail, "arc=fail remote-ip=192.0.2.1"},
		"junk":    {"ARC-Seal: junk\r\n" + plain, gateway.Fail, gateway.ARCFail, "arc=fail remote-ip=192.0.2.1"},
		"unknown": {dead, gateway.Unknown, gateway.DNSFailed, "arc=fail remote-ip=192.0.2.1"},
	} {
		t.Run(name, func(t *testing.T) {
			d := &Deps{Resolver: resolver(t, server), arc: &ARCOptions{Sealers: []ARCSealer{{Domain: "lists.example", Note: Note{Reason: "our lists"}}}}}
			f := run(t, d.runARC, input(from("192.0.2.1", "mail.example"), dataOf(t, tt.text)))
			if f.Result != tt.result || f.Reason != tt.reason || said(f) != tt.says {
				t.Errorf("%s %s: %s\n%v", f.Result, f.Reason, said(f), f.Evidence)
			}
			if name == "two" && (!strings.HasPrefix(evidence(f, "sealer 1"), "lists.example (trusted: our lists); seal pass, key of 256 bits") ||
				!strings.HasPrefix(evidence(f, "sealer 2"), "forwarder.example (not trusted); seal pass")) {
				t.Errorf("%v", f.Evidence)
			}
		})
	}
}

// TestARCCostsNothing shows that a chain that fails neither refuses nor marks by default.
func TestARCCostsNothing(t *testing.T) {
	d := &Deps{}
	build(t, "", d)
	for _, f := range []gateway.Finding{gateway.Failed(gateway.ARCFail, "x").With(gateway.Yes("fail")), gateway.CouldNotTell(gateway.DNSFailed, "x")} {
		f.Check, f.Stage, f.Rcpt = "arc", gateway.Data, -1
		v := d.Policy.Judge(&gateway.Record{Stage: gateway.Data, Findings: []gateway.Finding{f}})
		if v.Outcome != gateway.Accept || v.Score != 0 || len(v.Marks) != 0 {
			t.Errorf("%s: %+v", f.Result, v)
		}
	}
}

func TestARCOptions(t *testing.T) {
	sealer := func(lines string) string { return "[[checks.arc.sealer]]\n" + lines + "\n" }
	for policy, want := range map[string]string{
		sealer(`domain = "lists.example"; owner = "anna"`):                               "",
		sealer(`domain = "lists.example"`) + sealer(`domain = "LISTS.example"`):          `checks.arc.sealer[2].domain: "lists.example" is a sealer twice; remove one of them`,
		sealer(`owner = "anna"`):                                                         "checks.arc.sealer",
		sealer(`domain = "lists.example"; expires = "2020-01-31"`):                       "warning: checks.arc.sealer[1].expires: the trust in lists.example ended on 2020-01-31; look whether it is still needed",
		sealer(`domain = "lists.example"; expires = "` + dayFromNow(1) + `"`):            "",
		sealer(`domain = "lists.example"; expires = "` + dayFromNow(0) + `"`):            "",
		sealer(`domain = "lists.example"; expires = "` + dayFromNow(-1) + `"`):           "ended on " + dayFromNow(-1),
		sealer(`domain = "a@lists.example"`):                                             "is a mail address",
		sealer(`domain = "lists.example"; servers = ["mx.lists.example", "not a name"]`): "is not a domain name",
	} {
		_, problems := load(t, strings.ReplaceAll(policy, "; ", "\n"))
		text := ""
		for _, p := range problems {
			if strings.Contains(p.Key, "arc") {
				text += p.String() + "\n"
			}
		}
		if want == "" && text != "" || !strings.Contains(text, want) {
			t.Errorf("%s: %s, want %s", policy, text, want)
		}
	}
}

func dayFromNow(n int) string { return time.Now().UTC().AddDate(0, 0, n).Format(time.DateOnly) }

// TestOneFetch shows that DKIM and ARC share one round: every key is asked once.
func TestOneFetch(t *testing.T) {
	w := newArcWorld(t)
	text := "From: anna@sender.example\r\n\r\ntext\r\n"
	for i, domain := range []string{"lists.example", "forwarder.example", "lists.example"} {
		text = w.seal(t, text, domain, domain+"; none", i)
	}
	text = "DKIM-Signature: v=1; a=ed25519-sha256; d=lists.example; s=s; h=from; bh=AAAA; b=AAAA\r\n" + text
	server := w.server(t)
	d := &Deps{Resolver: resolver(t, server)}
	e := dataOf(t, text)
	s := d.signatures(t.Context(), e)
	if s.ARC.Result != arc.Pass || len(s.DKIM) != 1 {
		t.Fatalf("%+v", s)
	}
	asked := slices.Clone(s.asked.said)
	if len(asked) != 2 {
		t.Errorf("asked %q", asked)
	}
	if d.signatures(t.Context(), e) != s {
		t.Error("verified twice")
	}
}
