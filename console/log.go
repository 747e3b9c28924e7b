package console

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"gatepost/gateway"
	"gatepost/internal/api"
)

// Bounds of what the log is asked.
const (
	pageRows = 50
	maxQuery = 500
)

// filter is what the page of the log is asked for.
type filter struct {
	Text, Verdict, Range, Cursor string
}

// readFilter reads the query of a page. What makes no sense beside the query box is as if it were not there.
func readFilter(v url.Values) *filter {
	f := &filter{Text: visible(v.Get("q")), Verdict: v.Get("verdict"), Range: v.Get("range"), Cursor: v.Get("before")}
	if len(f.Text) > maxQuery {
		f.Text = cutText(f.Text, maxQuery/4)
	}
	if _, ok := api.LogRanges()[f.Range]; !ok {
		f.Range = "24h"
	}
	if !slices.Contains([]string{"", "stopped", "accepted", "deferred", "quarantined", "rejected"}, f.Verdict) {
		f.Verdict = ""
	}
	if _, err := gateway.ParseID(f.Cursor); err != nil {
		f.Cursor = ""
	}
	return f
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

// link is the address of the same page with one thing changed.
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

// class is one of four things that became of mail, as people count them, or that there was none.
type class int

const (
	classAccepted class = iota
	classDeferred
	classQuarantined
	classRejected
	classNone // no mail came: only a connection, or recipients and no message, and policy refused nothing
)

// classes are those of mail, in their order.
func classes() []class {
	return []class{classAccepted, classDeferred, classQuarantined, classRejected}
}

func classOf(o gateway.Outcome) class {
	switch {
	case o < gateway.Quarantine:
		return classAccepted
	case o == gateway.Quarantine:
		return classQuarantined
	case o == gateway.Defer:
		return classDeferred
	}
	return classRejected
}

// Class is the word of the stylesheet, Icon that of the sprite, Word for people.
func (c class) Class() string {
	return [...]string{"accepted", "deferred", "quarantined", "rejected", "nomail"}[c]
}
func (c class) Icon() string { return [...]string{"ok", "wait", "box", "no", "minus"}[c] }
func (c class) Word() string {
	return [...]string{"Accepted", "Deferred", "Quarantined", "Rejected", "No mail"}[c]
}

// of is how many of the class were counted.
func (c class) of(n *api.LogCounts) int { return *n.Of(api.Class(c.Class())) }

// Row is one event in a list.
type Row struct{ api.LogRow }

// ClassOf is what became of it.
func (r *Row) ClassOf() class {
	if r.beside() {
		return classNone
	}
	if c := classOf(r.Verdict); c != classAccepted || r.NextHop != "" || r.Later != "" || r.Size > 0 && !r.Connection() {
		return c
	}
	return classNone
}

// beside reports a connection whose refused mail has lines of its own.
func (r *Row) beside() bool {
	return r.Connection() && r.Class == api.Connection && classOf(r.Verdict) == classRejected
}

// Href is the page of the row.
func (r *Row) Href() string { return "/log/m/" + r.ID.String() }

// Split is the sender before and from the domain on.
func (r *Row) Split() [2]string {
	if r.From == "" {
		return [2]string{"<>", ""} // a notice, as of what could not be delivered
	}
	i := strings.LastIndexByte(r.From, '@')
	if i < 0 {
		return [2]string{"", r.From}
	}
	return [2]string{r.From[:i+1], r.From[i+1:]}
}

// Connection reports that no sender was named.
func (r *Row) Connection() bool { return r.Kind == gateway.ConnectionEvent }

// To is the first recipient, Others how many more there are.
func (r *Row) To() string {
	if len(r.Rcpts) == 0 {
		return ""
	}
	return r.Rcpts[0]
}

// Others is how many recipients there are beside To.
func (r *Row) Others() int { return max(len(r.Rcpts)-1, 0) }

// Why says it in a line.
func (r *Row) Why() string {
	switch {
	case r.beside():
		return "Connection; its mail has lines of its own"
	case r.Later != "":
		return "In the spool: " + string(r.Later)
	case r.Reason != "" && classOf(r.Verdict) != classAccepted:
		return cmp.Or(replyReason(r.Reply), reasonText(r.Reason))
	case r.Connection() && r.End != "":
		return "Connection without mail, ended by " + r.End
	case r.Connection():
		return "Connection without mail"
	case classOf(r.Verdict) == classAccepted && r.NextHop != "":
		return "Delivered to " + r.NextHop
	case r.Reply != "":
		return r.Reply
	}
	return r.ClassOf().Word()
}

// BarWidth is how wide the bar of a score is, of 64.
func (r *Row) BarWidth() float64 { return max(0, min(64, r.Score/20*64)) }
