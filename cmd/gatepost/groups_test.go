package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/gateway"
	"gatepost/internal/cli"
	"gatepost/internal/config"
)

const groupsPolicy = `level = "relaxed"
alias_file = "FOLDER/aliases"

[[route]]
name = "r"
next_hop = [{ host = "mail.example.org" }]

[[domain]]
name = "example.org"
route = "r"
subaddress = "+"

[[domain]]
name = "strict.example"
route = "r"
level = "strict"
edits = false

[thresholds]
tag = 6

[checks.spf]
prices = { softfail = 0.7 }

[checks.clamav]
action = "off"
[checks.spamassassin]
action = "off"

[[group]]
name = "finance"
members = ["Ann@Example.org"]
file = "FOLDER/finance.txt"
level = "normal"
thresholds = { reject = 12 }

[[banner]]
name = "external"
text = """
From <outside>.
Think."""

[[rule]]
name = "broken dates for finance"
to = ["finance"]
from = ["partner.example", "192.0.2.0/24"]
check = ["shape"]
reasons = ["shape.date"]
action = "accept"
banner = "external"

[[rule]]
name = "dates"
check = ["shape"]
reasons = ["shape.date"]
text = ["*"]
action = "reject"
`

// assembledWith is the policy of a document, as a start would have it.
func assembledWith(t *testing.T, policy string) (*config.Config, *built) {
	t.Helper()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "policy.toml"), strings.ReplaceAll(policy, "FOLDER", folder))
	write(t, filepath.Join(folder, "gatepost.toml"), "hostname = \"mx.example.org\"\nstate_dir = \""+folder+"\"\n")
	write(t, filepath.Join(folder, "aliases"), "sales@example.org ann@example.org\n")
	write(t, filepath.Join(folder, "finance.txt"), "# who pays\nbob@example.org # since May\n*.pay.example\n")
	c, problems := config.Load(folder, sections())
	if c == nil {
		t.Fatal(problems)
	}
	p, err := newParts(c.Bootstrap, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	b, err := assemble(c, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	return c, b
}

func judged(p *gateway.Policy, to string, findings ...gateway.Finding) gateway.Verdict {
	r := &gateway.Record{ID: 1 << 40, Stage: gateway.Data, Time: time.UnixMilli(1), Findings: findings}
	for _, text := range strings.Fields(to) {
		var a gateway.Address
		_ = a.UnmarshalText([]byte(text))
		r.Rcpts = append(r.Rcpts, gateway.RecordRcpt{To: a, Code: 250})
	}
	for i := range r.Findings {
		r.Findings[i].Stage, r.Findings[i].Rcpt = gateway.Data, -1
	}
	return p.Judge(r)
}

// TestRulesOfADocument: what stands in policy.toml decides, and its lines are the ones that people find.
func TestRulesOfADocument(t *testing.T) {
	c, b := assembledWith(t, groupsPolicy)
	p := b.snapshot.Policy
	if parts := strings.Split(c.PolicyVersion, "+"); len(parts) != 3 || p.Version != c.PolicyVersion {
		t.Errorf("the files are no part of the version %s", c.PolicyVersion)
	}
	date := gateway.Failed(gateway.ShapeDate, "none")
	date.Check = "shape"
	spf := gateway.Finding{Check: "spf", Result: gateway.Pass, Proves: "x@partner.example"}
	line := ` "broken dates for finance" (policy.toml:`
	for to, want := range map[string]bool{"ann@example.org": true, "ANN+x@example.org": true, "bob@example.org": true, "x@a.pay.example": true, "pat@example.org": false, "x@pay.example": false} {
		v := judged(p, to, date, spf)
		if got := len(v.Rules) == 1 && strings.HasPrefix(v.Rules[0].Rule, "rule[1]"+line); got != want || want && (v.Outcome != gateway.Accept || len(v.Edits.Banners) != 1) {
			t.Errorf("%s: %+v", to, v)
		}
	}
	if v := judged(p, "ann@example.org", date); len(v.Rules) != 0 {
		t.Errorf("a sender that nothing proves: %+v", v.Rules)
	}
	if got := b.snapshot.Banners["external"]; got.Text != "From <outside>.\nThink." || !strings.Contains(got.HTML, ">From &lt;outside&gt;.<br>Think.</div>") {
		t.Errorf("%+v", got)
	}
	points := func(n float64) gateway.Finding {
		return gateway.Finding{Check: "rdns", Result: gateway.Fail, Reason: gateway.RDNSNone, Measures: []gateway.Measure{{Name: "none", Value: n}}}
	}
	soft := gateway.Finding{Check: "spf", Result: gateway.Pass, Measures: []gateway.Measure{{Name: "softfail", Value: 10}}}
	for _, c := range []struct {
		name, to string
		with     gateway.Finding
		line     string
		score    float64
	}{
		{"the level of all prices it", "pat@example.org", points(20), "thresholds.reject = 20 (level relaxed, policy.toml:1)", 20},
		{"what is written wins", "pat@example.org", points(6), "thresholds.tag = 6 (policy.toml:", 6},
		{"the level of a domain", "x@strict.example", points(2), "thresholds.quarantine = 5.5 (level strict, policy.toml:", 6},
		{"that of a group", "ann@example.org", points(3), "thresholds.tag = 5 (level normal, policy.toml:", 6},
		{"thresholds of a group", "ann@example.org", points(6), "group.finance.thresholds.reject = 12 (policy.toml:", 12},
		{"a price that is written holds at every level", "x@strict.example", soft, "thresholds.quarantine = 5.5 (level strict", 7},
	} {
		if v := judged(p, c.to, c.with); !strings.HasPrefix(v.Line, c.line) || v.Score < c.score-1e-9 || v.Score > c.score+1e-9 {
			t.Errorf("%s: %s, %v points", c.name, v.Line, v.Score)
		}
	}
	v := judged(p, "ann@example.org", points(3))
	if len(v.Priced) != 1 || !strings.HasPrefix(v.Priced[0].Line, "checks.rdns.prices.none = 2 (level normal, policy.toml:") {
		t.Errorf("%+v", v.Priced)
	}
	if !p.Domains["strict.example"].Unedited || p.Domains["example.org"].Unedited {
		t.Error("edits")
	}
}

// TestGroupFiles: a file that cannot be read whole is refused with its line, and nothing of it is used.
func TestGroupFiles(t *testing.T) {
	long := strings.Repeat("a", 1<<17)
	for text, want := range map[string]string{
		"ann@example.org\nnot a name\n": `finance.txt:2: "not a name" is not a domain name`,
		"a@b@c\n":                       `finance.txt:1: "a@b@c" is not a mail address`,
		long:                            "a line is longer than 64 KiB",
		strings.Repeat("x.example\n", maxGroupLines+1):    "has more than 100000 lines",
		strings.Repeat("# nothing\n", maxGroupLines+1):    "has more than 100000 lines",
		strings.Repeat("x.example\n", maxGroupLines/1000): "",
	} {
		folder := t.TempDir()
		write(t, filepath.Join(folder, "finance.txt"), text)
		c := &config.Config{Policy: &config.Policy{Groups: []config.Group{{Name: "finance", File: filepath.Join(folder, "finance.txt")}}}, PolicyVersion: "v",
			Where: config.Where{"group.finance.file": "policy.toml:3"}, PolicyPath: "policy.toml"}
		err := makeGroups(c, &gateway.Policy{})
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "policy.toml:3:1: group.finance.file: ")) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	for _, name := range []string{"missing", "."} {
		c := &config.Config{Policy: &config.Policy{Groups: []config.Group{{Name: "g", File: filepath.Join(t.TempDir(), name)}}}}
		if err := makeGroups(c, &gateway.Policy{}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// TestPolicyWarnings: check warns, with the line, of groups whose files leave them empty, of rules that are never reached,
// and of entries that never count.
func TestPolicyWarnings(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{"empty.txt": "# nobody yet\n", "moved.txt": "ann@old.example\nold.example\n", "full.txt": "ann@old.example\nann@example.org\n"} {
		write(t, filepath.Join(folder, name), text)
	}
	policy := servesOne + `
[[group]]
name = "empty"
file = "FOLDER/empty.txt"
[[group]]
name = "moved"
file = "FOLDER/moved.txt"
[[group]]
name = "full"
file = "FOLDER/full.txt"
[[rule]]
name = "all macros"
check = ["attachments.*"]
action = "quarantine"
[[rule]]
name = "macros of some"
to = ["full"]
check = ["attachments.macro"]
action = "tag"
[[checks.access.author.entry]]
address = "@partner.example"
owner = "anna"
reason = "orders"
expires = "2999-01-31"
[checks.dmarc]
action = "off"
`
	policy = strings.ReplaceAll(policy, "FOLDER", folder)
	dir := documents(t, "", policy)
	code, _, said := gatepost(t, "check", "--config", dir)
	if code != cli.Done {
		t.Errorf("exit %d", code)
	}
	lines := map[string]int{}
	for i, line := range strings.Split(policy, "\n") {
		lines[line] = i + 1
	}
	for _, w := range []struct{ line, key, message string }{
		{`file = "` + folder + `/empty.txt"`, "group.empty.file", "names nobody, so that the group is empty"},
		{`file = "` + folder + `/moved.txt"`, "group.moved.file", "none of its members is of a domain that is served here"},
		{`action = "off"`, "checks.dmarc.action", "none of them is used; write \"observe\""},
		{`name = "macros of some"`, "rule[2]", `never matches: all that it is about is taken by rule "all macros" above it; put it higher`},
	} {
		want, found := fmt.Sprintf("policy.toml:%d:", lines[w.line]), false
		if strings.HasPrefix(w.key, "rule") {
			want = fmt.Sprintf("policy.toml:%d:", lines[w.line]-1)
		}
		for line := range strings.Lines(said) {
			found = found || strings.Contains(line, want) && strings.Contains(line, "warning: "+w.key+": ") && strings.Contains(line, w.message)
		}
		if !found {
			t.Errorf("no %s %s %q in\n%s", want, w.key, w.message, said)
		}
	}
	if strings.Contains(said, "group.full") {
		t.Errorf("warned of what is well:\n%s", said)
	}
}

// TestLevelKeys: each key that levels set is one of a check that there is, and each value is one that it may have.
func TestLevelKeys(t *testing.T) {
	known := sections()
	for _, k := range config.LevelKeys(known) {
		for _, l := range []config.Level{config.Relaxed, config.Normal, config.Strict} {
			value := k.Value(l, known)
			kind, name, _ := strings.Cut(k.Key, ".")
			written := value
			if kind != "prices" {
				written = `"` + value + `"`
			}
			if name != "" {
				kind += ` = { "` + name + `" = ` + written + " }"
			} else {
				kind += " = " + written
			}
			if _, problems := config.DecodePolicy("policy.toml", []byte("[checks."+k.Check+"]\n"+kind+"\n"), known); problems.Refused() || value == "" {
				t.Errorf("%s at level %s is %q: %v", k.Path(), l, value, problems)
			}
		}
	}
}

// TestExplainRules: what a newcomer asks for is told.
func TestExplainRules(t *testing.T) {
	for name, want := range map[string]string{"rule": "first that matches", "group": "members", "banner": "html", "level": "thresholds.quarantine", "edits": "quarantined whole"} {
		var out, told bytes.Buffer
		if code := run(t.Context(), cli.Env{Out: &out, Err: &told, Sections: sections}, []string{"explain", name}); code != cli.Done || !strings.Contains(out.String(), want) {
			t.Errorf("explain %s: %d %s%s", name, code, out.String(), told.String())
		}
	}
}

// TestTrustNames: rules tell by names of the contract what is known of a sender; the checks must have these.
func TestTrustNames(t *testing.T) {
	found := map[string]bool{}
	for _, d := range filters.Definitions() {
		found[d.Name] = true
		for _, m := range d.Measures {
			found[d.Name+" "+m.Name] = true
		}
	}
	if !found[gateway.DMARCCheck] || !found[gateway.ReputationCheck+" "+gateway.GoodMeasure] {
		t.Error("the checks dmarc and reputation, or their measures, have other names")
	}
}

// TestDocumentedPolicy: the examples of docs/policy.md are good as they stand, all together.
func TestDocumentedPolicy(t *testing.T) {
	text, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, block := range strings.Split(string(text), "```toml\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		all.WriteString(block)
	}
	p, problems := config.DecodePolicy("policy.md", []byte(all.String()), sections())
	for _, problem := range problems {
		if !problem.Warning || strings.Contains(problem.Message, "never matches") {
			t.Error(problem)
		}
	}
	if len(p.Rules) < 5 || len(p.Groups) < 2 {
		t.Errorf("%d rules, %d groups", len(p.Rules), len(p.Groups))
	}
	levels, err := config.Explain("level", sections())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []config.Level{config.Relaxed, config.Normal, config.Strict} {
		n := config.LevelThresholds(l)
		if row := fmt.Sprintf("| %s | %v | %v | %v |", l, n.Tag, n.Quarantine, n.Reject); !strings.Contains(string(text), row) || !strings.Contains(levels, fmt.Sprint(n.Reject)) {
			t.Errorf("the page has no row %s", row)
		}
	}
}
