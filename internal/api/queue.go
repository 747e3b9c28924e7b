package api

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/spool"
)

// QueueFilter picks messages of the spool. What is not set picks all; what is set must all hold. Texts match without regard to
// case.
type QueueFilter struct {
	Route  string    `json:"route" doc:"The name of its [[route]]"`
	State  string    `json:"state" enum:"waiting|delivering|held|dead" doc:"How it is"`
	From   string    `json:"from" doc:"A part of the reverse-path; <> is the null one"`
	To     string    `json:"to" doc:"A part of a recipient"`
	Said   string    `json:"said" doc:"A part of why it is still here"`
	Before time.Time `json:"before" doc:"It arrived earlier"`
}

// QueueAsk is what a list of the spool is asked for.
type QueueAsk struct {
	QueueFilter
	IDs     []gateway.ID `json:"id" doc:"Only these"`
	Damaged bool         `json:"damaged" doc:"With the files that were set aside"`
	Cursor  string       `json:"cursor" doc:"Where to go on: next of the page before"`
	Limit   int          `json:"limit" min:"1" max:"500" default:"100" doc:"How many messages"`
}

// QueueList is a page of it, the oldest first.
type QueueList struct {
	Messages []spool.Listed  `json:"messages"`
	Next     string          `json:"next,omitempty"`
	Totals   *spool.Totals   `json:"totals,omitempty"` // of the whole spool; nil for whoever sees some domains only
	Damaged  []spool.Damaged `json:"damaged,omitempty"`
}

// NextTry is when a message is tried again at the latest: when it is due, or when its route is tried again that is away. It is zero where
// it waits for a person.
func (l *QueueList) NextTry(m spool.Listed) time.Time {
	if l.Totals == nil || m.State > spool.Delivering {
		return m.Next
	}
	for i := range l.Totals.Routes {
		if r := &l.Totals.Routes[i]; r.Route == m.Route && r.Retry.After(m.Next) {
			return r.Retry
		}
	}
	return m.Next
}

// QueueLane is what lies in the spool for a route, summed up.
type QueueLane struct {
	spool.RouteTotals
	Count  int
	Size   int64    // octets
	States []string // how many are in each state, such as "3 held"
}

// Lanes are the routes with mail; none for whoever sees some domains only.
func (l *QueueList) Lanes() (out []QueueLane) {
	if l.Totals == nil {
		return nil
	}
	for _, r := range l.Totals.Routes {
		lane := QueueLane{RouteTotals: r}
		for _, state := range slices.Sorted(maps.Keys(r.Messages)) {
			lane.Count, lane.Size = lane.Count+r.Messages[state], lane.Size+r.Octets[state]
			lane.States = append(lane.States, fmt.Sprintf("%d %s", r.Messages[state], state))
		}
		out = append(out, lane)
	}
	return out
}

// QueueID names a message of the spool.
type QueueID struct {
	ID string `path:"id" json:"-" doc:"Its reference"`
}

// QueueLook asks for a message itself.
type QueueLook struct {
	ID  string `path:"id" json:"-" doc:"Its reference"`
	Why string `json:"why" doc:"What for, in a few words: the audit log keeps it"`
}

// QueueChange is what is done to messages of the spool.
type QueueChange struct {
	QueueFilter
	IDs    []gateway.ID `json:"ids" required:"true" doc:"Which, at most 500; of these, what the filter picks no more is left alone"`
	DryRun bool         `json:"dry_run" doc:"Say what would be done, and do nothing"`
}

// QueueReroute is what sends messages another way.
type QueueReroute struct {
	QueueChange
	ToRoute string `json:"to_route" required:"true" doc:"The name of the [[route]] to take"`
}

// QueueChanged is what became of them.
type QueueChanged struct {
	Messages []QueueDone `json:"messages"`
}

// QueueDone is what became of one.
type QueueDone struct {
	spool.Listed
	Error string `json:"error,omitempty"`
}

// Was is what something was before it was changed.
type Was struct {
	Was string `json:"was"`
}
