package gateway

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// group makes a group of addresses and domains.
func group(name string, members ...string) *Group {
	g := &Group{Name: name, Addresses: map[string]struct{}{}, Domains: map[string]struct{}{}}
	for _, m := range members {
		if strings.Contains(m, "@") {
			g.Addresses[m] = struct{}{}
		} else {
			g.Domains[m] = struct{}{}
		}
	}
	return g
}

// rulesPolicy has checks that rules and levels are about.
func rulesPolicy(rules ...Rule) *Policy {
	p := testPolicy()
	p.Checks["macro"] = CheckPolicy{Class: ClassContent, Action: ActionQuarantine, Unknown: ActionDefer, Intended: ActionQuarantine, Prices: map[string]float64{"macro": 3}}
	p.Checks["fixed"] = CheckPolicy{Action: ActionReject, Intended: ActionReject, Least: ActionQuarantine}
	p.Checks["strip"] = CheckPolicy{Class: ClassContent, Action: ActionStrip, Unknown: ActionDefer, Intended: ActionStrip}
	p.Domains["one.example"].Subaddress = "+"
	p.Domains["whole.example"] = &Domain{Name: "whole.example", Route: "r", Unedited: true}
	for i := range rules {
		if rules[i].Line == "" {
			rules[i].Line = fmt.Sprintf("rule[%d]", i+1)
		}
	}
	p.Rules = NewRules(rules)
	return p
}

func macro(parts ...int) Finding {
	f := fail("macro", Data, AttachmentMacro, Measure{Name: "macro", Value: 1, Text: "Bill.DOCM"})
	f.Parts = parts
	return f
}

func proven(check, address string) Finding {
	f := Passed()
	f.Check, f.Stage, f.Rcpt, f.Proves = check, Data, -1, address
	return f
}

func outcomes(v *Verdict) string {
	var out []string
	for _, d := range v.Rcpts {
		out = append(out, d.Outcome.String())
	}
	return strings.Join(out, ",")
}

// TestRules shows what a rule is about, and that the first that matches decides and can be seen.
func TestRules(t *testing.T) {
	finance := group("finance", "ann@one.example", "strict.example")
	macros := func(r Rule) Rule {
		r.Checks = []string{"macro"}
		if r.Action == 0 {
			r.Action = ActionPass
		}
		return r
	}
	sender := []Sender{{Domain: "partner.example"}}
	ann := []string{"Ann@one.example"}
	good := Passed(Measure{Name: GoodMeasure, Value: -1})
	good.Check, good.Rcpt = ReputationCheck, -1
	first := fail("impersonation.first", Data, FirstContact)
	untold := unknown("macro")
	for _, c := range []struct {
		name  string
		rules []Rule
		to    []string
		with  []Finding
		want  string
		line  string // of the first recipient
		score float64
	}{
		{name: "without rules", to: ann, with: []Finding{macro()}, want: "quarantine", line: "checks.macro.action", score: 3},
		{name: "it lets pass, and costs nothing", rules: []Rule{macros(Rule{To: []*Group{finance}})}, to: ann, with: []Finding{macro()}, want: "accept"},
		{name: "the others are as before", rules: []Rule{macros(Rule{To: []*Group{finance}})}, to: []string{"bob@one.example", "ann@one.example", "x@strict.example"}, with: []Finding{macro()}, want: "quarantine,accept,accept", line: "checks.macro.action", score: 3},
		{name: "the detail of a local part does not count", rules: []Rule{macros(Rule{To: []*Group{finance}})}, to: []string{"ann+bills@one.example"}, with: []Finding{macro()}, want: "accept"},
		{name: "the first that matches", rules: []Rule{macros(Rule{Texts: []string{"*.xlsm"}, Action: ActionReject}), macros(Rule{Texts: []string{"*.docm"}, Action: ActionTag}), macros(Rule{Action: ActionReject})}, to: ann, with: []Finding{macro()}, want: "tag", line: "rule[2]", score: 3},
		{name: "harder", rules: []Rule{macros(Rule{Action: ActionReject})}, to: ann, with: []Finding{macro()}, want: "reject", line: "rule[1]", score: 3},
		{name: "another reason", rules: []Rule{macros(Rule{Reasons: []Reason{AttachmentAutoExec}})}, to: ann, with: []Finding{macro()}, want: "quarantine", score: 3},
		{name: "what could not be told is not what was found", rules: []Rule{macros(Rule{})}, to: ann, with: []Finding{untold}, want: "defer"},
		{name: "but where it is named", rules: []Rule{macros(Rule{Reasons: []Reason{ScannerFailed}, Action: ActionTag})}, to: ann, with: []Finding{untold}, want: "tag", line: "rule[1]"},
		{name: "of a sender that nothing proves", rules: []Rule{macros(Rule{From: sender})}, to: ann, with: []Finding{macro()}, want: "quarantine", score: 3},
		{name: "of one that DMARC proves", rules: []Rule{macros(Rule{From: sender})}, to: ann, with: []Finding{macro(), proven("dmarc", "x@partner.example")}, want: "accept"},
		{name: "of one that SPF proves", rules: []Rule{macros(Rule{From: sender})}, to: ann, with: []Finding{macro(), proven("spf", "bounce@partner.example")}, want: "accept"},
		{name: "not of those below it", rules: []Rule{macros(Rule{From: sender})}, to: ann, with: []Finding{macro(), proven("dmarc", "x@evil.partner.example")}, want: "quarantine", score: 3},
		{name: "of those below it", rules: []Rule{macros(Rule{From: []Sender{{Domain: ".partner.example"}}})}, to: ann, with: []Finding{macro(), proven("dmarc", "x@a.partner.example")}, want: "accept"},
		{name: "of one address", rules: []Rule{macros(Rule{From: []Sender{{Domain: "partner.example", Local: "bills"}}})}, to: ann, with: []Finding{macro(), proven("dmarc", "Bills@partner.example")}, want: "accept"},
		{name: "of another address", rules: []Rule{macros(Rule{From: []Sender{{Domain: "partner.example", Local: "bills"}}})}, to: ann, with: []Finding{macro(), proven("dmarc", "x@partner.example")}, want: "quarantine", score: 3},
		{name: "of a network", rules: []Rule{macros(Rule{From: []Sender{{Network: netip.MustParsePrefix("192.0.2.0/24")}}})}, to: ann, with: []Finding{macro()}, want: "accept"},
		{name: "of those who are known", rules: []Rule{macros(Rule{Trust: KnownGood})}, to: ann, with: []Finding{macro(), good}, want: "accept"},
		{name: "of those who are not", rules: []Rule{macros(Rule{Trust: KnownGood})}, to: ann, with: []Finding{macro()}, want: "quarantine", score: 3},
		{name: "authenticated", rules: []Rule{macros(Rule{Trust: Authenticated})}, to: ann, with: []Finding{macro(), proven("dmarc", "x@y.example")}, want: "accept"},
		{name: "SPF alone is not", rules: []Rule{macros(Rule{Trust: Authenticated})}, to: ann, with: []Finding{macro(), proven("spf", "x@y.example")}, want: "quarantine", score: 3},
		{name: "unfamiliar", rules: []Rule{macros(Rule{Trust: Unfamiliar, Action: ActionReject})}, to: ann, with: []Finding{macro()}, want: "reject", line: "rule[1]", score: 3},
		{name: "a first contact", rules: []Rule{macros(Rule{Trust: First, Action: ActionReject})}, to: ann, with: []Finding{macro(), first}, want: "reject", line: "rule[1]", score: 3},
		{name: "expired", rules: []Rule{macros(Rule{Until: time.UnixMilli(1)})}, to: ann, with: []Finding{macro()}, want: "quarantine", score: 3},
		{name: "malware is never milder", rules: []Rule{{Checks: []string{"virus"}, Action: ActionPass}}, to: ann, with: []Finding{fail("virus", Data, MalwareFound)}, want: "reject", line: "checks.virus.action"},
		{name: "and can be harder", rules: []Rule{{Checks: []string{"virus"}, Action: ActionReject}}, to: ann, with: []Finding{fail("virus", Data, MalwareDoubtful)}, want: "reject", line: "rule[1]"},
		{name: "not below what the check allows", rules: []Rule{{Checks: []string{"fixed"}, Action: ActionTag}}, to: ann, with: []Finding{fail("fixed", Data, ShapeFrom)}, want: "quarantine", line: "rule[1]"},
		{name: "points of what passed do not count", rules: []Rule{{Checks: []string{"points"}, Action: ActionPass}}, to: ann, with: []Finding{points(9)}, want: "accept"},
		{name: "points of what passed stay", rules: []Rule{{Checks: []string{"points"}, Action: ActionReject}}, to: ann, with: []Finding{points(9)}, want: "quarantine", line: "thresholds.quarantine", score: 9},
		{name: "about the message", rules: []Rule{{Trust: Unfamiliar, To: []*Group{finance}, Action: ActionTag}}, to: ann, want: "tag", line: "rule[1]"},
		{name: "from its points", rules: []Rule{{Points: 4, Action: ActionReject}, {Points: 2, Action: ActionQuarantine}}, to: ann, with: []Finding{points(3)}, want: "quarantine", line: "rule[2]", score: 3},
		{name: "it only adds", rules: []Rule{{Action: ActionTag}}, to: ann, with: []Finding{fail("opinion", Data, ShapeFrom)}, want: "reject", line: "checks.opinion.action"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := rulesPolicy(c.rules...).Judge(record(Data, c.to, c.with...))
			if got := outcomes(&v); got != c.want {
				t.Errorf("%s, want %s: %+v", got, c.want, v.Rcpts)
			}
			if !strings.HasPrefix(v.Rcpts[0].Line, c.line) || c.line == "" && v.Rcpts[0].Line != "" && len(c.to) == 1 && v.Outcome == Accept {
				t.Errorf("line %q, want %q", v.Rcpts[0].Line, c.line)
			}
			if v.Score != c.score {
				t.Errorf("score %v, want %v", v.Score, c.score)
			}
			sum := 0.0
			for _, p := range v.Priced {
				sum += p.Points
			}
			if sum != v.Score {
				t.Errorf("the list has %v points, the sum %v", sum, v.Score)
			}
		})
	}
}

// TestFirstRuleIsVisible: a rule that lets pass decides nothing that could be seen in the decision, and is told all the same.
func TestFirstRuleIsVisible(t *testing.T) {
	line := `rule[1] "macros for finance" (policy.toml:88)`
	p := rulesPolicy(Rule{Line: line, To: []*Group{group("finance", "ann@one.example")}, Checks: []string{"macro"}, Action: ActionPass},
		Rule{Line: "another", Checks: []string{"macro"}, Action: ActionReject})
	v := p.Judge(record(Data, []string{"bob@one.example", "ann@one.example"}, macro()))
	want := []Applied{{Rule: "another", Check: "macro", Reason: AttachmentMacro, Action: "reject", Rcpts: []int{0}},
		{Rule: line, Check: "macro", Reason: AttachmentMacro, Action: "accept", Rcpts: []int{1}}}
	if !reflect.DeepEqual(v.Rules, want) {
		t.Errorf("%+v", v.Rules)
	}
	if outcomes(&v) != "quarantine,accept" || v.Rcpts[0].Line != "another; quarantined, since other recipients of the message take it" {
		t.Errorf("%+v", v.Rcpts)
	}
}

// TestRulesInModes: a site that cuts over has what rules say softened as all else.
func TestRulesInModes(t *testing.T) {
	for mode, want := range map[Mode]string{Enforce: "reject", Soft: "quarantine", ObserveOnly: "accept"} {
		p := rulesPolicy(Rule{Checks: []string{"macro"}, Action: ActionReject, Banner: "b"})
		p.Mode = mode
		v := p.Judge(record(Data, []string{"a@one.example"}, macro(1)))
		if outcomes(&v) != want || (v.Would == nil) != (mode == Enforce) || v.Edits.Any() {
			t.Errorf("%s: %s, would %v, edits %v", mode, outcomes(&v), v.Would, v.Edits)
		}
	}
	p := rulesPolicy(Rule{Checks: []string{"observed"}, Action: ActionReject})
	if v := p.Judge(record(Data, []string{"a@one.example"}, fail("observed", Data, ShapeFrom))); v.Outcome != Accept || v.Would == nil || v.Would.Line != "rule[1]" {
		t.Errorf("an observed check is decided by a rule: %+v", v)
	}
}

// TestDisagree shows that nobody loses mail where recipients differ, and what is changed then.
func TestDisagree(t *testing.T) {
	finance, press := group("finance", "ann@one.example"), group("press", "pat@one.example")
	quarantine := Rule{To: []*Group{finance}, Checks: []string{"strip"}, Action: ActionQuarantine}
	pass := Rule{To: []*Group{press}, Checks: []string{"strip"}, Action: ActionPass, Banner: "careful", Subject: "[macro]"}
	reject := Rule{To: []*Group{finance}, Checks: []string{"strip"}, Action: ActionReject}
	found := func(check string, parts ...int) Finding {
		f := fail(check, Data, AttachmentMacro)
		f.Parts = parts
		return f
	}
	for _, c := range []struct {
		name    string
		rules   []Rule
		to      string
		with    []Finding
		want    string // of each recipient
		whole   Outcome
		strip   []int
		banners int
		lines   []string
	}{
		{name: "stripped for all", to: "ann@one.example bob@one.example", with: []Finding{found("strip", 2, 1)}, want: "tag,tag", whole: Tag, strip: []int{1, 2}},
		{name: "nothing that could be taken out", to: "ann@one.example", with: []Finding{found("strip")}, want: "quarantine", whole: Quarantine, lines: []string{"quarantined, since it names no part"}},
		{name: "one is quarantined, the other's is stripped", rules: []Rule{quarantine}, to: "ann@one.example bob@one.example", with: []Finding{found("strip", 1)}, want: "quarantine,tag", whole: Quarantine, strip: []int{1}},
		{name: "one lets pass, the other strips: all are the same", rules: []Rule{pass}, to: "pat@one.example bob@one.example", with: []Finding{found("strip", 1)}, want: "accept,tag", whole: Tag, strip: []int{1}, banners: 1, lines: []string{"without 1 of its parts"}},
		{name: "all let pass", rules: []Rule{pass}, to: "pat@one.example", with: []Finding{found("strip", 1)}, want: "accept", banners: 1},
		{name: "one refuses, the other strips", rules: []Rule{reject}, to: "ann@one.example bob@one.example", with: []Finding{found("strip", 1)}, want: "quarantine,tag", whole: Quarantine, strip: []int{1}, lines: []string{"quarantined, since other recipients"}},
		{name: "all refuse", rules: []Rule{reject}, to: "ann@one.example", with: []Finding{found("strip", 1)}, want: "reject", whole: Reject},
		{name: "who may not have it changed keeps it whole", to: "x@whole.example bob@one.example", with: []Finding{found("strip", 1)}, want: "quarantine,tag", whole: Quarantine, strip: []int{1}, lines: []string{"domain.whole.example.edits = false (default), and what goes on is changed"}},
		{name: "also alone, and then nothing is changed", to: "x@whole.example", with: []Finding{found("strip", 1)}, want: "quarantine", whole: Quarantine},
		{name: "and has it where nothing is changed", rules: []Rule{{Checks: []string{"strip"}, Action: ActionPass}}, to: "x@whole.example bob@one.example", with: []Finding{found("strip", 1)}, want: "accept,accept"},
		{name: "a banner is a change as well", rules: []Rule{pass}, to: "x@whole.example pat@one.example", with: []Finding{found("macro", 1), found("strip", 1)}, want: "quarantine,quarantine", whole: Quarantine},
		{name: "malware is refused for all", rules: []Rule{pass}, to: "pat@one.example bob@one.example", with: []Finding{found("strip", 1), fail("virus", Data, MalwareFound)}, want: "reject,reject", whole: Reject},
		{name: "two findings, one part", to: "bob@one.example", with: []Finding{found("strip", 1), found("strip", 1, 3)}, want: "tag", whole: Tag, strip: []int{1, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := rulesPolicy(c.rules...).Judge(record(Data, strings.Fields(c.to), c.with...))
			if got := outcomes(&v); got != c.want || v.Outcome != c.whole {
				t.Errorf("%s, %s in all, want %s, %s: %+v", got, v.Outcome, c.want, c.whole, v.Rcpts)
			}
			var parts []int
			for _, cut := range v.Edits.Strip {
				parts = append(parts, cut.Part)
			}
			if !slices.Equal(parts, c.strip) || len(v.Edits.Banners) != c.banners || (v.Edits.Subject != "") != (c.banners > 0) {
				t.Errorf("edits %+v", v.Edits)
			}
			for i, line := range c.lines {
				if !strings.Contains(v.Rcpts[i].Line, line) {
					t.Errorf("line %q has no %q", v.Rcpts[i].Line, line)
				}
			}
		})
	}
}

// TestLevels: a group's and a domain's level price and decide for their recipients, and say where that comes from.
func TestLevels(t *testing.T) {
	p := rulesPolicy()
	strict := &Level{Name: "strict", Where: "policy.toml:12", Thresholds: Thresholds{4, 5.5, 10}, Sets: map[string]bool{"checks.macro.action": true, "checks.macro.prices.macro": true},
		Checks: map[string]CheckPolicy{"macro": {Class: ClassContent, Action: ActionReject, Unknown: ActionDefer, Intended: ActionQuarantine, Prices: map[string]float64{"macro": 5}}}}
	p.Levels = []*Level{strict}
	hard := group("hard", "ann@one.example")
	hard.Level, hard.Thresholds.Reject = strict, 9
	p.Groups = []*Group{hard}
	v := p.Judge(record(Data, []string{"ann@one.example"}, macro()))
	if v.Line != `checks.macro.action = "reject" (level strict, policy.toml:12)` || v.Score != 5 || len(v.Priced) != 1 || v.Priced[0].Line != "checks.macro.prices.macro = 5 (level strict, policy.toml:12)" {
		t.Errorf("%+v", v)
	}
	v = p.Judge(record(Data, []string{"ann@one.example", "bob@one.example"}, points(6)))
	if outcomes(&v) != "quarantine,tag" || v.Rcpts[0].Line != "thresholds.quarantine = 5.5 (level strict, policy.toml:12)" || v.Rcpts[1].Line != "thresholds.tag = 5 (default)" {
		t.Errorf("%+v", v.Rcpts)
	}
	if v = p.Judge(record(Data, []string{"ann@one.example"}, points(9))); v.Line != "group.hard.thresholds.reject = 9 (default)" {
		t.Errorf("%+v", v)
	}
	p.Domains["one.example"].Level, p.Domains["one.example"].Thresholds = strict, &Thresholds{4, 5.5, 10}
	if v = p.Judge(record(Data, []string{"bob@one.example"}, points(4))); v.Line != "thresholds.tag = 4 (level strict, policy.toml:12)" {
		t.Errorf("%+v", v)
	}
}

// TestRandomRules judges random mail by random policies: the verdict is the same each time, whatever is refused is refused
// for all that were accepted, nobody's copy is lost, and a rule behind one that matches everything changes nothing.
func TestRandomRules(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 49))
	checks := []string{"macro", "strip", "opinion", "points", "virus", "fixed", "observed"}
	users := []string{"ann@one.example", "bob@one.example", "x@strict.example", "y@whole.example", "postmaster@one.example"}
	actions := []Action{ActionPass, ActionTag, ActionStrip, ActionQuarantine, ActionDefer, ActionReject, ActionDrop}
	rule := func() (r Rule) {
		if rnd.IntN(3) > 0 {
			r.To = []*Group{group("g", users[rnd.IntN(len(users))], users[rnd.IntN(len(users))])}
		}
		if rnd.IntN(5) > 0 {
			r.Checks = []string{checks[rnd.IntN(len(checks))], checks[rnd.IntN(len(checks))]}
		}
		r.Action = actions[rnd.IntN(len(actions))]
		if rnd.IntN(3) == 0 {
			r.Banner = "b"
		}
		return r
	}
	for n := range 5000 {
		var rules []Rule
		for range rnd.IntN(5) {
			rules = append(rules, rule())
		}
		var found []Finding
		for range rnd.IntN(4) {
			f := fail(checks[rnd.IntN(len(checks))], Data, []Reason{AttachmentMacro, MalwareFound, MalwareDoubtful}[rnd.IntN(3)])
			if rnd.IntN(4) == 0 {
				f.Result = Unknown
			}
			if rnd.IntN(2) == 0 {
				f.Parts = []int{rnd.IntN(3)}
			}
			f.Measures = []Measure{{Name: "spamd", Value: float64(rnd.IntN(20))}}
			found = append(found, f)
		}
		r := record(Data, users[:1+rnd.IntN(len(users))], found...)
		p := rulesPolicy(rules...)
		p.Mode = Mode(rnd.IntN(3))
		v := p.Judge(r)
		if again := p.Judge(r); !reflect.DeepEqual(v, again) {
			t.Fatalf("%d: judged differently:\n%+v\n%+v", n, v, again)
		}
		for i, d := range v.Rcpts {
			if d.Outcome.Refuses() != v.Outcome.Refuses() {
				t.Fatalf("%d: recipient %d %s of a message that is %s", n, i, d.Outcome, v.Outcome)
			}
			if cut := len(v.Edits.Strip) > 0; cut && (v.Outcome.Refuses() || p.Serves(r.Rcpts[i].To).Unedited && d.Outcome <= Tag) {
				t.Fatalf("%d: changed for recipient %d: %+v", n, i, v)
			}
			for _, f := range found {
				if f.Check == "virus" && f.Result == Fail && f.Reason == MalwareFound && d.Outcome < Reject {
					t.Fatalf("%d: malware is %s for recipient %d", n, d.Outcome, i)
				}
			}
		}
		before := append(slices.Clone(rules), Rule{Checks: checks, Action: ActionTag})
		behind := append(slices.Clone(before), Rule{Checks: checks, Action: ActionPass})
		a, b := rulesPolicy(before...).Judge(r), rulesPolicy(behind...).Judge(r)
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("%d: a rule behind one that takes everything matters:\n%+v\n%+v", n, a, b)
		}
	}
}

func BenchmarkJudgeRules(b *testing.B) {
	p := rulesPolicy(Rule{Checks: []string{"macro"}, To: []*Group{group("g", "a@one.example")}, Action: ActionTag}, Rule{Checks: []string{"virus"}, Action: ActionReject})
	r := record(Data, []string{"a@one.example"}, points(4), macro(1), fail("observed", Data, ShapeFrom))
	b.ReportAllocs()
	for b.Loop() {
		p.Judge(r)
	}
}

// TestRuleName: the name of a rule comes back out of its line, whatever it is; nothing else has one.
func TestRuleName(t *testing.T) {
	for _, name := range []string{"macros for finance", `a "quoted" (policy.toml:1) \ one`, "größer] als", "rule[2] x", "", "two\nlines"} {
		if got := RuleName(RuleLine(7, name, "policy.toml:88")); got != name {
			t.Errorf("%q came back as %q", name, got)
		}
	}
	for _, line := range []string{"", "rule[3]", `rule[3] "cut`, "the recipient's own allow list", `group[1] "x" (policy.toml:1)`} {
		if got := RuleName(line); got != "" {
			t.Errorf("%q has the name %q", line, got)
		}
	}
}
