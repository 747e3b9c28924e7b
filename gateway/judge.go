package gateway

import (
	"strconv"
	"strings"
)

// ProtocolCheck is the name under which the edge records what it refuses itself. Its findings lead to what is natural for
// their reason, whatever the policy.
const ProtocolCheck = "smtp"

// RcptCheck is the name of the check that asks whether a recipient exists. Where it passed, somebody was asked and said yes.
const RcptCheck = "rcpt"

// AllowMeasure, in a finding of a ClassList check, waives the opinions of all others.
const AllowMeasure = "allow"

// Judge prices the measures of a Record and decides. It is a pure function of the policy and the Record, and the only
// place that decides: the edge, trace, what-if and replay all call it.
//
// Worst wins for each recipient. SMTP has one reply after the dot, which must be true for all recipients that were
// accepted: so a recipient whose thresholds refuse what another's take is quarantined, and malware is refused for all.
func (p *Policy) Judge(r *Record) Verdict { return p.judge(r, true) }

// Weigh is Judge without what is for people: policy lines and the list of what was priced. It costs half.
func (p *Policy) Weigh(r *Record) Verdict { return p.judge(r, false) }

// judge decides; without told the verdict has no policy lines and no priced measures, which nobody reads between two rows
// of checks.
func (p *Policy) judge(r *Record, told bool) Verdict {
	t := p.tally(r, tally{mode: p.Mode, told: told})
	v := Verdict{Decision: t.whole, Stage: r.Stage, Score: t.shown, Rcpts: t.rcpts, Priced: t.priced,
		Marks: t.marks, Waived: t.waived}
	if t.more != nil {
		v.Edits, v.Rules = t.more.changes, t.more.applied
	}
	if p.Mode != Enforce || t.observed {
		if w := p.tally(r, tally{mode: Enforce, intended: true, told: told}).whole; w.Outcome > v.Outcome {
			v.Would = &w
		}
	}
	v.Reply = Word(v.Outcome, v.Reason, v.Args).withContact(t.contact()).WithReference(r.ID)
	if n := len(v.Rcpts); r.Stage == Rcpt && n > 0 && (v.Rcpts[n-1].Reason == RcptUnknown || v.Rcpts[n-1].Reason == RateUnknown) {
		v.Delay = p.Delays.UnknownRecipient // the last recipient is the one at hand
	}
	return v
}

// Suspicion is the sum of points that was found so far, as Judge would price it: what the greylist goes by.
func (p *Policy) Suspicion(s *Session, e *Envelope) float64 {
	t := tally{p: p}
	for _, findings := range [...][]Finding{s.Findings, e.Findings} {
		for i := range findings {
			f := &findings[i]
			if c := p.Checks[f.Check]; f.Result != NotRun && c.Action > ActionObserve {
				t.score += t.price(f, &c, nil, false)
			}
		}
	}
	return t.score
}

// contact notes for each recipient that is refused how its domain wants the site to be reached, and returns that of the
// first recipient.
func (t *tally) contact() string {
	first := ""
	for i := range t.rcpts {
		d := t.p.Serves(t.r.Rcpts[i].To)
		if d == nil {
			continue
		}
		if t.rcpts[i].Outcome.Refuses() {
			t.rcpts[i].contact = d.Contact
		}
		if i == 0 {
			first = d.Contact
		}
	}
	return first
}

// tally is the work of one judgement.
type tally struct {
	p        *Policy
	r        *Record
	mode     Mode
	intended bool // judge observed checks as if they were not
	told     bool // with policy lines and priced measures
	observed bool // there were some
	unscored bool // points decide nothing
	score    float64
	priced   []Price
	marks    []string
	waived   string
	whole    Decision
	rcpts    []Decision
	shown    float64  // of score, what counts for the recipient of whom it is most
	more     *variety // nil: nothing differs, and nothing is changed
	said     []own    // what each recipient's own list says of the sender; nil where no list does
}

func (p *Policy) tally(r *Record, how tally) *tally {
	t := &how
	t.p, t.r, t.rcpts, t.waived = p, r, make([]Decision, len(r.Rcpts)), p.allowedBy(r)
	t.said = p.ownOf(r)
	for i := range r.Findings {
		t.finding(&r.Findings[i])
	}
	t.sum()
	if r.Stage == Data {
		if t.unscored = r.unscored(); !t.unscored {
			t.thresholds()
		}
		if p.Rules.aboutMessages() {
			t.messageRules()
		}
	}
	t.combine()
	if r.Stage == Data && t.more != nil {
		t.more.changes = t.edits()
	}
	return t
}

// allowedBy returns the entry of an allow list that the Record meets, or "".
func (p *Policy) allowedBy(r *Record) string {
	for i := range r.Findings {
		f := &r.Findings[i]
		if p.Checks[f.Check].Class != ClassList || p.Checks[f.Check].Action <= ActionObserve {
			continue
		}
		for _, m := range f.Measures {
			if m.Name == AllowMeasure && m.Value > 0 {
				return m.Text
			}
		}
	}
	return ""
}

// finding prices one finding and lets it decide.
func (t *tally) finding(f *Finding) {
	if f.Result == NotRun {
		return
	}
	c := t.p.Checks[f.Check]
	switch {
	case f.Check == ProtocolCheck:
		t.decide(f, Decision{Outcome: f.Reason.Natural(), Reason: f.Reason, Args: f.Args, Check: f.Check,
			Line: "RFC 5321, not a matter of policy", class: ClassProtocol})
		return
	case t.waived != "" && c.Class <= ClassLimiting, f.Check == OwnCheck && t.said == nil:
		return
	case t.said != nil && (c.Class <= ClassLimiting || f.Check == OwnCheck), (t.p.Rules != nil || len(t.p.Levels) > 0) && t.p.differs(f.Check):
		t.each(f, &c)
		return
	case t.inForce(&c):
		t.score += t.price(f, &c, nil, t.told)
	}
	if d, ok := t.own(f, &c, nil); ok {
		t.decide(f, d)
	}
}

// decide lets a decision count for those it is about: one recipient, or all; where it is a list's, not for the mailboxes
// that must be reachable.
func (t *tally) decide(f *Finding, d Decision) {
	d = t.inMode(d)
	if f.Rcpt >= 0 && f.Stage == Rcpt {
		if f.Rcpt < len(t.rcpts) {
			worse(&t.rcpts[f.Rcpt], d)
		}
		return
	}
	worse(&t.whole, d)
	for i := range t.rcpts {
		if d.strips {
			t.edit(f, &d, nil, i)
		}
		if f.Stage < Rcpt && d.class <= ClassDemand && t.r.Rcpts[i].To.RoleOf() != "" {
			continue
		}
		worse(&t.rcpts[i], d)
	}
}

// inMode softens a decision while a site cuts over (PRODUCT: cut-over).
func (t *tally) inMode(d Decision) Decision {
	if d.class >= ClassMalware || t.mode == Enforce {
		return d
	}
	before := d.Outcome
	switch {
	case t.mode == ObserveOnly, d.class == ClassLimiting:
		d.Outcome = Accept
	case d.Outcome >= Reject:
		d.Outcome = Quarantine
	}
	if d.Outcome != before && t.told {
		d.Line += "; softened by " + t.p.Line("mode", strconv.Quote(t.mode.String()))
	}
	return d
}

func worse(d *Decision, by Decision) {
	if by.Outcome > d.Outcome {
		*d = by
	}
}

// thresholds compares the sum of points with those of each recipient's domain.
func (t *tally) thresholds() {
	if len(t.p.Groups)+len(t.p.Levels) > 0 || t.more != nil {
		t.ownThresholds()
		return
	}
	for i := range t.rcpts {
		limits, key := t.p.Thresholds, "thresholds."
		if d := t.p.Serves(t.r.Rcpts[i].To); d != nil && d.Thresholds != nil {
			limits, key = *d.Thresholds, "domain."+d.Name+".thresholds."
		}
		steps := [...]struct {
			limit float64
			name  string
			o     Outcome
		}{{limits.Reject, "reject", Reject}, {limits.Quarantine, "quarantine", Quarantine}, {limits.Tag, "tag", Tag}}
		for _, s := range steps {
			if s.limit <= 0 || t.score < s.limit-1e-9 {
				continue
			}
			d := Decision{Outcome: s.o, Reason: SpamScore}
			if t.told {
				if t.p.Where[key+s.name] == "" {
					key = "thresholds." // the domain inherits it
				}
				d.Line = t.p.Line(key+s.name, strconv.FormatFloat(s.limit, 'g', -1, 64))
			}
			worse(&t.rcpts[i], t.inMode(d))
			break
		}
	}
}

// combine makes the one decision of the transaction of those on its accepted recipients. Before one is accepted, what is
// about all stands.
func (t *tally) combine() {
	var taken []int
	for i := range t.rcpts {
		if t.r.Rcpts[i].Code == 250 {
			taken = append(taken, i)
		}
	}
	if len(taken) == 0 {
		t.nobody()
		return
	}
	if t.r.Stage < Data {
		return
	}
	whole, refused, milder := Decision{}, 0, Decision{Outcome: Drop + 1}
	for _, i := range taken {
		d := t.rcpts[i]
		if d.class == ClassMalware && d.Outcome >= Reject {
			t.same(taken, d)
			return
		}
		if d.Outcome.Refuses() {
			refused++
		}
		worse(&whole, d)
		if d.Outcome < milder.Outcome {
			milder = d
		}
	}
	switch {
	case refused == len(taken):
		whole = milder // one reply for all: the most lenient refusal is true for each
		t.same(taken, whole)
	case refused > 0:
		whole = Decision{}
		for _, i := range taken {
			if t.rcpts[i].Outcome.Refuses() {
				t.rcpts[i].Outcome = Quarantine
				t.rcpts[i].Line += "; quarantined, since other recipients of the message take it"
			}
			worse(&whole, t.rcpts[i])
		}
		t.whole = whole
	default:
		t.whole = whole
	}
}

// nobody makes the decision of a transaction that no recipient was accepted for: the most lenient of their refusals.
func (t *tally) nobody() {
	milder := Decision{Outcome: Drop + 1}
	for _, d := range t.rcpts {
		if !d.Outcome.Refuses() {
			return
		}
		if d.Outcome < milder.Outcome {
			milder = d
		}
	}
	if len(t.rcpts) > 0 {
		t.whole = milder
	}
}

func (t *tally) same(taken []int, d Decision) {
	t.whole = d
	for _, i := range taken {
		t.rcpts[i] = d
	}
}

// Explain returns the verdict in one sentence for people.
func (v *Verdict) Explain() string {
	var b strings.Builder
	b.WriteString(v.Outcome.String())
	switch {
	case v.Check != "":
		b.WriteString(" because of " + v.Check + " (" + string(v.Reason) + ")")
	case v.Reason == SpamScore:
		b.WriteString(" because of the sum of points, " + strconv.FormatFloat(v.Score, 'f', 1, 64))
	}
	if v.Line != "" {
		b.WriteString(", policy line " + v.Line)
	}
	return b.String()
}
