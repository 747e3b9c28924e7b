package journal

import (
	"strings"
	"time"

	"gatepost/gateway"
)

// Fate tells what became of a message in the spool, or in quarantine: a line, and a row beside the event of its transaction. It never waits.
func (j *Journal) Fate(f *gateway.Fate) {
	j.tell(fateLine(f))
	if j.o.Store != nil && !j.o.Store.Fate(f) {
		j.lose("store")
	}
}

// fateLine tells of it.
func fateLine(f *gateway.Fate) *Line {
	verb := verbOf(f.What)
	o := object{most: maxText}
	o.moment("time", f.Time)
	o.always("kind", string(verb))
	o.always("id", f.ID.String())
	if verb == SpoolOperator {
		o.always("did", string(f.What))
		o.text("by", o.short(f.By))
	} else if f.What.InQuarantine() {
		o.text("by", o.short(f.By))
	}
	o.text("route", o.short(f.Route))
	o.always("from", o.short(f.From))
	shown := make([]string, min(len(f.Rcpts), maxRcpts))
	for i := range shown {
		shown[i] = o.short(f.Rcpts[i])
	}
	o.texts("rcpts", shown)
	o.number("rcpts_more", int64(len(f.Rcpts)-len(shown)))
	o.number("attempt", int64(f.Attempt))
	o.text("next_hop", o.short(f.NextHop))
	o.text("said", o.short(f.Said))
	if !f.Next.IsZero() {
		o.moment("next", f.Next)
	}
	if f.Notice != 0 {
		o.always("notice", f.Notice.String())
	}
	return &Line{Time: f.Time, Verb: verb, ID: f.ID, JSON: o.end(), severity: verb.severity()}
}

// fates tells what became of a message in the spool, or in quarantine, one thing a line.
func (p *page) fates(all []gateway.Fate) {
	if len(all) == 0 {
		return
	}
	where := ""
	for i := range all {
		if here := map[bool]string{true: "in quarantine", false: "in the spool"}[all[i].What.InQuarantine()]; !strings.Contains(where, here) {
			where += map[bool]string{true: "", false: " and "}[where == ""] + here
		}
	}
	p.head("Afterwards, " + where)
	for i := range all {
		f := &all[i]
		p.wrap(2, f.Time.Local().Format("2006-01-02 15:04:05"), fateText(f))
	}
}

// fateText says in words what became of a message.
func fateText(f *gateway.Fate) string {
	text := strings.TrimPrefix(string(f.What), "quarantine_")
	if f.What.ByOperator() {
		text += " by " + orNobody(f.By)
	}
	for i, to := range f.Rcpts {
		if i == 3 && len(f.Rcpts) > 4 {
			text += ", and more"
			break
		}
		text += map[bool]string{true: " for <", false: ", <"}[i == 0] + to + ">"
	}
	if f.NextHop != "" {
		text += " by " + f.NextHop
	}
	if f.Said != "" {
		text += ": " + f.Said
	}
	switch {
	case f.Next.IsZero():
	case f.What.InQuarantine():
		text += "; until " + f.Next.Local().Format(time.DateTime)
	default:
		text += "; tried again at " + f.Next.Local().Format(time.TimeOnly)
	}
	switch {
	case f.Notice == 0:
	case f.What.InQuarantine():
		text += "; gatepost trace " + f.Notice.String() + " tells how it went on"
	default:
		text += "; notice " + f.Notice.String()
	}
	return text
}

func orNobody(who string) string {
	if who == "" {
		return "an operator"
	}
	return who
}
