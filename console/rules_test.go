package console

import (
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/config"
)

// TestRules goes the way of a rule: it is written with a mistake, which is shown at its character, then without; it gets another place,
// counts and is observed, and is taken out; comments of the document stay.
func TestRules(t *testing.T) {
	s, _ := policySite(t)
	if w := s.ask("anna", "POST", "/policy/text", formOf("anna", "etag", "0", "text", policyFile+"# why there are rules\n[[rule]]\nname = \"old\"\naction = \"tag\" # mild\nto = [\"served.test\"]\n")); w.Code != 303 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	post := func(path string, fields ...string) *httptest.ResponseRecorder {
		return s.ask("anna", "POST", path, formOf("anna", append(fields, "etag", tagOf(t, s.ask("anna", "GET", "/policy/rules/new", nil), "etag"))...))
	}
	draft := func() string {
		t.Helper()
		got, err := s.Surface.Ask(access.With(t.Context(), s.Accounts.(users)["anna"]), "policy draft", nil)
		if err != nil {
			t.Fatal(err)
		}
		return got.(*api.Draft).Text
	}
	has(t, s.ask("anna", "GET", "/policy", nil), 200, `href="/policy/rules"`)
	has(t, s.ask("anna", "GET", "/policy/rules", nil), 200, "<bdi>old</bdi>", "to = [&#34;served.test&#34;]", "Only observe", "!>Down<", "!>Up<")
	has(t, s.ask("anna", "GET", "/policy/rules/1", nil), 200, `value="old"`, "served.test</textarea>", "author_domain", "checks.proves(&#34;partner.example&#34;)", "Known from")
	form := []string{"f:name", "big <b>", "f:action", "quarantine", "f:observe", "true", "f:when", "size > 1000 &&\r\n autor == 'x'", "f:check", " spf \r\n\r\nclamav", "f:trust", "unknown", "f:trust", "first", "f:keep", "2d"}
	w := post("/policy/rules/new", form...)
	has(t, w, 422, "Line 2, column 2: <bdi>undeclared reference to &#39;autor&#39;", "<div> <mark>a</mark>utor == &#39;x&#39;</div>", "size &gt; 1000 &amp;&amp;\n autor", "spf\nclamav</textarea>", `value="unknown" checked`, "nothing was saved")
	if d := draft(); strings.Contains(d, "big") {
		t.Fatalf("what is wrong was saved: %s", d)
	}
	form[7] = "size > 1000 &&\r\n author == 'x'"
	if w := post("/policy/rules/new", form...); w.Code != 303 || w.Header().Get("Location") != "/policy/rules" {
		t.Fatalf("%d %.3000s", w.Code, w.Body)
	}
	p, problems := config.DecodePolicy("policy.toml", []byte(draft()), policySections())
	if problems.Refused() || len(p.Rules) != 2 {
		t.Fatalf("%v: %s", problems, draft())
	}
	if r := p.Rules[1]; r.Name != "big <b>" || r.Action != "quarantine" || !r.Observe || r.When.Text != "size > 1000 &&\n author == 'x'" || strings.Join(r.Check, " ") != "spf clamav" || len(r.Trust) != 2 || r.Keep.Hours() != 48 {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(draft(), "# ours\n") || !strings.Contains(draft(), "action = \"tag\" # mild\n") {
		t.Errorf("comments are gone: %s", draft())
	}
	has(t, s.ask("anna", "GET", "/policy/rules", nil), 200, "big &lt;b&gt;", "Let it count", ">Up<", ">Down<", ">observed<")
	for _, verb := range []string{"2/up", "1/count"} {
		if w := post("/policy/rules/" + verb); w.Code != 303 {
			t.Fatalf("%s: %d %.2000s", verb, w.Code, w.Body)
		}
	}
	if d := draft(); strings.Index(d, "big") > strings.Index(d, "# why there are rules\n[[rule]]\nname = \"old\"") || strings.Contains(d, "observe = true") {
		t.Errorf("after moving: %s", d)
	}
	has(t, post("/policy/rules/1/up"), 422, "number 0 of 2")
	has(t, post("/policy/rules/2", "f:name", "old", "f:action", "tag", "f:to", "", "f:check", "no.such"), 422, "no.such", "nothing was saved")
	if w := post("/policy/rules/2", "f:name", "old", "f:action", "reject", "f:reason", "x"); w.Code != 303 || !strings.Contains(draft(), "action = \"reject\" # mild\n") || strings.Contains(draft(), "to = [") {
		t.Errorf("%d %s", w.Code, draft())
	}
	has(t, post("/policy/rules/1/delete"), 200, "Take rule 1 out of the draft?")
	if w := post("/policy/rules/1/delete", "confirm", "yes"); w.Code != 303 || strings.Contains(draft(), "big") {
		t.Errorf("%d %s", w.Code, draft())
	}
	has(t, post("/policy/rules/1/burn"), 404)
	has(t, s.ask("anna", "GET", "/policy/rules/7", nil), 404, "no such rule")
	has(t, s.ask("code", "GET", "/policy/rules", nil), 200, "There are no rules", "!Add a rule", "!Take out")
	has(t, s.ask("code", "GET", "/policy/rules/new", nil), 403)
	has(t, s.ask("code", "POST", "/policy/rules/1/up", formOf("code")), 403)
	has(t, s.ask("helper", "GET", "/policy/rules", nil), 403)
}

// TestRuleFieldsComplete holds the form against the keys that a rule has, so that none is lost which the form does not know.
func TestRuleFieldsComplete(t *testing.T) {
	known := map[string]bool{}
	for _, f := range ruleFields() {
		known[f.Name] = true
	}
	rule := reflect.TypeFor[config.Rule]()
	for i := range rule.NumField() {
		if key := rule.Field(i).Tag.Get("toml"); !known[key] {
			t.Errorf("the form does not know %s", key)
		}
	}
}

// TestConditionText shows that any condition comes back as it was written.
func TestConditionText(t *testing.T) {
	for _, text := range []string{"size > 1", "a == 'x'", "a == \"x\" &&\nb", "a == '''x'''", "a\nb'", `a == "\\d"`, "'''\n\"\"\"\n\\", "tab\there"} {
		f := ruleField{Kind: "code", Name: "when"}
		typed := f.typed(url.Values{"f:when": {strings.ReplaceAll(text, "\n", "\r\n")}})
		doc, err := config.Edit([]byte("[[rule]]\nname = \"a\"\n"), []config.Change{{Key: "rule[1].when", Value: config.LiteralOf(f.literal(typed))}})
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		all, err := config.Elements(doc, "rule")
		if err != nil || all[0].Values["when"] != text {
			t.Errorf("%q: %v %q", text, err, doc)
		}
	}
}
