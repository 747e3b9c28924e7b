package filters

import (
	"context"
	"strings"

	"gatepost/gateway"
)

// relay is the wall against being an open relay.
func relay() Definition {
	return Definition{
		Name: "relay", Stage: gateway.Rcpt, Class: gateway.ClassRelay,
		Doc:     "Does the recipient belong to a domain that we serve? Everything else is relaying, whatever the client is.",
		RFC:     "RFC 5321 section 7.9",
		Action:  gateway.ActionReject,
		Unknown: gateway.ActionDefer,
		Least:   gateway.ActionDefer, // anything milder would be an open relay
		Options: &RelayOptions{},
		Build: func(options any, d *Deps) (Built, error) {
			o, policy := options.(*RelayOptions), d.Policy
			return Built{Run: func(_ context.Context, in *gateway.Input) gateway.Finding { return relays(o, policy, in) },
				Ready: always}, nil
		},
	}
}

// RelayOptions are the options of checks.relay.
type RelayOptions struct {
	RoutedLocalParts bool `toml:"routed_local_parts" doc:"Take recipients whose local part holds %, ! or @. An internal mail server may read such a local part as an address elsewhere and relay to it (percent hack, bang path), so that by default they are refused." rfc:"RFC 5321 appendix C"`
}

func relays(o *RelayOptions, policy *gateway.Policy, in *gateway.Input) gateway.Finding {
	to := in.Recipient().Address
	domain := policy.Serves(to)
	switch {
	case domain == nil && to.Domain == "":
		return gateway.Failed(gateway.RelayDenied, "an address without a domain")
	case domain == nil:
		return gateway.Failed(gateway.RelayDenied, to.Domain).Show("domain", to.Domain+" is not among the domains in policy.toml")
	case !o.RoutedLocalParts && strings.ContainsAny(to.Local, "%!@"):
		return gateway.Failed(gateway.RelayDenied, "an address routed through a local part").Show("local part", to.Local)
	}
	return gateway.Passed().Show("domain", domain.Name+", route "+domain.Route)
}
