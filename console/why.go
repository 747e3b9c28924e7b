package console

import (
	"fmt"
	"regexp"
	"strings"

	"gatepost/gateway"
)

// hole stands for what a reason names, until it is taken out.
const hole = "0x0"

// leftText says why a check was left out.
func leftText(r gateway.Reason) string {
	switch r {
	case gateway.LeftOff:
		return "Off"
	case gateway.LeftDecided:
		return "Left out: the verdict was final before"
	case gateway.LeftNotNeeded:
		return "Left out: its condition did not hold"
	case gateway.LeftNoInput:
		return "Left out: what it looks at was not there"
	case gateway.LeftLearning:
		return "Left out: it is still learning"
	case gateway.LeftSpared:
		return "Spared: it could not have mattered"
	case gateway.LeftRelayed:
		return "Left out: the client is a trusted relay"
	}
	return "Left out"
}

// reasonText is what a reason means, without what it names.
func reasonText(r gateway.Reason) string {
	if r == gateway.SpamScore {
		return "The sum of points"
	}
	text := gateway.Word(gateway.Reject, r, []string{hole, hole, hole, hole}).Text
	text = unaddressed(text)
	if head, _, ok := strings.Cut(text, "; "); ok {
		text = head
	}
	text = strings.TrimSuffix(strings.TrimSuffix(strings.ReplaceAll(text, " ("+hole+")", ""), ": <"+hole+">"), ": "+hole)
	if text = strings.ReplaceAll(text, hole, "…"); text == "" {
		return string(r)
	}
	return capital(strings.TrimPrefix(text, "… is "))
}

// unaddressed is what senders are told, without what is theirs: of mail in quarantine nothing was refused.
func unaddressed(text string) string {
	return strings.TrimPrefix(strings.TrimPrefix(text, "Message refused: "), "Refused: ")
}

// ourReply is a refusal in our own words: of its reason, of what to do about it, and with the reference.
var ourReply = regexp.MustCompile(`^[45][0-9][0-9] [45]\.[0-9]{1,3}\.[0-9]{1,3} (?:Message refused|Refused): ([^;]+?)(?:;.*)?(?:\.? Reference [0-9A-Z-]+)?$`)

// replyReason is why, in the words of our reply, which names who and what; "" where it is not in them.
func replyReason(reply string) string {
	m := ourReply.FindStringSubmatch(reply)
	if m == nil {
		return ""
	}
	return capital(m[1])
}

// why says in a sentence or two why this became of a message. It names strangers' words as they are.
func why(e *gateway.Event, t gateway.Thresholds) string {
	v := &e.Verdict
	outcome := e.Outcome()
	word := classOf(outcome).Word()
	if outcome != v.Outcome && e.Relayed != nil { // the next hop decided
		who := e.Relayed.NextHop
		if who == "" {
			who = "the internal server"
		}
		said := e.Relayed.Said
		if said == "" {
			said = "no answer"
		}
		return fmt.Sprintf("%s by the internal server: our checks let it pass, and %s said at %s: %s", word, who, stepOf(e.Relayed.At), said)
	}
	var s string
	switch {
	case v.Check == "" && v.Reason == gateway.SpamScore:
		s = byScoreText(v, t, word)
	case v.Reason != "" && v.Outcome != gateway.Accept:
		s = ended(fmt.Sprintf("%s by the check %s: %s", word, orEdge(v.Check), unaddressed(gateway.Word(gateway.Reject, v.Reason, v.Args).Text)))
		if len(v.Priced) > 0 {
			s += fmt.Sprintf(" The score of %s did not decide.", number(v.Score))
		}
	case v.Outcome == gateway.Accept || v.Outcome == gateway.Tag:
		s = acceptedText(e, t)
	default:
		s = word + "."
	}
	if v.Would != nil && v.Would.Outcome != v.Outcome {
		s += fmt.Sprintf(" With everything in force it would have been %s.", strings.ToLower(classOf(v.Would.Outcome).Word()))
	}
	return s
}

// ended is a sentence with its end.
func ended(s string) string {
	if s == "" || strings.ContainsRune(".!?", rune(s[len(s)-1])) {
		return s
	}
	return s + "."
}

func byScoreText(v *gateway.Verdict, t gateway.Thresholds, word string) string {
	limit, verb := t.Reject, "rejects"
	switch v.Outcome {
	case gateway.Quarantine:
		limit, verb = t.Quarantine, "quarantines"
	case gateway.Tag:
		limit, verb = t.Tag, "tags"
		word = "Tagged"
	}
	s := fmt.Sprintf("%s because the score reached %s", word, number(v.Score))
	if limit > 0 && v.Score >= limit {
		s += fmt.Sprintf(" and your policy %s from %s", verb, number(limit))
	}
	s += "."
	sums, most := map[string]float64{}, ""
	for _, p := range v.Priced {
		sums[p.Check] += p.Points
		if most == "" || sums[p.Check] > sums[most] {
			most = p.Check
		}
	}
	if most != "" && sums[most] > 0 {
		s += fmt.Sprintf(" The largest part is %s from the check %s.", pointsText(sums[most]), most)
	}
	return s
}

func acceptedText(e *gateway.Event, t gateway.Thresholds) string {
	v := &e.Verdict
	if e.Kind == gateway.ConnectionEvent {
		return "A connection in which nothing was refused."
	}
	if row := rowOf(e); row.ClassOf() == classNone {
		s := "No mail came: the client gave no message."
		if e.Reply.Code >= 400 {
			s = "No mail came: no recipient was taken, and the client gave no message."
		}
		return s
	}
	s := "Accepted: no check decided against it"
	if t.Tag > 0 && v.Score < t.Tag {
		s += fmt.Sprintf(", and the score of %s is below %s", number(v.Score), number(t.Tag))
	}
	s += "."
	switch {
	case v.Waived != "":
		s += " The allow entry " + v.Waived + " overruled opinions."
	case v.Outcome == gateway.Tag:
		s = "Accepted with a mark. " + strings.TrimPrefix(s, "Accepted: ")
		if len(v.Marks) > 0 {
			s = "Accepted with a mark: these checks could not tell: " + strings.Join(v.Marks, ", ") + "."
		}
	}
	switch {
	case e.Spooled != "":
		s += " It went to the spool: " + e.Spooled + "."
	case e.Relayed != nil && e.Relayed.Result == gateway.Delivered:
		s += " " + e.Relayed.NextHop + " took it."
	}
	return s
}

func orEdge(check string) string {
	if check == "" {
		return "smtp"
	}
	return check
}

// stepOf names a step of delivering.
func stepOf(at string) string {
	switch at {
	case "":
		return "the delivery"
	case "dot":
		return "the end of the message"
	}
	return strings.ToUpper(at)
}

// tellSender is a sentence that a help desk can write to whoever sent it; "" where nothing was refused.
func tellSender(e *gateway.Event) string {
	when, to := e.Record.Time.UTC().Format("2 January 2006 at 15:04 UTC"), ""
	if len(e.Record.Rcpts) == 1 {
		to = " to " + e.Record.Rcpts[0].To.Text
	}
	switch classOf(e.Outcome()) {
	case classDeferred:
		return fmt.Sprintf("Your message of %s%s was not taken yet. Our server said: \"%s\". Your mail server tries again by itself; you need not do anything. Reference %s.", when, to, e.Reply, e.Record.ID)
	case classRejected:
		return fmt.Sprintf("Your message of %s%s was not delivered. Our server told yours: \"%s\". The reference for your mail admin is %s.", when, to, e.Reply, e.Record.ID)
	}
	return ""
}
