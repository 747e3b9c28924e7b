package journal

import (
	"net/netip"
	"slices"
	"time"

	"gatepost/gateway"
)

// Bounds of a line.
const (
	maxLine     = 16 << 10
	maxRcpts    = 50
	maxFindings = 64
	maxEdits    = 20
	maxEdit     = 200 // octets of one
	maxMeasures = 24
	maxText     = 1000    // octets of one field
	usualLine   = 2 << 10 // octets
	linesAtOnce = 16
	cutText     = 100 // of a line that would be too long: an octet may need six
)

// Line is one line on its way to the sinks. Nobody changes it.
type Line struct {
	Time     time.Time
	Verb     Verb
	ID       gateway.ID // 0 where there is none
	Verdict  string     // of mail
	Reason   string
	JSON     []byte // one object, with its line end
	severity severity
}

// lineMaker makes lines out of memory for many, of which each keeps its piece.
type lineMaker struct{ free []byte }

// newLine tells of an event.
func newLine(e *gateway.Event) *Line {
	m := lineMaker{free: make([]byte, 0, usualLine)}
	return m.line(e)
}

// line tells of an event.
func (m *lineMaker) line(e *gateway.Event) *Line {
	l := &Line{Time: e.Record.Time, Verb: Transaction, ID: e.Record.ID, Verdict: e.Verdict.Outcome.String(),
		Reason: string(e.Verdict.Reason), severity: severityInfo}
	if e.Kind == gateway.ConnectionEvent {
		l.Verb = Connection
	}
	if e.Verdict.Outcome.Refuses() {
		l.severity = severityNotice
	}
	if cap(m.free) < usualLine {
		m.free = make([]byte, 0, linesAtOnce*usualLine)
	}
	l.JSON = eventJSON(m.free, e, false)
	if len(l.JSON) > maxLine {
		l.JSON = eventJSON(nil, e, true)
	}
	n := len(l.JSON)
	l.JSON = l.JSON[:n:n]
	if n <= cap(m.free) {
		m.free = m.free[n:n:cap(m.free)] // where the line outgrew it, that is lost
	} else {
		m.free = nil
	}
	return l
}

// eventJSON writes the fields of the package comment, into b where they have room.
func eventJSON(b []byte, e *gateway.Event, cut bool) []byte {
	r, v := e.Record, &e.Verdict
	o := &object{b: b, most: maxText}
	if cut {
		o.most = cutText
	}
	verb := Transaction
	if e.Kind == gateway.ConnectionEvent {
		verb = Connection
	}
	o.moment("time", r.Time)
	o.always("kind", string(verb))
	o.always("id", r.ID.String())
	if verb == Transaction {
		o.always("session", r.Session.String())
	}
	o.text("listener", r.Listener)
	o.text("client", clientText(e))
	if e.Session.Proxy.IsValid() {
		o.text("proxy", e.Session.Proxy.String())
	}
	o.text("reverse", o.short(e.Session.Reverse))
	o.text("helo", o.short(r.Helo))
	o.text("tls", r.TLS)
	if verb == Connection {
		o.text("tls_cipher", e.Session.TLS.Cipher)
		o.text("tls_group", e.Session.TLS.Group)
		if e.Session.TLS.Resumed {
			o.key("tls_resumed")
			o.b = append(o.b, "true"...)
		}
	}
	o.text("tls_cert", r.Cert)
	if verb == Transaction {
		o.mail(e, cut)
	}
	o.verdict(v)
	o.text("policy", e.Policy)
	if v.Would != nil {
		o.always("would", v.Would.Outcome.String())
	}
	o.text("waived", o.short(v.Waived))
	if !cut {
		o.texts("marks", v.Marks)
		o.findings(r.Findings)
	}
	if e.Relayed != nil {
		o.always("relay", e.Relayed.Result.String())
		o.text("next_hop", o.short(e.Relayed.NextHop))
		o.text("next_hop_tls", o.short(e.Relayed.TLS))
		o.text("said", o.short(e.Relayed.Said))
	}
	if !cut {
		o.edits(e.Edits)
	}
	o.text("spooled", o.short(e.Spooled))
	if e.Again {
		o.key("again")
		o.b = append(o.b, "true"...)
	}
	o.text("reply", o.short(e.Reply.String()))
	if verb == Connection {
		o.session(&e.Session)
	}
	o.float("took_ms", millis(e.Took))
	if cut {
		o.key("cut")
		o.b = append(o.b, "true"...)
	}
	return o.end()
}

func clientText(e *gateway.Event) string {
	if e.Session.Client.IsValid() {
		return netip.AddrPortFrom(e.Session.Client.Addr().Unmap(), e.Session.Client.Port()).String()
	}
	if e.Record.Client.IsValid() {
		return e.Record.Client.Unmap().String()
	}
	return ""
}

func (o *object) mail(e *gateway.Event, cut bool) {
	most := maxRcpts
	if cut {
		most = 5
	}
	o.always("from", o.short(e.Record.From.Text))
	rcpts := e.Record.Rcpts
	shown := make([]string, min(len(rcpts), most))
	for i := range shown {
		shown[i] = o.short(rcpts[i].To.Text)
	}
	o.texts("rcpts", shown)
	o.number("rcpts_more", int64(len(rcpts)-len(shown)))
	o.sent(rcpts, most)
	o.text("header_from", o.short(e.Record.HeaderFrom))
	o.number("size", e.Record.Size)
	if e.Record.RequireTLS {
		o.key("requiretls")
		o.b = append(o.b, "true"...)
	}
	o.text("message_id", o.short(e.MessageID))
	o.text("subject", o.short(e.Subject))
}

// sent names the addresses that the mail of accepted recipients goes on to, where these are others, each once.
func (o *object) sent(rcpts []gateway.RecordRcpt, most int) {
	var shown []string
	more := 0
	for i := range rcpts {
		if rcpts[i].Code != 250 {
			continue
		}
		for _, a := range rcpts[i].Sent {
			switch text := o.short(a.Text); {
			case slices.Contains(shown, text):
			case len(shown) < most:
				shown = append(shown, text)
			default:
				more++
			}
		}
	}
	o.texts("sent", shown)
	o.number("sent_more", int64(more))
}

func (o *object) verdict(v *gateway.Verdict) {
	o.always("verdict", v.Outcome.String())
	o.text("reason", string(v.Reason))
	o.text("check", v.Check)
	o.text("line", o.short(v.Line))
	if v.Score != 0 {
		o.float("score", v.Score)
	}
}

// edits names what was done to the message on its way out.
func (o *object) edits(all []string) {
	shown := make([]string, min(len(all), maxEdits))
	for i := range shown {
		shown[i] = o.short(gateway.CleanText(all[i], maxEdit))
	}
	o.texts("edits", shown)
	o.number("edits_more", int64(len(all)-len(shown)))
}

// findings writes [check, result, measures, milliseconds, reason] of each.
func (o *object) findings(all []gateway.Finding) {
	n := 0
	for i := range all {
		f := &all[i]
		if f.Result == gateway.NotRun && f.Reason == gateway.LeftOff {
			continue
		}
		if n++; n > maxFindings {
			continue
		}
		if n == 1 {
			o.key("findings")
			o.b = append(o.b, '[')
		} else {
			o.b = append(o.b, ',')
		}
		o.finding(f)
	}
	if n > 0 {
		o.b = append(o.b, ']')
		o.number("findings_more", int64(max(n-maxFindings, 0)))
	}
}

func (o *object) finding(f *gateway.Finding) {
	o.b = append(appendText(append(o.b, '['), f.Check), ',')
	o.b = append(appendText(o.b, f.Result.String()), ",["...)
	for i := range f.Measures[:min(len(f.Measures), maxMeasures)] {
		m := &f.Measures[i]
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.b = append(appendText(append(o.b, '['), m.Name), ',')
		o.b = appendFloat(o.b, m.Value)
		if m.Text != "" {
			o.b = appendText(append(o.b, ','), o.short(m.Text))
		}
		o.b = append(o.b, ']')
	}
	o.b = appendFloat(append(o.b, "],"...), millis(f.Took))
	if f.Reason != "" {
		o.b = appendText(append(o.b, ','), string(f.Reason))
	}
	o.b = append(o.b, ']')
}

func (o *object) session(s *gateway.Summary) {
	if s.Waited > 0 {
		o.float("waited_ms", millis(s.Waited))
	}
	o.number("transactions", int64(s.Transactions))
	o.number("accepted", int64(s.Accepted))
	o.number("errors", int64(s.Errors))
	o.number("commands", int64(s.Commands))
	o.number("octets", s.Octets)
	refused := make([]string, min(len(s.Refused), 5))
	for i := range refused {
		refused[i] = o.short(s.Refused[i])
	}
	o.texts("refused", refused)
	o.text("end", s.End)
}

// short bounds a text that strangers choose the length of.
func (o *object) short(s string) string {
	if len(s) <= o.most {
		return s
	}
	return s[:o.most] + "[cut]" // a character cut in two is made whole by appendText
}
