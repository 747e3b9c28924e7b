package route

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	"gatepost/internal/api"
	"gatepost/internal/cli"
)

// Commands are those of the noun.
func Commands() []cli.Command {
	return []cli.Command{{Words: "route test", Args: "DOMAIN|HOST:PORT|--route NAME [--domain D] [--tls MODE] [--server-name NAME] [--fingerprints SHA256,...] [--protocol lmtp] [--recipient ADDRESS] [--draft] [--config PATH] [--json]",
		Doc: "try the way of mail to a next hop, step by step, without a message, with cause and fix of what fails", Run: try,
		Note: "A HOST:PORT need be in no route yet; mx:DOMAIN, srv:NAME and unix:PATH are such as well. --draft goes by your draft of the policy"}}
}

func try(ctx context.Context, e cli.Env, args []string) int {
	f, in := cli.NewFlags(e, "route test"), &api.RouteAsk{}
	f.StringVar(&in.Route, "route", "", "")
	f.StringVar(&in.Domain, "domain", "", "")
	f.StringVar(&in.TLS, "tls", "", "")
	f.StringVar(&in.ServerName, "server-name", "", "")
	f.StringVar(&in.Pins, "fingerprints", "", "")
	f.StringVar(&in.Protocol, "protocol", "", "")
	f.StringVar(&in.Recipient, "recipient", "", "")
	f.BoolVar(&in.Draft, "draft", false, "")
	rest, ok := f.Read(e, args, 1)
	if !ok {
		return cli.Usage
	}
	switch {
	case len(rest) == 1:
		named(in, rest[0])
	case in.Route == "":
		fmt.Fprintln(e.Err, "gatepost route test: what is tried? A domain, HOST:PORT, or --route NAME")
		return cli.Usage
	}
	if in.Port == 0 {
		in.Port = 25
	}
	out, err := cli.Call[api.RouteTested](ctx, e, f, testQuestion(), in)
	code := cli.Reply(e, f, "route test", out, err, func(t *api.RouteTested) { show(e, t) })
	if code == cli.Done && out.Verdict == api.RouteFail {
		return cli.Found
	}
	return code
}

// named tells a server from a domain: it has a port, or one of the ways to find servers.
func named(in *api.RouteAsk, text string) {
	for _, way := range [...]string{"mx:", "srv:", "unix:"} {
		if strings.HasPrefix(text, way) {
			in.Host = text
			return
		}
	}
	if host, port, err := net.SplitHostPort(text); err == nil {
		if n, err := strconv.Atoi(port); err == nil {
			in.Host, in.Port = host, n
			return
		}
	}
	in.Domain = text
}

// show writes what came of it for people.
func show(e cli.Env, t *api.RouteTested) {
	words := map[string]string{api.RouteOK: "ok", api.RouteWarn: "warn", api.RouteFail: "FAIL"}
	for i := range t.Hops {
		h := &t.Hops[i]
		fmt.Fprintf(e.Out, "%-4s %s\n", words[h.Verdict], cli.Shown(h.NextHop, 300))
		for j := range h.Steps {
			s := &h.Steps[j]
			fmt.Fprintf(e.Out, "  %-4s %-11s %6.1f ms  %s\n", words[s.Verdict], s.Step, s.Took, cli.Shown(s.Said, 400))
			if s.Cause != "" {
				fmt.Fprintf(e.Out, "       %s\n", s.Cause)
			}
			for _, fix := range s.Fix {
				fmt.Fprintf(e.Out, "       -> %s\n", fix)
			}
		}
	}
}
