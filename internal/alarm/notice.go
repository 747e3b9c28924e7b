package alarm

import (
	"bytes"
	"fmt"
	"io"
	"mime/quotedprintable"
	"strings"
	"time"
)

// maxShown is how many alarms a notice lists of each sort; of more it tells how many there are.
const maxShown = 50

// Notice is what people are told at one time.
type Notice struct {
	ID    string    `json:"id"`
	Host  string    `json:"host"`
	At    time.Time `json:"at"`
	Test  bool      `json:"test,omitempty"` // nothing is wrong: somebody tries the path
	Began []Alarm   `json:"began,omitempty"`
	Still []Alarm   `json:"still,omitempty"` // not acknowledged for a while
	Over  []Alarm   `json:"over,omitempty"`
	More  int       `json:"more,omitempty"` // that are not listed

	more [3]int // of each sort
}

// only is what a path is told: what is bad enough for it, and nothing of itself. nil: nothing.
func (n *Notice) only(path string, least Severity) *Notice {
	out := &Notice{ID: n.ID, Host: n.Host, At: n.At, Test: n.Test}
	for i, l := range [...]struct {
		from []Alarm
		to   *[]Alarm
	}{{n.Began, &out.Began}, {n.Still, &out.Still}, {n.Over, &out.Over}} {
		for _, a := range l.from {
			switch {
			case !a.Severity.AtLeast(least), a.Kind == KindPath && a.Object == path:
			case len(*l.to) >= maxShown:
				out.More++
				out.more[i]++
			default:
				*l.to = append(*l.to, a)
			}
		}
	}
	if len(out.Began)+len(out.Still)+len(out.Over) == 0 && !n.Test {
		return nil
	}
	return out
}

// Subject is the notice in a line.
func (n *Notice) Subject() string {
	count := func(list []Alarm, more int) string {
		if len(list) == 1 {
			return "alarm " + list[0].ID
		}
		return fmt.Sprintf("%d alarms", len(list)+more)
	}
	var all []string
	if len(n.Began) > 0 {
		text := count(n.Began, n.more[0])
		if worst(n.Began) == Critical {
			text = "CRITICAL " + text
		}
		all = append(all, text)
	}
	if len(n.Still) > 0 {
		all = append(all, "still "+count(n.Still, n.more[1]))
	}
	if len(n.Over) > 0 {
		all = append(all, "over: "+count(n.Over, n.more[2]))
	}
	if n.Test {
		all = append(all, "test of alarms, nothing is wrong")
	}
	return "[" + n.Host + "] " + strings.Join(all, ", ")
}

func worst(list []Alarm) (s Severity) {
	s = Info
	for i := range list {
		if list[i].Severity.AtLeast(s) {
			s = list[i].Severity
		}
	}
	return s
}

// Text is the notice for people.
func (n *Notice) Text() string {
	var b strings.Builder
	if n.Test {
		fmt.Fprintf(&b, "Somebody tries at %s whether notices of %s arrive. Nothing is wrong.\n", n.At.Format(timeForm), n.Host)
	}
	for _, l := range [...]struct {
		title string
		list  []Alarm
	}{{"Began", n.Began}, {"Still, and nobody has acknowledged it", n.Still}, {"Over", n.Over}} {
		if len(l.list) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s:\n", l.title)
		for i := range l.list {
			l.list[i].write(&b)
		}
		b.WriteByte('\n')
	}
	if n.More > 0 {
		fmt.Fprintf(&b, "and %d more\n\n", n.More)
	}
	if !n.Test {
		b.WriteString("gatepost alarm list shows all of them, gatepost alarm ack ID says that you know.\n")
	}
	return b.String()
}

// timeForm is how times are shown to people.
const timeForm = "2006-01-02 15:04:05 -0700"

func (a *Alarm) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s %s\n  %s\n", strings.ToUpper(string(a.Severity)), a.ID, a.Text)
	if a.Do != "" && a.Standing() {
		fmt.Fprintf(b, "  What to do: %s\n", a.Do)
	}
	fmt.Fprintf(b, "  since %s", a.Since.Format(timeForm))
	if !a.Standing() {
		fmt.Fprintf(b, ", over at %s, after %s", a.Over.Format(timeForm), a.Over.Sub(a.Since).Round(time.Second))
	}
	if a.Count > 1 {
		fmt.Fprintf(b, ", %d times", a.Count)
	}
	if a.Owner != "" {
		fmt.Fprintf(b, ", owner %s", a.Owner)
	}
	b.WriteByte('\n')
}

// Mail is the notice as a message (RFC 5322), with CRLF. It is marked as generated (RFC 3834), so that nobody answers by a machine.
func (n *Notice) Mail(from string, to []string) []byte {
	var b bytes.Buffer
	Head(&b, from, to, n.Subject(), "alarm."+n.ID+"@"+n.Host, n.At)
	if worst(n.Began) == Critical {
		b.WriteString("Importance: high\r\n")
	}
	b.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	q := quotedprintable.NewWriter(&b)
	_, _ = io.WriteString(q, n.Text()) // a buffer takes all
	_ = q.Close()
	b.WriteString("\r\n")
	return b.Bytes()
}

// Head writes the fields that all mails of ours have. The subject is printable ASCII: it is made of nothing else.
func Head(b *bytes.Buffer, from string, to []string, subject, id string, at time.Time) {
	line := func(field, value string) { b.WriteString(field + ": " + value + "\r\n") }
	line("Date", at.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	line("From", "Gatepost <"+from+">")
	line("To", "<"+strings.Join(to, ">,\r\n <")+">")
	line("Subject", cut(subject, 400))
	line("Message-ID", "<"+id+">")
	line("Auto-Submitted", "auto-generated")
	line("MIME-Version", "1.0")
}

func cut(s string, most int) string {
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
