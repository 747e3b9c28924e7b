package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// tlsRenew has certificates ordered anew now.
func tlsRenew(ctx context.Context, e env, args []string) int {
	f := newFlags(e, "tls renew")
	force := f.Bool("force", false, "")
	rest, ok := f.read(e, args, 1)
	if !ok {
		return exitUsage
	}
	v := url.Values{}
	if len(rest) == 1 {
		v.Set("name", rest[0])
	}
	if *force {
		v.Set("force", "true")
	}
	var out renewed
	if err := ask(ctx, e, f.config, http.MethodPost, "/tls/renew?"+v.Encode(), &out); err != nil {
		return complain(e, "tls renew", err)
	}
	if f.json && json.NewEncoder(e.out).Encode(out) != nil {
		return exitFound
	}
	fmt.Fprintf(e.errOut, "ordered: %s; gatepost tls status tells what comes of it\n", strings.Join(out.Asked, ", "))
	return exitDone
}
