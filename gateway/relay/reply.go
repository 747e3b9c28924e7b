package relay

import (
	"strconv"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

// How much of a next hop's reply is repeated.
const (
	maxLines = 10
	maxText  = 400 // octets of a line
	maxSaid  = 1000
)

// mapReply says how a relay ended that the next hop answered with r where another code was needed, and what the sender is
// told. Refusals keep their code, enhanced code and text. A 5xx is told only where it is about this mail: one that says
// that the two of us do not understand or trust each other (unknown command, bad sequence, no such parameter, authentication
// or encryption needed) is our operator's matter, and the sender comes back. So is every other code.
func mapReply(r smtpwire.Reply) (gateway.RelayResult, gateway.Reply) {
	switch {
	case r.Code == 421: // it would mean that we close; and its text names the inner host
		return gateway.DeferredByHop, away()
	case r.Temporary():
		return gateway.DeferredByHop, faithful(r)
	case r.Permanent() && !betweenUs(r.Code):
		return gateway.RefusedByHop, faithful(r)
	}
	return gateway.NotDelivered, unclear()
}

// betweenUs tells codes of RFC 5321, RFC 4954 and RFC 3207 that are about the client, not about its mail.
func betweenUs(code int) bool {
	switch code {
	case 500, 502, 503, 530, 534, 535, 538, 555:
		return true
	}
	return false
}

// faithful repeats a reply, cleaned. The enhanced code always has the class of the code.
func faithful(r smtpwire.Reply) gateway.Reply {
	out := gateway.Reply{Code: r.Code}
	switch e := r.Enhanced; {
	case !e.IsZero() && e[0] == r.Code/100:
		out.Enhanced = e.String()
	case r.Code/100 != 3:
		out.Enhanced = strconv.Itoa(r.Code/100) + ".0.0"
	}
	var lines []string
	for _, line := range r.Lines {
		if len(lines) == maxLines {
			break
		}
		if line = strings.TrimSpace(smtpwire.Clean(line, maxText)); line != "" {
			lines = append(lines, line)
		}
	}
	out.Text = strings.Join(lines, "\n")
	if out.Text == "" && out.Code >= 400 {
		out.Text = "Refused by the mail server of the recipient"
	}
	return out
}

// What the sender is told when the next hop said nothing that could be repeated.
func away() gateway.Reply { return gateway.Word(gateway.Defer, gateway.NextHopAway, nil) }

func unclear() gateway.Reply {
	return gateway.Reply{Code: 451, Enhanced: "4.3.0",
		Text: "The mail server behind this host gave no clear answer; try again later"}
}

func unsafe() gateway.Reply {
	return gateway.Reply{Code: 451, Enhanced: "4.7.5",
		Text: "The mail server behind this host cannot be reached as securely as its domain asks for; try again later"}
}

func lost() gateway.Reply {
	return gateway.Reply{Code: 451, Enhanced: "4.4.2",
		Text: "The connection to the mail server behind this host was lost; try again later"}
}

func mixed() gateway.Reply {
	return gateway.Reply{Code: 451, Enhanced: "4.3.0",
		Text: "The mail server behind this host does not take the message for all recipients; try again, and each is answered for itself"}
}

func partly() gateway.Reply {
	return gateway.Reply{Code: 451, Enhanced: "4.3.0",
		Text: "The mail server behind this host took the message for some of its recipients only; send it again, and it goes to the others"}
}

// said is a reply as the journal shows it.
func said(r smtpwire.Reply) string {
	if r.Code == 0 {
		return ""
	}
	s := r.String()
	return s[:min(len(s), maxSaid)]
}
