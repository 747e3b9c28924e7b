package console

import (
	"slices"

	"gatepost/gateway"
	"gatepost/internal/access"
)

// boundStory leaves of a story what an actor sees: nil where that is nothing. Of a message to several he sees the copies of his own
// domains; what is said of other recipients is left out, and what may name them.
func boundStory(a *access.Actor, s *Story) *Story {
	if a.Everywhere() || s.Event == nil || s.Event.Record == nil {
		if a.Everywhere() {
			return s
		}
		return nil
	}
	e, r := *s.Event, *s.Event.Record
	at := map[int]int{} // places that stay, and where
	var rcpts []gateway.RecordRcpt
	for i := range r.Rcpts {
		if a.SeesAny(r.Rcpts[i].To.Text) {
			at[i] = len(rcpts)
			rcpts = append(rcpts, r.Rcpts[i])
		}
	}
	if len(rcpts) == 0 {
		return nil
	}
	out := &Story{Event: &e, Gaps: s.Gaps}
	whole := len(rcpts) == len(r.Rcpts)
	e.Record, e.Session = &r, gateway.Summary{Client: e.Session.Client, Reverse: e.Session.Reverse, TLS: e.Session.TLS}
	if !whole {
		e.Verdict.Rcpts = kept(e.Verdict.Rcpts, at)
		e.Replies = kept(e.Replies, at)
		if e.Relayed != nil {
			relayed := *e.Relayed
			relayed.Rcpts, relayed.To, relayed.Said = nil, nil, "" // they may name others
			e.Relayed = &relayed
		}
		e.Evidence = slices.Clone(e.Evidence)
		boundFindings(&e, &r, at)
		e.Verdict.Rules = boundRules(e.Verdict.Rules, at)
		e.Reply.Text = ""
	}
	r.Rcpts = rcpts
	for _, f := range s.Fates {
		f.Rcpts = slices.DeleteFunc(slices.Clone(f.Rcpts), func(to string) bool { return !a.SeesAny(to) })
		if len(f.Rcpts) > 0 {
			if !whole {
				f.Said = ""
			}
			out.Fates = append(out.Fates, f)
		}
	}
	return out
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
