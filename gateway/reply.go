package gateway

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Reply is one SMTP reply. Text has no enhanced code and no line end; several lines are separated by "\n".
type Reply struct {
	Code     int    `json:"code"`
	Enhanced string `json:"enhanced,omitempty"` // RFC 3463; "" where the protocol has none (banner, EHLO, 354)
	Text     string `json:"text,omitempty"`
}

// IsZero reports whether there is no reply.
func (r Reply) IsZero() bool { return r.Code == 0 }

// Positive reports a 2xx or 3xx reply.
func (r Reply) Positive() bool { return r.Code >= 200 && r.Code < 400 }

// String returns the reply on one line, for logs.
func (r Reply) String() string {
	if r.Code == 0 {
		return ""
	}
	s := strconv.Itoa(r.Code)
	if r.Enhanced != "" {
		s += " " + r.Enhanced
	}
	return s + " " + strings.ReplaceAll(r.Text, "\n", " ")
}

// withContact tells how to reach the site, behind a refusal that will not go away by itself.
func (r Reply) withContact(contact string) Reply {
	if contact != "" && r.Code >= 500 {
		r.Text += ". Contact " + contact
	}
	return r
}

// WithReference ends the text of a refusal with the reference of its event, unless it has one.
func (r Reply) WithReference(id ID) Reply {
	if id != 0 && r.Code >= 400 && !strings.HasSuffix(r.Text, "Reference "+id.String()) {
		r.Text += ". Reference " + id.String()
	}
	return r
}

// CleanText makes text of strangers safe to repeat in a reply, a header field or a log: printable US-ASCII, at most max
// octets. What is not printable reads as "?".
func CleanText(text string, max int) string {
	clean := true
	for i := 0; i < len(text) && clean; i++ {
		clean = text[i] >= ' ' && text[i] < 127
	}
	if clean && len(text) <= max {
		return text
	}
	out := make([]byte, 0, min(len(text), max))
	for i := 0; i < len(text) && len(out) < max; i++ {
		switch c := text[i]; {
		case c == '\t' || c == '\n' || c == '\r':
			out = append(out, ' ')
		case c < ' ' || c >= 127:
			out = append(out, '?')
		default:
			out = append(out, c)
		}
	}
	return strings.TrimSpace(string(out))
}

// ShowText makes text of strangers fit for people's eyes, in any script: what is not to be seen, or changes the direction of what is
// around it, reads as "?". It is at most so many characters; where some are left out, "..." stands behind them.
func ShowText(text string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range text {
		if n++; n > most {
			b.WriteString("...")
			break
		}
		if r == utf8.RuneError || !unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r) {
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// ShowSize is a number of octets in the unit that suits it: 830 B, 1.5 kB, 2.0 MB, 7.3 GB.
func ShowSize(octets int64) string {
	switch {
	case octets < 1000:
		return fmt.Sprintf("%d B", octets)
	case octets < 1000_000:
		return fmt.Sprintf("%.1f kB", float64(octets)/1000)
	case octets < 1000_000_000:
		return fmt.Sprintf("%.1f MB", float64(octets)/1000_000)
	}
	return fmt.Sprintf("%.1f GB", float64(octets)/1000_000_000)
}

// Word returns what the sender is told when outcome comes of reason: the class of the code is derived from the outcome. A
// reason that has no words of its own is told as a plain refusal.
func Word(outcome Outcome, reason Reason, args []string) Reply {
	if !outcome.Refuses() {
		return Reply{}
	}
	if (reason == RcptRefused || reason == MilterRefused || reason == MilterDeferred) && len(args) == 3 {
		return wordNextHop(outcome, args)
	}
	w, ok := reasonWords[reason]
	if !ok || w.code == 0 {
		w = words{code: 550, enhanced: "5.7.1", text: "Refused by the policy of this site"}
	}
	r := Reply{Code: w.code, Enhanced: w.enhanced, Text: w.say(reason.withUnit(args))}
	switch {
	case outcome == Defer && r.Code >= 500:
		r.Code = 451
		if w.code == 552 {
			r.Code = 452
		}
		r.Enhanced = "4" + r.Enhanced[1:]
	case outcome == Reject && r.Code < 500:
		r.Code, r.Enhanced = 554, "5"+r.Enhanced[1:]
	case outcome == Drop && r.Code >= 500:
		r.Code = 554 // RFC 5321 section 3.1: the only 5xx with which a server may leave
	case outcome == Drop:
		r.Code = 421
	}
	return r
}

// wordNextHop repeats the next hop's own code and text (RFC 5321 section 4.2), but never a success, and never a permanent
// refusal where the outcome is only to defer.
func wordNextHop(outcome Outcome, args []string) Reply {
	code, err := strconv.Atoi(args[0])
	r := Reply{Code: code, Enhanced: args[1], Text: CleanText(args[2], 300)}
	class := byte('5')
	if outcome == Defer {
		class = '4'
	}
	if err != nil || code/100 != int(class-'0') {
		r.Code, r.Enhanced = 451, "4.3.0"
		if class == '5' {
			r.Code, r.Enhanced = 550, "5.3.0"
		}
	}
	if len(r.Enhanced) < 5 || r.Enhanced[0] != class {
		r.Enhanced = string(class) + ".0.0"
	}
	if r.Text == "" {
		r.Text = "Refused by the mail server of the recipient"
	}
	return r
}
