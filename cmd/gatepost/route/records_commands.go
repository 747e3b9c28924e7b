package route

import (
	"context"
	"fmt"

	"gatepost/internal/api"
	"gatepost/internal/cli"
)

// RecordCommands are those about records.
func RecordCommands() []cli.Command {
	return []cli.Command{{Words: "domain records", Args: "DOMAIN [--config PATH] [--json]", Doc: "tell the records in DNS that a domain needs whose mail comes in here, and which of them are published", Run: records}}
}

func records(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "domain records")
	domain, ok := f.One(e, args, "name a domain")
	if !ok {
		return cli.Usage
	}
	out, err := cli.Call[api.DomainRecords](ctx, e, f, recordsQuestion(), &api.RecordsAsk{Domain: domain})
	return cli.Reply(e, f, "domain records", out, err, func(d *api.DomainRecords) {
		for i := range d.Records {
			r := &d.Records[i]
			fmt.Fprintf(e.Out, "%-9s %s\n          %s\n", r.State, cli.Shown(r.Line, 600), r.Why)
			for _, x := range r.Found {
				if r.State == recordOther {
					fmt.Fprintf(e.Out, "          there is: %s\n", cli.Shown(x, 300))
				}
			}
		}
	})
}
