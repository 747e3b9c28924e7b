package journal

import (
	"strings"

	"gatepost/gateway"
)

// RenderAuth tells what sender authentication says of a message that did not come by SMTP: as Render, without what only a
// transaction has. The results are the field that would be written, with its name and as it is folded.
func RenderAuth(e *gateway.Event, results string, o RenderOptions) string {
	if o.Width == 0 {
		o.Width = 96
	}
	p := &page{width: max(o.Width, 60), color: o.Color, points: map[[2]string]float64{}}
	for i := range e.Verdict.Priced {
		c := &e.Verdict.Priced[i]
		p.points[[2]string{c.Check, c.Measure}] += c.Points
	}
	p.b.WriteString(p.paint(bold, "Sender authentication") + "  " +
		p.paint(outcomeColor(e.Verdict.Outcome), strings.ToLower(doneWord(e.Verdict.Outcome))) + ", by these checks alone\n")
	for _, line := range lines(visible(Why(e)), p.width) {
		p.b.WriteString(line + "\n")
	}
	p.decision(e)
	p.head("Who and what")
	p.field("Client", e.Record.Client.Unmap().String())
	p.field("Reverse name", e.Session.Reverse)
	p.field("Said it is", e.Record.Helo)
	p.field("From", e.Record.From.Path())
	p.field("From field", e.Record.HeaderFrom)
	p.field("Subject", e.Subject)
	p.findings(e)
	p.ladder(e)
	p.head("Would be written")
	for line := range strings.Lines(results) {
		p.b.WriteString("  " + visible(strings.ReplaceAll(strings.TrimRight(line, "\r\n"), "\t", "    ")) + "\n")
	}
	if !e.Reply.IsZero() {
		p.head("Would be told to the client")
		p.wrap(2, "", e.Reply.String())
	}
	return p.b.String()
}
