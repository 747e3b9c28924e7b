package quarantine

import (
	"context"
	"fmt"

	"gatepost/gateway"
	"gatepost/internal/api"
	"gatepost/internal/cli"
)

// keptDigest shows the digests that would be sent now, or sends them.
func keptDigest(ctx context.Context, e cli.Env, args []string) int {
	const name = "quarantine digest"
	f := cli.NewFlags(e, name)
	rcpt := f.String("recipient", "", "")
	send, dry := f.Bool("send", false, ""), f.Bool("dry-run", false, "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	if *send && *dry {
		fmt.Fprintf(e.Err, "gatepost %s: --send or --dry-run, not both\n", name)
		return cli.Usage
	}
	question, did := digestQuestion(), "would be sent"
	if *send {
		question, did = sendQuestion(), "sent"
	}
	out, err := cli.Call[api.Digests](ctx, e, f, question, &api.DigestAsk{Rcpt: *rcpt})
	if err != nil {
		return cli.Complain(e, name, err)
	}
	list := out.Digests
	failed := 0
	for i := range list {
		t := &list[i]
		if t.Error != "" {
			failed++
		}
		switch {
		case f.JSON:
		case t.Error != "":
			fmt.Fprintf(e.Err, "%s: %d %s: not sent: %s\n", gateway.CleanText(t.Rcpt, 320), t.Messages, cli.Plural(t.Messages, "message", "messages"), t.Error)
		default:
			fmt.Fprintf(e.Out, "%s: %d %s\n", gateway.CleanText(t.Rcpt, 320), t.Messages, cli.Plural(t.Messages, "message", "messages"))
			if *rcpt != "" && !*send {
				fmt.Fprintf(e.Out, "\n%s", t.Text)
			}
		}
	}
	if f.JSON {
		cli.JSONLines(e, list)
	}
	fmt.Fprintf(e.Err, "%d %s %s\n", len(list)-failed, cli.Plural(len(list)-failed, "digest", "digests"), did)
	if failed > 0 {
		return cli.Found
	}
	return cli.Done
}
