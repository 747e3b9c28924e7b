package strangers

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"text/tabwriter"
	"time"

	"gatepost/internal/api"
	"gatepost/internal/cli"
)

// Commands are those of strangers.
func Commands() []cli.Command {
	return []cli.Command{
		{Words: "greylist list", Args: "[--limit N] [--config PATH] [--json]", Doc: "list the strangers that greylisting holds, with the time at which each passes", Run: listing},
		{Words: "greylist release", Args: "KEY | [--from A] [--to A] [--config PATH] [--json]", Doc: "let strangers that wait pass from their next try on", Run: letting},
		{Words: "greylist forget", Args: "KEY | [--from A] [--to A] | --identity I [--config PATH] [--json]", Doc: "make strangers again of a pair, or of all of an organization or network", Run: dropping},
	}
}

// listing shows who waits.
func listing(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "greylist list")
	limit := f.Int("limit", shown, "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	if *limit < 1 || *limit > atMost {
		fmt.Fprintf(e.Err, "gatepost greylist list: --limit is %d; write a number from 1 to %d\n", *limit, atMost)
		return cli.Usage
	}
	list, err := cli.Call[List](ctx, e, f, listQuestion(), &api.GreylistAsk{Limit: *limit})
	if err != nil {
		return cli.Complain(e, "greylist list", err)
	}
	if f.JSON {
		if code := cli.JSONLines(e, list.Waiting); code != cli.Done {
			return code
		}
	} else {
		printList(e.Out, list.Waiting, time.Now())
	}
	more := ""
	if list.More {
		more = " at least"
	}
	fmt.Fprintf(e.Err, "%d pairs wait%s, %d shown\n", list.All, more, len(list.Waiting))
	return cli.Done
}

// printList lists who waits, each with its time to pass.
func printList(w io.Writer, list []Waiter, now time.Time) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for i := range list {
		x := &list[i]
		when := "passes at its next try"
		if left := x.Pass.Sub(now); left > 0 {
			when = "passes in " + left.Round(time.Second).String()
		}
		who := "(not in the log any more)\t\t"
		if x.Named {
			who = fmt.Sprintf("<%s> -> %s\t%s\t%s", x.From, x.To, x.Client, x.Reference)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", cli.Stamp(x.Since), when, x.Key, who)
	}
	t.Flush()
}

// letting lets pairs pass that wait.
func letting(ctx context.Context, e cli.Env, args []string) int {
	return change(ctx, e, args, "release", "pairs waited and pass from their next try on")
}

// dropping makes strangers again.
func dropping(ctx context.Context, e cli.Env, args []string) int {
	return change(ctx, e, args, "forget", "records are forgotten")
}

// change asks the daemon to change what it remembers.
func change(ctx context.Context, e cli.Env, args []string, verb, done string) int {
	f := cli.NewFlags(e, "greylist "+verb)
	v := url.Values{}
	names := []string{"from", "to"}
	if verb == "forget" {
		names = append(names, "identity")
	}
	for _, name := range names {
		f.Func(name, "", func(text string) error { v.Set(name, text); return nil })
	}
	rest, ok := f.Read(e, args, 1)
	if !ok {
		return cli.Usage
	}
	if len(rest) == 1 {
		v.Set("key", rest[0])
	}
	if len(v) == 0 || len(rest) == 1 && len(v) > 1 || v.Has("identity") && len(v) > 1 {
		fmt.Fprintf(e.Err, "gatepost greylist %s: name a KEY, or --from and --to%s; gatepost greylist list shows them\n", verb,
			map[bool]string{true: ", or --identity"}[verb == "forget"])
		return cli.Usage
	}
	ask := cli.CallFields[Changed, api.GreylistForget]
	o := forgetQuestion()
	if verb == "release" {
		ask, o = cli.CallFields[Changed, api.GreylistPick], releaseQuestion()
	}
	out, err := ask(ctx, e, f, o, v)
	if err != nil {
		return cli.Complain(e, "greylist "+verb, err)
	}
	if f.JSON {
		if json.NewEncoder(e.Out).Encode(out) != nil {
			return cli.Found
		}
	}
	fmt.Fprintf(e.Err, "%d %s\n", out.Changed, done)
	if out.Changed == 0 {
		return cli.Found
	}
	return cli.Done
}
