package console

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatepost/cmd/gatepost/policy"
	"gatepost/internal/access"
	"gatepost/internal/config"
	"gatepost/internal/store/admin"
	"gatepost/internal/versions"
)

const policyFile = `# ours
mode = "enforce"
rbl.use = "commercial"
[thresholds]
reject = 15 # since March
[[domain]]
name = "served.test"
route = "in"
[[route]]
name = "in"
next_hop = [{ host = "192.0.2.1" }]
[[checks.access.client.entry]]
network = "192.0.2.0/24" # <script>
owner = "<b>bold</b>"
reason = "ticket"
expires = "2020-01-01"
[[checks.access.client.entry]]
network = "198.51.100.0/24"
[[rbl.own]]
name = "plain"
zone = "{key}.plain.example"
key = "list-key"
rule = [{ answer = "127.0.0.2", label = "spam trap", weight = 10 }]
[alarms.webhook]
url = "https://chat.example.net/hooks/list-key"
`

// policySections are the checks of the test.
func policySections() config.Sections {
	type clients struct {
		Entries []struct {
			Network string `toml:"network" doc:"It."`
			List    string `toml:"list" doc:"It."`
			Owner   string `toml:"owner" doc:"It."`
			Reason  string `toml:"reason" doc:"It."`
			Expires string `toml:"expires" doc:"It."`
		} `toml:"entry" doc:"One."`
	}
	return config.Sections{"spf": {Name: "spf", Doc: "What SPF says.", Action: config.Score, Measures: []config.Measure{{Name: "fail", Doc: "It fails.", Price: 3}, {Name: "soft.fail", Doc: "It fails softly.", Price: 1}}},
		"clamav":        {Name: "clamav", Doc: "Malware.", Action: config.Reject, Least: config.Quarantine},
		"access.client": {Name: "access.client", Doc: "Networks.", Action: config.Reject, Options: new(clients)}}
}

// decoding is a daemon that decodes, and no more.
type decoding struct{ in *string }

func (d decoding) Prepare(_ context.Context, _ int64, text []byte) (versions.Prepared, config.Problems, error) {
	p, problems := config.DecodePolicy(config.PolicyFile, text, policySections())
	if problems.Refused() {
		return nil, nil, problems
	}
	_ = p
	return decoded{d, string(text)}, problems, nil
}
func (d decoding) File() []byte          { return []byte(*d.in) }
func (d decoding) Guard() versions.Guard { return versions.Guard{} }

type decoded struct {
	decoding
	text string
}

func (d decoded) Install(context.Context) { *d.in = d.text }
func (d decoded) Discard()                {}

// policySite is a site with versions of the policy, in a store of its own.
func policySite(t *testing.T) (s *site, inForce *string) {
	t.Helper()
	db, err := admin.Open(context.Background(), admin.Options{Path: filepath.Join(t.TempDir(), "admin.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	text := policyFile
	target, store := decoding{&text}, admin.NewVersions(db)
	keeper := versions.New(versions.Options{Store: store, Target: target, Dir: t.TempDir()})
	s = newSite(t)
	s.Accounts.(users)["olga"] = access.Actor{Name: "olga", Role: access.Operator}
	s.Sections = policySections
	s.Surface.Operations = append(s.Surface.Operations, policy.Operations(func() *policy.Desk {
		return &policy.Desk{Keeper: keeper, Store: store, Target: target, Sections: policySections, Log: slog.New(slog.DiscardHandler),
			Source: func() string { return "/etc/policy.toml" }, Usual: func() time.Duration { return 0 }}
	})...)
	s.handler = s.Console.Handler()
	return s, &text
}

// tagOf is the version of the draft that a page tells.
func tagOf(t *testing.T, page *httptest.ResponseRecorder, name string) string {
	t.Helper()
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(page.Body.String())
	if m == nil {
		t.Fatalf("no %s in %.2000s", name, page.Body)
	}
	return m[1]
}

// TestPolicyPages goes the way of a change: knobs, list, domain and text make a draft with its comments kept, which is published,
// seen by others, confirmed, and gone back from.
func TestPolicyPages(t *testing.T) {
	s, inForce := policySite(t)
	post := func(path string, fields ...string) *httptest.ResponseRecorder {
		return s.ask("anna", "POST", path, formOf("anna", fields...))
	}
	page := s.ask("anna", "GET", "/policy", nil)
	has(t, page, 200, "policy.toml is in force", `name="k:thresholds.reject"`, `value="15"`, `name="k:checks.spf.prices.fail"`, "None was published yet", "!Publish…", `aria-current="page"`)
	has(t, page, 200, `<option>quarantine</option>`, "What it does") // of clamav nothing milder
	seen := tagOf(t, page, "etag")
	w := post("/policy/edit", "etag", seen, "k:thresholds.reject", "12.0", "k:thresholds.tag", "5.00", "k:mode", "enforce", `k:checks.spf.prices."soft.fail"`, "0.5", "k:checks.spf.action", "observe", "k:not.known", "1")
	if w.Code != 303 || w.Header().Get("Location") != "/policy" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	page = s.ask("anna", "GET", "/policy", nil)
	has(t, page, 200, "Draft of version 2", "thresholds.reject 15 → 12.0", "checks.spf.action = &#34;observe&#34;", "checks.spf.prices.&#34;soft.fail&#34; = 0.5", "Publish…", "!not.known", "!thresholds.tag =")
	has(t, s.ask("olga", "GET", "/policy", nil), 200, "!Draft of version", `value="15"`)
	has(t, post("/policy/edit", "etag", "1", "k:thresholds.reject", "11"), 412, "Your draft was changed meanwhile")
	// Lists and domains.
	page = s.ask("anna", "GET", "/lists", nil)
	has(t, page, 200, "192.0.2.0/24", "&lt;b&gt;bold&lt;/b&gt;", "!<b>bold", "over", "198.51.100.0/24")
	seen = tagOf(t, page, "etag")
	if w := post("/lists", "etag", seen, "list", "checks.access.client.entry", "f:network", "203.0.113.0/24", "f:list", "allow", "f:owner", "an\"na\n", "f:reason", "x", "f:expires", "2030-01-01"); w.Code != 303 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	has(t, post("/lists", "list", "checks.access.client.entry", "f:network", ""), 400, "Network is needed")
	has(t, post("/lists", "list", "mode", "f:network", "x"), 400, "There is no such list")
	has(t, s.ask("anna", "GET", "/domains", nil), 200, "What holds for each domain", "served.test", "Add one", "!Blocked senders")
	has(t, post("/domains", "list", "domain", "f:name", "other.test", "f:route", ""), 400, "Route is needed", "What holds for each domain", "!Blocked senders")
	has(t, post("/domains", "list", "checks.access.client.entry", "f:network", "x"), 400, "There is no such list")
	seen = tagOf(t, s.ask("anna", "GET", "/lists", nil), "etag")
	if w := post("/lists/remove", "etag", seen, "list", "checks.access.client.entry", "number", "1"); w.Code != 303 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	page = s.ask("anna", "GET", "/domains", nil)
	has(t, page, 200, "served.test", `name="k:domain[1].route"`, "next_hop = [{ host")
	if w := post("/domains/edit", "back", "/domains", "etag", tagOf(t, page, "etag"), "k:domain[1].level", "strict", "k:domain[1].route", "in"); w.Code != 303 || w.Header().Get("Location") != "/domains" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if *inForce != policyFile {
		t.Fatal("a draft is in force")
	}
	// A text that is wrong is kept, and cannot be published.
	page = s.ask("anna", "GET", "/policy/text", nil)
	has(t, page, 200, "reject = 12.0 # since March", `owner = &#34;an\&#34;na`, `level = &#34;strict&#34;`, `class="add"`)
	draft := strings.Replace(strings.Replace(policyFile, "reject = 15", "reject = 12", 1), "# ours", "# </textarea><script>", 1)
	if w := post("/policy/text", "etag", tagOf(t, page, "etag"), "text", strings.ReplaceAll("mod = 1\n"+draft, "\n", "\r\n")); w.Header().Get("Location") != "/policy/text" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	page = s.ask("anna", "GET", "/policy/publish", nil)
	has(t, page, 200, "It cannot be published", "Line 1", "did you mean mode?", "!name=\"comment\"", "!<script>")
	page = s.ask("anna", "GET", "/policy/text", nil)
	has(t, page, 200, `aria-invalid="true"`, "# &lt;/textarea&gt;&lt;script&gt;", "!<script>")
	if w := post("/policy/text", "etag", tagOf(t, page, "etag"), "text", draft); w.Header().Get("Location") != "/policy" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	// Published, and confirmed.
	page = s.ask("anna", "GET", "/policy/publish", nil)
	has(t, page, 200, "What differs from policy.toml", "-reject = 15 # since March", "&#43;reject = 12 # since March")
	has(t, post("/policy/publish", "etag", "0", "seq", "1", "wait", "10m"), 412, "look at it again")
	if w := post("/policy/publish", "etag", "0", "seq", tagOf(t, page, "seq"), "wait", "10m", "comment", "less <i>"); w.Code != 303 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if *inForce != draft {
		t.Errorf("in force is %s", *inForce)
	}
	has(t, s.ask("anna", "GET", "/policy", nil), 200, "version 2 is in force", "Version 2 goes at", "less &lt;i&gt;", "!Draft of version", `action="/policy/confirm"`)
	if w := s.ask("olga", "POST", "/policy/confirm", formOf("olga", "version", "2")); w.Code != 303 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	has(t, s.ask("anna", "GET", "/policy", nil), 200, "!Version 2 goes at")
	// Back.
	page = s.ask("anna", "GET", "/policy/history", nil)
	has(t, page, 200, "taken over", "in force", "Go back…")
	has(t, s.ask("anna", "GET", "/policy/v/1", nil), 200, "What differs now", "&#43;reject = 12 # since March", "# ours", "!<script>")
	has(t, s.ask("anna", "GET", "/policy/v/9", nil), 404, "There is no such version")
	has(t, post("/policy/rollback", "version", "1", "etag", "2"), 200, "Go back to version 1?")
	if w := post("/policy/rollback", "version", "1", "etag", "2", "confirm", "yes"); w.Code != 303 || *inForce != policyFile {
		t.Errorf("%d %s", w.Code, *inForce)
	}
}

// TestPolicyConflict shows that two who change the same version do not undo each other unseen.
func TestPolicyConflict(t *testing.T) {
	s, inForce := policySite(t)
	edit := func(who, value string) {
		t.Helper()
		if w := s.ask(who, "POST", "/policy/edit", formOf(who, "k:thresholds.reject", value)); w.Code != 303 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	publish := func(who string) *httptest.ResponseRecorder {
		page := s.ask(who, "GET", "/policy/publish", nil)
		return s.ask(who, "POST", "/policy/publish", formOf(who, "etag", tagOf(t, page, "etag"), "seq", tagOf(t, page, "seq"), "wait", "0"))
	}
	edit("anna", "12")
	edit("olga", "13")
	if w := publish("anna"); w.Code != 303 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	has(t, publish("olga"), 412, "version 2 is in force, by anna", "anna published version 2 after you began")
	if !strings.Contains(*inForce, "reject = 12 #") {
		t.Fatal(*inForce)
	}
	if w := s.ask("olga", "POST", "/policy/keep", formOf("olga")); w.Code != 303 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w := publish("olga"); w.Code != 303 || !strings.Contains(*inForce, "reject = 13 #") {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
}

// TestPolicyRights shows that who only reads changes nothing, and is not offered it; and that others see nothing.
func TestPolicyRights(t *testing.T) {
	s, inForce := policySite(t)
	for _, path := range []string{"/policy/text", "/api/v1/policy", "/api/v1/policy/draft", "/api/v1/policy/export"} {
		has(t, s.ask("code", "GET", path, nil), 200, "!list-key", "(secret)")
		has(t, s.ask("olga", "GET", path, nil), 200, "list-key")
	}
	has(t, s.ask("code", "GET", "/api/v1/policy/draft", nil), 200, `"usable":true`, "!is not what can stand here")                   // what stands for a secret is no mistake
	has(t, s.ask("code", "GET", "/policy", nil), 200, `name="k:thresholds.reject"`, `value="15"`, `name="k:checks.spf.prices.fail"`) // also without its secrets
	has(t, s.ask("code", "GET", "/domains", nil), 200, "served.test", `name="k:domain[1].route"`)
	for _, path := range []string{"/policy", "/policy/text", "/policy/history", "/lists", "/domains"} {
		has(t, s.ask("code", "GET", path, nil), 200, "!Save in the draft", "!Add to the draft", "!Take away", "!Go back…")
		has(t, s.ask("helper", "GET", path, nil), 403)
	}
	for _, path := range []string{"/policy/edit", "/policy/text", "/policy/discard", "/policy/keep", "/policy/publish", "/policy/confirm", "/policy/rollback", "/lists", "/lists/remove", "/domains", "/domains/edit", "/domains/remove"} {
		has(t, s.ask("code", "POST", path, formOf("code", "k:mode", "observe", "version", "1")), 403)
		has(t, s.ask("helper", "POST", path, formOf("helper", "k:mode", "observe")), 403)
	}
	has(t, s.ask("code", "GET", "/policy/publish", nil), 403)
	if *inForce != policyFile {
		t.Error(*inForce)
	}
}
