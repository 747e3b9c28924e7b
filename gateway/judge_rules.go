package gateway

import (
	"slices"
	"strconv"
	"strings"
)

// Judging where recipients differ: rules, and levels of domains and groups. Policies without any of them do not come here.

// audience is what the policy says of one recipient of a Record.
type audience struct {
	known         bool
	address, bare string // lower case; without the detail
	domain        *Domain
	group         *Group // the first that says something of thresholds or a level
	level         *Level
	points        float64 // of findings that do not cost the same for all
}

// variety is the work of a judgement where recipients differ, or where copies are changed.
type variety struct {
	audiences []audience
	varied    []*Finding // that do not cost the same for all
	senders   []uint8    // whether each rule is about who sent it; 0: not worked out
	held      []uint8    // whether the condition of each rule holds for each recipient; likewise
	trust     Trust
	applied   []Applied
	wishes    []wish
	changes   Edits
}

// vary is the variety of a judgement, made when first needed.
func (t *tally) vary() *variety {
	if t.more == nil {
		t.more = &variety{audiences: make([]audience, len(t.r.Rcpts))}
	}
	return t.more
}

// who is the audience of a recipient.
func (t *tally) who(i int) *audience {
	a := &t.vary().audiences[i]
	if a.known {
		return a
	}
	to := t.r.Rcpts[i].To
	local := strings.ToLower(to.Local)
	a.known, a.domain, a.address = true, t.p.Serves(to), local+"@"+to.Domain
	a.bare = a.address
	if a.domain != nil {
		a.level = a.domain.Level
		if n := 0; a.domain.Subaddress != "" {
			if n = strings.Index(local, a.domain.Subaddress); n > 0 {
				a.bare = local[:n] + "@" + to.Domain
			}
		}
	}
	for _, g := range t.p.Groups {
		if (g.Level != nil || g.Thresholds != Thresholds{}) && g.has(a.address, a.bare, to.Domain) {
			a.group = g
			if g.Level != nil {
				a.level = g.Level
			}
			break
		}
	}
	return a
}

// differs reports whether recipients may differ in what a check does.
func (p *Policy) differs(check string) bool {
	if p.Rules != nil && len(p.Rules.by[check]) > 0 {
		return true
	}
	for _, l := range p.Levels {
		if _, ok := l.Checks[check]; ok {
			return true
		}
	}
	return false
}

// rule is the first that is about a finding and a recipient, or nil.
func (t *tally) rule(f *Finding, i int) *Rule {
	if t.p.Rules == nil {
		return nil
	}
	for _, k := range t.p.Rules.by[f.Check] {
		r := &t.p.Rules.list[k]
		if !r.about(f) || !t.sentBy(k) || !t.meant(r, i) || !t.holds(k, i, f) {
			continue
		}
		if !t.watched(f, r, i) {
			return r
		}
	}
	return nil
}

// sentBy reports whether a rule is about who sent the message; it is worked out once.
func (t *tally) sentBy(k int) bool {
	const yes, no = 1, 2
	v := t.vary()
	if v.senders == nil {
		v.senders, v.trust = make([]uint8, len(t.p.Rules.list)), t.r.trust()
	}
	if v.senders[k] == 0 {
		v.senders[k] = no
		if t.p.Rules.list[k].sent(t.r, v.trust) {
			v.senders[k] = yes
		}
	}
	return v.senders[k] == yes
}

// holds reports whether the condition of a rule holds for a recipient, for whom a finding is judged. It is asked once,
// since it knows nothing of the finding. The sum of points is told of rules about the message alone: only then is it known.
func (t *tally) holds(k, i int, f *Finding) bool {
	r := &t.p.Rules.list[k]
	if r.When == nil {
		return true
	}
	const yes, no = 1, 2
	v := t.vary()
	if v.held == nil {
		v.held = make([]uint8, len(t.p.Rules.list)*len(t.rcpts))
	}
	at := k*len(t.rcpts) + i
	if v.held[at] == 0 {
		v.held[at] = no
		points := 0.0
		if len(r.Checks) == 0 && !t.unscored {
			points = t.scoreOf(i)
		}
		holds, why := r.When.Holds(t.r, i, points)
		if holds {
			v.held[at] = yes
		} else if why != "" && t.r.Stage == Data { // before it, that is no more than what is not known yet
			t.note(f, Applied{Rule: r.Line, Why: why}, i)
		}
	}
	return v.held[at] == yes
}

// watched reports whether a rule that matched decides nothing yet, and notes what it would have done.
func (t *tally) watched(f *Finding, r *Rule, i int) bool {
	if !r.Observe || t.intended {
		return false
	}
	t.observed = true
	t.apply(f, r, i)
	return true
}

// meant reports whether a rule is about a recipient.
func (t *tally) meant(r *Rule, i int) bool {
	if len(r.To) == 0 {
		return true
	}
	a := t.who(i)
	return slices.ContainsFunc(r.To, func(g *Group) bool { return g.has(a.address, a.bare, t.r.Rcpts[i].To.Domain) })
}

// each lets a finding decide for every recipient by its own rules and level.
func (t *tally) each(f *Finding, c *CheckPolicy) {
	if d, ok := t.own(f, c, nil); ok {
		worse(&t.whole, t.inMode(d)) // as it is before there are recipients
	}
	for i := range t.r.Rcpts {
		if f.Rcpt >= 0 && f.Stage == Rcpt && f.Rcpt != i || !t.counts(f, c, i) {
			continue
		}
		level := t.who(i).level
		mine, rule := level.of(f.Check, c), t.rule(f, i)
		in := t.inForce(mine)
		if in && !free(mine, rule) {
			t.more.audiences[i].points += t.price(f, mine, nil, false)
		}
		d, ok := t.own(f, mine, level)
		if in && rule != nil {
			d, ok = t.ruled(f, mine, rule, d), true
			t.apply(f, rule, i)
		}
		if !ok || f.Stage < Rcpt && d.class <= ClassDemand && t.r.Rcpts[i].To.RoleOf() != "" {
			continue
		}
		d = t.inMode(d)
		t.edit(f, &d, rule, i)
		worse(&t.rcpts[i], d)
	}
	v := t.vary()
	v.varied = append(v.varied, f)
}

// of is what a level says of a check, or else the policy.
func (l *Level) of(check string, c *CheckPolicy) *CheckPolicy {
	if l != nil {
		if other, ok := l.Checks[check]; ok {
			return &other
		}
	}
	return c
}

// free reports whether a rule lets a finding pass, so that it costs nothing. Not those that nothing makes milder.
func free(c *CheckPolicy, rule *Rule) bool {
	return rule != nil && rule.Action == ActionPass && c.Class < ClassMalware && c.Least <= ActionPass
}

// inForce reports whether a check decides and costs anything.
func (t *tally) inForce(c *CheckPolicy) bool {
	return c.Action > ActionObserve || c.Action == ActionObserve && t.intended
}

// ruled is what a rule makes of a finding of which the check's own table would make own.
func (t *tally) ruled(f *Finding, c *CheckPolicy, rule *Rule, own Decision) Decision {
	if f.Result == Pass { // it costs its points, or nothing
		return Decision{class: c.Class}
	}
	action := max(rule.Action, c.Least)
	if f.Result == Unknown && action < ActionDefer {
		t.mark(f.Check)
	}
	d := t.decision(f, c, action, func() string { return rule.Line })
	d.Keep = rule.Keep
	if c.Class >= ClassMalware && d.Outcome <= own.Outcome {
		return own
	}
	return d
}

// apply notes for people that a rule decided, or that it would have.
func (t *tally) apply(f *Finding, rule *Rule, i int) {
	action := "accept"
	if rule.Action != ActionPass {
		action = rule.Action.String()
	}
	t.note(f, Applied{Rule: rule.Line, Action: action, Observed: rule.Observe}, i)
}

// note notes for people what came of a rule for a recipient.
func (t *tally) note(f *Finding, a Applied, i int) {
	if !t.told || t.intended {
		return
	}
	a.Check, a.Reason, a.Rcpts = f.Check, f.Reason, []int{i}
	v := t.vary()
	for k := range v.applied {
		if b := &v.applied[k]; b.Rule == a.Rule && b.Check == a.Check && b.Reason == a.Reason && b.Why == a.Why {
			if !slices.Contains(b.Rcpts, i) {
				b.Rcpts = append(b.Rcpts, i)
			}
			return
		}
	}
	v.applied = append(v.applied, a)
}

// messageRules lets the first rule about the message decide that is about each recipient.
func (t *tally) messageRules() {
	for i := range t.rcpts {
		for _, k := range t.p.Rules.message {
			r := &t.p.Rules.list[k]
			f := Finding{Check: RuleCheck, Stage: Data, Rcpt: -1, Result: Fail, Reason: PolicyRule}
			if r.Points > 0 && (t.unscored || t.scoreOf(i) < r.Points-1e-9) || !t.sentBy(k) || !t.meant(r, i) || !t.holds(k, i, &f) || t.watched(&f, r, i) {
				continue
			}
			d := t.decision(&f, &CheckPolicy{Class: ClassContent}, r.Action, func() string { return r.Line })
			d.Keep = r.Keep
			t.apply(&f, r, i)
			d = t.inMode(d)
			t.edit(&f, &d, r, i)
			worse(&t.rcpts[i], d)
			break
		}
	}
}

// scoreOf is the sum of points as it counts for one recipient.
func (t *tally) scoreOf(i int) float64 {
	if t.more == nil {
		return t.score
	}
	return t.score + t.more.audiences[i].points
}

// sum makes the one sum that is shown: the greatest of those who were accepted, or of all.
func (t *tally) sum() {
	t.shown = t.score
	if t.more == nil || len(t.more.varied) == 0 {
		return
	}
	top, taken := -1, false
	for i := range t.r.Rcpts {
		in := t.r.Rcpts[i].Code == 250
		if top < 0 || in && !taken || in == taken && t.scoreOf(i) > t.scoreOf(top) {
			top, taken = i, in
		}
	}
	for _, f := range t.more.varied {
		c, level, cost := t.p.Checks[f.Check], (*Level)(nil), true
		if top >= 0 {
			level = t.who(top).level
			c = *level.of(f.Check, &c)
			cost = !free(&c, t.rule(f, top)) && t.counts(f, &c, top)
		}
		if !cost || !t.inForce(&c) {
			continue
		}
		points := t.price(f, &c, level, t.told)
		if f.Rcpt < 0 || f.Rcpt == top || top < 0 {
			t.shown += points
		}
	}
}

// ownThresholds is thresholds where recipients differ.
func (t *tally) ownThresholds() {
	steps := [...]struct {
		name    string
		outcome Outcome
	}{{"reject", Reject}, {"quarantine", Quarantine}, {"tag", Tag}}
	for i := range t.rcpts {
		a := t.who(i)
		for _, s := range steps {
			limit, line := a.threshold(t.p, s.name)
			if limit <= 0 || t.scoreOf(i) < limit-1e-9 {
				continue
			}
			d := Decision{Outcome: s.outcome, Reason: SpamScore}
			if t.told {
				d.Line = line()
			}
			worse(&t.rcpts[i], t.inMode(d))
			break
		}
	}
}

// threshold looks where the nearest stands: with the group, its level, the domain, its level, at the top.
func (a *audience) threshold(p *Policy, name string) (float64, func() string) {
	line := func(key string, points float64, level *Level) func() string {
		return func() string { return p.lineOf(level, key, strconv.FormatFloat(points, 'g', -1, 64)) }
	}
	if g := a.group; g != nil {
		if n := g.Thresholds.of(name); n > 0 {
			return n, line("group."+g.Name+".thresholds."+name, n, nil)
		}
		if g.Level != nil {
			n := g.Level.Thresholds.of(name)
			return n, line("thresholds."+name, n, g.Level)
		}
	}
	if d := a.domain; d != nil && d.Thresholds != nil {
		n, key := d.Thresholds.of(name), "domain."+d.Name+".thresholds."+name
		switch {
		case p.Where[key] != "":
			return n, line(key, n, nil)
		case d.Level != nil:
			return n, line("thresholds."+name, n, d.Level)
		}
		return n, line("thresholds."+name, n, nil)
	}
	n := p.Thresholds.of(name)
	return n, line("thresholds."+name, n, nil)
}

func (t *Thresholds) of(name string) float64 {
	switch name {
	case "tag":
		return t.Tag
	case "quarantine":
		return t.Quarantine
	}
	return t.Reject
}

// lineOf is Line of a key that a level may have set.
func (p *Policy) lineOf(l *Level, key, value string) string {
	if l != nil && (l.Sets[key] || strings.HasPrefix(key, "thresholds.")) {
		return key + " = " + value + " (level " + l.Name + ", " + l.Where + ")"
	}
	return p.Line(key, value)
}
