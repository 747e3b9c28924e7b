package journal

import (
	"fmt"
	"strconv"
	"strings"

	"gatepost/gateway"
)

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// decision writes who decided and by which line.
func (p *page) decision(e *gateway.Event) {
	v := &e.Verdict
	p.head("Decision")
	p.field("Policy line", v.Line)
	p.field("Policy", e.Policy)
	p.field("Score", points(v.Score))
	if v.Would != nil {
		would := v.Would.Outcome.String()
		if v.Would.Check != "" {
			would += " by " + v.Would.Check
		}
		p.field("Would be", would+" with every check and the mode in force ("+v.Would.Line+")")
	}
	p.field("Waived by", v.Waived)
	p.rules(e)
	p.changes(v)
	if len(v.Marks) > 0 {
		p.field("Not checked", strings.Join(v.Marks, ", ")+" could not tell, and policy lets that pass with a mark")
	}
	for i := range v.Rcpts {
		if d := &v.Rcpts[i]; d.Outcome != v.Outcome && i < len(e.Record.Rcpts) {
			p.field("For one", e.Record.Rcpts[i].To.Path()+" "+d.Outcome.String()+": "+d.Line)
		}
	}
}

// rules tells which rules decided what is done about which findings, the first that matched of each.
func (p *page) rules(e *gateway.Event) {
	for _, a := range e.Verdict.Rules {
		what := a.Check
		if a.Reason != "" {
			what += " (" + string(a.Reason) + ")"
		}
		whom := ""
		if len(a.Rcpts) < len(e.Record.Rcpts) {
			var to []string
			for _, i := range a.Rcpts {
				if i >= 0 && i < len(e.Record.Rcpts) {
					to = append(to, e.Record.Rcpts[i].To.Path())
				}
			}
			whom = ", for " + strings.Join(to, ", ")
		}
		switch {
		case a.Why != "":
			p.field("Not told", a.Rule+" does not count: its condition could not be worked out"+whom+": "+a.Why)
		case a.Observed:
			p.field("Observed", a.Rule+" would "+a.Action+" "+what+whom)
		default:
			p.field("First match", a.Rule+": "+a.Action+" "+what+whom)
		}
	}
}

// changes tells what is changed in the copies that are delivered.
func (p *page) changes(v *gateway.Verdict) {
	for _, c := range v.Edits.Strip {
		p.field("Taken out", "part "+strconv.Itoa(c.Part)+", for "+c.Check+" ("+string(c.Reason)+")")
	}
	p.field("Banners", strings.Join(v.Edits.Banners, ", "))
	p.field("Subject tag", v.Edits.Subject)
}

// again tells what another policy makes of the same Record.
func (p *page) again(e *gateway.Event, v *gateway.Verdict, version string) {
	what := v.Explain()
	if v.Outcome == e.Verdict.Outcome && v.Reason == e.Verdict.Reason {
		what = "the same: " + what
	}
	p.field("Judged again", "by policy "+version+": "+what)
}

func (p *page) who(e *gateway.Event, node string) {
	r, s := e.Record, &e.Session
	p.head("Who")
	client := clientText(e)
	if s.Reverse != "" {
		client += " (" + s.Reverse + ")"
	}
	switch {
	case r.Relay:
		client += ", a trusted relay: its address is not judged"
	case r.Trusted:
		client += ", in a trusted network"
	}
	p.field("Client", client)
	if s.Proxy.IsValid() {
		p.field("Through", "the proxy "+s.Proxy.String())
	}
	p.field("Said it is", r.Helo)
	tls := r.TLS
	if tls == "" {
		tls = "none: the session was in clear"
	} else if s.TLS.Cipher != "" {
		tls += ", " + s.TLS.Cipher
		if s.TLS.Group != "" {
			tls += ", group " + s.TLS.Group
		}
		if s.TLS.Resumed {
			tls += ", resumed by a ticket"
		}
		if s.TLS.ServerName != "" {
			tls += ", asked for " + s.TLS.ServerName
		}
	}
	p.field("TLS", tls)
	p.certificate(&s.TLS)
	p.field("Listener", r.Listener)
	p.field("Node", node)
	if e.Kind == gateway.TransactionEvent {
		p.field("Connection", r.Session.String())
	}
}

// certificate tells of that of the client, if it gave one.
func (p *page) certificate(t *gateway.TLS) {
	if t.Certificate == "" {
		p.field("Client cert", t.Client) // of records before it had a digest
		return
	}
	how := "verified"
	if t.Doubt != "" {
		how = "not verified: " + t.Doubt
	}
	p.field("Client cert", t.Client+", by "+t.Issuer+" ("+how+")")
	p.field("SHA-256 of it", t.Certificate)
	p.field("... its key", t.Key)
}

func (p *page) what(e *gateway.Event) {
	r := e.Record
	p.head("What")
	p.field("From", r.From.Path())
	p.field("From field", r.HeaderFrom)
	for i := range r.Rcpts {
		to := r.Rcpts[i].To.Path()
		if sent := r.Rcpts[i].Sent; sent != nil {
			to += " -> " + paths(sent)
		}
		if r.Rcpts[i].Route != "" {
			to += ", route " + r.Rcpts[i].Route
		}
		if i < len(e.Replies) && !e.Replies[i].IsZero() {
			to += ": " + e.Replies[i].String()
		}
		p.field("To", to)
	}
	p.field("Subject", e.Subject)
	p.field("Message-ID", e.MessageID)
	if r.Size > 0 {
		p.field("Size", octets(r.Size))
	}
	if r.RequireTLS {
		p.field("Asked for", "verified TLS all the way (REQUIRETLS)")
	}
	p.field("Scanned by", strings.Join(e.ScannedBy, ", "))
	for _, f := range e.Removed {
		p.field("Removed", f)
	}
	for _, edit := range e.Edits {
		p.field("Changed", edit)
	}
}

// paths lists addresses.
func paths(all []gateway.Address) string {
	var out []string
	for _, a := range all {
		out = append(out, a.Path())
	}
	return strings.Join(out, ", ")
}

// findings writes a line for each check, its evidence below.
func (p *page) findings(e *gateway.Event) {
	all := e.Record.Findings
	if len(all) == 0 {
		return
	}
	p.head("Findings")
	width := 10
	for i := range all {
		width = max(width, min(len(all[i].Check), 24))
	}
	var off []string
	for i := range all {
		f := &all[i]
		if f.Result == gateway.NotRun && f.Reason == gateway.LeftOff {
			off = append(off, f.Check)
			continue
		}
		color := map[gateway.Result]string{gateway.Pass: green, gateway.Fail: red, gateway.Unknown: amber, gateway.NotRun: faint}[f.Result]
		start := fmt.Sprintf("%-*s %s", width, visible(f.Check), p.paint(color, fmt.Sprintf("%-7s", f.Result)))
		p.finding(e, f, start, width)
		p.evidence(e, i)
	}
	p.field("Switched off", strings.Join(off, ", "))
}

func (p *page) finding(e *gateway.Event, f *gateway.Finding, start string, width int) {
	took := ""
	if f.Result != gateway.NotRun {
		took = duration(f.Took)
	}
	parts := []string{}
	if f.Reason != "" {
		why := string(f.Reason)
		if len(f.Args) > 0 {
			why += " (" + strings.Join(f.Args, ", ") + ")"
		}
		parts = append(parts, why)
	}
	if f.Rcpt >= 0 && f.Rcpt < len(e.Record.Rcpts) && len(e.Record.Rcpts) > 1 {
		parts = append(parts, "for "+e.Record.Rcpts[f.Rcpt].To.Path())
	}
	for i := range f.Measures {
		part := measure(&f.Measures[i])
		if cost, ok := p.points[[2]string{f.Check, f.Measures[i].Name}]; ok {
			part += " (" + points(cost) + " points)"
		}
		parts = append(parts, part)
	}
	if f.RetryAfter > 0 {
		parts = append(parts, "come back in "+duration(f.RetryAfter))
	}
	room := max(p.width-width-23, 20)
	for i, line := range lines(visible(strings.Join(parts, "; ")), room) {
		if i > 0 {
			start, took = strings.Repeat(" ", width+8), ""
		}
		p.b.WriteString(strings.TrimRight(fmt.Sprintf("  %s %9s  %s", start, took, line), " ") + "\n")
	}
}

func measure(m *gateway.Measure) string {
	value := strconv.FormatFloat(m.Value, 'g', 4, 64)
	switch {
	case m.Text != "" && m.Value == 1:
		return m.Name + " " + m.Text
	case m.Text != "":
		return m.Name + " " + m.Text + " " + value
	case m.Value == 1:
		return m.Name
	}
	return m.Name + " " + value
}

// evidence is of the event, or as the finding still carries it, behind the results for Authentication-Results.
func (p *page) evidence(e *gateway.Event, i int) {
	for k := range e.Record.Findings[i].Auth {
		p.wrap(4, "-", "result: "+authResult(&e.Record.Findings[i].Auth[k]))
	}
	of := e.Record.Findings[i].Evidence
	if i < len(e.Evidence) {
		of = e.Evidence[i]
	}
	for _, ev := range of {
		p.wrap(4, "-", ev.Name+": "+ev.Text)
	}
}

// authResult shows a result as it stands in Authentication-Results, near enough for people.
func authResult(r *gateway.AuthResult) string {
	text := r.Method + "=" + r.Result
	if r.Comment != "" {
		text += " (" + r.Comment + ")"
	}
	if r.Reason != "" {
		text += " reason=" + strconv.Quote(r.Reason)
	}
	for _, prop := range r.Props {
		text += " " + prop.Type + "." + prop.Name + "=" + prop.Value
	}
	if d := r.DMARC; d != nil && d.Record != "" {
		text += "; " + d.PolicyDomain + " says " + d.Record
	}
	return text
}

// ladder writes how the score came about.
func (p *page) ladder(e *gateway.Event) {
	if len(e.Verdict.Priced) == 0 {
		return
	}
	p.head("Score")
	for i := range e.Verdict.Priced {
		c := &e.Verdict.Priced[i]
		what := c.Check + " " + c.Measure
		if c.Text != "" {
			what += " " + c.Text
		}
		p.wrap(2, fmt.Sprintf("%6s", points(c.Points)), what+", "+c.Line)
	}
	p.wrap(2, fmt.Sprintf("%6s", points(e.Verdict.Score)), "in all")
}

func (p *page) nextHop(e *gateway.Event) {
	r := e.Relayed
	if e.Spooled != "" {
		p.head("Spool")
		p.field("Since", e.Spooled)
	}
	if r == nil {
		return
	}
	p.head("Next hop")
	p.field("Host", r.NextHop)
	p.field("TLS", r.TLS)
	result := r.Result.String() + step(r.At)
	if r.Took > 0 {
		result += " in " + duration(r.Took)
	}
	p.field("Result", result)
	p.field("Said", r.Said)
	step := "To RCPT"
	if r.At == gateway.AtDot {
		step = "To the end"
	}
	for i := range r.Rcpts {
		to := ""
		switch {
		case i < len(r.To):
			to = r.To[i].Path() + ": "
		case i < len(e.Record.Rcpts): // of before there was a To
			to = e.Record.Rcpts[i].To.Path() + ": "
		}
		p.field(step, to+r.Rcpts[i].String())
	}
}

func (p *page) told(e *gateway.Event) {
	if e.Reply.IsZero() {
		return
	}
	p.head("Told to the client, after " + duration(e.Took))
	p.wrap(2, "", e.Reply.String())
}

func (p *page) ended(title string, e *gateway.Event) {
	s := &e.Session
	p.head(title)
	p.field("Ended", whyConnection(e))
	p.field("Lasted", duration(e.Took))
	p.field("Came to", counted(s.Transactions, "transaction")+", "+counted(s.Accepted, "accepted message")+", "+
		counted(s.Commands, "command")+", "+counted(s.Errors, "error")+", "+octets(s.Octets))
	for _, r := range s.Refused {
		p.field("Refused", r)
	}
}

// transactions lists those of a connection.
func (p *page) transactions(all []*gateway.Event) {
	if len(all) == 0 {
		return
	}
	p.head("Its transactions")
	for _, e := range all {
		p.wrap(2, e.Record.ID.String(), Why(e))
	}
}
