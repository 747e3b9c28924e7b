package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"gatepost/internal/api"
	"gatepost/internal/cli"
)

// greylistShow shows who waits.
func greylistShow(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "greylist list")
	limit := f.Int("limit", waitersShown, "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	if *limit < 1 || *limit > waitersAtMost {
		fmt.Fprintf(e.Err, "gatepost greylist list: --limit is %d; write a number from 1 to %d\n", *limit, waitersAtMost)
		return cli.Usage
	}
	var list waitingList
	if err := askFields[api.GreylistAsk](ctx, e, f, greylistListQuestion(), url.Values{"limit": {strconv.Itoa(*limit)}}, &list); err != nil {
		return cli.Complain(e, "greylist list", err)
	}
	if f.JSON {
		if code := cli.JSONLines(e, list.Waiting); code != cli.Done {
			return code
		}
	} else {
		printWaiting(e.Out, list.Waiting, time.Now())
	}
	more := ""
	if list.More {
		more = " at least"
	}
	fmt.Fprintf(e.Err, "%d pairs wait%s, %d shown\n", list.All, more, len(list.Waiting))
	return cli.Done
}

// printWaiting lists who waits, each with its time to pass.
func printWaiting(w io.Writer, list []waiter, now time.Time) {
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

// greylistLet lets pairs pass that wait.
func greylistLet(ctx context.Context, e cli.Env, args []string) int {
	return greylistDo(ctx, e, args, "release", "pairs waited and pass from their next try on")
}

// greylistDrop makes strangers again.
func greylistDrop(ctx context.Context, e cli.Env, args []string) int {
	return greylistDo(ctx, e, args, "forget", "records are forgotten")
}

// greylistDo asks the daemon to change what it remembers.
func greylistDo(ctx context.Context, e cli.Env, args []string, verb, done string) int {
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
	var out greylistChange
	var err error
	if verb == "release" {
		err = askFields[api.GreylistPick](ctx, e, f, greylistReleaseQuestion(), v, &out)
	} else {
		err = askFields[api.GreylistForget](ctx, e, f, greylistForgetQuestion(), v, &out)
	}
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
