package main

import (
	"maps"
	"slices"

	"gatepost/gateway"
	"gatepost/internal/config"
	"gatepost/internal/rules"
)

// conditions compiles what stands in when of rules, where there is any: a policy without conditions pays nothing.
type conditions struct {
	config *config.Config
	by     map[bool]*rules.Compiler // of rules about the message as such, and of others
}

// of compiles the condition of a rule; nil for none. The error tells the place of the first mistake in policy.toml.
func (cs *conditions) of(r *config.Rule) (gateway.Condition, error) {
	if r.When.IsZero() {
		return nil, nil
	}
	alone := len(r.Check) == 0
	if cs.by[alone] == nil {
		c, err := rules.NewCompiler(rules.Known{Checks: slices.Sorted(maps.Keys(sections())), Score: alone})
		if err != nil {
			return nil, err
		}
		if cs.by == nil {
			cs.by = map[bool]*rules.Compiler{}
		}
		cs.by[alone] = c
	}
	condition, wrong := cs.by[alone].Compile(r.When.Text)
	if len(wrong) == 0 {
		return condition, nil
	}
	p := config.Problem{File: cs.config.PolicyPath, Key: "rule." + r.Name + ".when", Message: wrong[0].Message,
		Instead: "docs/conditions.md and gatepost explain rule.when tell what can be written"}
	p.Line, p.Column = r.When.Place(wrong[0].Line, wrong[0].Column)
	return nil, &documentError{p, wrong[0]}
}
