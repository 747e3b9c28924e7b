package gateway

import (
	"slices"
	"strconv"
	"strings"
)

// wish is what one recipient's copy is to have changed.
type wish struct {
	rcpt            int
	cuts            []Cut
	banner, subject string
}

// edit notes what a finding, or the rule about it, wants changed in a recipient's copy.
func (t *tally) edit(f *Finding, d *Decision, rule *Rule, i int) {
	if !t.told || t.intended || t.mode == ObserveOnly {
		return
	}
	w := wish{rcpt: i}
	if d.strips {
		for _, part := range f.Parts {
			w.cuts = append(w.cuts, Cut{Part: part, Check: f.Check, Reason: f.Reason, Args: f.Args})
		}
	}
	if rule != nil && f.Result != Pass {
		w.banner, w.subject = rule.Banner, rule.Subject
	}
	if len(w.cuts) > 0 || w.banner != "" || w.subject != "" {
		v := t.vary()
		v.wishes = append(v.wishes, w)
	}
}

// edits makes the one set of changes of all copies that are delivered: what any of them is to have. Who may not have a
// changed copy, and would get one, finds his in quarantine.
func (t *tally) edits() (e Edits) {
	if len(t.more.wishes) == 0 || t.whole.Outcome.Refuses() {
		return e
	}
	var subjects []string
	for i := range t.more.wishes {
		w := &t.more.wishes[i]
		if !t.delivered(w.rcpt) || t.unedited(w.rcpt) {
			continue
		}
		e.add(w)
		if w.subject != "" && !slices.Contains(subjects, w.subject) {
			subjects = append(subjects, w.subject)
		}
	}
	e.Subject = strings.Join(subjects, " ")
	slices.SortFunc(e.Strip, func(a, b Cut) int { return a.Part - b.Part })
	whole := Decision{}
	for i := range t.rcpts {
		if t.delivered(i) {
			t.changed(i, &e)
		}
		if t.r.Rcpts[i].Code == 250 {
			worse(&whole, t.rcpts[i])
		}
	}
	t.whole = whole
	return e
}

// changed tells a recipient's decision of changes that others wanted, and keeps a copy that may not be changed.
func (t *tally) changed(i int, e *Edits) {
	d, own, any := &t.rcpts[i], map[int]bool{}, e.Any()
	for k := range t.more.wishes {
		if w := &t.more.wishes[k]; w.rcpt == i {
			any = true
			for _, c := range w.cuts {
				own[c.Part] = true
			}
		}
	}
	more := len(e.Strip) - len(own)
	switch {
	case !any:
	case t.unedited(i):
		d.Outcome = Quarantine
		d.say(t.p.Line("domain."+t.p.Serves(t.r.Rcpts[i].To).Name+".edits", "false") + ", and what goes on is changed: this copy is quarantined whole")
		if d.Reason == "" {
			d.Reason = PolicyRule
		}
	case more > 0:
		d.say("without " + strconv.Itoa(more) + " of its parts that others may not have, since all copies that go on are the same")
	}
}

// say adds to the line of a decision.
func (d *Decision) say(text string) {
	if d.Line != "" {
		d.Line += "; "
	}
	d.Line += text
}

// delivered reports whether a recipient's copy goes on.
func (t *tally) delivered(i int) bool {
	return t.r.Rcpts[i].Code == 250 && t.rcpts[i].Outcome <= Tag
}

// unedited reports whether the copies of a recipient's domain may not be changed.
func (t *tally) unedited(i int) bool {
	d := t.p.Serves(t.r.Rcpts[i].To)
	return d != nil && d.Unedited
}

// add adds what one recipient is to have.
func (e *Edits) add(w *wish) {
	for _, c := range w.cuts {
		if !slices.ContainsFunc(e.Strip, func(have Cut) bool { return have.Part == c.Part }) {
			e.Strip = append(e.Strip, c)
		}
	}
	if w.banner != "" && !slices.Contains(e.Banners, w.banner) {
		e.Banners = append(e.Banners, w.banner)
	}
}
