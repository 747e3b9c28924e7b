package e2e

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/lab/labtest"
)

// consoleSetup is a daemon with a console, whose clients come by a proxy with addresses of their own, and lists that name some.
func consoleSetup(dns *dnslab.Server) setup {
	return setup{console: "127.0.0.1:0", dns: dns.Addr(), routes: []route{{name: "internal", domains: []string{"served.test", "other.test"}}}, policy: noGreylist + `
[checks.spf]
action = "score"
[rbl]
use = "commercial"
[[rbl.own]]
name = "plain"
zone = "plain.example"
rule = [{ answer = "127.0.0.2", label = "spam trap", weight = 10 }]
`,
		bootstrap: "[[listener]]\nname = \"proxied\"\naddresses = [\"127.0.0.1:0\"]\nproxy_from = [\"127.0.0.1\"]\n"}
}

const consoleZones = `
2.0.0.127.plain.example. A 127.0.0.2
9.100.51.198.plain.example. A 127.0.0.2
shop.example. MX 10 mail.shop.example.
shop.example. TXT "v=spf1 ip4:192.0.2.10 -all"
mail.shop.example. A 192.0.2.10
good.example. MX 10 mail.good.example.
mail.good.example. A 192.0.2.11
`

// page is what the console tells of a message.
type page struct {
	Why    string
	Facts  map[string]string
	Checks []struct {
		Name, Took, Evidence string
		Decided              bool
		Points               float64
	}
	Reply string
}

func (s *page) check(name string) string {
	for _, c := range s.Checks {
		if c.Name == name {
			return c.Evidence
		}
	}
	return ""
}

func (s *page) decided() string {
	for _, c := range s.Checks {
		if c.Decided {
			return c.Name
		}
	}
	return ""
}

// mail sends a message from an address of a client, and returns the last reply and the reference in it.
func (w *world) mail(t *testing.T, client, helo, sender, rcpt, message string) (reply, ref string) {
	t.Helper()
	c := w.proxied(t, "proxied", from(client))
	if r := c.reply(); !strings.HasPrefix(r, "220 ") {
		t.Fatalf("banner %q", r)
	}
	c.want("250", "EHLO "+helo)
	reply = c.say("MAIL FROM:<" + sender + ">")
	if strings.HasPrefix(reply, "250 ") {
		reply = c.say("RCPT TO:<" + rcpt + ">")
	}
	if strings.HasPrefix(reply, "250 ") {
		c.want("354", "DATA")
		c.send(message + ".\r\n")
		reply = c.reply()
	}
	c.want("221", "QUIT")
	return reply, anyRef.FindString(reply)
}

func plainMail(sender, subject, body string) string {
	return fmt.Sprintf("From: %s\r\nTo: bob@served.test\r\nDate: Fri, 27 Nov 2026 08:00:00 +0000\r\nMessage-ID: <%d@%s>\r\nSubject: %s\r\n\r\n%s\r\n",
		sender, len(subject)+len(body), "client.example", subject, body)
}

// TestConsoleWhy: an operator who has never seen it finds a refused message from the start page, and reads why it was refused:
// what the client got, what the name server said, the sum of points, and who decided.
func TestConsoleWhy(t *testing.T) {
	t.Parallel()
	dns := dnslab.New(t, dnslab.Text(consoleZones))
	w := begin(t, consoleSetup(dns))
	listed, _ := w.mail(t, "198.51.100.9", "mx.good.example", "a@good.example", "bob@served.test", plainMail("a@good.example", "hello", "hello"))
	if !strings.HasPrefix(listed, "550 5.7.1") {
		t.Fatalf("listed: %q", listed)
	}
	_, forged := w.mail(t, "198.51.100.7", "mx.good.example", "orders@shop.example", "bob@served.test", plainMail("orders@shop.example", "Your order", "Thank you."))
	virus, virusRef := w.mail(t, "198.51.100.7", "mx.good.example", "a@good.example", "bob@served.test", plainMail("a@good.example", "The file", string(lab.EICAR())))
	if !strings.HasPrefix(virus, "550 5.7.1") || forged == "" {
		t.Fatalf("virus %q, forged %q", virus, forged)
	}
	b := w.browse(t, lab.BrowserOptions{})
	w.signIn(t, b)
	b.Step("log.arrived", map[string]any{"query": "", "count": 3}, nil)

	b.Step("log.tail", nil, nil)

	var s page
	b.Step("log.explain", map[string]any{"query": "ip:198.51.100.9", "look": "log"}, &s)
	if !strings.Contains(s.Why, "plain") || !strings.Contains(s.Why, "spam trap") || s.Reply != listed {
		t.Errorf("why %q, reply %q, the client got %q", s.Why, s.Reply, listed)
	}
	if e := s.check("rbl.client"); s.decided() != "rbl.client" || !strings.Contains(e, "127.0.0.2") {
		t.Errorf("decided %q, evidence %q", s.decided(), e)
	}

	var f page
	b.Step("log.read", map[string]any{"id": forged}, &f)
	sum, spf := 0.0, f.check("spf")
	for _, c := range f.Checks {
		sum += c.Points
		if c.Took == "" {
			t.Errorf("%s does not say how long it took", c.Name)
		}
	}
	if !strings.Contains(spf, "fail") || !strings.Contains(f.Why, fmt.Sprint(math.Round(sum*10)/10)) {
		t.Errorf("forged: %q, points %v, spf %q", f.Why, sum, spf)
	}

	var v page
	b.Step("log.read", map[string]any{"id": virusRef, "look": "virus-why"}, &v)
	if v.decided() != "clamav" || v.Reply != virus {
		t.Errorf("virus: decided %q, reply %q; the client got %q", v.decided(), v.Reply, virus)
	}
	b.Try("log.filter", map[string]any{"name": "Rejected", "rows": 2}, nil)
	b.Try("log.empty", map[string]any{"query": "from:nobody.example"}, nil)
	var said string
	b.Try("log.wrongQuery", map[string]any{"query": "form:good.example"}, &said)
	if !strings.Contains(said, "from, to, ip") {
		t.Errorf("a wrong query: %q", said)
	}
	b.Try("log.overview", nil, nil)
	b.Try("log.theme", nil, nil)
	w.mail(t, "198.51.100.7", "mx.good.example", "a@good.example", "bob@served.test", plainMail("a@good.example", "Seen live", "x"))
	b.Step("log.fresh", map[string]any{"text": "Seen live"}, nil)
}

// signIn makes the first owner, and signs him in by the browser.
func (w *world) signIn(t *testing.T, b *labtest.Browser) {
	t.Helper()
	b.Step("login.first", map[string]any{"code": w.setupCode(t), "name": ownerName, "password": operatorPassword}, nil)
	b.Step("login.enter", map[string]any{"name": ownerName, "password": operatorPassword}, nil)
}
