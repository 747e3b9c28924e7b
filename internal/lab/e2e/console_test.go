package e2e

import (
	"gatepost/internal/lab/dnslab"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// browse is a browser of its own, before the console of the world.
func (w *world) browse(t *testing.T, o lab.BrowserOptions) *labtest.Browser {
	t.Helper()
	o.Base = "https://" + w.consoleAddr(t)
	return labtest.StartBrowser(t, o)
}

// consoleAddr is where the console listens.
func (w *world) consoleAddr(t *testing.T) string {
	t.Helper()
	a, err := w.daemon.Addresses()
	if err != nil || len(a.Console) != 1 {
		t.Fatalf("%+v: %v", a, err)
	}
	return a.Console[0]
}

// TestConsoleLogin: the first owner comes in by the code that the machine tells, once; a stranger who asks for any page is shown the
// login and nothing else, and is told the same of a wrong name as of a wrong password.
func TestConsoleLogin(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{console: "127.0.0.1:0"})
	b := w.browse(t, lab.BrowserOptions{})
	b.Step("login.first", map[string]any{"code": w.setupCode(t), "name": ownerName, "password": operatorPassword, "look": true}, nil)
	b.Step("login.stranger", nil, nil)
	var name, password string
	b.Step("login.wrong", map[string]any{"name": "nobody", "password": operatorPassword}, &name)
	b.Step("login.wrong", map[string]any{"name": ownerName, "password": "not this one at all"}, &password)
	if name != password || name == "" {
		t.Errorf("an unknown name is told %q, a wrong password %q", name, password)
	}
	b.Step("login.enter", map[string]any{"name": ownerName, "password": operatorPassword}, nil)
}

// TestConsoleTour looks at every page that a link leads to, as the owner of a gateway that has mail of each kind.
func TestConsoleTour(t *testing.T) {
	t.Parallel()
	s := consoleSetup(dnslab.New(t, dnslab.Text(consoleZones)))
	s.web += "ssh = [\"127.0.0.1:0\"]\n"
	w := begin(t, s)
	b := w.browse(t, lab.BrowserOptions{})
	w.signIn(t, b)
	w.command(t, 0, "ssh", "key", "add", filepath.Join(newSSH(t, w).dir, ownerName+".pub"), "--user", ownerName) // what /account shows of it is long
	m := &matrix{world: w, owner: w.visitor(t)}
	if a := m.owner.ask("POST", "/login", url.Values{"name": {ownerName}, "password": {operatorPassword}}); a.code != http.StatusSeeOther {
		t.Fatalf("login: %d", a.code)
	}
	m.mails(t)
	w.operator(t, "helper", "help-desk", "served.test")
	var pages []string
	for left := 1; left > 0; {
		var part struct {
			Seen []string
			Left int
		}
		b.Step("tour.walk", map[string]any{"pages": 8}, &part)
		pages, left = append(pages, part.Seen...), part.Left
	}
	t.Logf("pages: %s", pages)
	if len(pages) < 5 {
		t.Errorf("only %d pages", len(pages))
	}
}

// TestConsolePeople: the owner makes a help desk for one domain; it sets its password by the code, sees the mail of its domain only,
// and is told who may what it may not.
func TestConsolePeople(t *testing.T) {
	t.Parallel()
	w := begin(t, consoleSetup(dnslab.New(t, dnslab.Text(consoleZones))))
	b := w.browse(t, lab.BrowserOptions{})
	w.signIn(t, b)
	for _, to := range []string{"bob@served.test", "carol@other.test"} {
		w.mail(t, "198.51.100.9", "mx.good.example", "listed@good.example", to, "")
	}
	b.Step("log.arrived", map[string]any{"query": "from:listed@good.example", "count": 2}, nil)
	var code, told string
	var nav, rows []string
	b.Step("people.knows", map[string]any{"password": operatorPassword}, nil)
	b.Step("people.add", map[string]any{"name": "desk", "role": "help-desk", "domains": "served.test"}, &code)
	b.Step("people.redeem", map[string]any{"code": code, "password": operatorPassword, "look": "redeem"}, &nav)
	if slices.Contains(nav, "/users") || !slices.Contains(nav, "/log") {
		t.Errorf("a help desk is offered %v", nav)
	}
	b.Step("log.rows", map[string]any{"query": ""}, &rows)
	if len(rows) != 1 || !strings.Contains(rows[0], "bob@served.test") {
		t.Errorf("the log of served.test: %q", rows)
	}
	b.Step("people.forbidden", map[string]any{"path": "/users"}, &told)
	if !strings.Contains(told, "owner") {
		t.Errorf("what says who may: %q", told)
	}
}

// TestConsoleNoScript: without script in the browser, a refused message is found and explained, filters work, a message that was kept is
// released, and a policy is published and confirmed.
func TestConsoleNoScript(t *testing.T) {
	t.Parallel()
	w := begin(t, consoleSetup(dnslab.New(t, dnslab.Text(consoleZones))))
	said, ref := w.mail(t, "198.51.100.9", "mx.good.example", "a@good.example", "bob@served.test", "")
	w.mail(t, "198.51.100.7", "mx.good.example", "a@good.example", "bob@served.test", plainMail("a@good.example", "hello", "hello"))
	b := w.browse(t, lab.BrowserOptions{NoScript: true, Width: 390})
	w.signIn(t, b)
	b.Step("log.arrived", map[string]any{"query": "from:a@good.example", "count": 2}, nil)
	var s page
	b.Step("log.plain", map[string]any{"query": "ip:198.51.100.9", "verdict": "Rejected", "id": ref}, &s)
	if s.Reply != said || s.decided() != "rbl.client" {
		t.Errorf("decided %q, reply %q, the client got %q", s.decided(), s.Reply, said)
	}
	before := len(w.hop(t).Accepted())
	_, kept := w.mail(t, "198.51.100.20", "mx.good.example", "a@good.example", "bob@served.test",
		"From: a@good.example\r\nDate: Fri, 27 Nov 2026 08:00:00 +0000\r\nMessage-ID: <1@good.example>\r\nSubject: the tool\r\n"+
			"MIME-Version: 1.0\r\nContent-Type: application/x-msdownload; name=\"run.exe\"\r\n\r\nMZ\r\n")
	var done struct{ Read, Said string }
	b.Step("quarantine.release", map[string]any{"id": kept, "subject": "the tool", "why": "Bob asked for it"}, &done)
	if all, err := w.hop(t).AwaitAccepted(t.Context(), before+1); err != nil || len(all) != before+1 || !strings.Contains(done.Read, "MZ") {
		t.Errorf("%d arrived, %v; the page says %q", len(all)-before, err, done.Said)
	}
	var told string
	b.Step("policy.number", map[string]any{"name": "Reject", "value": 12.5}, &told)
	if !strings.Contains(told, "thresholds.reject = 12.5") {
		t.Errorf("draft: %q", told)
	}
	var published struct{ InForce, Said, Alert string }
	b.Step("policy.publish", map[string]any{"comment": "less", "wait": "10m"}, &published)
	if !strings.HasPrefix(published.InForce, "version 2 is in force") || !strings.Contains(published.Said, "goes by itself") {
		t.Errorf("published: %+v", published)
	}
	b.Step("policy.confirm", nil, &told)
	if out, _ := w.command(t, 0, "policy", "show"); !strings.Contains(out, "version 2") || strings.Contains(out, "confirm") {
		t.Errorf("confirmed: %s", out)
	}
}
