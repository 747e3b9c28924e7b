package filters

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gatepost/gateway"
	"gatepost/internal/mime"
)

// noChecks are the files that hold no check.
var noChecks = []string{"define.go", "dkim_evidence.go", "arc_vouch.go", "dmarc_ask.go", "dmarc_path.go", "dmarc_tell.go", "doc.go", "facts.go", "known.go", "lookup.go", "plan.go", "rcpt_targets.go", "rbl_ask.go", "rbl_held.go", "rbl_tell.go", "rate.go", "rate_count.go", "rate_lesson.go", "seal.go", "standing.go", "step.go",
	"instances.go", "verdict_cache.go", "greylist_guest.go", "greylist_name.go", "reputation_learn.go", "impersonation_names.go", "tree.go", "links.go", "urls_text.go", "rbl_url.go", "unpacked.go", "attachments.go", "clamav_unseen.go", "expiring.go", "access_listed.go", "access_again.go"}

// sources are the parsed files of this folder, without tests.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*ast.File{}
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			tree, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			out[name] = tree
		}
	}
	return out
}

// definers are the functions of a file that return a Definition.
func definers(file *ast.File) (out []*ast.FuncDecl) {
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Type.Results == nil || len(f.Type.Results.List) != 1 {
			continue
		}
		if id, ok := f.Type.Results.List[0].Type.(*ast.Ident); ok && id.Name == "Definition" {
			out = append(out, f)
		}
	}
	return out
}

// texts are the string literals in a node, with how often they stand there.
func texts(n ast.Node) map[string]int {
	out := map[string]int{}
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			if n.Kind == token.STRING {
				s, _ := strconv.Unquote(n.Value)
				out[s]++
			}
		case *ast.SelectorExpr:
			if n.Sel.Name == "AllowMeasure" {
				out[gateway.AllowMeasure]++
			}
		}
		return true
	})
	return out
}

// TestBotTests shows that the learner knows which checks are of what a client does.
func TestBotTests(t *testing.T) {
	for _, rows := range plan() {
		for _, r := range rows {
			for _, d := range r.checks {
				if isBotTest(d.Name) != r.conduct {
					t.Errorf("%s: conduct is %t", d.Name, r.conduct)
				}
			}
		}
	}
}

// TestPlanHasEveryCheck names a check that was written and forgotten in plan.go, and a file without a check.
func TestPlanHasEveryCheck(t *testing.T) {
	files := sources(t)
	planned := map[string]int{}
	ast.Inspect(files["plan.go"], func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if id, ok := call.Fun.(*ast.Ident); ok {
				planned[id.Name]++
			}
		}
		return true
	})
	written := 0
	for name, file := range files {
		functions := definers(file)
		written += len(functions)
		shared := name == "undecided.go" // by the engines
		if (shared || slices.Contains(noChecks, name)) != (len(functions) == 0) {
			t.Errorf("%s defines %d checks: a file has a check, or is named in noChecks", name, len(functions))
		}
		for _, f := range functions {
			if n := planned[f.Name.Name]; n != 1 {
				t.Errorf("%s: the check %s() stands %d times in plan.go; put it where it belongs, once", name, f.Name.Name, n)
			}
		}
	}
	if n := len(Definitions()); n != written || n == 0 {
		t.Errorf("%d checks in the plan, %d written", n, written)
	}
}

// TestMeasuresAreMade shows that a measure that has a price is one that the code of its file makes, and that none is made
// that cannot be priced.
func TestMeasuresAreMade(t *testing.T) {
	declared := map[string]Definition{}
	for _, d := range Definitions() {
		declared[d.Name] = d
	}
	for name, file := range sources(t) {
		all, known := texts(file), map[string]bool{}
		for _, f := range definers(file) {
			for text := range texts(f) {
				if d, ok := declared[text]; ok {
					for _, m := range d.Measures {
						known[m.Name] = true
						if all[m.Name] < 2 && !slices.Contains(mime.Kinds(), mime.Kind(m.Name)) { // which TestMIMEKinds looks at
							t.Errorf("%s: check %s declares the measure %q, and nothing in the file makes it", name, d.Name, m.Name)
						}
					}
				}
			}
		}
		for _, made := range yesses(file) {
			if !known[made] {
				t.Errorf("%s: makes the measure %q, which its checks do not declare", name, made)
			}
		}
	}
}

// yesses are the names of measures that a file makes with gateway.Yes or as a literal.
func yesses(file *ast.File) (out []string) {
	take := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok {
			s, _ := strconv.Unquote(lit.Value)
			out = append(out, s)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Yes" {
				take(n.Args[0])
			}
		case *ast.CompositeLit:
			if sel, ok := n.Type.(*ast.SelectorExpr); ok && sel.Sel.Name == "Measure" {
				take(n.Elts[0].(*ast.KeyValueExpr).Value)
			}
		}
		return true
	})
	return out
}

// TestDefinitions shows that each check is described, safe when it cannot tell, and placed in its stage.
func TestDefinitions(t *testing.T) {
	if err := sections().Verify(); err != nil {
		t.Error(err)
	}
	known := gateway.Reasons()
	seen := map[string]bool{}
	for stage, rows := range plan() {
		for _, r := range rows {
			if stage < int(gateway.Data) && r.deadline <= 0 {
				t.Errorf("a row of %s has no deadline", gateway.Stage(stage))
			}
			for _, d := range r.checks {
				if seen[d.Name] || int(d.Stage) != stage {
					t.Errorf("%s: twice, or of stage %s in a row of %s", d.Name, d.Stage, gateway.Stage(stage))
				}
				seen[d.Name] = true
				if d.Stage < gateway.Rcpt && d.Name != "access.client" && d.Name != "rate.connections" && !r.conduct && r.deadline <= lookupTime {
					t.Errorf("%s: its row ends after %v, before a lookup can (%v)", d.Name, r.deadline, lookupTime)
				}
				for reason := range d.Reasons {
					if !slices.Contains(known, reason) {
						t.Errorf("%s: reason %s has no words", d.Name, reason)
					}
				}
				if !strings.Contains(d.Doc, "?") || len(d.Doc) > 400 {
					t.Errorf("%s: a Doc begins with the question that the check answers, in at most 400 octets: %q", d.Name, d.Doc)
				}
				if d.Unknown == gateway.ActionOff || d.Class >= gateway.ClassMalware && d.Unknown < gateway.ActionDefer {
					t.Errorf("%s: what it cannot tell is let through (%s)", d.Name, d.Unknown)
				}
				for _, m := range d.Measures {
					if m.Doc == "" || m.Price < 0 || m.Price > 3 {
						t.Errorf("%s: measure %s costs %v, %q", d.Name, m.Name, m.Price, m.Doc)
					}
				}
				if d.Build == nil || d.Action < d.Least || d.Unknown < d.Least {
					t.Errorf("%s: cannot be built by default", d.Name)
				}
			}
		}
	}
}

// TestBuild shows what Build refuses, all of it at once, and that a check that is off needs nothing.
func TestBuild(t *testing.T) {
	c, problems := load(t, "")
	if problems.Refused() {
		t.Fatal(problems)
	}
	_, err := Build(&Deps{Policy: servedPolicy()}, c)
	for _, want := range []string{"checks.helo: ", "checks.rdns: ", "checks.spf.helo: ", "checks.sender: ", "checks.spf: ", "checks.rate.connections: ", "checks.rate.messages: ", "checks.rate.recipients: ", "checks.rate.octets: ", "checks.reputation: ", "checks.dkim: ", "checks.arc: ", "checks.dmarc: ", "checks.greylist: ", "checks.greylist.null: ", "checks.posture: ", "checks.rcpt: ", "checks.clamav: ", "checks.spamassassin: ", "checks.attachments.type: ", "checks.attachments.active: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s in %v", want, err)
		}
	}
	_, err = Build(&Deps{Policy: servedPolicy()}, nil)
	if n := strings.Count(err.Error(), "not configured"); n != len(Definitions()) {
		t.Errorf("%d checks are told as not configured: %v", n, err)
	}
	off := ""
	for _, name := range []string{"helo", "rdns", "spf.helo", "sender", "spf", "rate.connections", "rate.messages", "rate.recipients", "rate.octets", "reputation", "dkim", "arc", "dmarc", "greylist", "greylist.null", "posture", "rcpt", "clamav", "spamassassin",
		"attachments.type", "attachments.name", "attachments.encrypted", "attachments.archive", "attachments.macro", "attachments.active"} {
		off += "[checks." + name + "]\naction = \"off\"\n"
	}
	c, _ = load(t, off)
	policy := servedPolicy()
	pl, err := Build(&Deps{Policy: policy}, c)
	if err != nil {
		t.Fatal(err)
	}
	if policy.Runs("clamav") || !policy.Runs("shape") || len(pl.Ahead) != 0 {
		t.Errorf("what is off runs: %v", policy.Checks)
	}
	again := servedPolicy()
	if _, err := Build(&Deps{Policy: again}, c); err != nil || !reflect.DeepEqual(policy.Checks, again.Checks) {
		t.Errorf("two builds of one policy differ: %v", err)
	}
}

// TestRelayStaysShut shows that no configuration makes an open relay.
func TestRelayStaysShut(t *testing.T) {
	for _, line := range []string{`action = "off"`, `action = "observe"`, `action = "tag"`, `action = "quarantine"`, `unknown = "pass"`, `unknown = "observe"`} {
		c, problems := load(t, "[checks.relay]\n"+line+"\n")
		if problems.Refused() {
			continue
		}
		d := &Deps{Policy: servedPolicy(), Resolver: nil}
		if _, err := Build(d, c); err == nil || !strings.Contains(err.Error(), "checks.relay: "+strings.Fields(line)[0]) {
			t.Errorf("%s: %v", line, err)
		}
	}
	c, problems := load(t, "[checks.relay]\naction = \"drop\"\n")
	if problems.Refused() {
		t.Fatal(problems)
	}
	if _, err := Build(&Deps{Policy: servedPolicy()}, c); err != nil && strings.Contains(err.Error(), "checks.relay") {
		t.Error(err)
	}
}
