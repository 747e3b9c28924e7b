package entries

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/hits"
	"gatepost/internal/ownlist"
)

// soon is how long before its end an entry is marked.
const soon = 14 * 24 * time.Hour

// Desk is what the operations are about.
type Desk struct {
	// Listed are the entries of the policy in force.
	Listed func() []filters.Listed
	// Rules are those of the policy in force.
	Rules func() []config.Rule
	// Own are recipients' own lists; nil: there are none.
	Own func() *ownlist.Lists
	// Counts are what the store has, and Counter what it has not yet.
	Counts  func(ctx context.Context, since int64, rcpts []string) ([]hits.Count, error)
	Counter func() *hits.Counter
	Try     *Trier
}

func listQuestion() control.Operation {
	return control.Operation{Name: "entry list", Method: http.MethodGet, Path: "/lists", Right: access.ListsRead,
		Doc: "List the entries of allow and block lists, or the rules of the policy, with how often each was met in 30 days, and when for the last time"}
}

// Operations are what can be asked about entries.
func Operations(d *Desk) []control.Operation {
	return append(d.Try.operations(), control.Define(listQuestion(), d.list))
}

// keyOf is the name of an entry of the policy among counts.
func keyOf(l *filters.Listed) hits.Entry {
	return hits.Entry{List: l.Check, Kind: l.Kind, Value: l.Value}
}

// Keys are the names of entries and rules among counts.
func Keys(all []filters.Listed, rules []config.Rule) (out []hits.Entry) {
	for i := range all {
		out = append(out, keyOf(&all[i]))
	}
	for i := range rules {
		out = append(out, ruleKey(&rules[i]))
	}
	return out
}

// ruleKey is the name of a rule among counts.
func ruleKey(r *config.Rule) hits.Entry {
	return hits.Entry{List: hits.Rule, Kind: hits.Rule, Value: r.Name}
}

// rules are those of the policy, as they are listed.
func (d *Desk) rules() (out []entry) {
	all := d.Rules()
	for i := range all {
		r := &all[i]
		e := entry{api.Entry{List: hits.Rule, Kind: string(r.Action), Value: r.Name, Owner: r.Owner, Reason: r.Reason, Observed: r.Observe}, ruleKey(r)}
		if !r.Expires.IsZero() {
			e.Expires = r.Expires.Format(time.DateOnly)
		}
		out = append(out, e)
	}
	return out
}

// entry is one as it is listed, and as counts name it.
type entry struct {
	api.Entry
	key hits.Entry
}

func (d *Desk) list(ctx context.Context, in *api.EntryQuery) (*api.Entries, error) {
	all, err := d.asked(ctx, in)
	if err != nil {
		return nil, err
	}
	skip, err := strconv.Atoi(in.Cursor)
	if in.Cursor != "" && (err != nil || skip < 1) {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: "cursor: is none of ours", Field: "cursor"}
	}
	out := &api.Entries{Entries: []api.Entry{}}
	if in.Mark == "" { // only a mark goes by what is not on the page
		all = page(out, all, skip, in.Limit)
	}
	known := d.count(ctx, all, out)
	now := time.Now()
	for i := range all {
		all[i].told(now, known)
	}
	if in.Mark != "" {
		all = slices.DeleteFunc(all, func(e entry) bool {
			return !map[string]bool{"unused": e.Unused, "soon": e.Soon, "over": e.Over}[in.Mark]
		})
		all = page(out, all, skip, in.Limit)
	}
	for i := range all {
		out.Entries = append(out.Entries, all[i].Entry)
	}
	return out, nil
}

// asked are all entries that are asked for, of which whoever asks may know. Whoever has some domains only is told of own lists of
// their recipients: the policy's are of all.
func (d *Desk) asked(ctx context.Context, in *api.EntryQuery) ([]entry, error) {
	actor := access.Of(ctx)
	switch all := actor.Everywhere(); {
	case in.List == "own" || in.List == "" && !all:
		return d.own(&actor, strings.ToLower(in.Rcpt)), nil
	case !all:
		return nil, &control.Fault{Status: http.StatusForbidden, Message: "the lists and rules of the policy are of all domains, and you have some", Hint: "list=own lists those of the recipients of your domains", Field: "list"}
	case in.Rcpt != "":
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: "rcpt: is about own lists", Hint: "write list=own beside it", Field: "rcpt"}
	}
	if in.List == hits.Rule {
		return d.rules(), nil
	}
	var out []entry
	for _, l := range d.Listed() {
		e := entry{api.Entry{List: strings.TrimPrefix(l.Check, "access."), Kind: l.Kind, Value: l.Value, Owner: l.Owner, Reason: l.Reason}, keyOf(&l)}
		if in.List != "" && in.List != e.List {
			continue
		}
		if !l.Expires.Day.IsZero() {
			e.Expires = l.Expires.Day.Format(time.DateOnly)
		}
		out = append(out, e)
	}
	return out, nil
}

// own are the entries of recipients' own lists, of one or of all whom somebody sees.
func (d *Desk) own(actor *access.Actor, rcpt string) (out []entry) {
	if d.Own == nil {
		return nil
	}
	lists := d.Own()
	rcpts := lists.Recipients()
	if rcpt != "" {
		rcpts = []string{rcpt}
	}
	for _, to := range rcpts {
		if !actor.SeesAny(to) {
			continue
		}
		for _, e := range lists.Of(to) {
			out = append(out, entry{api.Entry{List: "own", Kind: string(e.Kind), Rcpt: e.Rcpt, Value: e.Sender, Since: e.Time},
				hits.Entry{List: gateway.OwnCheck, Kind: string(e.Kind), Rcpt: e.Rcpt, Value: e.Sender}})
		}
	}
	return out
}

// page is one page of a list; out gets where it goes on.
func page(out *api.Entries, all []entry, skip, limit int) []entry {
	all = all[min(skip, len(all)):]
	if len(all) > limit {
		all = all[:limit]
		out.Next = strconv.Itoa(skip + limit)
	}
	return all
}

// mostAsked is how many recipients one question to the store names.
const mostAsked = 500

// count is what is known of entries; out gets why it is not.
func (d *Desk) count(ctx context.Context, all []entry, out *api.Entries) map[hits.Entry]hits.Count {
	known := map[hits.Entry]hits.Count{}
	take := func(rcpts []string) {
		got, err := d.Counts(ctx, hits.Day(time.Now())-hits.Window+1, rcpts)
		if err != nil {
			out.Trouble = "the store of the control data does not answer: hits are those that were counted here since"
		}
		for _, c := range got {
			known[c.Entry] = c
		}
	}
	var rcpts []string
	policy := false
	for i := range all {
		to := all[i].Rcpt
		policy = policy || to == ""
		if to != "" && (len(rcpts) == 0 || rcpts[len(rcpts)-1] != to) {
			rcpts = append(rcpts, to)
		}
	}
	if policy {
		take(nil)
	}
	for some := range slices.Chunk(rcpts, mostAsked) {
		if out.Trouble == "" {
			take(some)
		}
	}
	for key, p := range d.Counter().Pending() {
		c := known[key]
		c.N += p.N
		if p.Last.After(c.Last) {
			c.Last = p.Last
		}
		known[key] = c
	}
	if n := d.Counter().Lost(); n > 0 && out.Trouble == "" {
		out.Trouble = strconv.FormatInt(n, 10) + " hits of this node were not counted: there was no room while the store did not take them"
	}
	return known
}

// told says how often an entry was met, and marks it.
func (e *entry) told(now time.Time, known map[hits.Entry]hits.Count) {
	c := known[e.key]
	e.Hits, e.Last = c.N, c.Last
	if e.List != "own" { // of own lists the list itself says since when
		e.Since = c.Since
	}
	counted := !e.Since.IsZero() && now.Sub(e.Since) >= hits.Window*24*time.Hour
	e.Unused = counted && e.Hits == 0
	if day, err := time.Parse(time.DateOnly, e.Expires); err == nil {
		end := day.AddDate(0, 0, 1)
		e.Over = !now.Before(end)
		e.Soon = !e.Over && end.Sub(now) <= soon
	}
}
