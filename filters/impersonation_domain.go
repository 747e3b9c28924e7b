package filters

import (
	"context"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/confusable"
	"gatepost/internal/dmarc"
)

// impersonatedDomain looks for domains that look like ours.
func impersonatedDomain() Definition {
	return Definition{
		Name: "impersonation.domain", Stage: gateway.Data, Class: gateway.ClassContent,
		Doc:     "Does the domain of the author, of Reply-To or of the reverse-path look like one that is served here, or one of the option also: by letters that are taken for one another, a slip, a hyphen, or the name in front of another? The name with an addition, or under another end, may be honest: it costs points only.",
		RFC:     "RFC 5890 section 4.4",
		Action:  gateway.ActionQuarantine,
		Unknown: gateway.ActionTag,
		Measures: []Measure{
			{"lookalike", "it can be taken for one of ours; its text is the domain", 0},
			{"addition", "the name of ours with a word that promises something: example-login", 2},
			{"other_end", "the name of ours under another end: example.net", 1},
		},
		Options: &LookalikeOptions{},
		Build: func(options any, d *Deps) (Built, error) {
			o := options.(*LookalikeOptions)
			ours := make([]string, 0, len(d.Policy.Domains)+len(o.Also))
			for name := range d.Policy.Domains {
				ours = append(ours, strings.TrimPrefix(name, "."))
			}
			names := confusable.New(confusable.Config{Ours: append(ours, o.Also...), Allow: append(confusable.Honest(), o.Allow...)})
			return Built{Ready: always, Run: func(_ context.Context, in *gateway.Input) gateway.Finding { return runLookalike(names, in.Envelope) }}, nil
		},
	}
}

// LookalikeOptions are the options of checks.impersonation.domain.
type LookalikeOptions struct {
	Also  []string `toml:"also" format:"domain" example:"partner.example" doc:"More domains that nobody may look like: partners, banks, suppliers that send invoices."`
	Allow []string `toml:"allow" format:"domain" example:"example.net" doc:"Domains that look like one of these and are honest, with all below them."`
}

// runLookalike looks at each domain that a reader sees or an answer goes to.
func runLookalike(names *confusable.Names, e *gateway.Envelope) gateway.Finding {
	f := gateway.Passed()
	last := ""
	look := func(where, domain string) {
		if domain == "" || domain == last || f.Result == gateway.Fail {
			return
		}
		last = domain
		m, is := names.Look(domain)
		if !is {
			return
		}
		measure := gateway.Measure{Name: "lookalike", Value: 1, Text: domain}
		switch m.Kind {
		case confusable.Addition:
			measure.Name = "addition"
		case confusable.OtherEnd:
			measure.Name = "other_end"
		default:
			f.Result, f.Reason, f.Args = gateway.Fail, gateway.ImpersonatedDomain, []string{domain + " for " + m.Domain}
		}
		f = f.With(measure).Show(where, domain+" is taken for "+m.Domain+", by "+string(m.Kind))
	}
	a := authorOf(e)
	for _, domain := range a.Domains {
		look("author", domain)
	}
	for _, m := range replyTo(e) {
		look("reply-to", m.Address.Domain)
	}
	if !e.From.IsNull() && e.From.Domain != a.Domain && dmarc.Registered(e.From.Domain) != dmarc.Registered(a.Domain) {
		look("reverse-path", e.From.Domain)
	}
	return f
}
