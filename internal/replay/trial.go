package replay

import (
	"slices"

	"gatepost/gateway"
)

// Content stands among the checks for want of which it is not known what the draft would do: the message never came.
const Content = "content"

// Trial judges recorded messages by a draft: it lets each go through the draft's pipeline, with what was found of it in the
// place of checks. It is for one goroutine.
type Trial struct {
	draft *Draft
	was   func(version string) *Draft
	steps [gateway.Data + 1][]step
	late  int             // steps of Connect from here on are joined late
	known map[string]bool // checks that a step has
	ruled bool            // a rule of the draft is about messages of which nothing was found

	// Of the message at hand.
	record *gateway.Record
	live   *gateway.Verdict
	before *Draft         // under which it was judged; nil: not known
	anew   gateway.Record // the record with what is found again; of no use without Again
	sim    gateway.Record // as the draft sees it so far
	away   bool           // the draft drops the connection before its banner
	at     int            // where the next finding is looked for
	open   []place        // what is not known of it and may matter
	tried  []place        // the answers that are put in
	more   bool           // with them, more is not known
}

// step is a row of the pipeline.
type step struct {
	checks  []planned
	malware bool // one of them finds malware, and so may run although a message is deferred
}

// planned is a check that the draft runs.
type planned struct {
	name         string
	class        gateway.Class
	answers      []gateway.Finding // that it could give and that matter; none: it cannot matter
	spares, wait bool
}

// has reports whether a check is of the step.
func (s *step) has(check string) bool {
	return slices.ContainsFunc(s.checks, func(c planned) bool { return c.name == check })
}

// place is where something is not known: a check left no finding that the draft can go by.
type place struct {
	check   string
	stage   gateway.Stage
	rcpt    int
	answers []gateway.Finding // it could have given, the hardest first
	found   *gateway.Finding  // of tried
}

// NewTrial makes one. was answers the policy of a version, or nil; it may be nil itself.
func NewTrial(d *Draft, was func(version string) *Draft) *Trial {
	t := &Trial{draft: d, was: was, known: map[string]bool{},
		ruled: slices.ContainsFunc(d.Policy.Rules.All(), func(r gateway.Rule) bool { return len(r.Checks) == 0 })}
	for stage, rows := range d.Pipeline.Rows {
		t.steps[stage] = t.plan(rows)
	}
	t.late = len(t.steps[gateway.Connect])
	t.steps[gateway.Connect] = append(t.steps[gateway.Connect], t.plan(d.Pipeline.Late)...)
	return t
}

// plan makes steps of rows.
func (t *Trial) plan(rows []gateway.Row) (out []step) {
	for i := range rows {
		var s step
		for k := range rows[i].Checks {
			name := rows[i].Checks[k].Name
			t.known[name] = true
			if !t.draft.Policy.Runs(name) {
				continue
			}
			c := planned{name: name, class: t.draft.Policy.Checks[name].Class, answers: answers(t.draft.Policy, name),
				spares: t.draft.Spares[name], wait: t.draft.Waits[name]}
			s.malware = s.malware || c.class >= gateway.ClassMalware
			s.checks = append(s.checks, c)
		}
		if len(s.checks) > 0 {
			out = append(out, s)
		}
	}
	return out
}

// Judge judges a message as the draft would have; live is what was decided, version that of the policy it was judged by. missing names the checks, or
// Content, without whose answer it is not known; the verdict is then of what is known. The record is not changed.
func (t *Trial) Judge(r *gateway.Record, live *gateway.Verdict, version string) (v gateway.Verdict, missing []string) {
	t.record, t.live, t.before, t.open, t.tried = t.renewed(r), live, nil, t.open[:0], t.tried[:0]
	if t.was != nil {
		t.before = t.was(version)
	}
	v, came := t.run()
	if !came {
		return v, []string{Content}
	}
	return v, t.missing(&v)
}

// Told is the last verdict again, with the lines of the policy.
func (t *Trial) Told() gateway.Verdict { return t.draft.Policy.Judge(&t.sim) }

// mostTried bounds how many places of one check are tried one by one, and how many answers in all of a message.
const mostTried = 16

// missing names the checks whose answer could make another verdict than v: each alone, at one place or at all, or all of them.
func (t *Trial) missing(v *gateway.Verdict) (out []string) {
	if len(t.open) == 0 {
		return nil
	}
	var all []string
	for i := range t.open {
		check := t.open[i].check
		if slices.Contains(all, check) {
			continue
		}
		all = append(all, check)
		var places []place
		for _, p := range t.open[i:] {
			if p.check == check {
				places = append(places, p)
			}
		}
		matters := t.matters(places, v)
		for k := 0; len(places) > 1 && k < min(len(places), mostTried) && !matters; k++ {
			matters = t.matters(places[k:k+1], v)
		}
		if matters {
			out = append(out, check)
		}
	}
	if len(out) == 0 && len(all) > 1 && t.matters(t.open, v) {
		out = all
	}
	t.tried = t.tried[:0]
	t.run() // sim is that of the message again
	return out
}

// matters reports whether answers at places make another verdict: the first of each, the second of each, and so on.
func (t *Trial) matters(places []place, v *gateway.Verdict) bool {
	most := 0
	for i := range places {
		most = max(most, len(places[i].answers))
	}
	for n := range most {
		t.tried = append(t.tried[:0], places...)
		for i := range t.tried {
			p := &t.tried[i]
			f := p.answers[min(n, len(p.answers)-1)]
			f.Check, f.Stage, f.Rcpt = p.check, p.stage, p.rcpt
			p.found = &f
		}
		t.more = false
		if got, came := t.run(); !came || t.more || !same(&got, v) {
			return true
		}
	}
	return false
}

// run takes a message through the stages. came is false where the draft would have read a message that never came.
func (t *Trial) run() (v gateway.Verdict, came bool) {
	r, s := t.record, &t.sim
	findings, rcpts := s.Findings[:0], s.Rcpts[:0]
	*s = *r
	s.Findings, s.Rcpts = findings, rcpts
	t.at = 0
	t.stage(gateway.Connect, -1)
	if t.away {
		v = gateway.Verdict{Decision: gateway.Decision{Outcome: gateway.Drop}}
		for range r.Rcpts {
			v.Rcpts = append(v.Rcpts, v.Decision)
		}
		return v, true
	}
	t.beside(gateway.Mail, -1) // what the edge refuses at MAIL no check looks at
	for stage := gateway.Helo; stage <= min(r.Stage, gateway.Mail); stage++ {
		t.stage(stage, -1)
	}
	accepted, dropped := t.recipients()
	switch {
	case !accepted:
		s.Stage = min(r.Stage, gateway.Rcpt)
		v = t.draft.Policy.Weigh(s)
		// Who was dropped named no further recipients.
		return v, v.Outcome.Refuses() && (dropped || !t.droppedLive())
	case dropped || r.Stage < gateway.Data:
		s.Stage = gateway.Rcpt
		return t.draft.Policy.Weigh(s), false
	}
	t.beside(gateway.Data, -1)                            // the edge refuses what it cannot read before a check looks at it
	if v = t.stage(gateway.Data, -1); len(v.Rcpts) == 0 { // nothing was found
		v = t.draft.Policy.Weigh(s)
	}
	return v, true
}

// recipients lets each recipient through, as far as the session goes: who is dropped at one names no other.
func (t *Trial) recipients() (accepted, dropped bool) {
	r, s := t.record, &t.sim
	if r.Stage < gateway.Rcpt {
		return false, false
	}
	for i := range r.Rcpts {
		to := r.Rcpts[i]
		to.Code = 0
		s.Rcpts = append(s.Rcpts, to)
		o := gateway.Accept
		if v := t.stage(gateway.Rcpt, i); i < len(v.Rcpts) {
			o = v.Rcpts[i].Outcome
		}
		s.Rcpts[i].Code = 250
		if o.Refuses() {
			s.Rcpts[i].Code = 550
		}
		if accepted = accepted || !o.Refuses(); o == gateway.Drop {
			return accepted, true
		}
	}
	return accepted, false
}

// droppedLive reports whether the session was ended with a recipient.
func (t *Trial) droppedLive() bool {
	n := len(t.live.Rcpts)
	return t.record.Stage == gateway.Rcpt && n > 0 && t.live.Rcpts[n-1].Outcome == gateway.Drop
}

// stage runs the checks of a stage, of a recipient where it is that of recipients, and returns the verdict.
func (t *Trial) stage(stage gateway.Stage, rcpt int) gateway.Verdict {
	s := &t.sim
	s.Stage = stage
	var v gateway.Verdict
	if stage == gateway.Data && t.ruled || t.loud(s.Findings) {
		v = t.draft.Policy.Weigh(s)
	}
	for i := range t.steps[stage] {
		if stage == gateway.Connect && i == t.late {
			t.away = v.Outcome == gateway.Drop
			before := len(s.Findings)
			if t.beside(stage, rcpt); t.loud(s.Findings[before:]) {
				v = t.draft.Policy.Weigh(s)
			}
		}
		least := gateway.ClassOpinion
		if decided(&v, rcpt) {
			if !t.steps[stage][i].malware || !untold(s, &v) {
				continue
			}
			least = gateway.ClassMalware
		}
		before := len(s.Findings)
		for k := range t.steps[stage][i].checks {
			if c := &t.steps[stage][i].checks[k]; c.class >= least {
				t.check(&t.steps[stage][i], c, rcpt, before)
			}
		}
		if t.loud(s.Findings[before:]) {
			v = t.draft.Policy.Weigh(s)
		}
	}
	if stage == gateway.Connect && t.late == len(t.steps[stage]) {
		t.away = v.Outcome == gateway.Drop
	}
	if before := len(s.Findings); stage == gateway.Rcpt || stage == gateway.Connect && t.late == len(t.steps[stage]) {
		if t.beside(stage, rcpt); t.loud(s.Findings[before:]) {
			v = t.draft.Policy.Weigh(s)
		}
	}
	return v
}

// check puts in what a check found, or notes that it is not known. before is where the findings of its row begin: checks of
// one row do not see each other's.
func (t *Trial) check(in *step, c *planned, rcpt, before int) {
	stage := t.sim.Stage
	for i := range t.tried {
		if p := &t.tried[i]; p.check == c.name && p.stage == stage && p.rcpt == rcpt {
			t.sim.Findings = append(t.sim.Findings, *p.found)
			return
		}
	}
	at := t.find(c.name, stage, rcpt)
	if len(c.answers) > 0 {
		if answers := t.unknown(in, c, at, before); len(answers) > 0 {
			t.note(place{check: c.name, stage: stage, rcpt: rcpt, answers: answers})
		}
	}
	if at >= 0 {
		t.sim.Findings = append(t.sim.Findings, t.record.Findings[at])
	}
}

// note takes a place where something is not known. One that is only there because of the answer to another makes that matter.
func (t *Trial) note(p place) {
	if len(t.tried) == 0 {
		t.open = append(t.open, p)
		return
	}
	t.more = t.more || !slices.ContainsFunc(t.open, func(o place) bool { return o.check == p.check && o.stage == p.stage && o.rcpt == p.rcpt })
}

// find is where the finding of a check is; -1 for none. They mostly stand in the order of the pipeline.
func (t *Trial) find(check string, stage gateway.Stage, rcpt int) int {
	all := t.record.Findings
	for i := range all {
		k := t.at + i
		if k >= len(all) {
			k -= len(all)
		}
		if f := &all[k]; f.Stage == stage && f.Check == check && (stage != gateway.Rcpt || f.Rcpt == rcpt) {
			t.at = k + 1
			return k
		}
	}
	return -1
}

// beside puts in what was found by no check of the pipeline: the edge itself, and the client's conduct.
func (t *Trial) beside(stage gateway.Stage, rcpt int) {
	for i := range t.record.Findings {
		f := &t.record.Findings[i]
		if f.Stage == stage && (stage != gateway.Rcpt || f.Rcpt == rcpt) && !t.known[f.Check] && f.Result != gateway.NotRun {
			t.sim.Findings = append(t.sim.Findings, *f)
		}
	}
}

// loud reports whether something was found that may decide or cost something, or that rules go by.
func (t *Trial) loud(findings []gateway.Finding) bool {
	for i := range findings {
		f := &findings[i]
		if f.Result == gateway.Fail || f.Result == gateway.Unknown || (len(f.Measures) > 0 || f.Proves != "" && t.draft.Policy.Rules != nil) && f.Result != gateway.NotRun {
			return true
		}
	}
	return false
}

// decided reports whether the verdict, for the recipient at hand where there is one, can only get worse.
func decided(v *gateway.Verdict, rcpt int) bool {
	if rcpt >= 0 && rcpt < len(v.Rcpts) {
		return v.Rcpts[rcpt].Outcome.Refuses()
	}
	return v.Final()
}

// untold reports whether a message is deferred for no other reason than that a check could not tell.
func untold(r *gateway.Record, v *gateway.Verdict) bool {
	return r.Stage == gateway.Data && v.Outcome == gateway.Defer &&
		slices.ContainsFunc(r.Findings, func(f gateway.Finding) bool { return f.Check == v.Check && f.Result == gateway.Unknown })
}

// same reports whether two verdicts come to the same for everybody.
func same(a, b *gateway.Verdict) bool {
	if a.Outcome != b.Outcome || len(a.Rcpts) != len(b.Rcpts) {
		return false
	}
	for i := range a.Rcpts {
		if a.Rcpts[i].Outcome != b.Rcpts[i].Outcome {
			return false
		}
	}
	return true
}
