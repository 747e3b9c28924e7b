package journal

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"gatepost/gateway"
)

var done = [...]string{"Accepted", "Tagged", "Quarantined", "Deferred", "Rejected", "Dropped"}

// title writes the reference, the outcome, and why in one sentence.
func (p *page) title(e *gateway.Event) {
	word := doneWord(e.Verdict.Outcome)
	what := "transaction"
	switch {
	case e.Kind == gateway.ConnectionEvent:
		what = "connection"
	case !e.Verdict.Outcome.Refuses() && notTaken(e) != "":
		word = "no message" // whatever nothing was against
	}
	told := ""
	if e.Reply.Code != 0 {
		told = ", told " + strconv.Itoa(e.Reply.Code)
	}
	p.b.WriteString(p.paint(bold, e.Record.ID.String()) + "  " + what + "  " +
		p.paint(outcomeColor(e.Verdict.Outcome), strings.ToLower(word)) + told + "  " +
		e.Record.Time.UTC().Format("2006-01-02 15:04:05.000 UTC") + "\n")
	for _, line := range lines(visible(Why(e)), p.width) {
		p.b.WriteString(line + "\n")
	}
}

func doneWord(o gateway.Outcome) string {
	if int(o) < len(done) {
		return done[o]
	}
	return "Unknown"
}

// Why says in one sentence what became of an event and why.
func Why(e *gateway.Event) string {
	v := &e.Verdict
	switch {
	case v.Outcome.Refuses():
		return doneWord(v.Outcome) + byWhom(v) + ": " + sentence(gateway.Word(v.Outcome, v.Reason, v.Args).Text)
	case e.Kind == gateway.ConnectionEvent:
		return whyConnection(e)
	}
	if text := notTaken(e); text != "" {
		return text
	}
	because := byWhom(v)
	switch {
	case v.Outcome == gateway.Accept && v.Waived != "":
		because = ", since it is allowed (" + v.Waived + ")"
	case v.Outcome == gateway.Accept:
		because = " with " + points(v.Score) + " points"
	}
	verdict := doneWord(v.Outcome) + because
	switch r := e.Relayed; {
	case e.Spooled != "":
		return verdict + ", and in the spool, which hands it on later: " + sentence(e.Spooled)
	case e.Again:
		return verdict + ". The next hop had it from an earlier attempt of the sender, so that it was not handed on again."
	case r != nil && r.Result == gateway.Delivered:
		return verdict + ", and delivered to " + hop(r) + "."
	case r != nil:
		return notDelivered(r) + " Policy: " + sentence(verdict)
	case e.Reply.Code >= 400:
		return verdict + ", but the client was told " + sentence(e.Reply.String())
	}
	return verdict + "."
}

func byWhom(v *gateway.Verdict) string {
	switch {
	case v.Check != "" && v.Reason != "":
		return " by " + v.Check + " (" + string(v.Reason) + ")"
	case v.Check != "":
		return " by " + v.Check
	case v.Reason == gateway.SpamScore:
		return " for its sum of " + points(v.Score) + " points"
	}
	return ""
}

// notTaken tells of a transaction that came to no message, though nothing was against it as a whole.
func notTaken(e *gateway.Event) string {
	taken := 0
	for i := range e.Record.Rcpts {
		if e.Record.Rcpts[i].Code == 250 {
			taken++
		}
	}
	switch {
	case len(e.Record.Rcpts) > 0 && taken == 0:
		text := "No recipient was accepted"
		for i := range e.Replies {
			if e.Replies[i].Code >= 400 {
				return text + ": " + sentence(e.Replies[i].String())
			}
		}
		return text + "."
	case e.Record.Stage < gateway.Data && e.Relayed == nil:
		return "The client ended the transaction before it sent a message."
	}
	return ""
}

// notDelivered tells how the next hop did not take a message that policy let go on.
func notDelivered(r *gateway.Relayed) string {
	switch r.Result {
	case gateway.RefusedByHop:
		return "Refused by the next hop, " + hop(r) + ", which said " + sentence(r.Said)
	case gateway.DeferredByHop:
		return "Deferred by the next hop, " + hop(r) + ", which said " + sentence(r.Said)
	case gateway.MixedByHop:
		if r.At == gateway.AtDot {
			return "Delivered to some: the next hop, " + hop(r) + ", took it for some of the recipients only. The sender comes back, and only the others get it then."
		}
		return "Not delivered: the next hop, " + hop(r) + ", took some of the recipients only. The sender comes back, and each recipient gets its own answer."
	case gateway.OutcomeUnknown:
		return "Perhaps delivered: the next hop, " + hop(r) + ", gave no answer after the end of the message. The sender comes back, and a second copy is possible."
	}
	return "Not delivered: the message could not be handed on" + step(r.At) + ". The sender comes back."
}

func hop(r *gateway.Relayed) string {
	if r.NextHop == "" {
		return "of unknown address"
	}
	return r.NextHop
}

func step(at string) string {
	if at == "" {
		return ""
	}
	return " (" + at + ")"
}

var endings = map[string]string{
	gateway.EndQuit:     "The client said goodbye",
	gateway.EndClosed:   "The client closed the connection",
	gateway.EndTimeout:  "The client took too long",
	gateway.EndLimit:    "The client made too many errors, commands or transactions",
	gateway.EndRefused:  "The connection was refused",
	gateway.EndProtocol: "The client did not speak SMTP",
	gateway.EndTLS:      "The TLS handshake failed",
	gateway.EndShutdown: "The gateway was stopping",
	gateway.EndFault:    "The gateway had a fault",
}

func whyConnection(e *gateway.Event) string {
	text := endings[e.Session.End]
	if text == "" {
		text = "The connection ended"
	}
	switch s := &e.Session; {
	case s.Transactions == 0:
		return text + " without naming a sender."
	case s.Accepted == 0:
		return text + "; of " + counted(s.Transactions, "transaction") + " none was accepted."
	default:
		return text + " after " + counted(s.Accepted, "accepted message") + " in " + counted(s.Transactions, "transaction") + "."
	}
}

// sentence begins with a small letter, where the word is no name, and ends with a point.
func sentence(text string) string {
	if text == "" {
		return "no reason was given."
	}
	first, n := utf8.DecodeRuneInString(text)
	if second, _ := utf8.DecodeRuneInString(text[n:]); unicode.IsLower(second) {
		text = string(unicode.ToLower(first)) + text[n:]
	}
	return strings.TrimRight(text, ". ") + "."
}
