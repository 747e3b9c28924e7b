package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatepost/gateway/relay"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/dns"
	"gatepost/internal/handover"
	"gatepost/internal/smtpwire"
)

// handoverTime bounds all that is asked of one server.
const handoverTime = 5 * time.Minute

// handOver prints what is to be done on the internal mail server, or with --verify finds out whether it was done.
func handOver(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "handover")
	gateways := f.String("gateway", "", "")
	route := f.String("route", "", "")
	verify := f.Bool("verify", false, "")
	outside := f.String("outside", "", "")
	rcpt := f.String("rcpt", "", "")
	rest, ok := f.Read(e, args, 1)
	if !ok {
		return cli.Usage
	}
	if len(rest) == 0 {
		listProducts(e)
		return cli.Usage
	}
	product, known := handover.Find(rest[0])
	if !known {
		fmt.Fprintf(e.Err, "gatepost handover: there is no kit for %q\n", rest[0])
		listProducts(e)
		return cli.Usage
	}
	if *rcpt != "" {
		if _, err := smtpwire.ParseAddress(*rcpt, false); err != nil {
			fmt.Fprintf(e.Err, "gatepost handover: --rcpt: %v; write USER@DOMAIN\n", err)
			return cli.Usage
		}
	}
	if *outside != "" {
		return handoverOutside(ctx, e, f, product, *outside, *rcpt)
	}
	c, problems := config.Load(f.Config, sections())
	if c == nil {
		cli.Tell(e, problems)
		return cli.Found
	}
	r, err := routeNamed(c, *route)
	if err != nil {
		fmt.Fprintf(e.Err, "gatepost handover: %v\n", err)
		return cli.Usage
	}
	hops, err := handoverHops(ctx, c, r)
	if err != nil {
		fmt.Fprintf(e.Err, "gatepost handover: %v\n", err)
		return cli.Found
	}
	facts, err := handoverFacts(c, r, hops, *gateways)
	if err != nil {
		fmt.Fprintf(e.Err, "gatepost handover: %v\n", err)
		return cli.Usage
	}
	if *verify {
		return handoverInside(ctx, e, f, product, hops, facts, *rcpt)
	}
	if f.JSON {
		_ = json.NewEncoder(e.Out).Encode(facts)
		return cli.Done
	}
	if err := handover.Write(e.Out, product, facts); err != nil {
		fmt.Fprintf(e.Err, "gatepost: %v\n", err)
		return cli.Found
	}
	return cli.Done
}

func listProducts(e cli.Env) {
	fmt.Fprintln(e.Err, "gatepost handover PRODUCT; the products are:")
	for _, p := range handover.Products() {
		fmt.Fprintf(e.Err, "  %-16s %s\n", p.Name, p.Title)
	}
}

// routeNamed is the route of that name, or the only one.
func routeNamed(c *config.Config, name string) (*config.Route, error) {
	var names []string
	for i := range c.Policy.Routes {
		if r := &c.Policy.Routes[i]; r.Name == name || name == "" && len(c.Policy.Routes) == 1 {
			return r, nil
		}
		names = append(names, c.Policy.Routes[i].Name)
	}
	if name == "" {
		return nil, fmt.Errorf("which route? write --route with one of %s", strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("there is no route %q; the routes are %s", name, strings.Join(names, ", "))
}

// handoverHops are the next hops of a route, those that DNS names among them, in their order.
func handoverHops(ctx context.Context, c *config.Config, r *config.Route) (hops []relay.Hop, err error) {
	resolver, err := dns.New(resolverOptions(c.Bootstrap, slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, liveTime)
	defer cancel()
	for _, h := range r.NextHops {
		found, what := []relay.Hop{{Host: h.Host, Port: h.Port}}, h.Host
		switch {
		case h.MX != "":
			what = "mx " + h.MX
			found, _, err = finder{resolver}.MX(ctx, h.MX)
			for i := range found {
				found[i].Port = h.Port
			}
		case h.SRV != "":
			what = "srv " + h.SRV
			found, _, err = finder{resolver}.SRV(ctx, h.SRV)
		}
		if err != nil || len(found) == 0 {
			return nil, fmt.Errorf("next hop %s: DNS names none (%v)", what, err)
		}
		slices.SortStableFunc(found, func(a, b relay.Hop) int { return a.Order - b.Order })
		hops = append(hops, found...)
	}
	return hops, nil
}

// handoverFacts gathers what a kit tells.
func handoverFacts(c *config.Config, r *config.Route, hops []relay.Hop, gateways string) (handover.Facts, error) {
	f := handover.Facts{Hostname: c.Bootstrap.Hostname, Route: r.Name, Size: int64(c.Policy.Limits.MessageSize) + handoverRoom,
		Recipients: c.Policy.Limits.Known, Pool: r.Pool, SealDomain: c.Bootstrap.Hostname}
	if len(hops) > 0 {
		f.HopHost, f.Port = hops[0].Host, hops[0].Port
	}
	if r.Forward != "none" {
		f.Forward = r.Forward
	}
	for _, d := range c.Policy.Domains {
		if d.Route == r.Name {
			f.Domains = append(f.Domains, strings.TrimPrefix(d.Name, "*."))
		}
	}
	if len(f.Domains) == 0 {
		return f, fmt.Errorf("no domain takes route %s; write one in policy.toml first", r.Name)
	}
	for _, text := range strings.FieldsFunc(gateways, func(r rune) bool { return r == ',' || r == ' ' }) {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return f, fmt.Errorf("--gateway: %q is no IP address", text)
		}
		f.Gateways = append(f.Gateways, a.Unmap())
	}
	if len(f.Gateways) == 0 {
		f.Gateways = ownAddresses(hops)
	}
	if len(f.Gateways) == 0 {
		return f, fmt.Errorf("the address that this host connects from could not be found out; write --gateway ADDRESS")
	}
	return f, nil
}

// handoverRoom is what the gateway's own fields add to a message.
const handoverRoom = 64 << 10

// ownAddresses are those that the kernel would connect to the next hops from. No packet is sent.
func ownAddresses(hops []relay.Hop) []netip.Addr {
	var out []netip.Addr
	for _, h := range hops {
		if strings.HasPrefix(h.Host, "unix:") {
			return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
		}
		c, err := net.DialTimeout("udp", h.Address(), 5*time.Second)
		if err != nil {
			continue
		}
		if a, ok := c.LocalAddr().(*net.UDPAddr); ok {
			if ip := a.AddrPort().Addr().Unmap().WithZone(""); !slices.Contains(out, ip) {
				out = append(out, ip)
			}
		}
		_ = c.Close()
	}
	return out
}

// handoverInside looks at each next hop as the gateway does.
func handoverInside(ctx context.Context, e cli.Env, f *cli.Flags, product handover.Product, hops []relay.Hop, facts handover.Facts, rcpt string) int {
	ctx, cancel := context.WithTimeout(ctx, handoverTime)
	defer cancel()
	code := cli.Done
	for _, h := range hops {
		p := handover.Probe{Address: h.Address(), Hostname: facts.Hostname, LMTP: product.LMTP,
			Late: product.Late, Domain: facts.Domains[0], Recipient: rcpt, Size: facts.Size, Connections: facts.Pool}
		if tellProbe(e, f, p.Address, p.Inside(ctx)) {
			code = cli.Found
		}
	}
	return code
}

// handoverOutside looks at a server from a host that is not the gateway; it needs no configuration.
func handoverOutside(ctx context.Context, e cli.Env, f *cli.Flags, product handover.Product, server, rcpt string) int {
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(strings.Trim(server, "[]"), "25")
	}
	_, domain, ok := strings.Cut(rcpt, "@")
	if !ok {
		fmt.Fprintln(e.Err, "gatepost handover: --outside needs --rcpt with a recipient that exists behind the server")
		return cli.Usage
	}
	ctx, cancel := context.WithTimeout(ctx, handoverTime)
	defer cancel()
	p := handover.Probe{Address: server, Hostname: "outside.example", LMTP: product.LMTP, Late: product.Late, Domain: domain, Recipient: rcpt}
	if tellProbe(e, f, server, []handover.Result{p.Outside(ctx)}) {
		return cli.Found
	}
	return cli.Done
}

// tellProbe prints what was found, and reports whether anything is bad.
func tellProbe(e cli.Env, f *cli.Flags, server string, results []handover.Result) (bad bool) {
	type line struct {
		Server string `json:"server"`
		handover.Result
	}
	var lines []line
	for _, r := range results {
		bad = bad || r.Verdict == handover.Bad
		lines = append(lines, line{server, r})
		if f.JSON {
			continue
		}
		fmt.Fprintf(e.Out, "%-4s %s: %s: %s\n", r.Verdict, server, r.What, r.Detail)
		if r.Do != "" {
			fmt.Fprintf(e.Out, "     %s\n", r.Do)
		}
	}
	if f.JSON && cli.JSONLines(e, lines) != cli.Done {
		return true
	}
	return bad
}
