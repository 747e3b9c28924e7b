package main

import (
	"context"
	"fmt"
	"strings"

	"gatepost/gateway"
	"gatepost/gateway/relay"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/routing"
)

// maxRouteAddresses is how many addresses one call answers for.
const maxRouteAddresses = 10000

// routeShown is where the mail of one address goes.
type routeShown struct {
	Address  string   `json:"address"`
	Served   bool     `json:"served"`
	Domain   string   `json:"domain,omitempty"` // as policy.toml names it
	Where    string   `json:"where,omitempty"`  // of the domain's route
	To       []string `json:"to,omitempty"`     // who gets it instead
	Why      []string `json:"why,omitempty"`    // the lines that say so
	Header   string   `json:"header_domain,omitempty"`
	Route    string   `json:"route,omitempty"`
	NextHops []string `json:"next_hops,omitempty"`
	Checked  string   `json:"recipients,omitempty"` // how it is found out whether it exists: the key recipients
	CatchAll []string `json:"catch_all,omitempty"`  // who gets it if the recipient does not exist
	Error    string   `json:"error,omitempty"`
}

// route tells for each address where its mail goes and by which lines, from the documents alone.
func route(_ context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "route")
	addresses, ok := f.Read(e, args, maxRouteAddresses)
	if !ok {
		return cli.Usage
	}
	if len(addresses) == 0 {
		fmt.Fprintln(e.Err, "gatepost route: which address? For example: gatepost route info@example.org")
		return cli.Usage
	}
	c, problems := config.Load(f.Config, sections())
	if c == nil {
		cli.Tell(e, problems)
		return cli.Found
	}
	policy := makePolicy(c)
	if err := makeRouting(c, policy); err != nil {
		fmt.Fprintln(e.Err, err)
		return cli.Found
	}
	code := cli.Done
	var out []routeShown
	for _, text := range addresses {
		r := routeOfAddress(c, policy, text)
		if !r.Served {
			code = cli.Found
		}
		out = append(out, r)
	}
	if f.JSON {
		return max(code, cli.JSONLines(e, out))
	}
	for i := range out {
		out[i].print(e)
	}
	return code
}

func routeOfAddress(c *config.Config, policy *gateway.Policy, text string) routeShown {
	out := routeShown{Address: text}
	to, err := routing.Address(text)
	switch {
	case strings.EqualFold(text, "postmaster"):
		to = gateway.Address{Text: text, Local: text}
	case err != nil:
		out.Error = "is no address; write it whole, as info@example.org"
		return out
	}
	d := policy.Destination(to)
	if d.Domain == nil {
		out.Error = "is not of a domain that is served; its mail is refused with 550 5.7.1"
		return out
	}
	out.Served, out.Domain, out.Route, out.Why = true, d.Domain.Name, d.Route, d.Why
	out.Where = c.Where["domain."+d.Domain.Name+".route"]
	out.To, out.Header = gateway.Texts(d.To), policy.HeaderDomain(to)
	for i := range c.Policy.Routes {
		if r := &c.Policy.Routes[i]; r.Name == d.Route {
			if r.Kind == config.RouteReport {
				out.NextHops = append(out.NextHops, "none: its mail ends here, as reports that others send")
			}
			for _, h := range r.NextHops {
				out.NextHops = append(out.NextHops, hopText(&h))
			}
		}
	}
	out.Checked = checkedBy(c, policy, &d, to)
	if all := policy.CatchAll(to); all.Route != "" && out.Checked != config.RecipientsNone {
		out.CatchAll = append(gateway.Texts(all.To), all.Why...)
	}
	return out
}

// checkedBy is how it is found out whether a recipient exists: as the domain of who gets the mail says, else its route.
func checkedBy(c *config.Config, policy *gateway.Policy, d *gateway.Destination, to gateway.Address) string {
	if len(d.To) > 0 {
		to = d.To[0]
	}
	if served := policy.Serves(to); served != nil {
		for i := range c.Policy.Domains {
			if own := &c.Policy.Domains[i]; own.Name == served.Name && own.Recipients != "" {
				return own.Recipients
			}
		}
	}
	for i := range c.Policy.Routes {
		if r := &c.Policy.Routes[i]; r.Name == d.Route {
			return r.Recipients
		}
	}
	return ""
}

func hopText(h *config.NextHop) string {
	hop := relay.Hop{Host: h.Host, MX: h.MX, SRV: h.SRV, Port: h.Port}
	return fmt.Sprintf("%s (order %d, weight %d)", hop.Address(), h.Order, h.Weight)
}

// print writes one answer for people.
func (r *routeShown) print(e cli.Env) {
	fmt.Fprintln(e.Out, r.Address)
	field := func(name string, values ...string) {
		if text := strings.Join(values, ", "); text != "" {
			fmt.Fprintf(e.Out, "  %-10s %s\n", name, text)
		}
	}
	field("error", r.Error)
	if !r.Served {
		return
	}
	where := r.Where
	if where != "" {
		where = " (" + where + ")"
	}
	field("domain", r.Domain+where)
	field("because", r.Why...)
	field("sent on to", r.To...)
	field("To and Cc", r.Header)
	field("route", r.Route)
	field("next hops", r.NextHops...)
	field("recipients", r.Checked)
	if len(r.CatchAll) > 0 {
		field("if unknown", r.CatchAll...)
	}
}
