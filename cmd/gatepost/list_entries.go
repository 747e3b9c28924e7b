package main

import (
	"context"
	"errors"
	"slices"

	"gatepost/cmd/gatepost/entries"
	"gatepost/cmd/gatepost/whatif"
	"gatepost/filters"
	"gatepost/gateway"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/hits"
	"gatepost/internal/ownlist"
	"gatepost/internal/replay"
)

// listed are the entries of allow and block lists in force.
func (d *daemon) listed() []filters.Listed {
	c := d.document.Load()
	if c == nil {
		return nil
	}
	return filters.ListedIn(configured(c.Policy.Checks))
}

// rulesInForce are those of the policy.
func (d *daemon) rulesInForce() []config.Rule {
	c := d.document.Load()
	if c == nil {
		return nil
	}
	return c.Policy.Rules
}

// runHits brings what was counted of entries and rules to the control data.
func (d *daemon) runHits(ctx context.Context) {
	k := &hits.Keeper{Counter: &d.parts.hits, Store: d.data.ListHits(), Node: d.bootstrap.NodeName(), Log: d.log,
		Version: func() any { return d.document.Load() },
		Entries: func() []hits.Entry { return entries.Keys(d.listed(), d.rulesInForce()) }}
	k.Run(ctx)
}

// entryOperations are those about entries of lists. They judge recorded mail in turn with what-if.
func (d *daemon) entryOperations(turn *whatif.Desk) []control.Operation {
	return entries.Operations(&entries.Desk{Listed: d.listed, Rules: d.rulesInForce, Counter: func() *hits.Counter { return &d.parts.hits },
		Own: func() *ownlist.Lists { return d.parts.ownEntries() },
		Counts: func(ctx context.Context, since int64, rcpts []string) ([]hits.Count, error) {
			if d.data == nil {
				return nil, errors.New("there are no control data")
			}
			return d.data.ListHits().Counts(ctx, since, rcpts)
		},
		Try: &entries.Trier{Log: turn.Log, Begin: turn.Begin, Draft: d.entryDraft}})
}

// entryDraft is what is in force with an entry that is not written yet, and without it.
func (d *daemon) entryDraft(ctx context.Context, change config.Change, x filters.Listed) (*replay.Entry, error) {
	now := d.document.Load()
	text, err := config.Edit(now.PolicyText, []config.Change{change})
	if err != nil {
		return nil, draftFault(err)
	}
	c, with, err := d.drafted(ctx, now, text)
	if err != nil {
		return nil, err
	}
	before, after := configured(now.Policy.Checks), configured(c.Policy.Checks)
	without := draftOf(now, d.now.Load().snapshot)
	with.Again, without.Again = anew(filters.ListsAgain(before, after)), anew(filters.ListsAgain(after, before))
	return &replay.Entry{Check: x.Check, Measure: x.Kind, Value: x.Value, Alone: filters.ListedAgain(after, x), With: with, Without: without}, nil
}

// anew are checks that are made again, in the order in which they are made.
func anew(lists map[string]filters.Again) (out []replay.Anew) {
	for name, again := range lists {
		stage := map[string]gateway.Stage{"access.sender": gateway.Mail, "access.author": gateway.Data}[name]
		out = append(out, replay.Anew{Check: name, Stage: stage, Find: again})
	}
	slices.SortFunc(out, func(a, b replay.Anew) int { return int(a.Stage) - int(b.Stage) })
	return out
}
