package console

import (
	"net/http/httptest"
	"strings"
	"testing"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/config"
)

// existPolicy has two directories, a route that spools, and one that needs no check.
const existPolicy = `queue.notices_via = "out"
[[directory]]
name = "staff"
kind = "file"
[[directory]]
name = "extra"
kind = "file"
[[domain]]
name = "served.test"
route = "in"
[[domain]]
name = "both.test"
route = "in"
recipients = "directory"
directories = ["staff", "extra"]
unlisted = "call-ahead"
[[route]]
name = "in"
when_down = "spool"
next_hop = [{ host = "192.0.2.1" }]
[[route]]
name = "out"
recipients = "none"
next_hop = [{ host = "192.0.2.2" }]
[[route]]
name = "read"
kind = "report"
`

// TestWhoExists chooses who tells of recipients whether they exist: each way that there is for a route and for a domain is in the form,
// what belongs to directories comes and goes with them, and what could not be published is not saved.
func TestWhoExists(t *testing.T) {
	s, _, _ := beginSite(t, existPolicy)
	draft := func() *config.Policy {
		t.Helper()
		answer, err := s.Surface.Ask(access.With(t.Context(), access.Actor{Name: "anna", Role: access.Owner}), "policy draft", nil)
		if err != nil {
			t.Fatal(err)
		}
		p, problems := config.DecodePolicy("policy.toml", []byte(answer.(*api.Draft).Text), policySections())
		if problems.Refused() {
			t.Fatal(problems)
		}
		return p
	}
	post := func(fields ...string) *httptest.ResponseRecorder {
		page := s.ask("anna", "GET", "/domains", nil)
		return s.ask("anna", "POST", "/domains/recipients", formOf("anna", append(fields, "etag", tagOf(t, page, "etag"))...))
	}
	page := s.ask("anna", "GET", "/domains", nil)
	has(t, page, 200, "Who exists", `name="r:route[1]"`, `<option value="call-ahead" selected>`, `<option value="directory extra">Directory extra</option>`, `name="r:domain[2]"`, `<option value="directory staff extra" selected>Directories staff, extra</option>`,
		`<option value="none" selected>`, "As its route", "never put in the spool", `!name="r:route[3]"`, "!The policy has none")
	has(t, s.ask("code", "GET", "/domains", nil), 200, `aria-label="Route in: who is asked" disabled`)
	has(t, post("r:domain[1]", "", "r:route[2]", "none"), 303)
	if p := draft(); p.Domains[0].Recipients != "" {
		t.Errorf("nothing was chosen: %+v", p.Domains[0])
	}
	has(t, post("r:route[1]", "none"), 422, "nothing was saved: ", "when_down", `<option value="none" selected>`)
	has(t, post("r:route[1]", "guess"), 400, "no such way")
	has(t, post("r:domain[1]", "directory staff", "r:domain[2]", "none", "r:route[2]", "directory extra"), 303)
	if p := draft(); wayOf(p.Domains[0].Recipients, p.Domains[0].Directories) != "directory staff" || wayOf(p.Routes[1].Recipients, p.Routes[1].Directories) != "directory extra" ||
		p.Domains[1].Recipients != "none" || len(p.Domains[1].Directories) != 0 || p.Domains[1].Unlisted != config.UnlistedRefuse {
		t.Errorf("%+v\n%+v", p.Domains, p.Routes)
	}
	has(t, post("r:domain[1]", "", "r:route[2]", "call-ahead"), 303)
	if p := draft(); p.Domains[0].Recipients != "" || len(p.Domains[0].Directories) != 0 || p.Routes[1].Recipients != "call-ahead" {
		t.Errorf("%+v\n%+v", p.Domains, p.Routes)
	}
	has(t, s.ask("anna", "POST", "/domains/recipients", formOf("anna", "etag", "1", "r:domain[1]", "none")), 412)
	has(t, s.ask("code", "POST", "/domains/recipients", formOf("code", "r:domain[1]", "none")), 403)

	// A new domain.
	server := func(domain, way string) *httptest.ResponseRecorder {
		return s.ask("anna", "POST", "/domains/server", formOf("anna", "do", "save", "domain", domain, "host", "mail.inside.test", "port", "25", "recipients", way))
	}
	has(t, server("third.test", "directory none-of-these"), 422, "nothing was saved: ", "there is no directory")
	for domain, way := range map[string]string{"third.test": "none", "fourth.test": "directory extra", "fifth.test": ""} {
		has(t, server(domain, way), 303)
	}
	var got []string
	p := draft()
	for _, d := range p.Domains[2:] {
		for _, r := range p.Routes {
			if r.Name == d.Route {
				got = append(got, d.Name+" "+wayOf(r.Recipients, r.Directories))
			}
		}
	}
	if text := strings.Join(got, "; "); !strings.Contains(text, "third.test none") || !strings.Contains(text, "fourth.test directory extra") || !strings.Contains(text, "fifth.test call-ahead") {
		t.Errorf("%s", text)
	}
}
