package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"gatepost/gateway"
	"gatepost/gateway/digest"
)

// keptDigest shows the digests that would be sent now, or sends them.
func keptDigest(ctx context.Context, e env, args []string) int {
	const name = "quarantine digest"
	f := newFlags(e, name)
	rcpt := f.String("recipient", "", "")
	send, dry := f.Bool("send", false, ""), f.Bool("dry-run", false, "")
	if _, ok := f.read(e, args, 0); !ok {
		return exitUsage
	}
	if *send && *dry {
		fmt.Fprintf(e.errOut, "gatepost %s: --send or --dry-run, not both\n", name)
		return exitUsage
	}
	method, did := http.MethodGet, "would be sent"
	if *send {
		method, did = http.MethodPost, "sent"
	}
	var list []digest.Told
	if err := ask(ctx, e, f.config, method, "/quarantine/digest?"+url.Values{"rcpt": {*rcpt}}.Encode(), &list); err != nil {
		return complain(e, name, err)
	}
	failed := 0
	for i := range list {
		t := &list[i]
		if t.Error != "" {
			failed++
		}
		switch {
		case f.json:
		case t.Error != "":
			fmt.Fprintf(e.errOut, "%s: %d %s: not sent: %s\n", gateway.CleanText(t.Rcpt, 320), t.Messages, plural(t.Messages, "message", "messages"), t.Error)
		default:
			fmt.Fprintf(e.out, "%s: %d %s\n", gateway.CleanText(t.Rcpt, 320), t.Messages, plural(t.Messages, "message", "messages"))
			if *rcpt != "" && !*send {
				fmt.Fprintf(e.out, "\n%s", t.Text)
			}
		}
	}
	if f.json {
		jsonLines(e, list)
	}
	fmt.Fprintf(e.errOut, "%d %s %s\n", len(list)-failed, plural(len(list)-failed, "digest", "digests"), did)
	if failed > 0 {
		return exitFound
	}
	return exitDone
}
