package filters

import (
	"slices"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/reputation"
)

// mostNoSuch is how many recipients that do not exist one transaction teaches: who guesses more of them is braked by limits.
const mostNoSuch = 10

// handedOn is what part of a message weighs that its client did not write: a bounce, or a bad one of a trusted forwarder or
// list.
const handedOn = 5

// ReputationLessons are what the event of a message teaches of those whom the check reputation looked at, after the last
// reply. Refusals that say nothing of the sender (greylisting, limits, lists, a next hop that is away, DNS that fails) teach
// nothing; nor does what others say of it, or what was said of it before: else a list's mistake would last longer than the
// list's, and a bad reputation feed itself. trusted tells whether a way of mail was seen to leave that of others whole.
func ReputationLessons(e *gateway.Event, p *gateway.Policy, trusted func(gateway.Path) bool) []reputation.Lesson {
	if e.Kind != gateway.TransactionEvent || e.Record == nil || e.Record.Trusted {
		return nil
	}
	subjects := taught(e)
	if len(subjects) == 0 {
		return nil
	}
	var c reputation.Counts
	aligned, path := false, gateway.Path{}
	for i := range e.Record.Findings {
		f := &e.Record.Findings[i]
		switch {
		case f.Result == gateway.Fail && f.Reason == gateway.RcptUnknown && !e.Record.From.IsNull(): // bounces go where others forged
			c[reputation.NoSuch] = min(c[reputation.NoSuch]+reputation.One, mostNoSuch*reputation.One)
		case strings.HasPrefix(f.Check, "greylist") && slices.ContainsFunc(f.Measures, func(m gateway.Measure) bool { return m.Name == "waited" }):
			c[reputation.Waited] = reputation.One
		}
		for k := range f.Auth {
			if a := &f.Auth[k]; a.Method == "dmarc" && a.DMARC != nil {
				aligned, path = a.Result == "pass" && a.DMARC.SPF, a.DMARC.Path
			}
		}
	}
	whole := c
	if o, told := contentOf(e, p); told {
		weight := uint32(reputation.One)
		if e.Record.From.IsNull() || o != reputation.Accepted && path != (gateway.Path{}) && trusted(path) {
			weight /= handedOn
		}
		c[o] += weight
		whole[o] += reputation.One
	}
	whole[reputation.NoSuch] = 0 // the domain did not choose them: a message that it signed or sent once can be sent to anybody
	return lessons(subjects, c, whole, aligned)
}

// lessons gives each subject its own: the domain learns only of what was aligned with it.
func lessons(subjects []reputation.Subject, c, domain reputation.Counts, aligned bool) []reputation.Lesson {
	out := make([]reputation.Lesson, 0, len(subjects))
	for _, s := range subjects {
		counts := c
		if s.Kind == reputation.Domain {
			if counts = domain; !aligned {
				continue
			}
		}
		if counts != (reputation.Counts{}) {
			out = append(out, reputation.Lesson{Subject: s, Counts: counts})
		}
	}
	return out
}

// taught are the subjects that the check looked at; nobody where it did not run.
func taught(e *gateway.Event) (out []reputation.Subject) {
	for i := range e.Record.Findings {
		if f := &e.Record.Findings[i]; f.Check != "reputation" || f.Result == gateway.NotRun || i >= len(e.Evidence) {
			continue
		}
		out = make([]reputation.Subject, 0, len(e.Evidence[i]))
		for _, v := range e.Evidence[i] {
			for k := reputation.Client; k <= reputation.Domain; k++ {
				name, _, _ := strings.Cut(v.Text, taughtBy)
				if s := reputation.Named(k, name); v.Name == k.String() && s.Valid() {
					out = append(out, s)
				}
			}
		}
	}
	return out
}

// contentOf says what the content of a message was, and whether that can be told. Good is what was delivered with next to
// nothing against it, looked through by every scanner that was asked.
func contentOf(e *gateway.Event, p *gateway.Policy) (o reputation.Outcome, told bool) {
	if e.Record.Stage != gateway.Data {
		return 0, false
	}
	for i := range e.Record.Findings {
		switch f := &e.Record.Findings[i]; {
		case f.Result != gateway.Fail || p.Checks[f.Check].Action <= gateway.ActionObserve:
		case f.Reason == gateway.MalwareFound:
			return reputation.Virus, true
		case f.Reason == gateway.SpamRules && e.Verdict.Check == f.Check && e.Verdict.Outcome >= gateway.Quarantine:
			return reputation.Spam, true
		}
	}
	if e.Verdict.Waived != "" { // an entry of the operator's speaks for it: what checks thought of it was not priced
		return 0, false
	}
	points, line := ownPoints(e), least(p.Thresholds)
	switch {
	case line > 0 && points >= line:
		return reputation.Spam, true
	case e.Outcome() == gateway.Accept && e.Relayed != nil && len(e.Verdict.Marks) == 0 && points <= line/2:
		return reputation.Accepted, true
	}
	return 0, false
}

// ownPoints is the score without what lists, limits and the past say of who sent it.
func ownPoints(e *gateway.Event) float64 {
	points := e.Verdict.Score
	for i := range e.Verdict.Priced {
		switch family, _, _ := strings.Cut(e.Verdict.Priced[i].Check, "."); family {
		case "reputation", "rbl", "rate", "greylist", "access":
			points -= e.Verdict.Priced[i].Points
		}
	}
	return points
}

// least is the lowest threshold from which mail is no longer as others; 0 where there is none.
func least(t gateway.Thresholds) float64 {
	for _, points := range [...]float64{t.Tag, t.Quarantine, t.Reject} {
		if points > 0 {
			return points
		}
	}
	return 0
}
