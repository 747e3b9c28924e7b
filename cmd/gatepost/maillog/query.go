package maillog

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/store"
)

// Bounds of what is typed into the query box.
const (
	maxQuery = 500
	maxTerms = 16
)

// fields are those of the query box.
func fields() []string {
	return []string{"from", "to", "ip", "subject", "check", "score", "id", "verdict", "helo"}
}

// term is one word of the query box.
type term struct {
	field  string // "" for a word anywhere
	value  string // in lower case
	not    bool
	op     string // of score: <, <=, >, >=, =
	number float64
	asked  bool // the log itself looks for it
}

// filter is a question made ready.
type filter struct {
	*api.LogSearch
	before       gateway.ID
	since, until time.Time
	terms        []term
	query        store.Query // what of it the log itself looks for; the rest is looked at row by row
}

// readFilter reads a question. What cannot be read is a Fault.
func readFilter(in *api.LogSearch, now time.Time) (*filter, error) {
	f := &filter{LogSearch: in, until: in.Until, since: in.Since}
	if f.until.IsZero() {
		f.until = now
	}
	if f.since.IsZero() {
		f.since = f.until.Add(-api.LogRanges()[in.Range])
	}
	var err error
	if in.Cursor != "" {
		if f.before, err = readID(in.Cursor, "cursor"); err != nil {
			return nil, err
		}
	}
	if f.terms, err = readTerms(in.Query); err != nil {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: err.Error(), Field: "q"}
	}
	f.ask()
	return f, nil
}

// readTerms reads what stands in the query box.
func readTerms(text string) (out []term, err error) {
	if len(text) > maxQuery {
		return nil, fmt.Errorf("what is looked for has more than %d octets", maxQuery)
	}
	for _, word := range split(text) {
		t, err := readTerm(word)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	if len(out) > maxTerms {
		return nil, fmt.Errorf("more than %d words are looked for", maxTerms)
	}
	return out, nil
}

// split cuts into words; what stands between quotes is one, with what stands before them.
func split(s string) (out []string) {
	var b strings.Builder
	quoted := false
	for _, c := range s {
		switch {
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			if b.Len() > 0 {
				out = append(out, b.String())
				b.Reset()
			}
		default:
			b.WriteRune(c)
		}
	}
	if b.Len() > 0 {
		out = append(out, b.String())
	}
	return out
}

func readTerm(word string) (t term, err error) {
	word, t.not = strings.CutPrefix(word, "-")
	name, value, has := strings.Cut(word, ":")
	if _, err := netip.ParseAddr(word); err == nil || !has {
		return bareTerm(word, t.not)
	}
	if _, err := netip.ParsePrefix(word); err == nil {
		return bareTerm(word, t.not)
	}
	t.field, t.value = strings.ToLower(name), strings.ToLower(value)
	switch {
	case !slices.Contains(fields(), t.field):
		return t, fmt.Errorf("there is no field %q. Fields are %s", gateway.ShowText(name, 40), strings.Join(fields(), ", "))
	case value == "":
		return t, fmt.Errorf("nothing stands behind %s and its colon", t.field)
	}
	switch t.field {
	case "ip":
		if _, ok := network(value); !ok {
			return t, fmt.Errorf("%q is neither an IP address nor a network", gateway.ShowText(value, 60))
		}
	case "id":
		if _, err := gateway.ParseID(value); err != nil {
			return t, fmt.Errorf("%q is no reference: 14 letters and digits, like K7Q29-FXM3T-BN5C", gateway.ShowText(value, 60))
		}
	case "score":
		rest := strings.TrimLeft(value, "<>=")
		t.op = value[:len(value)-len(rest)]
		if t.number, err = strconv.ParseFloat(rest, 64); err != nil || t.number != t.number || !slices.Contains([]string{"", "=", "<", ">", "<=", ">="}, t.op) {
			return t, errors.New("a score is asked for as score:>8, score:<=2.5 or score:4")
		}
	case "verdict":
		if !slices.Contains([]string{"accepted", "deferred", "quarantined", "rejected"}, t.value) {
			return t, errors.New("a verdict is accepted, deferred, quarantined or rejected")
		}
	}
	return t, nil
}

// bareTerm sees what a word without a field is.
func bareTerm(word string, not bool) (term, error) {
	t := term{value: strings.ToLower(word), not: not}
	if t.value == "" {
		return t, errors.New("nothing stands behind the minus")
	}
	if _, ok := network(word); ok {
		t.field = "ip"
	} else if _, err := gateway.ParseID(word); err == nil {
		t.field = "id"
	}
	return t, nil
}

func network(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err == nil
}

// ask sorts out what the log itself looks for.
func (f *filter) ask() {
	q := &f.query
	*q = store.Query{Window: store.Window{Since: f.since, Until: f.until}, From: f.From, To: f.To, Client: f.Client, Subject: f.Subject, MessageID: f.MessageID,
		Reason: gateway.Reason(f.Reason), Verdicts: f.Outcomes, Before: f.before}
	for i := range f.terms {
		t := &f.terms[i]
		if t.not {
			continue
		}
		for field, into := range map[string]*string{"from": &q.From, "to": &q.To, "ip": &q.Client, "subject": &q.Subject} {
			if t.field == field && *into == "" && (len(t.value) > 1 || field == "subject" || field == "ip") {
				*into, t.asked = t.value, true
			}
		}
		if id, err := gateway.ParseID(t.value); t.field == "id" && err == nil { // its time is known by it
			q.Since, q.Until = id.Time().Add(-time.Minute), id.Time().Add(time.Minute)
			f.since, f.until = q.Since, q.Until
		}
	}
}

// plain reports that nothing but a class and a time is asked for: that is counted without reading every row.
func (f *filter) plain() bool {
	return len(f.terms) == 0 && f.From == "" && f.To == "" && f.Client == "" && f.Subject == "" && f.MessageID == "" && f.Reason == "" && len(f.Outcomes) == 0
}

// matches holds a row against what the log did not look for.
func (f *filter) matches(r *api.LogRow) bool {
	for i := range f.terms {
		if t := &f.terms[i]; !t.asked && t.holds(r) == t.not {
			return false
		}
	}
	return true
}

// holds reports whether a row has what a term says.
func (t *term) holds(r *api.LogRow) bool {
	has := func(texts ...string) bool {
		return slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(strings.ToLower(s), t.value) })
	}
	switch t.field {
	case "from":
		return has(r.From, r.HeaderFrom)
	case "to":
		return has(r.Rcpts...)
	case "ip":
		n, ok := network(t.value)
		return ok && n.Contains(r.Client.Unmap())
	case "subject":
		return has(r.Subject)
	case "helo":
		return has(r.Helo)
	case "check":
		return strings.EqualFold(r.Check, t.value) || strings.HasPrefix(string(r.Reason), t.value)
	case "id":
		id, err := gateway.ParseID(t.value)
		return err == nil && (r.ID == id || r.Session == id)
	case "verdict":
		return string(r.Class) == t.value
	case "score":
		return t.compares(r.Score)
	}
	return has(append([]string{r.From, r.HeaderFrom, r.Subject, r.Helo, r.MessageID, string(r.Reason), r.Reply, r.Client.String()}, r.Rcpts...)...)
}

func (t *term) compares(score float64) bool {
	switch t.op {
	case ">":
		return score > t.number
	case ">=":
		return score >= t.number
	case "<":
		return score < t.number
	case "<=":
		return score <= t.number
	}
	return math.Round(score*10) == math.Round(t.number*10) // as it is shown
}
