package rules

import (
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"gatepost/gateway"
)

// literals looks at what is written out in calls while the policy is read, so that a name that is misspelt does not wait
// for mail to be found: names of checks and reasons, regular expressions. Networks and addresses are
// looked at by CEL.
type literals struct{ checks []string }

// Name is how CEL knows the validator.
func (literals) Name() string { return "gatepost.literals" }

// Validate looks at all calls.
func (l literals) Validate(_ *cel.Env, _ cel.ValidatorConfig, a *ast.AST, issues *cel.Issues) {
	for _, call := range ast.MatchDescendants(ast.NavigateAST(a), ast.KindMatcher(ast.CallKind)) {
		c := call.AsCall()
		name, args := c.FunctionName(), c.Args()
		if c.IsMemberFunction() && c.Target().Kind() == ast.IdentKind && c.Target().AsIdent() == checksName {
			l.asked(name, args, issues)
			continue
		}
		if text, at, ok := literal(args, 0); ok && name == "matches" {
			if _, err := regexp.Compile(text); err != nil {
				issues.ReportErrorAtID(at, "%v", err)
			}
		}
	}
}

// asked looks at what checks is asked for.
func (l literals) asked(function string, args []ast.Expr, issues *cel.Issues) {
	if function == "proves" {
		if text, at, ok := literal(args, 0); ok && (text == "" || strings.ContainsAny(text, " *\t")) {
			issues.ReportErrorAtID(at, "%q is no domain or address: write \"partner.example\" or \"anna@partner.example\"", text)
		}
		return
	}
	if check, at, ok := literal(args, 0); ok && !slices.Contains(l.checks, check) {
		issues.ReportErrorAtID(at, "there is no check %q: gatepost explain checks lists them", check)
	}
	if reason, at, ok := literal(args, 1); ok && function == "has_reason" && !slices.Contains(gateway.Reasons(), gateway.Reason(reason)) {
		issues.ReportErrorAtID(at, "there is no reason %q", reason)
	}
}

// literal is an argument that is written out as text.
func literal(args []ast.Expr, k int) (text string, at int64, ok bool) {
	if k >= len(args) || args[k].Kind() != ast.LiteralKind {
		return "", 0, false
	}
	s, ok := args[k].AsLiteral().(types.String)
	return string(s), args[k].ID(), ok
}
