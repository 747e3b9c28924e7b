package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
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
	v := url.Values{}
	if len(rest) == 1 {
		v.Set("name", rest[0])
	}
	if *force {
		v.Set("force", "true")
	}
	var out renewed
	if err := askFields[api.RenewAsk](ctx, e, f, renewQuestion(), v, &out); err != nil {
		return cli.Complain(e, "tls renew", err)
	}
	if f.JSON && json.NewEncoder(e.Out).Encode(out) != nil {
		return cli.Found
	}
	fmt.Fprintf(e.Err, "ordered: %s; gatepost tls status tells what comes of it\n", strings.Join(out.Asked, ", "))
	return cli.Done
}
