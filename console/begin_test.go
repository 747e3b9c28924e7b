package console

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/control"
)

// beginner stands in for what the first run asks of the daemon beside the policy.
type beginner struct {
	tried []api.RouteAsk
	looks []api.DoctorRun
	last  api.DoctorLook
}

func (b *beginner) operations() []control.Operation {
	op := func(name, method, path string, right access.Right) control.Operation {
		return control.Operation{Name: name, Method: method, Path: path, Doc: "Do it", Right: right}
	}
	return []control.Operation{
		control.Define(op("route test", "POST", "/routes/test", access.PolicyDraft), func(_ context.Context, in *api.RouteAsk) (*api.RouteTested, error) {
			b.tried = append(b.tried, *in)
			verdict, step := "ok", api.RouteTryStep{Step: "connect", Verdict: "ok", Said: "to <b>192.0.2.1</b>:25", Took: 3}
			switch {
			case in.Host == "unsound":
				return nil, &control.Fault{Status: http.StatusBadRequest, Field: "host", Message: "host: is no server"}
			case strings.HasPrefix(in.Host, "stopped"), in.Route == "in":
				verdict, step = "fail", api.RouteTryStep{Step: "connect", Verdict: "fail", Fault: "refused", Said: "connection refused", Cause: "Nobody listens there.", Fix: []string{"Start the mail server."}}
			case strings.HasPrefix(in.Host, "old"):
				verdict, step = "warn", api.RouteTryStep{Step: "tls", Verdict: "warn", Fault: "no-starttls", Said: "in clear", Cause: "The server offers no encryption.", Fix: []string{"Switch STARTTLS on."}}
			}
			return &api.RouteTested{Route: in.Route, Verdict: verdict, Hops: []api.RouteTryHop{{NextHop: in.Host + ":25", Verdict: verdict, Steps: []api.RouteTryStep{step}}}}, nil
		}),
		control.Define(op("domain records", "GET", "/domain-records", access.PolicyRead), func(_ context.Context, in *api.RecordsAsk) (*api.DomainRecords, error) {
			return &api.DomainRecords{Domain: in.Domain, Records: []api.DNSRecord{{Kind: "MX", About: "MX", Line: in.Domain + ". 3600 IN MX 10 mx.example.org.", Why: "Mail comes here.", Needed: true, State: "other", Found: []string{"<i>old</i>.example."}}}}, nil
		}),
		control.Define(op("doctor last", "GET", "/doctor", access.SystemRead), func(context.Context, *struct{}) (*api.DoctorLook, error) { out := b.last; return &out, nil }),
		control.Define(op("doctor run", "POST", "/doctor", access.SystemChange), func(_ context.Context, in *api.DoctorRun) (*api.DoctorLook, error) {
			b.looks = append(b.looks, *in)
			b.last = api.DoctorLook{Running: true, Began: time.Now()}
			return &b.last, nil
		}),
	}
}

// beginSite is a console of a gateway that serves nobody yet, or what the policy of the tests says.
func beginSite(t *testing.T, text string) (*site, *string, *beginner) {
	t.Helper()
	s, inForce := policySite(t)
	*inForce = text
	b := &beginner{}
	s.Surface.Operations = append(s.Surface.Operations, b.operations()...)
	s.Served = func() bool {
		p, problems := config.DecodePolicy("policy.toml", []byte(*inForce), policySections())
		return !problems.Refused() && len(p.Domains) > 0
	}
	s.handler = s.Console.Handler()
	return s, inForce, b
}

// TestFirstRun goes through the steps: nothing is in force before the last, what was typed is there after a reload, a server that takes
// no mail is not saved, and afterwards there is no such page.
func TestFirstRun(t *testing.T) {
	s, inForce, b := beginSite(t, "")
	get := func(path string) *httptest.ResponseRecorder { return s.ask("anna", "GET", path, nil) }
	post := func(path string, fields ...string) *httptest.ResponseRecorder {
		return s.ask("anna", "POST", path, formOf("anna", fields...))
	}
	has(t, get("/"), 200, "No domain is served yet", `href="/begin"`)
	has(t, s.ask("helper", "GET", "/", nil), 200, "!/begin")
	has(t, s.ask("helper", "GET", "/begin", nil), 403)
	// The name of the host is looked at in the background.
	has(t, get("/begin"), 200, "Nobody has looked at it yet", "gatepost.toml", `aria-current="step"`, "Check the name")
	if w := post("/begin/host"); w.Code != 303 || len(b.looks) != 1 || strings.Join(b.looks[0].Only, "") != "host" {
		t.Fatalf("%d %+v", w.Code, b.looks)
	}
	has(t, get("/begin?step=host"), 200, `data-refresh="2"`, "It is being looked at")
	b.last = api.DoctorLook{Began: time.Now(), Ended: time.Now(), Lines: []api.DoctorLine{{ID: "host.name", Verdict: "ok", Saw: "well <b>"}, {ID: "host.fcrdns", Verdict: "fail", About: "192.0.2.1", Saw: "no name", Fix: []string{"1.2.0.192.in-addr.arpa. 3600 IN PTR mx.example.org."}}, {ID: "dns.resolver", Verdict: "ok", Saw: "not of this page"}}}
	page := get("/begin?step=host")
	has(t, page, 200, "host.fcrdns", "IN PTR mx.example.org.", "well &lt;b&gt;", "!not of this page", "!data-refresh")
	if text := page.Body.String(); strings.Index(text, "host.fcrdns") > strings.Index(text, "host.name") {
		t.Error("what failed does not come first")
	}
	// Steps that cannot be yet lead to the first that can.
	has(t, get("/begin?step=live"), 200, "This host is")
	has(t, get("/begin?step=server"), 200, "Where does accepted mail go?", `name="domain" value=""`)
	// The server.
	server := func(do, host string) *httptest.ResponseRecorder {
		return post("/begin/server", "do", do, "domain", "Corp.example", "host", host, "port", "26", "tls", "opportunistic")
	}
	has(t, post("/begin/server", "do", "save", "domain", "", "host", "x"), 400, "The domain is needed", `aria-invalid="true"`)
	has(t, post("/begin/server", "do", "save", "domain", "a.example", "host", "x", "port", "no"), 400, "The port is a number")
	has(t, server("save", "unsound"), 400, "is no server", `value="corp.example"`)
	has(t, server("save", "stopped"), 422, "Nobody listens there.", "Start the mail server.", "nothing was saved", `value="stopped"`, `value="26"`)
	has(t, server("test", "mail.corp.example"), 200, "takes mail", "to &lt;b&gt;192.0.2.1", "3 ms")
	has(t, get("/begin?step=dns"), 200, "This host is") // a test saves nothing
	if w := server("save", "old.corp.example"); w.Code != 303 || w.Header().Get("Location") != "/begin?step=dns" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if last := b.tried[len(b.tried)-1]; last.Port != 26 || last.TLS != "opportunistic" || last.Domain != "corp.example" || last.Draft {
		t.Errorf("%+v", last)
	}
	// It goes on where it was; what was typed is there.
	has(t, get("/begin"), 200, "corp.example. 3600 IN MX 10 mx.example.org.", "something else is published", "&lt;i&gt;old", "gatepost domain records corp.example")
	has(t, get("/begin?step=server"), 200, `value="corp.example"`, `value="old.corp.example"`, `value="26"`)
	if w := post("/begin/server", "do", "save", "domain", "corp.example", "host", "mail.corp.example", "port", "25", "tls", "required", "fingerprints", strings.Repeat("ab", 32), "server_name", "x.example"); w.Code != 303 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	has(t, post("/begin/server", "do", "save", "domain", "corp.example", "host", "mail.corp.example", "port", "25", "tls", "fingerprint", "fingerprints", "zz"), 422, "nothing was saved: ", "fingerprints")
	if w := post("/begin/server", "do", "save", "domain", "corp.example", "host", "mail.corp.example", "port", "25", "tls", "required", "server_name", "x.example"); w.Code != 303 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	page = get("/begin?step=live")
	has(t, page, 200, "Accept mail for", "corp.example", "Go live")
	if *inForce != "" {
		t.Fatal("a draft is in force")
	}
	has(t, post("/begin/live", "etag", "0", "seq", "99"), 412, "look at it again")
	if w := post("/begin/live", "etag", tagOf(t, page, "etag"), "seq", tagOf(t, page, "seq")); w.Code != 303 || w.Header().Get("Location") != "/" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	p, problems := config.DecodePolicy("policy.toml", []byte(*inForce), policySections())
	if problems.Refused() || len(p.Domains) != 1 || p.Domains[0].Name != "corp.example" || len(p.Routes) != 1 || p.Routes[0].Name != p.Domains[0].Route || p.Routes[0].NextHops[0].Host != "mail.corp.example" || p.Routes[0].TLS != config.TLSRequired || p.Routes[0].ServerName != "x.example" {
		t.Errorf("%v\n%s", problems, *inForce)
	}
	for _, path := range []string{"/begin", "/begin?step=server", "/setup"} {
		has(t, get(path), 404)
	}
	for _, path := range []string{"/begin/host", "/begin/server", "/begin/live"} {
		has(t, post(path), 404)
	}
	has(t, get("/"), 200, "!No domain is served yet")
}

// TestDomainServer adds a domain with its server to a policy that has others, and tries routes of the draft.
func TestDomainServer(t *testing.T) {
	s, inForce, b := beginSite(t, policyFile)
	post := func(path string, fields ...string) *httptest.ResponseRecorder {
		return s.ask("anna", "POST", path, formOf("anna", fields...))
	}
	has(t, s.ask("anna", "GET", "/begin", nil), 404)
	has(t, s.ask("anna", "GET", "/domains", nil), 200, "Add a domain and its server", `action="/domains/test"`)
	has(t, post("/domains/test", "route", "in"), 200, "takes no mail", "Nobody listens there.", "What holds for each domain")
	if last := b.tried[len(b.tried)-1]; !last.Draft || last.Route != "in" {
		t.Errorf("%+v", last)
	}
	has(t, post("/domains/server", "do", "save", "domain", "new.test", "host", "stopped.new.test", "port", "25", "tls", "required"), 422, "nothing was saved", "Start the mail server.", `value="stopped.new.test"`)
	has(t, s.ask("anna", "GET", "/domains", nil), 200, "!new.test")
	if w := post("/domains/server", "do", "save", "domain", "new.test", "host", "old.new.test", "port", "25", "tls", "opportunistic"); w.Code != 303 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	has(t, s.ask("anna", "GET", "/domains", nil), 200, "new.test", "old.new.test", "Draft of version")
	// The same domain again takes the place of what the draft said of its server; another server of another domain gets a route of its own.
	for domain, host := range map[string]string{"new.test": "mx:inside.test", "other.test": "192.0.2.7"} {
		if w := post("/domains/server", "do", "save", "domain", domain, "host", host, "port", "2525", "tls", "required", "server_name", "mail.inside.test"); w.Code != 303 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	// What else was said of a domain and of its route stays: of one whose route is its own, and of one that shares its route.
	for _, set := range []string{"domain[new.test].level=strict", "domain[new.test].recipients=none", "route[internal].pool=3", "route[internal].next_hop[1].weight=7",
		"route[internal].next_hop[]={ host = \"192.0.2.9\" }", "domain[]={ name = \"third.test\", route = \"other-test\", contact = \"+49 30 123\" }"} {
		if _, err := s.Surface.Ask(access.With(t.Context(), access.Actor{Name: "anna", Role: access.Owner}), "policy edit", url.Values{"set": {set}}); err != nil {
			t.Fatal(set, err)
		}
	}
	for domain, tls := range map[string]string{"new.test": "opportunistic", "third.test": "none"} {
		if w := post("/domains/server", "do", "save", "domain", domain, "host", "new.new.test", "port", "26", "tls", tls); w.Code != 303 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	answer, err := s.Surface.Ask(access.With(t.Context(), access.Actor{Name: "anna", Role: access.Owner}), "policy draft", nil)
	if err != nil {
		t.Fatal(err)
	}
	d := answer.(*api.Draft)
	p, problems := config.DecodePolicy("policy.toml", []byte(d.Text), policySections())
	if problems.Refused() {
		t.Fatalf("%v\n%s", problems, d.Text)
	}
	var got []string
	for _, x := range p.Domains {
		for _, r := range p.Routes {
			if r.Name == x.Route {
				for _, h := range r.NextHops {
					got = append(got, fmt.Sprintf("%s %s %s%s by %s of %d to %s%s:%d %d %s", x.Name, x.Level, x.Recipients, x.Contact, r.Name, r.Pool, h.Host, h.MX, h.Port, h.Weight, r.TLS))
				}
			}
		}
	}
	if text := strings.Join(got[1:], "\n"); text != `new.test strict call-ahead by internal of 3 to new.new.test:26 7 opportunistic
other.test   by other-test of 10 to 192.0.2.7:2525 1 required
third.test  +49 30 123 by third-test of 10 to new.new.test:26 1 none` {
		t.Errorf("%s\n%s", text, d.Text)
	}
	if *inForce != policyFile {
		t.Error("a draft is in force")
	}
	for _, path := range []string{"/domains/test", "/domains/server"} {
		has(t, s.ask("code", "POST", path, formOf("code", "route", "in")), 403)
	}
}

// TestChecklist shows what the doctor found on the page of TLS and DNS, with its age, and has him look.
func TestChecklist(t *testing.T) {
	s, _, b := beginSite(t, policyFile)
	has(t, s.ask("anna", "GET", "/tls", nil), 200, "Nobody has looked since", "Look now")
	has(t, s.ask("code", "GET", "/tls", nil), 200, "Nobody has looked since", "!Look now")
	has(t, s.ask("code", "POST", "/tls/check", formOf("code")), 403)
	if w := s.ask("anna", "POST", "/tls/check", formOf("anna")); w.Code != 303 || len(b.looks) != 1 || len(b.looks[0].Only) != 5 {
		t.Fatalf("%d %+v", w.Code, b.looks)
	}
	has(t, s.ask("anna", "GET", "/tls", nil), 200, "It is being looked at", "!Look now", `data-refresh="2"`)
	b.last = api.DoctorLook{Began: time.Now().Add(-2 * time.Hour), Ended: time.Now().Add(-2 * time.Hour), Error: "cut <b>off", Lines: []api.DoctorLine{{ID: "domain.spf", Verdict: "warn", About: "served.test", Saw: "no record", Fix: []string{"served.test. TXT <x>"}}, {ID: "disk.space", Verdict: "fail", Saw: "not of this page"}}}
	has(t, s.ask("anna", "GET", "/tls", nil), 200, "2 hours ago", "1 to know", "served.test. TXT &lt;x&gt;", "cut &lt;b&gt;off", "!disk.space", "Look now")
	for d, want := range map[time.Duration]string{0: "a moment", 90 * time.Second: "1 minute", 50 * time.Hour: "2 days", 5 * time.Second: "5 seconds"} {
		if got := agoText(d); got != want {
			t.Errorf("%s: %s", d, got)
		}
	}
}
