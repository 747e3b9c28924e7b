package reputation

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"

	"gatepost/internal/api"
	"gatepost/internal/cli"
)

// Commands are those of histories.
func Commands() []cli.Command {
	return []cli.Command{
		{Words: "reputation show", Args: "ADDRESS|NETWORK|DOMAIN [--config PATH] [--json]", Doc: "show what came of earlier mail of a client, network, organization or domain", Run: showing},
		{Words: "reputation top", Args: "[N] [--config PATH] [--json]", Doc: "list who brought the most spam, malware and guesses lately", Run: topping},
		{Words: "reputation reset", Args: "ADDRESS|NETWORK|DOMAIN [--config PATH] [--json]", Doc: "forget what came of their mail", Run: resetting},
	}
}

// showing shows what is known of an address, a network or a domain.
func showing(ctx context.Context, e cli.Env, args []string) int {
	return command(ctx, e, "reputation show", args, "of")
}

// topping shows who brought the most bad lately.
func topping(ctx context.Context, e cli.Env, args []string) int {
	return command(ctx, e, "reputation top", args, "n")
}

// command asks for histories, and shows them.
func command(ctx context.Context, e cli.Env, name string, args []string, query string) int {
	f := cli.NewFlags(e, name)
	rest, ok := f.Read(e, args, 1)
	if !ok {
		return cli.Usage
	}
	value := strconv.Itoa(api.TopLines)
	switch {
	case len(rest) > 0:
		value = rest[0]
	case query == "of":
		fmt.Fprintf(e.Err, "gatepost %s: of whom? Write an address, a network (/24, /48) or a domain\n", name)
		return cli.Usage
	}
	ask, o := cli.CallFields[[]Line, api.Top], topQuestion()
	if query == "of" {
		ask, o = cli.CallFields[[]Line, api.ReputationOf], showQuestion()
	}
	got, err := ask(ctx, e, f, o, url.Values{query: {value}})
	if err != nil {
		return cli.Complain(e, name, err)
	}
	list := *got
	if f.JSON {
		return cli.JSONLines(e, list)
	}
	for i := range list {
		fmt.Fprintf(e.Out, "%-36s %s\n", list[i].Subject, list[i].Told)
	}
	if len(list) == 0 {
		fmt.Fprintln(e.Err, "no message has taught anything yet")
	}
	return cli.Done
}

// resetting forgets what is known of an address, a network or a domain.
func resetting(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "reputation reset")
	of, ok := f.One(e, args, "of whom? Write an address, a network (/24, /48) or a domain")
	if !ok {
		return cli.Usage
	}
	forgotten, err := cli.List[string](ctx, e, f, resetQuestion(), &api.ReputationOf{Of: of})
	if err != nil {
		return cli.Complain(e, "reputation reset", err)
	}
	if f.JSON {
		if json.NewEncoder(e.Out).Encode(forgotten) != nil {
			return cli.Found
		}
	} else {
		for _, s := range forgotten {
			fmt.Fprintln(e.Out, s)
		}
	}
	if len(forgotten) == 0 {
		fmt.Fprintln(e.Err, "nothing was known of "+of)
		return cli.Found
	}
	return cli.Done
}
