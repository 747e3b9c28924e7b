package maillog

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/store"
)

func (l *Log) story(ctx context.Context, in *api.LogReference) (*api.LogStory, error) {
	id, err := readID(in.ID, "reference")
	if err != nil {
		return nil, err
	}
	s, err := l.Reader.Trace(ctx, id)
	actor := access.Of(ctx)
	if err == nil {
		if out := Story(&actor, id, s); out != nil {
			return out, nil
		}
		err = store.ErrNotFound
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil, &control.Fault{Status: http.StatusNotFound, Message: "nothing is known of " + id.String(),
			Hint: "the log may not reach back so far, it may not be written yet, or it is of a domain that you do not see"}
	}
	return nil, err
}

// Story is what an actor sees of a story; nil where that is nothing. Of a message to several recipients he sees the copies of his own
// domains: what is said of the others is left out, and what may name them.
func Story(a *access.Actor, id gateway.ID, s *store.Story) *api.LogStory {
	out := &api.LogStory{ID: id, Gaps: gaps(s.Gaps)}
	if a.Everywhere() {
		out.Event, out.Connection, out.More, out.Fates = told(s.Event, s.Node), told(s.Connection, s.Node), s.Rest, s.Fates
		for _, e := range s.Transactions {
			out.Within = append(out.Within, told(e, s.Node))
		}
		return out
	}
	whole := s.Event == nil
	if s.Event != nil {
		var mine *gateway.Event
		mine, whole = Bound(a, s.Event)
		out.Event = told(mine, s.Node)
	}
	for _, e := range s.Transactions {
		if mine, _ := Bound(a, e); mine != nil {
			out.Within = append(out.Within, told(mine, s.Node))
		}
	}
	for _, f := range s.Fates {
		all := len(f.Rcpts)
		f.Rcpts = slices.DeleteFunc(slices.Clone(f.Rcpts), func(to string) bool { return !a.SeesAny(to) })
		if len(f.Rcpts) == 0 {
			continue
		}
		if !whole || len(f.Rcpts) < all {
			f.Said = "" // it may name others
		}
		out.Fates = append(out.Fates, f)
	}
	if out.Event == nil && out.Within == nil && out.Fates == nil {
		return nil
	}
	return out
}

func told(e *gateway.Event, node string) *journal.Story {
	if e == nil || e.Record == nil {
		return nil
	}
	s := journal.NewStory(e)
	s.Node = node
	return s
}

// Bound is a transaction as an actor of some domains sees it; nil where he sees nothing. whole says that all its recipients are
// his.
func Bound(a *access.Actor, from *gateway.Event) (mine *gateway.Event, whole bool) {
	if from.Record == nil {
		return nil, false
	}
	e, r := *from, *from.Record
	at := map[int]int{} // places that stay, and where
	var rcpts []gateway.RecordRcpt
	for i := range r.Rcpts {
		if a.SeesAny(r.Rcpts[i].To.Text) {
			at[i] = len(rcpts)
			rcpts = append(rcpts, r.Rcpts[i])
		}
	}
	if len(rcpts) == 0 {
		return nil, false
	}
	whole = len(rcpts) == len(r.Rcpts)
	// Of the connection, what is of this message: the commands and the other transactions are not.
	e.Record, e.Session = &r, gateway.Summary{Client: e.Session.Client, Reverse: e.Session.Reverse, TLS: e.Session.TLS}
	if !whole {
		e.Verdict.Rcpts, e.Replies = kept(e.Verdict.Rcpts, at), kept(e.Replies, at)
		if e.Relayed != nil {
			relayed := *e.Relayed
			relayed.Rcpts, relayed.To, relayed.Said, relayed.Reply.Text = nil, nil, "", ""
			e.Relayed = &relayed
		}
		boundFindings(&e, &r, at)
		e.Verdict.Rules = boundRules(e.Verdict.Rules, at)
		e.Reply.Text = ""
	}
	r.Rcpts = rcpts
	return &e, whole
}

// boundFindings leaves out those about other recipients, with their evidence.
func boundFindings(e *gateway.Event, r *gateway.Record, at map[int]int) {
	var findings []gateway.Finding
	var evidence [][]gateway.Evidence
	for i, f := range r.Findings {
		if f.Rcpt >= 0 && f.Stage == gateway.Rcpt {
			to, mine := at[f.Rcpt]
			if !mine {
				continue
			}
			f.Rcpt = to
		}
		findings = append(findings, f)
		var of []gateway.Evidence
		if i < len(e.Evidence) {
			of = e.Evidence[i]
		}
		evidence = append(evidence, of)
	}
	r.Findings, e.Evidence = findings, evidence
}

func boundRules(all []gateway.Applied, at map[int]int) (out []gateway.Applied) {
	for _, x := range all {
		var rcpts []int
		for _, i := range x.Rcpts {
			if to, mine := at[i]; mine {
				rcpts = append(rcpts, to)
			}
		}
		if x.Rcpts = rcpts; len(rcpts) > 0 {
			out = append(out, x)
		}
	}
	return out
}

// kept is what stands at the places that stay.
func kept[T any](all []T, at map[int]int) (out []T) {
	for i := range all {
		if _, mine := at[i]; mine {
			out = append(out, all[i])
		}
	}
	return out
}
