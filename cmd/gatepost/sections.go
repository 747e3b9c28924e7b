package main

import (
	"gatepost/filters"
	"gatepost/gateway"
	"gatepost/internal/config"
)

// sections are the tables of policy.toml that the checks describe.
func sections() config.Sections {
	out := config.Sections{}
	for _, d := range filters.Definitions() {
		s := config.Section{Name: d.Name, Doc: d.Doc, RFC: d.RFC, Options: d.Options, Moved: d.Moved, Parts: d.Parts, Costly: d.Costly, Firm: d.Class >= gateway.ClassMalware,
			Action: config.Action(d.Action.String()), Unknown: config.Action(d.Unknown.String())}
		if d.Least != gateway.ActionOff {
			s.Least = config.Action(d.Least.String())
		}
		for _, m := range d.Measures {
			s.Measures = append(s.Measures, config.Measure{Name: m.Name, Doc: m.Doc, Price: m.Price})
		}
		for r, a := range d.Reasons {
			if s.Reasons == nil {
				s.Reasons = map[string]config.Action{}
			}
			s.Reasons[string(r)] = config.Action(a.String())
		}
		out[d.Name] = s
	}
	return out
}

// configured is what the policy says of each check, in the words of the contract. The words were checked when the
// document was read.
func configured(checks config.Checks) map[string]filters.Configured {
	out := make(map[string]filters.Configured, len(checks))
	for name, c := range checks {
		f := filters.Configured{Action: action(c.Action), Unknown: action(c.Unknown), Prices: c.Prices, Options: c.Options, Undecided: c.When == config.Undecided}
		for r, a := range c.Reasons {
			if f.Reasons == nil {
				f.Reasons = map[gateway.Reason]gateway.Action{}
			}
			f.Reasons[gateway.Reason(r)] = action(a)
		}
		out[name] = f
	}
	return out
}

func action(a config.Action) (out gateway.Action) {
	if err := out.UnmarshalText([]byte(a)); err != nil {
		return gateway.ActionDefer // cannot happen: the decoder knows the same words; and if it did, nothing is lost
	}
	return out
}
