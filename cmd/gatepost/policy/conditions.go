package policy

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
	"gatepost/internal/rules"
)

func factsQuestion() control.Operation {
	return control.Operation{Name: "policy facts", Method: http.MethodGet, Path: "/policy/facts", Doc: "List what a condition of a rule can ask", Right: access.PolicyRead}
}

func conditionQuestion() control.Operation {
	return control.Operation{Name: "policy condition", Method: http.MethodPost, Path: "/policy/condition", Doc: "Compile a condition of a rule, and say what is wrong with it and where", Right: access.PolicyDraft}
}

// conditionOperations are those about conditions of rules.
func conditionOperations(desk func() *Desk) []control.Operation {
	return []control.Operation{
		control.Define(factsQuestion(), func(context.Context, *None) (*api.Facts, error) { return facts(), nil }),
		control.Define(conditionQuestion(), func(_ context.Context, in *api.ConditionAsk) (*api.ConditionChecked, error) {
			return desk().condition(in)
		}),
	}
}

func facts() *api.Facts {
	out := &api.Facts{}
	for _, f := range rules.Facts() {
		out.Facts = append(out.Facts, api.Fact{Name: f.Name, Type: f.Type, From: f.From.String(), Doc: f.Doc})
	}
	for _, f := range rules.Functions() {
		example, doc, _ := strings.Cut(f.Doc, ": ")
		out.Functions = append(out.Functions, api.Fact{Name: example, Doc: doc})
	}
	return out
}

func (d *Desk) condition(in *api.ConditionAsk) (*api.ConditionChecked, error) {
	c, err := rules.NewCompiler(rules.Known{Checks: slices.Sorted(maps.Keys(d.Sections())), Score: !in.Check})
	if err != nil {
		return nil, err
	}
	out := &api.ConditionChecked{Mistakes: []api.Mistake{}}
	_, wrong := c.Compile(in.When)
	for _, w := range wrong {
		out.Mistakes = append(out.Mistakes, api.Mistake{Line: w.Line, Column: w.Column, Message: w.Message})
	}
	return out, nil
}

// conditionCommands are those about conditions of rules.
func conditionCommands() []cli.Command {
	return []cli.Command{
		{Words: "policy facts", Args: "[--config PATH] [--json]", Doc: "list what a condition of a rule can ask", Run: listFacts},
		{Words: "policy condition", Args: "TEXT [--check] [--config PATH] [--json]", Doc: "compile a condition of a rule and say what is wrong with it; --check: of a rule that names checks, which has no score", Run: tryCondition},
	}
}

func listFacts(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "policy facts")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	all, err := cli.Call[api.Facts](ctx, e, f, factsQuestion(), &None{})
	return cli.Reply(e, f, "policy facts", all, err, func(all *api.Facts) {
		w := tabwriter.NewWriter(e.Out, 0, 0, 2, ' ', 0)
		for _, x := range all.Facts {
			fmt.Fprintf(w, "%s\t%s\tfrom %s\t%s\n", x.Name, x.Type, x.From, x.Doc)
		}
		for _, x := range all.Functions {
			fmt.Fprintf(w, "%s\t\t\t%s\n", x.Name, x.Doc)
		}
		_ = w.Flush() // a reader that went away needs no list
	})
}

func tryCondition(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "policy condition")
	check := f.Bool("check", false, "")
	text, ok := f.One(e, args, `write the condition, as 'size > 20000000'`)
	if !ok {
		return cli.Usage
	}
	got, err := cli.Call[api.ConditionChecked](ctx, e, f, conditionQuestion(), &api.ConditionAsk{When: text, Check: *check})
	code := cli.Reply(e, f, "policy condition", got, err, func(got *api.ConditionChecked) {
		for _, m := range got.Mistakes {
			fmt.Fprintf(e.Err, "%d:%d: %s\n", m.Line, m.Column, m.Message)
		}
		if len(got.Mistakes) == 0 {
			fmt.Fprintln(e.Err, "it can be worked out")
		}
	})
	if code == cli.Done && len(got.Mistakes) > 0 {
		return cli.Found
	}
	return code
}
