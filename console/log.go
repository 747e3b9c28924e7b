package console

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
)

// LogQuery is what the log is asked. Everything that is set must hold.
type LogQuery struct {
	Since, Until time.Time
	From, To     string // an address, a domain, or a part
	Client       string // an address or a network
	Subject      string
	Verdicts     []gateway.Outcome
	Before       gateway.ID // only what is older
	Limit        int
}

// LogPage is the answer.
type LogPage struct {
	Rows    []Row
	More    bool      // there are older ones
	Partial bool      // the time to answer was over
	Reached time.Time // how far back it came
	Gaps    []string  // days that could not be read, and why
}

// Row is one event in a list.
type Row struct {
	ID         gateway.ID        `json:"id"`
	Session    gateway.ID        `json:"session"`
	Time       time.Time         `json:"time"`
	Kind       gateway.EventKind `json:"kind"`
	Client     netip.Addr        `json:"client"`
	Helo       string            `json:"helo,omitempty"`
	From       string            `json:"from"`
	HeaderFrom string            `json:"header_from,omitempty"` // where it differs from From
	Rcpts      []string          `json:"rcpts,omitempty"`
	Size       int64             `json:"size,omitempty"`
	MessageID  string            `json:"message_id,omitempty"`
	Subject    string            `json:"subject,omitempty"`
	Verdict    gateway.Outcome   `json:"verdict"`
	Reason     gateway.Reason    `json:"reason,omitempty"`
	Check      string            `json:"check,omitempty"` // that decided; "" where the sum of points did, or nothing
	Score      float64           `json:"score"`
	Policy     string            `json:"policy,omitempty"`
	Reply      string            `json:"reply,omitempty"`
	NextHop    string            `json:"next_hop,omitempty"`
	End        string            `json:"end,omitempty"`
	Later      gateway.FateWord  `json:"later,omitempty"` // of mail that was in the spool
	Told       bool              `json:"-"`               // of a connection: rows of its own tell what became of its mail
}

// Bounds of a search. Counts are of as many rows as are read at most.
const (
	pageRows   = 50
	scanRows   = 4000
	searchTime = 3 * time.Second
)

// found is what a page shows of a search.
type found struct {
	Rows     []Row
	Next     gateway.ID // where the next page begins; 0: there is none
	Counts   [5]int     // by class, of all that matches, whatever verdict is asked for
	Read     int        // rows that were looked at
	Reached  time.Time
	Complete bool // all of the time was read
	Gaps     []string
	Took     time.Duration
	Columns  []column
}

// All is how many events there are, Total how many of them are mail.
func (f *found) All() int { return f.Total() + f.Counts[classNone] }

// Total is how many mails there are.
func (f *found) Total() int { return f.Counts[0] + f.Counts[1] + f.Counts[2] + f.Counts[3] }

// Stopped is how many were not accepted.
func (f *found) Stopped() int { return f.Total() - f.Counts[classAccepted] }

// find searches, for an actor: what he does not see is not there, neither as a row nor in a count.
func find(ctx context.Context, log Log, actor *access.Actor, f *filter, limit int) (*found, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	q := f.query()
	if len(actor.Domains) == 1 && q.To == "" {
		q.To = "@" + actor.Domains[0]
	}
	q.Limit = scanRows
	page, err := log.Search(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &found{Read: len(page.Rows), Reached: page.Reached, Complete: !page.More && !page.Partial, Gaps: page.Gaps, Columns: columnsOf(f)}
	var last gateway.ID
	told := map[gateway.ID]bool{} // sessions, by mail of theirs: it comes behind its connection, and so is read before
	for i := range page.Rows {
		row := &page.Rows[i]
		last = row.ID
		if !row.Connection() {
			told[row.Session] = true
		}
		row.Told = told[row.Session]
		if !bound(actor, row) || !f.matches(row) {
			continue
		}
		class := row.ClassOf()
		out.Counts[class]++
		count(out.Columns, row.Time, class)
		if !f.wants(class) || len(out.Rows) > limit {
			continue
		}
		out.Rows = append(out.Rows, *row)
	}
	switch {
	case len(out.Rows) > limit:
		out.Rows = out.Rows[:limit]
		out.Next = out.Rows[limit-1].ID
	case page.More || page.Partial && last != 0:
		out.Next = last
	}
	out.Took = time.Since(began)
	return out, nil
}

// bound leaves of a row what an actor sees: false where that is nothing.
func bound(actor *access.Actor, row *Row) bool {
	if actor.Everywhere() {
		return true
	}
	all := len(row.Rcpts)
	row.Rcpts = slices.DeleteFunc(slices.Clone(row.Rcpts), func(to string) bool { return !actor.SeesAny(to) })
	if len(row.Rcpts) < all {
		row.Reply = "" // it may name another's recipient
	}
	return len(row.Rcpts) > 0
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

// ClassOf is what became of it.
func (r *Row) ClassOf() class {
	if r.Told && r.Connection() {
		return classNone // what was refused was the mail
	}
	if c := classOf(r.Verdict); c != classAccepted || r.NextHop != "" || r.Later != "" || r.Size > 0 && !r.Connection() {
		return c
	}
	return classNone
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
	case r.Told && r.Connection():
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
