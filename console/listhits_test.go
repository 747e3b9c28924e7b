package console

import (
	"context"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// TestListHits: hits stand beside the entries that are in force, on which page of the answer they come; what is unused, ends soon or
// is of a draft is marked; and recipients' own lists have a table of their own.
func TestListHits(t *testing.T) {
	s, _ := policySite(t)
	var tried *api.EntryTry
	answer := &api.EntryTried{Value: "203.0.113.7/32", Messages: 1200, Met: 7, Changed: 2, NotKnown: 1, Unsure: 3, More: 1, Matrix: []api.SimLine{{Live: gateway.Accept, Accept: 5, Reject: 2}},
		List: []api.SimChange{{ID: 1 << 40, From: "<script>@evil.test", Live: api.SimTold{Outcome: gateway.Accept}, Draft: api.SimTold{Outcome: gateway.Reject}}}}
	var wrong error
	s.Surface.Operations = append(s.Surface.Operations,
		control.Define(control.Operation{Name: "entry list", Method: "GET", Path: "/lists", Doc: "List them", Right: access.ListsRead},
			func(_ context.Context, in *api.EntryQuery) (*api.Entries, error) {
				if in.List == "own" {
					return &api.Entries{Entries: []api.Entry{{List: "own", Kind: "allow", Rcpt: "<i>bob@one.example", Value: "@partner.example", Hits: 3, Last: time.Now()}}, Next: "50"}, nil
				}
				if in.Cursor == "" {
					return &api.Entries{Entries: []api.Entry{{List: "client", Kind: "block", Value: "192.0.2.0/24", Hits: 4711, Last: time.Now(), Soon: true}}, Next: "1"}, nil
				}
				return &api.Entries{Entries: []api.Entry{{List: "client", Kind: "block", Value: "198.51.100.0/24", Since: time.Now().AddDate(0, -2, 0), Unused: true}}, Trouble: "<b>away"}, nil
			}),
		control.Define(control.Operation{Name: "entry try", Method: "POST", Path: "/lists/try", Doc: "Try one", Right: access.PolicyRead},
			func(_ context.Context, in *api.EntryTry) (*api.EntryTried, error) {
				tried = in
				return answer, wrong
			}))
	s.handler = s.Console.Handler()
	has(t, s.ask("anna", "GET", "/lists", nil), 200, ">4711<", "last ", ">unused<", "none since ", "&lt;b&gt;away", "&lt;i&gt;bob@one.example", "cursor=50", "!not in force")
	post := func(path string, fields ...string) *httptest.ResponseRecorder {
		return s.ask("anna", "POST", path, formOf("anna", fields...))
	}
	if w := post("/lists", "list", "checks.access.client.entry", "f:network", "203.0.113.0/24", "f:list", "allow", "f:owner", "anna", "f:reason", "x", "f:expires", "2030-01-01"); w.Code != 303 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	has(t, s.ask("anna", "GET", "/lists", nil), 200, ">not in force<")
	has(t, s.ask("code", "GET", "/lists", nil), 200, ">4711<", "!Try it on recorded mail")
	// Tried before it is written.
	page := post("/lists/try", "list", "checks.access.client.entry", "f:network", "203.0.113.7/32", "f:list", "block", "f:owner", "an<na")
	has(t, page, 200, "would have met 7 of 1,200 messages", "2 would have fared otherwise: 2 accept → reject.", "Of 1 it is not known.", "3 more is not known", "&lt;script&gt;@evil.test", `value="an&lt;na"`, "1 more:", "!<script>@")
	if tried.List != "client" || tried.Kind != "block" || tried.Value != "203.0.113.7/32" || tried.Name != "" || tried.Days != 7 {
		t.Errorf("%+v", tried)
	}
	answer.Changed, answer.List = 0, nil
	has(t, post("/lists/try", "list", "checks.access.sender.entry", "f:helo", "bad.example"), 200, "None would have fared otherwise")
	if tried.List != "sender" || tried.Kind != "block" || tried.Name != "helo" || tried.Value != "bad.example" {
		t.Errorf("%+v", tried)
	}
	answer.Messages = 0
	has(t, post("/lists/try", "list", "checks.access.author.entry", "f:address", "@partner.example"), 200, "No mail of 7 days is recorded")
	if tried.List != "author" || tried.Kind != "allow" {
		t.Errorf("%+v", tried)
	}
	wrong = &control.Fault{Status: 400, Message: "the draft cannot be used: it is <no> network"}
	has(t, post("/lists/try", "list", "checks.access.client.entry", "f:network", "all of it"), 400, "it is &lt;no&gt; network", `value="all of it"`)
	has(t, post("/lists/try", "list", "checks.access.client.entry"), 400, "say what stands in the entry")
	has(t, post("/lists/try", "list", "domain", "f:name", "x"), 400, "There is no such list")
	has(t, s.ask("code", "POST", "/lists/try", formOf("code", "list", "checks.access.client.entry")), 403)
}

// TestRuleHits: beside each rule stands how often it matched, also where it is only observed, on the page of rules and on that of the
// policy; a rule of the draft is not in force, and who may not read hits sees none.
func TestRuleHits(t *testing.T) {
	s, inForce := policySite(t)
	*inForce += "[[rule]]\nname = \"watched\"\naction = \"reject\"\nobserve = true\n[[rule]]\nname = \"silent\"\naction = \"tag\"\n[[rule]]\nname = \"draft\"\naction = \"tag\"\n"
	trouble, asked := "", 0
	s.Surface.Operations = append(s.Surface.Operations,
		control.Define(control.Operation{Name: "entry list", Method: "GET", Path: "/lists", Doc: "List them", Right: access.ListsRead},
			func(_ context.Context, in *api.EntryQuery) (*api.Entries, error) {
				if asked++; in.List != "rule" {
					t.Errorf("%+v", in)
				}
				return &api.Entries{Trouble: trouble, Entries: []api.Entry{{List: "rule", Kind: "tag", Value: "silent", Since: time.Now().AddDate(0, -2, 0), Unused: true},
					{List: "rule", Kind: "reject", Value: "watched", Hits: 4711, Last: time.Now(), Observed: true}}}, nil
			}))
	s.handler = s.Console.Handler()
	for _, who := range []string{"anna", "code"} {
		has(t, s.ask(who, "GET", "/policy/rules", nil), 200, "Hits in 30 days", `<b class="num">4711</b>`, ">unused<", "none since ", ">not in force<")
		has(t, s.ask(who, "GET", "/policy", nil), 200, "4711 hits in 30 days, the last ", "0 hits in 30 days", ">unused<")
	}
	trouble = "<b>away"
	has(t, s.ask("anna", "GET", "/policy/rules", nil), 200, "&lt;b&gt;away")
	s.Accounts.(users)["reader"] = access.Actor{Name: "reader", Role: access.Owner, Rights: []access.Right{access.PolicyRead}}
	before := asked
	has(t, s.ask("reader", "GET", "/policy/rules", nil), 200, "watched", "!4711", "!Hits in 30 days")
	has(t, s.ask("reader", "GET", "/policy", nil), 200, "watched", "!4711")
	if asked != before {
		t.Error("hits were asked for who may not read them")
	}
}

// TestListForm: a row of the log leads to the form of the list that can do what is wanted, filled in, and to none where no list can.
func TestListForm(t *testing.T) {
	s, _ := policySite(t)
	id := gateway.ID(1 << 40).String()
	day := func(n int) string {
		return `value="` + time.Now().UTC().AddDate(0, 0, n).Format(time.DateOnly) + `"`
	}
	for _, c := range []struct {
		action, kind, value, from string
		want                      []string
	}{
		{"block", "client", "192.0.2.7", id, []string{`name="f:network" value="192.0.2.7/32"`, "<option selected>block", `name="f:owner" value="anna"`, "message " + id, "/log/m/" + id, "<details class=\"adder\" id=\"adder\" open>", day(30)}},
		{"allow", "client", "2001:db8::/32", "", []string{`name="f:network" value="2001:db8::/32"`, "<option selected>allow", day(90), "!/log/m/"}},
		{"allow", "author", "\"><script>@x.example", "<script>", []string{`name="f:address" value="&#34;&gt;&lt;script&gt;@x.example"`, "!<script>@", "!/log/m/"}},
		{"block", "sender", "@spam.example", "", []string{`name="f:address" value="@spam.example"`}},
		{"block", "helo", "bad.example", "", []string{`name="f:helo" value="bad.example"`}},
		{"block", "reverse", ".dyn.example", "", []string{`name="f:reverse" value=".dyn.example"`}},
		{"allow", "sender", "@spam.example", "", []string{"There is no such entry", "!<details class=\"adder\" id=\"adder\" open>"}},
		{"block", "author", "@spam.example", "", []string{"There is no such entry"}},
		{"drop", "x", "y", "", []string{"There is no such entry"}},
		{"block", "client", "", "", []string{"!There is no such entry", "!<details class=\"adder\" id=\"adder\" open>"}},
	} {
		has(t, s.ask("anna", "GET", "/lists?"+url.Values{"action": {c.action}, "kind": {c.kind}, "value": {c.value}, "from": {c.from}}.Encode(), nil), 200, c.want...)
	}
}
