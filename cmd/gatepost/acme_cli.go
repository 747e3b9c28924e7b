package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"gatepost/internal/api"
	"gatepost/internal/cli"
)

// tlsRenew has certificates ordered anew now.
func tlsRenew(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "tls renew")
	force := f.Bool("force", false, "")
	rest, ok := f.Read(e, args, 1)
	if !ok {
		return cli.Usage
	}
	in := api.RenewAsk{Force: *force}
	if len(rest) == 1 {
		in.Name = rest[0]
	}
	out, err := cli.Call[renewed](ctx, e, f, renewQuestion(), &in)
	if err != nil {
		return cli.Complain(e, "tls renew", err)
	}
	if f.JSON && json.NewEncoder(e.Out).Encode(out) != nil {
		return cli.Found
	}
	fmt.Fprintf(e.Err, "ordered: %s; gatepost tls status tells what comes of it\n", strings.Join(out.Asked, ", "))
	return cli.Done
}
