package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/internal/cli"
	"gatepost/internal/store"
)

// trace tells the whole story of a reference from the message log. It works whether or not the daemon runs.
func trace(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "trace")
	reference, ok := f.One(e, args, "name the reference that stands in the refusal, the header X-Gatepost-Trace or the log")
	if !ok {
		return cli.Usage
	}
	id, err := gateway.ParseID(reference)
	if err != nil {
		fmt.Fprintf(e.Err, "gatepost trace: %q: %v\n", reference, err)
		return cli.Usage
	}
	if e.Remote != nil {
		return traceRemote(ctx, e, f, id)
	}
	r, ok := logReader(e, f.Config)
	if !ok {
		return cli.Found
	}
	story, err := r.Trace(ctx, id)
	if story != nil {
		for _, g := range story.Gaps {
			fmt.Fprintf(e.Err, "the log of %s could not be read: %s\n", g.Day, g.Why)
		}
	}
	if errors.Is(err, store.ErrNotFound) {
		oldest, _ := r.Oldest()
		fmt.Fprintf(e.Err, "gatepost trace: nothing is known of %s, which was given on %s%s\n", id, cli.Stamp(id.Time()), since(oldest.IsZero(), cli.Stamp(oldest)))
		return cli.Found
	}
	if err != nil {
		return cli.Complain(e, "trace", err)
	}
	return show(e, story, f.JSON)
}

func since(empty bool, oldest string) string {
	if empty {
		return "; the log is empty"
	}
	return "; the log begins on " + oldest
}

func show(e cli.Env, story *store.Story, asJSON bool) int {
	events := []*gateway.Event{story.Event}
	if story.Event == nil { // a connection that still lasts is known by its transactions
		events = story.Transactions
	}
	for _, event := range events {
		if asJSON {
			told := journal.NewStory(event)
			told.Later, told.Node = story.Fates, story.Node
			if err := json.NewEncoder(e.Out).Encode(told); err != nil {
				return cli.Found
			}
			continue
		}
		o := journal.RenderOptions{Color: e.Terminal(), Connection: story.Connection, Transactions: story.Transactions, Fates: story.Fates, Node: story.Node}
		fmt.Fprint(e.Out, journal.Render(event, o))
	}
	if len(events) == 0 { // of a notice, which no session brought, or of mail that is older than the log
		if asJSON {
			return cli.JSONLines(e, story.Fates)
		}
		fmt.Fprint(e.Out, journal.RenderFates(story.Fates[0].ID, story.Fates, journal.RenderOptions{Color: e.Terminal()}))
	}
	if story.Rest > 0 {
		fmt.Fprintf(e.Err, "and %d more transactions\n", story.Rest)
	}
	return cli.Done
}
