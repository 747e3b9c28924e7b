package store

import (
	"strings"

	"gatepost/gateway/quarantine"
)

// like is a pattern that picks texts with a part in them.
func like(part string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(part) + "%"
}

// picks makes the conditions of a filter.
func (k *keptRows) picks(f *quarantine.Filter) (where []string, values []any) {
	add := func(text string, vs ...any) { where, values = append(where, text), append(values, vs...) }
	if len(f.IDs) > 0 {
		vs := make([]any, len(f.IDs))
		for i, id := range f.IDs {
			vs[i] = int64(id)
		}
		add("m.id IN (?"+strings.Repeat(",?", len(vs)-1)+")", vs...)
	}
	switch f.From {
	case "":
	case "<>":
		add("m.sender = ''")
	default:
		add(`(m.sender LIKE ? ESCAPE '\' OR m.author LIKE ? ESCAPE '\')`, like(f.From), like(f.From))
	}
	if f.Subject != "" {
		add(`m.subject LIKE ? ESCAPE '\'`, like(f.Subject))
	}
	if f.Reason != "" {
		add("substr(m.reason, 1, ?) = ?", len(f.Reason), f.Reason)
	}
	if f.Class != nil {
		add("m.class = ?", int(*f.Class))
	}
	if f.Reported != "" {
		add("m.reported = ?", f.Reported)
	}
	if f.Damaged {
		add("m.damaged <> ''")
	}
	if !f.Since.IsZero() {
		add("m.arrived >= ?", milliseconds(f.Since))
	}
	if !f.Until.IsZero() {
		add("m.arrived < ?", milliseconds(f.Until))
	}
	if f.Before != 0 {
		add("m.id < ?", int64(f.Before))
	}
	rcpt, vs := "", []any(nil)
	if f.Rcpt != "" {
		rcpt, vs = rcpt+" AND r.folded = ?", append(vs, k.folded(f.Rcpt))
	}
	if f.To != "" {
		rcpt, vs = rcpt+` AND r.folded LIKE ? ESCAPE '\'`, append(vs, like(strings.ToLower(f.To)))
	}
	if len(f.Domains) > 0 {
		rcpt += " AND (" + strings.Repeat(` OR r.folded LIKE ? ESCAPE '\'`, len(f.Domains))[4:] + ")"
		for _, d := range f.Domains {
			vs = append(vs, strings.TrimSuffix(like("@"+strings.ToLower(d)), "%"))
		}
	}
	if f.State != nil {
		rcpt, vs = rcpt+" AND r.state = ?", append(vs, int(*f.State))
	}
	if rcpt != "" {
		add("EXISTS (SELECT 1 FROM {rcpt} r WHERE r.message = m.id{near}"+rcpt+")", vs...)
	}
	return where, values
}
