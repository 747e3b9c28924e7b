package e2e

import (
	"net"
	"strings"
	"testing"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/lab/labtest"
)

// TestConsoleFirstRun goes from a gateway that nobody has set up to the first mail at a real Postfix, in the browser: the server is
// tried while it is stopped, with a certificate that nobody vouches for, and well; each failure names cause and fix and saves nothing,
// no mail is accepted before the last step, and what was typed is there after a reload. Then a second domain: a wrong port
// is not saved. The check of recipients is switched off and on.
func TestConsoleFirstRun(t *testing.T) {
	t.Parallel()
	inner := labtest.Postfix(t, lab.PostfixOptions{Name: "inner.corp.test", TLS: true, Mailboxes: []string{"bob@corp.test", "postmaster@corp.test"}})
	host, port, err := net.SplitHostPort(inner.Addr)
	if err != nil {
		t.Fatal(err)
	}
	_, stopped, err := net.SplitHostPort(labtest.ClosedAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, setup{console: "127.0.0.1:0", offers: "-", dns: dnslab.New(t, zones).Addr()})
	w.policy = "[limits]\n" + noWaits + noGreylist + noRates() // it serves nobody
	w.start(t)
	w.notSetUp(t)
	b := w.browse(t, lab.BrowserOptions{})
	b.Step("begin.first", map[string]any{"code": w.setupCode(t), "name": ownerName, "password": operatorPassword}, nil)
	var found string
	b.Step("begin.host", nil, &found)
	if !strings.Contains(found, "host.name") {
		t.Errorf("of the host: %q", found)
	}
	var said string
	try := func(port, tls, button, look string, refused bool) string {
		t.Helper()
		b.Step("begin.server", map[string]any{"domain": "corp.test", "host": host, "port": port, "tls": tls, "do": button, "look": look, "refused": refused}, &said)
		return said
	}
	if got := try(stopped, "opportunistic", "Test", "", false); !strings.Contains(got, "takes no mail") || !strings.Contains(got, "Nobody listens there") || !strings.Contains(got, "Start the mail server") {
		t.Errorf("stopped: %q", got)
	}
	if got := try(port, "required", "Next: DNS", "begin-certificate", true); !strings.Contains(got, "takes no mail") || !strings.Contains(got, "Nobody whom this gateway trusts") || !strings.Contains(got, "ca_file") {
		t.Errorf("a certificate that nobody vouches for: %q", got)
	}
	if got := try(port, "opportunistic", "Test", "", false); !strings.Contains(got, "takes mail") || !strings.Contains(got, "postmaster@corp.test") {
		t.Errorf("well: %q", got)
	}
	if got := try(port, "opportunistic", "Next: DNS", "", false); got != "?step=dns" {
		t.Errorf("saved: %q", got)
	}
	var lines []string
	b.Step("begin.dns", nil, &lines)
	if all := strings.Join(lines, "\n"); !strings.Contains(all, "corp.test. 3600 IN MX 10 "+hostname+".") || !strings.Contains(all, "v=spf1") {
		t.Errorf("lines: %q", lines)
	}
	w.notSetUp(t)
	b.Step("begin.live", nil, &said)
	if !strings.Contains(said, "corp.test") {
		t.Errorf("live: %q", said)
	}
	c := w.hello(t)
	c.want("250", "MAIL FROM:<alice@example.org>")
	c.want("250", "RCPT TO:<bob@corp.test>")
	c.want("354", "DATA")
	c.send(plainMail("alice@example.org", "the first", "hello") + ".\r\n")
	if reply := c.reply(); !strings.HasPrefix(reply, "250 ") {
		t.Fatal(reply)
	}
	if _, err := inner.Maildir("bob@corp.test").Await(labtest.Context(t), 1); err != nil {
		t.Error(err)
	}
	// A second domain (flow 12).
	var more struct{ Said, Page string }
	b.Step("begin.domains", map[string]any{"domain": "more.test", "host": host, "port": stopped, "tls": "opportunistic", "refused": true}, &more)
	if !strings.Contains(more.Said, "takes no mail") || !strings.Contains(more.Page, "nothing was saved") {
		t.Errorf("a wrong port: %+v", more)
	}
	b.Step("begin.domains", map[string]any{"domain": "more.test", "host": host, "port": port, "tls": "opportunistic", "refused": true}, &more)
	if !strings.Contains(more.Said, "takes no mail") || !strings.Contains(more.Said, "more.test") {
		t.Errorf("a domain that the server does not take: %+v", more)
	}
	b.Step("begin.tests", map[string]any{"domain": "corp.test"}, &said)
	if !strings.Contains(said, "takes mail") {
		t.Errorf("the way of the first domain: %q", said)
	}
	w.checksRecipients(t, b)
}

// checksRecipients switches the check of recipients off for a domain, and on again; each is in force once it was published.
func (w *world) checksRecipients(t *testing.T, b *labtest.Browser) {
	t.Helper()
	nobody := func(want string) {
		t.Helper()
		c := w.hello(t)
		c.want("250", "MAIL FROM:<alice@example.org>")
		c.want(want, "RCPT TO:<nobody@corp.test>")
	}
	nobody("550 5.1.1")
	var said string
	b.Step("begin.recipients", map[string]any{"of": "Domain corp.test", "way": "none", "look": "domains-recipients"}, &said)
	if !strings.Contains(said, "never put in the spool") {
		t.Errorf("what nobody asked brings with it: %q", said)
	}
	nobody("550 5.1.1")
	b.Step("policy.publish", map[string]any{"comment": "no check", "wait": "0"}, nil)
	nobody("250")
	b.Step("begin.recipients", map[string]any{"of": "Domain corp.test", "way": ""}, nil)
	b.Step("policy.publish", map[string]any{"comment": "checked", "wait": "0"}, nil)
	nobody("550 5.1.1")
}

// notSetUp: nobody is served yet, and whoever connects hears what to do.
func (w *world) notSetUp(t *testing.T) {
	t.Helper()
	c, banner := w.connect(t)
	if !strings.HasPrefix(banner, "421 4.3.2 ") || !strings.Contains(banner, "web console") {
		t.Errorf("before anything is set up: %q", banner)
	}
	c.conn.Close()
}
