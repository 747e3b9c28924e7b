package main

import (
	"context"
	"fmt"

	"gatepost/cmd/gatepost/maillog"
	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/store"
)

// searchRemote searches the log of another host, page by page.
func searchRemote(ctx context.Context, e cli.Env, f *cli.Flags, q store.Query) int {
	in := api.LogSearch{From: q.From, To: q.To, Since: q.Since, Until: q.Until, MessageID: q.MessageID, Client: q.Client, Subject: q.Subject, Outcomes: q.Verdicts, Range: "24h"}
	result := &store.Result{Rows: []store.Row{}}
	for len(result.Rows) < q.Limit {
		in.Limit = min(q.Limit-len(result.Rows), 500)
		page, err := cli.Call[api.LogPage](ctx, e, f, maillog.Search(), &in)
		if err != nil {
			return cli.Complain(e, "log search", err)
		}
		for i := range page.Rows {
			result.Rows = append(result.Rows, storeRow(&page.Rows[i]))
		}
		for _, g := range page.Gaps {
			fmt.Fprintln(e.Err, "the log could not be read whole: "+g)
		}
		in.Cursor, result.More = page.Next, page.Next != ""
		if page.Next == "" {
			break
		}
	}
	if f.JSON {
		if code := cli.JSONLines(e, result.Rows); code != cli.Done {
			return code
		}
	} else {
		printRows(e.Out, result.Rows)
	}
	if result.More {
		fmt.Fprintln(e.Err, "there are older ones: ask with a larger --limit or an earlier --until")
	}
	if len(result.Rows) == 0 {
		return cli.Found
	}
	return cli.Done
}

func storeRow(r *api.LogRow) store.Row {
	return store.Row{ID: r.ID, Session: r.Session, Time: r.Time, Kind: r.Kind, Client: r.Client, Helo: r.Helo, From: r.From, HeaderFrom: r.HeaderFrom, Rcpts: r.Rcpts,
		Size: r.Size, MessageID: r.MessageID, Subject: r.Subject, Verdict: r.Verdict, Reason: r.Reason, Check: r.Check, Score: r.Score, Policy: r.Policy, Reply: r.Reply,
		NextHop: r.NextHop, End: r.End, Took: r.Took, Node: r.Node, Later: r.Later}
}

// traceRemote tells the story of a reference from the log of another host.
func traceRemote(ctx context.Context, e cli.Env, f *cli.Flags, id gateway.ID) int {
	s, err := cli.Call[api.LogStory](ctx, e, f, maillog.Trace(), &api.LogReference{ID: id.String()})
	if err != nil {
		return cli.Complain(e, "trace", err)
	}
	for _, g := range s.Gaps {
		fmt.Fprintln(e.Err, "the log could not be read whole: "+g)
	}
	story := &store.Story{Rest: s.More, Fates: s.Fates}
	for from, to := range map[*journal.Story]**gateway.Event{s.Event: &story.Event, s.Connection: &story.Connection} {
		if from == nil {
			continue
		}
		if *to, err = from.Event(); err != nil {
			return cli.Complain(e, "trace", err)
		}
		story.Node = from.Node
	}
	for _, x := range s.Within {
		event, err := x.Event()
		if err != nil {
			return cli.Complain(e, "trace", err)
		}
		story.Node, story.Transactions = x.Node, append(story.Transactions, event)
	}
	return show(e, story, f.JSON)
}
