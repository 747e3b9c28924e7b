package rules

import (
	"errors"
	"reflect"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"gatepost/gateway"
)

const checksName = "checks"

var checksType = cel.OpaqueType("checks")

// Function is what can be asked of checks.
type Function struct {
	Name string
	Args int // names of a check first, but for proves
	Doc  string
	of   func(f *facts, args []string) ref.Val
	out  *cel.Type
}

// Functions is the table of what can be asked of what the checks found.
func Functions() []Function {
	return []Function{
		{"failed", 1, `checks.failed("spf"): the check found what it looks for.`, func(f *facts, a []string) ref.Val { return types.Bool(f.worst(a[0]) == gateway.Fail) }, cel.BoolType},
		{"passed", 1, `checks.passed("spf"): it ran, and found nothing against the message.`, func(f *facts, a []string) ref.Val { return types.Bool(f.worst(a[0]) == gateway.Pass) }, cel.BoolType},
		{"unknown", 1, `checks.unknown("clamav"): it could not tell.`, func(f *facts, a []string) ref.Val { return types.Bool(f.worst(a[0]) == gateway.Unknown) }, cel.BoolType},
		{"ran", 1, `checks.ran("spamassassin"): it ran.`, func(f *facts, a []string) ref.Val { return types.Bool(f.worst(a[0]) != gateway.NotRun) }, cel.BoolType},
		{"has_reason", 2, `checks.has_reason("attachments.macro", "attachments.autoexec"): it failed, or could not tell, for this reason.`, (*facts).hasReason, cel.BoolType},
		{"measure", 2, `checks.measure("spamassassin", "score"): the sum of a measure; 0.0 where there is none.`, (*facts).measure, cel.DoubleType},
		{"texts", 1, `checks.texts("attachments.type"): the texts of its measures: names, types, signatures, lists.`, (*facts).texts, cel.ListType(cel.StringType)},
		{"proves", 1, `checks.proves("partner.example"): SPF or DMARC proves that this domain, or address, sent it.`, (*facts).proves, cel.BoolType},
	}
}

// about goes through the findings of a check that are about all recipients or the one at hand.
func (f *facts) about(check string, yield func(*gateway.Finding)) {
	for i := range f.r.Findings {
		g := &f.r.Findings[i]
		if g.Check == check && (g.Stage != gateway.Rcpt || g.Rcpt < 0 || g.Rcpt == f.rcpt) {
			yield(g)
		}
	}
}

// worst is the result of a check that has several findings: a Fail, else that it could not tell, else that it passed.
func (f *facts) worst(check string) gateway.Result {
	worst := gateway.NotRun
	rank := map[gateway.Result]int{gateway.NotRun: 0, gateway.Pass: 1, gateway.Unknown: 2, gateway.Fail: 3}
	f.about(check, func(g *gateway.Finding) {
		if rank[g.Result] > rank[worst] {
			worst = g.Result
		}
	})
	return worst
}

func (f *facts) hasReason(a []string) ref.Val {
	has := false
	f.about(a[0], func(g *gateway.Finding) {
		has = has || (g.Result == gateway.Fail || g.Result == gateway.Unknown) && g.Reason == gateway.Reason(a[1])
	})
	return types.Bool(has)
}

func (f *facts) measure(a []string) ref.Val {
	sum := 0.0
	f.about(a[0], func(g *gateway.Finding) {
		for _, m := range g.Measures {
			if m.Name == a[1] {
				sum += m.Value
			}
		}
	})
	return types.Double(sum)
}

func (f *facts) texts(a []string) ref.Val {
	list := []string{}
	f.about(a[0], func(g *gateway.Finding) {
		for _, m := range g.Measures {
			if m.Text != "" {
				list = append(list, m.Text)
			}
		}
	})
	return types.NewStringList(types.DefaultTypeAdapter, list)
}

func (f *facts) proves(a []string) ref.Val {
	want := strings.ToLower(a[0])
	return types.Bool(slices.ContainsFunc(f.r.Findings, func(g gateway.Finding) bool {
		proven := strings.ToLower(g.Proves)
		return proven != "" && (proven == want || after(proven) == want)
	}))
}

// declared makes a function one that is called on checks.
func (fn Function) declared() cel.EnvOption {
	args := []*cel.Type{checksType}
	for range fn.Args {
		args = append(args, cel.StringType)
	}
	return cel.Function(fn.Name, cel.MemberOverload("checks_"+fn.Name, args, fn.out, cel.FunctionBinding(func(values ...ref.Val) ref.Val {
		on, ok := values[0].(*found)
		var names []string
		for _, v := range values[1:] {
			name, is := v.(types.String)
			ok = ok && is
			names = append(names, string(name))
		}
		if !ok {
			return types.NewErr("%s is asked of checks, with text", fn.Name)
		}
		return fn.of(on.facts, names)
	})))
}

// found is the value of checks in CEL.
type found struct{ facts *facts }

// ConvertToNative is not possible: nothing but functions takes it.
func (*found) ConvertToNative(reflect.Type) (any, error) {
	return nil, errors.New("checks is no value")
}

// ConvertToType is not possible either.
func (*found) ConvertToType(ref.Type) ref.Val { return types.NewErr("checks is no value") }

// Equal compares with nothing.
func (*found) Equal(ref.Val) ref.Val { return types.NewErr("checks cannot be compared") }

// Type is its own.
func (*found) Type() ref.Type { return checksType }

// Value is itself.
func (f *found) Value() any { return f }
