package journal

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gatepost/gateway"
)

// RenderOptions say how a story is shown, and what is shown with it. The zero value is plain text of 96 columns.
type RenderOptions struct {
	Color bool // for a terminal
	Width int  // columns; 0: 96, at least 60
	// Connection is that of a transaction, and Transactions are those of a connection, where they are known.
	Connection   *gateway.Event
	Transactions []*gateway.Event
	// Again is what another policy makes of the same Record; AgainPolicy is its version.
	Again       *gateway.Verdict
	AgainPolicy string
	Fates       []gateway.Fate // what became of it in the spool
	Node        string         // whose it is, where nodes share one log
}

// Render tells the whole story of an event, why first. What strangers sent is shown without control octets.
func Render(e *gateway.Event, o RenderOptions) string {
	if o.Width == 0 {
		o.Width = 96
	}
	p := &page{width: max(o.Width, 60), color: o.Color}
	p.title(e)
	p.decision(e)
	if o.Again != nil {
		p.again(e, o.Again, o.AgainPolicy)
	}
	p.who(e, o.Node)
	if e.Kind == gateway.TransactionEvent {
		p.what(e)
	}
	p.findings(e)
	p.ladder(e)
	p.nextHop(e)
	p.told(e)
	p.fates(o.Fates)
	if e.Kind == gateway.ConnectionEvent {
		p.ended("The connection", e)
		p.transactions(o.Transactions)
	} else if o.Connection != nil {
		p.ended("The connection", o.Connection)
	}
	return p.b.String()
}

// RenderFates tells what became of a message in the spool whose event is not there.
func RenderFates(id gateway.ID, all []gateway.Fate, o RenderOptions) string {
	if o.Width == 0 {
		o.Width = 96
	}
	p := &page{width: max(o.Width, 60), color: o.Color}
	p.b.WriteString(p.paint(bold, id.String()) + " (its transaction is not in the log)\n")
	p.fates(all)
	return p.b.String()
}

// page is text in the making.
type page struct {
	b     strings.Builder
	width int
	color bool
	// points are what measures cost, by check and measure, where each is to be shown beside its measure.
	points map[[2]string]float64
}

const label = 14 // columns of the names on the left

// The colours of a terminal.
const (
	bold  = "\x1b[1m"
	red   = "\x1b[31m"
	green = "\x1b[32m"
	amber = "\x1b[33m"
	faint = "\x1b[2m"
	plain = "\x1b[0m"
)

func (p *page) paint(color, text string) string {
	if !p.color || text == "" {
		return text
	}
	return color + text + plain
}

func outcomeColor(o gateway.Outcome) string {
	switch {
	case o == gateway.Accept:
		return green
	case o < gateway.Reject:
		return amber
	}
	return red
}

func (p *page) head(text string) { p.b.WriteString("\n" + p.paint(bold, text) + "\n") }

// field writes a name and its value, wrapped beside it; nothing for an empty value.
func (p *page) field(name, value string) {
	if value == "" {
		return
	}
	p.wrap(2, fmt.Sprintf("%-*s", label, name), value)
}

// wrap writes a text behind a start, in lines that begin under the end of the start.
func (p *page) wrap(indent int, start, value string) {
	room := max(p.width-indent-utf8.RuneCountInString(start)-1, 20)
	first := strings.Repeat(" ", indent) + start + " "
	rest := strings.Repeat(" ", indent+utf8.RuneCountInString(start)+1)
	for i, line := range lines(visible(value), room) {
		if i == 0 {
			p.b.WriteString(first)
		} else {
			p.b.WriteString(rest)
		}
		p.b.WriteString(line + "\n")
	}
}

// lines cuts a text at spaces into lines of at most room columns; a word that is longer is cut.
func lines(text string, room int) []string {
	var out []string
	at := ""
	have := 0 // columns of at
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		if have > 0 && have+1+n <= room {
			at, have = at+" "+word, have+1+n
			continue
		}
		if have > 0 {
			out = append(out, at)
		}
		for ; n > room; n -= room {
			end := 0
			for range room {
				_, size := utf8.DecodeRuneInString(word[end:])
				end += size
			}
			out, word = append(out, word[:end]), word[end:]
		}
		at, have = word, n
	}
	if at != "" || len(out) == 0 {
		out = append(out, at)
	}
	return out
}

// visible makes text of strangers safe for a terminal: what is not printable is written as an escape.
func visible(s string) string {
	ok := true
	for _, r := range s {
		if r == utf8.RuneError || !strconv.IsPrint(r) {
			ok = false
			break
		}
	}
	if ok {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n', r == '\r', r == '\t':
			b.WriteByte(' ')
		case !strconv.IsPrint(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// duration shows a time as people read it.
func duration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return strconv.FormatFloat(float64(d.Nanoseconds())/1e6, 'f', 2, 64) + " ms"
	case d < time.Second:
		return strconv.FormatFloat(float64(d.Microseconds())/1e3, 'f', 0, 64) + " ms"
	}
	return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
}

func points(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

func octets(n int64) string {
	switch {
	case n < 10<<10:
		return strconv.FormatInt(n, 10) + " octets"
	case n < 10<<20:
		return strconv.FormatInt(n>>10, 10) + " KiB"
	}
	return strconv.FormatInt(n>>20, 10) + " MiB"
}
