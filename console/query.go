package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gatepost/gateway"
	"gatepost/internal/control"
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

// filter is what the page of the log is asked for.
type filter struct {
	Text, Verdict, Range string
	Before               gateway.ID
	since, until         time.Time
	terms                []term
}

// ranges are the times of the filter.
func ranges() map[string]time.Duration {
	return map[string]time.Duration{"1h": time.Hour, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour, "30d": 30 * 24 * time.Hour}
}

// readFilter reads the query of a page. What cannot be read is a Fault, beside the filter, so that what was typed is kept.
func readFilter(v url.Values, now time.Time) (*filter, error) {
	f := &filter{Text: visible(v.Get("q")), Verdict: v.Get("verdict"), Range: v.Get("range")}
	bad := func(format string, args ...any) error {
		return &control.Fault{Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...), Field: "q"}
	}
	if f.Range == "" {
		f.Range = "24h"
	}
	length, ok := ranges()[f.Range]
	if !ok {
		f.Range, length = "24h", 24*time.Hour
	}
	f.since, f.until = now.Add(-length), now
	if !slices.Contains([]string{"", "stopped", "accepted", "deferred", "quarantined", "rejected"}, f.Verdict) {
		f.Verdict = ""
	}
	if s := v.Get("before"); s != "" {
		id, err := gateway.ParseID(s)
		if err != nil {
			return f, bad("The page to go on from is no reference of ours.")
		}
		f.Before = id
	}
	if len(f.Text) > maxQuery {
		f.Text = cutText(f.Text, maxQuery/4)
		return f, bad("What is looked for has more than %d characters.", maxQuery)
	}
	for _, word := range split(f.Text) {
		t, err := readTerm(word)
		if err != nil {
			return f, bad("%s", err.Error())
		}
		f.terms = append(f.terms, t)
	}
	if len(f.terms) > maxTerms {
		return f, bad("More than %d words are looked for.", maxTerms)
	}
	return f, nil
}

// sentence makes one of an error.
func sentence(s string) string {
	if s = strings.ToUpper(s[:min(len(s), 1)]) + s[min(len(s), 1):]; !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// visible leaves of what was typed, or came by a link, what can be seen in the query box.
func visible(s string) string {
	return strings.Map(func(c rune) rune {
		if hidden(c) || c == utf8.RuneError {
			return -1
		}
		return c
	}, strings.ToValidUTF8(s, ""))
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
		return plainTerm(word, t.not)
	}
	if _, err := netip.ParsePrefix(word); err == nil {
		return plainTerm(word, t.not)
	}
	t.field, t.value = strings.ToLower(name), strings.ToLower(value)
	switch {
	case !slices.Contains(fields(), t.field):
		return t, fmt.Errorf("there is no field %q. Fields are %s", cutText(plain(name), 40), strings.Join(fields(), ", "))
	case value == "":
		return t, fmt.Errorf("nothing stands behind %s and its colon", t.field)
	}
	switch t.field {
	case "ip":
		if _, ok := network(value); !ok {
			return t, fmt.Errorf("%q is neither an IP address nor a network", cutText(plain(value), 60))
		}
	case "id":
		if _, err := gateway.ParseID(value); err != nil {
			return t, fmt.Errorf("%q is no reference: 14 letters and digits, like K7Q29-FXM3T-BN5C", cutText(plain(value), 60))
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

// plainTerm sees what a word without a field is.
func plainTerm(word string, not bool) (term, error) {
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

// query is what of the filter the log itself looks for; the rest is looked at row by row.
func (f *filter) query() *LogQuery {
	q := &LogQuery{Since: f.since, Until: f.until, Before: f.Before}
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
	return q
}

// wants reports whether the quick filter shows a class.
func (f *filter) wants(c class) bool {
	return f.Verdict == "" || f.Verdict == c.Class() || f.Verdict == "stopped" && c != classAccepted && c != classNone
}

// matches holds a row against what the log did not look for.
func (f *filter) matches(r *Row) bool {
	for i := range f.terms {
		if t := &f.terms[i]; !t.asked && t.holds(r) == t.not {
			return false
		}
	}
	return true
}

// holds reports whether a row has what a term says.
func (t *term) holds(r *Row) bool {
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
		return r.ClassOf().Class() == t.value
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
	return number(score) == number(t.number)
}

// Link is the address of the same page with one thing changed.
func (f *filter) link(key, value string) string {
	v := url.Values{}
	for k, x := range map[string]string{"q": f.Text, "verdict": f.Verdict, "range": f.Range, key: value} {
		if x != "" && (k != "range" || x != "24h") {
			v.Set(k, x)
		}
	}
	if len(v) == 0 {
		return "/log"
	}
	return "/log?" + v.Encode()
}
