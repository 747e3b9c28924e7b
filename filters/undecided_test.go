package filters

import (
	"context"
	"flag"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/reputation"
	"gatepost/internal/spamd"
)

// mixZones is the world of a mixed corpus: a partner, a newsletter, a free mail service, a new company, and spammers.
const mixZones = `
partner.example.         MX 10 mail.partner.example.
mail.partner.example.    A 192.0.2.1
1.2.0.192.in-addr.arpa.  PTR mail.partner.example.
partner.example.         TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc.partner.example.  TXT "v=DMARC1; p=reject"
news.example.            MX 10 mail.news.example.
mail.news.example.       A 192.0.2.2
2.2.0.192.in-addr.arpa.  PTR mail.news.example.
news.example.            TXT "v=spf1 ip4:192.0.2.2 -all"
_dmarc.news.example.     TXT "v=DMARC1; p=reject"
gmail.com.               MX 10 mail.gmail.com.
mail.gmail.com.          A 192.0.2.3
3.2.0.192.in-addr.arpa.  PTR mail.gmail.com.
gmail.com.               TXT "v=spf1 ip4:192.0.2.3 -all"
_dmarc.gmail.com.        TXT "v=DMARC1; p=none"
young.example.           MX 10 mail.young.example.
mail.young.example.      A 192.0.2.4
4.2.0.192.in-addr.arpa.  PTR mail.young.example.
young.example.           TXT "v=spf1 ip4:192.0.2.4 -all"
_dmarc.young.example.    TXT "v=DMARC1; p=reject"
5.2.0.192.in-addr.arpa.  PTR pool-192-0-2-5.isp.example.
pool-192-0-2-5.isp.example. A 192.0.2.5
bulk.example.            MX 10 bulk.example.
bulk.example.            A 192.0.2.5
`

// acquainted remembers the contacts of every author but those of whom it is told not to.
type acquainted struct{ strangers map[Contact]bool }

func (a acquainted) Met(c Contact) bool { return !a.strangers[c] }
func (acquainted) Since() time.Time     { return time.Now().Add(-100 * 24 * time.Hour) }

// sent is one message of the mix.
type sent struct {
	kind, client, helo, from string
	text                     string
	spare                    bool // whether an engine can be spared for it, but for the sample
}

// mail writes a message; more are header fields.
func (s sent) mail(body string, more ...string) sent {
	fields := append([]string{"From: Somebody <" + s.from + ">", "To: anna@served.example", "Date: " + time.Now().Format(time.RFC1123Z), "Subject: about it",
		"Message-ID: <1." + s.kind + "@x.example>", "MIME-Version: 1.0"}, more...)
	s.text = message(append(fields, "", body)...)
	return s
}

// mix is a seeded mix of ham, newsletters, spam and mail of who is known: as many as a small company has in an hour.
func mix(n int) (out []sent) {
	rnd := rand.New(rand.NewPCG(4, 9))
	words := strings.Fields("we met on Tuesday and the offer is still good so please tell me when the delivery should leave our house as the colleagues need two days for it and the invoice follows by post thank you for the quick answer about the meeting")
	prose := func() string {
		var b strings.Builder
		for i := range 60 + rnd.IntN(200) {
			b.WriteString(words[rnd.IntN(len(words))] + " ")
			if i%11 == 10 {
				b.WriteString("\r\n")
			}
		}
		return b.String()
	}
	plain := "Content-Type: text/plain; charset=us-ascii"
	multi := func(part string) string {
		return "--b\r\n" + plain + "\r\n\r\n" + prose() + "\r\n--b\r\n" + part + "\r\n--b--"
	}
	partner := sent{kind: "partner", client: "192.0.2.1", helo: "mail.partner.example", from: "jo@partner.example"}
	news := sent{kind: "newsletter", client: "192.0.2.2", helo: "mail.news.example", from: "news@news.example"}
	free := sent{kind: "free mail", client: "192.0.2.3", helo: "mail.gmail.com", from: "somebody@gmail.com"}
	young := sent{kind: "unknown company", client: "192.0.2.4", helo: "mail.young.example", from: "new@young.example"}
	spam := sent{kind: "spam", client: "192.0.2.5", helo: "bulk.example", from: "win@bulk.example"}
	for i := range n {
		var s sent
		switch i % 12 {
		case 0, 1, 2, 3:
			s = partner.mail(prose(), plain)
			s.spare = true
		case 4:
			s = partner.mail("--b\r\n"+plain+"\r\n\r\n"+prose()+"\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>"+prose()+"</p>\r\n--b--", `Content-Type: multipart/alternative; boundary="b"`)
			s.spare = true
		case 5:
			s = partner.mail(multi("Content-Type: application/pdf; name=\"bill.pdf\"\r\nContent-Disposition: attachment\r\n\r\n%PDF-1.4"), `Content-Type: multipart/mixed; boundary="b"`)
		case 6:
			s = partner.mail(prose()+"\r\nhttps://partner.example/offer\r\n", plain)
		case 7:
			s = partner.mail(prose(), plain, "Reply-To: jo@elsewhere.example")
		case 8:
			s = news.mail(prose()+"\r\nhttp://news.example/unsubscribe\r\n", plain, "List-Id: <news.news.example>")
		case 9:
			s = free.mail(prose(), plain)
		case 10:
			s = young.mail(prose(), plain)
		default:
			s = spam.mail(prose()+"\r\n"+lab.GTUBE()+"\r\n", plain)
		}
		out = append(out, s)
	}
	return out
}

// askedSpamd counts who asks for spamd.
type askedSpamd struct {
	SpamScanner
	n int
}

func (c *askedSpamd) Do(ctx context.Context, call func(context.Context, *spamd.Client) error) error {
	c.n++
	return c.SpamScanner.Do(ctx, call)
}

// judgedAs brings a message to all checks, as the edge does.
func (s *street) judgedAs(m sent, id gateway.ID) (gateway.Verdict, gateway.Finding) {
	s.t.Helper()
	_, reply, e := visit{client: m.client, helo: m.helo, from: "<" + m.from + ">", to: []string{"anna@served.example"},
		session: func(c *gateway.Session) { c.Conduct.Known, c.Conduct.Proven = true, true }}.arrive(s.t, s.d, s.pl, "reputation")
	if reply.Code != 250 {
		s.t.Fatalf("%s: %s", m.kind, reply)
	}
	data := dataOf(s.t, m.text)
	e.ID, e.Body, e.Header, e.Route = id, data.Body, data.Header, data.Route
	e.Measured.Octets = int64(len(m.text))
	v := s.pl.Run(s.t.Context(), gateway.Data, &gateway.Input{Session: e.Session, Envelope: e, Rcpt: -1})
	for _, f := range e.Findings {
		if f.Check == "spamassassin" {
			return v, f
		}
	}
	s.t.Fatal("no finding of spamassassin")
	return v, gateway.Finding{}
}

var mixSize = flag.Int("mix", 24, "messages of the mix of TestUndecided")

// TestUndecided sends a mix by two policies, which differ in when spamd is asked, to a real one: no message ends in another
// class, spamd sees all that is not plain good mail, and of that a sample.
func TestUndecided(t *testing.T) {
	daemon := labtest.Spamd(t, lab.SpamdOptions{})
	zones := dnslab.New(t, dnslab.Text(mixZones))
	strangers := acquainted{map[Contact]bool{}}
	for _, authenticated := range []bool{false, true} {
		strangers.strangers[ContactOf("new@young.example", authenticated, "served.example")] = true
	}
	street := func(policy string) (*street, *askedSpamd) {
		scanner := &askedSpamd{SpamScanner: spamAt(t, daemon.Addr, time.Minute)}
		s := newStreet(t, clamOff+rcptOff+policy, &Deps{Resolver: patient(t, zones), SpamAssassin: scanner, Contacts: strangers})
		for _, who := range []string{"domain:partner.example", "domain:news.example", "domain:gmail.com", "domain:young.example"} {
			s.was(reputation.Known, who)
		}
		return s, scanner
	}
	always, all := street("")
	undecided, some := street("[checks.spamassassin]\nwhen = \"undecided\"\n")
	kinds, reached := map[string]int{}, map[string]int{}
	var spent [2]time.Duration
	for i, m := range mix(*mixSize) {
		id := gateway.ID(1<<40 + i*7919)
		began := labtest.CPU(t, daemon.PID())
		a, ran := always.judgedAs(m, id)
		between := labtest.CPU(t, daemon.PID())
		b, f := undecided.judgedAs(m, id)
		spent[0] += between - began
		spent[1] += labtest.CPU(t, daemon.PID()) - between
		if a.Outcome != b.Outcome {
			t.Errorf("%d, %s: always %s with %v points, undecided %s with %v", i, m.kind, a.Outcome, a.Score, b.Outcome, b.Score)
		}
		if ran.Result == gateway.NotRun {
			t.Errorf("%d, %s: always, and not asked: %+v", i, m.kind, ran)
		}
		spared := f.Result == gateway.NotRun
		if want := m.spare && !oneIn(id, sampled); spared != want || spared && f.Reason != gateway.LeftSpared {
			t.Errorf("%d, %s: spared %t, want %t: %+v", i, m.kind, spared, want, f)
		}
		if !spared && evidence(f, "asked since") == "" {
			t.Errorf("%d, %s: it is not told why spamd was asked", i, m.kind)
		}
		kinds[m.kind]++
		if !spared {
			reached[m.kind]++
		}
	}
	if all.n != *mixSize || some.n >= all.n {
		t.Errorf("spamd was asked %d and %d times", all.n, some.n)
	}
	t.Logf("always %d, undecided %d (%.0f %%)", all.n, some.n, 100*float64(some.n)/float64(all.n))
	t.Logf("CPU of spamd a message: always %v, undecided %v", spent[0]/time.Duration(*mixSize), spent[1]/time.Duration(*mixSize))
	for kind, n := range kinds {
		t.Logf("%s: %d of %d reach spamd", kind, reached[kind], n)
	}
}

// TestNeeded: whatever is not known to be good needs an engine, one thing after another taken away from what does not.
func TestNeeded(t *testing.T) {
	zones := dnslab.New(t, dnslab.Text(mixZones))
	partner := mix(1)[0]
	spared := func(m sent, d *Deps, past reputation.Standing, policy string, id gateway.ID) string {
		t.Helper()
		d.Resolver = patient(t, zones)
		s := newStreet(t, clamOff+rcptOff+"[checks.spamassassin]\nwhen = \"undecided\"\n"+policy, d)
		if past != reputation.Unknown {
			s.was(past, "domain:partner.example")
		}
		_, f := s.judgedAs(m, id)
		switch {
		case f.Result != gateway.NotRun:
		case f.Reason == gateway.LeftSpared:
			return ""
		default:
			return string(f.Reason)
		}
		return evidence(f, "asked since")
	}
	id := gateway.ID(1 << 40)
	for oneIn(id, sampled) {
		id++
	}
	known := acquainted{}
	if why := spared(partner, &Deps{Contacts: known}, reputation.Known, "", id); why != "" {
		t.Fatal(why)
	}
	swap := func(old, new string) sent {
		m := partner
		m.text = strings.Replace(m.text, old, new, 1)
		return m
	}
	chosen := id
	for !oneIn(chosen, sampled) {
		chosen++
	}
	stranger := acquainted{map[Contact]bool{ContactOf("jo@partner.example", true, "served.example"): true}}
	for _, c := range []struct {
		name string
		m    sent
		d    *Deps
		past reputation.Standing
		with string
		id   gateway.ID
		want string
	}{
		{"the sample", partner, &Deps{Contacts: known}, reputation.Known, "", chosen, "it is one in 20"},
		{"nothing is known of its domain", partner, &Deps{Contacts: known}, reputation.Unknown, "", id, "no good mail is known"},
		{"its past cannot be told", partner, &Deps{Contacts: known}, reputation.Known, "[checks.reputation]\naction = \"observe\"\n[checks.spf]\naction = \"off\"\n", id, "no good mail is known"},
		{"no memory of contacts", partner, &Deps{}, reputation.Known, "", id, "it is not known that the recipient"},
		{"a first contact", partner, &Deps{Contacts: stranger}, reputation.Known, "", id, "it is not known that the recipient"},
		{"that check is off", partner, &Deps{Contacts: known}, reputation.Known, "[checks.impersonation.first]\naction = \"off\"\n", id, "it is not known that the recipient"},
		{"DMARC is off", partner, &Deps{Contacts: known}, reputation.Known, "[checks.dmarc]\naction = \"off\"\n", id, "DMARC does not prove"},
		{"another author", swap("<jo@partner.example>", "<jo@young.example>"), &Deps{Contacts: known}, reputation.Known, "[checks.dmarc.reasons]\n\"dmarc.reject\" = \"score\"\n", id, "DMARC does not prove"},
		{"final before", swap("<jo@partner.example>", "<jo@young.example>"), &Deps{Contacts: known}, reputation.Known, "", id, "decided"},
		{"two authors", swap("<jo@partner.example>", "<jo@partner.example>, <a@partner.example>"), &Deps{Contacts: known}, reputation.Known, "[checks.author.reasons]\n\"author.ambiguous\" = \"score\"\n[checks.dmarc.reasons]\n\"author.ambiguous\" = \"score\"\n", id, "it has no one author"},
		{"something found", swap("Date: ", "X-Date: "), &Deps{Contacts: known}, reputation.Known, "", id, "something was found"},
		{"a strange Reply-To", swap("Subject:", "Reply-To: x@young.example\r\nSubject:"), &Deps{Contacts: known}, reputation.Known, "[checks.impersonation.reply]\naction = \"off\"\n", id, "answers to it go elsewhere"},
		{"a Reply-To that is none", swap("Subject:", "Reply-To: <\r\nSubject:"), &Deps{Contacts: known}, reputation.Known, "", id, "answers to it go elsewhere"},
		{"a link", swap("\r\n\r\n", "\r\n\r\nsee www.young.example "), &Deps{Contacts: known}, reputation.Known, "", id, "it has a link"},
		{"a bare host", swap("\r\n\r\n", "\r\n\r\nsee young.example "), &Deps{Contacts: known}, reputation.Known, "", id, "it has a link"},
		{"a file", swap("text/plain; charset=us-ascii", "text/plain; name=\"a.txt\""), &Deps{Contacts: known}, reputation.Known, "", id, "it has an attachment"},
		{"a calendar", swap("text/plain; charset=us-ascii", "text/calendar"), &Deps{Contacts: known}, reputation.Known, "", id, "it has an attachment"},
		{"odd MIME", swap("text/plain; charset=us-ascii", "text/plain\r\nContent-Transfer-Encoding: x-strange"), &Deps{Contacts: known}, reputation.Known, "", id, "clients may read it differently"},
	} {
		if why := spared(c.m, c.d, c.past, c.with, c.id); !strings.HasPrefix(why, c.want) {
			t.Errorf("%s: %q, want %q", c.name, why, c.want)
		}
	}
}

// TestOneIn: about one in twenty.
func TestOneIn(t *testing.T) {
	n := 0
	for i := range uint64(20000) {
		if oneIn(gateway.ID(i*0x9e3779b97f4a7c15|1), sampled) {
			n++
		}
	}
	if n < 800 || n > 1200 {
		t.Errorf("%d of 20000", n)
	}
}
