package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/internal/store"
)

// trace tells the whole story of a reference from the message log. It works whether or not the daemon runs.
func trace(ctx context.Context, e env, args []string) int {
	f := newFlags(e, "trace")
	rest, ok := f.read(e, args, 1)
	if !ok || len(rest) == 0 {
		if ok {
			fmt.Fprintln(e.errOut, "gatepost trace: name the reference that stands in the refusal, the header X-Gatepost-Trace or the log")
		}
		return exitUsage
	}
	id, err := gateway.ParseID(rest[0])
	if err != nil {
		fmt.Fprintf(e.errOut, "gatepost trace: %q: %v\n", rest[0], err)
		return exitUsage
	}
	r, ok := logReader(e, f.config)
	if !ok {
		return exitFound
	}
	story, err := r.Trace(ctx, id)
	if story != nil {
		for _, g := range story.Gaps {
			fmt.Fprintf(e.errOut, "the log of %s could not be read: %s\n", g.Day, g.Why)
		}
	}
	if errors.Is(err, store.ErrNotFound) {
		oldest, _ := r.Oldest()
		fmt.Fprintf(e.errOut, "gatepost trace: nothing is known of %s, which was given on %s%s\n", id, stamp(id.Time()), since(oldest.IsZero(), stamp(oldest)))
		return exitFound
	}
	if err != nil {
		return complain(e, "trace", err)
	}
	return show(e, story, f.json)
}

func since(empty bool, oldest string) string {
	if empty {
		return "; the log is empty"
	}
	return "; the log begins on " + oldest
}

func show(e env, story *store.Story, asJSON bool) int {
	events := []*gateway.Event{story.Event}
	if story.Event == nil { // a connection that still lasts is known by its transactions
		events = story.Transactions
	}
	for _, event := range events {
		if asJSON {
			told := journal.NewStory(event)
			told.Later = story.Fates
			if err := json.NewEncoder(e.out).Encode(told); err != nil {
				return exitFound
			}
			continue
		}
		o := journal.RenderOptions{Color: terminal(e), Connection: story.Connection, Transactions: story.Transactions, Fates: story.Fates}
		fmt.Fprint(e.out, journal.Render(event, o))
	}
	if len(events) == 0 { // of a notice, which no session brought, or of mail that is older than the log
		if asJSON {
			return jsonLines(e, story.Fates)
		}
		fmt.Fprint(e.out, journal.RenderFates(story.Fates[0].ID, story.Fates, journal.RenderOptions{Color: terminal(e)}))
	}
	if story.Rest > 0 {
		fmt.Fprintf(e.errOut, "and %d more transactions\n", story.Rest)
	}
	return exitDone
}

// terminal reports whether the output goes to one.
func terminal(e env) bool {
	f, ok := e.out.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
