package gateway

import (
	"strconv"
	"strings"
)

// Phrase is a reply of the protocol itself, as it goes over the wire: code, enhanced code where the protocol has one (RFC
// 3463), text. What policy and checks refuse is worded by Word instead. %s are arguments.
type Phrase string

// What the protocol says yes to.
const (
	SayBanner     Phrase = "220 %s ESMTP %s"
	SayStartTLS   Phrase = "220 2.0.0 Begin TLS now"
	SayHelp       Phrase = "214 2.0.0 This host takes mail for its own domains only (RFC 5321)"
	SayBye        Phrase = "221 2.0.0 Goodbye"
	SayHelo       Phrase = "250 %s"
	SayOK         Phrase = "250 2.0.0 OK"
	SaySenderOK   Phrase = "250 2.1.0 Sender noted"
	SayRcptOK     Phrase = "250 2.1.5 Recipient noted"
	SayChunkOK    Phrase = "250 2.0.0 %s octets received"
	SayCannotVrfy Phrase = "252 2.5.0 Addresses are not verified here; send the message, and it will be told"
	SayGoAhead    Phrase = "354 Send the message; end it with a line that has only a dot"
)

// What the protocol refuses. The line ends close the connection where they begin with 421 or 554 and the edge says so.
const (
	SayFault          Phrase = "421 4.3.0 This host has a fault; connect again"
	SayNoConfig       Phrase = "421 4.3.2 This host is not ready; try again in a minute"
	SayTooManyErrors  Phrase = "421 4.7.0 Too many errors in one session; goodbye"
	SayTooManyUnknown Phrase = "421 4.7.0 Too many unknown commands in one session; goodbye"
	SayTooMuchJunk    Phrase = "421 4.7.0 Too many commands that bring no message; goodbye"
	SayTooManyMails   Phrase = "421 4.7.0 At most %s messages in one session; connect again for more"
	SayTooMuchRefused Phrase = "421 4.7.0 Too much sent that was refused; goodbye"
	SayNotDelivered   Phrase = "451 4.3.0 The message could not be handed on right now; send it again later"
	SayTLSNotNow      Phrase = "454 4.7.0 TLS cannot be used right now; go on without it"

	SayUnknownCommand Phrase = "500 5.5.1 No such command here"
	SayBadCommand     Phrase = "500 5.5.2 Not a command: a verb of letters, a space, printable text (RFC 5321 section 4.1.1)"
	SayLineTooLong    Phrase = "500 5.5.2 Command line too long: at most %s octets"
	SayBadLineEnd     Phrase = "500 5.5.2 A command ends in CRLF and has no other CR, LF or NUL (RFC 5321 section 2.3.8)"
	SayBareLF         Phrase = "554 5.5.2 A command ended in a bare LF; use CRLF (RFC 5321 section 2.3.8); goodbye"
	SayMixedEnds      Phrase = "554 5.5.2 Some commands ended in CRLF and some in a bare LF; use CRLF (RFC 5321 section 2.3.8); goodbye"
	SayNoArgument     Phrase = "501 5.5.4 %s takes no argument"
	SayNeedsArgument  Phrase = "501 5.5.4 %s needs an argument"
	SayBadHelo        Phrase = "501 5.5.4 Name your host: a domain name or an address literal in printable US-ASCII"
	SayBadMail        Phrase = "501 5.5.4 Write MAIL FROM:<address>, and parameters behind it"
	SayBadRcpt        Phrase = "501 5.5.4 Write RCPT TO:<address>, and parameters behind it"
	SayBadParameter   Phrase = "501 5.5.4 Bad parameter (%s)"
	SayBadSender      Phrase = "501 5.1.7 Bad sender address (%s)"
	SayBadRecipient   Phrase = "501 5.1.3 Bad recipient address (%s)"
	SayBadChunk       Phrase = "501 5.5.4 Write BDAT size or BDAT size LAST; what follows cannot be told from commands; goodbye"
	SayNoExpn         Phrase = "502 5.5.1 Lists are not shown here"
	SayNoAuth         Phrase = "502 5.7.0 No login here: this host only takes mail for its own domains; submit yours to your own provider"
	SayNoTurn         Phrase = "502 5.5.1 Mail is not handed out here"
	SayNoTLS          Phrase = "502 5.5.1 TLS is not offered here"
	SayNoChunking     Phrase = "502 5.5.1 CHUNKING is not offered here; use DATA"
	SayTLSAlready     Phrase = "503 5.5.1 This session is encrypted already"
	SayHeloFirst      Phrase = "503 5.5.1 Say EHLO first"
	SayMailFirst      Phrase = "503 5.5.1 Say MAIL first"
	SayRcptFirst      Phrase = "503 5.5.1 Say RCPT first"
	SayMailTwice      Phrase = "503 5.5.1 A transaction is under way: end it, or say RSET"
	SayNotInMail      Phrase = "503 5.5.1 Not within a transaction: end it, or say RSET"
	SayInChunks       Phrase = "503 5.5.1 Only BDAT may follow BDAT; the transaction is dropped"
	SayNoChunk        Phrase = "503 5.5.1 No transaction for this chunk; it was thrown away"
	SayChunkTooBig    Phrase = "552 5.3.4 Chunk too big; goodbye"
	SaySourceRoute    Phrase = "553 5.1.3 Source routes are not taken (RFC 5321 appendix C); write the plain address"
	SayNeedsUTF8      Phrase = "553 5.6.7 This address needs SMTPUTF8, which was not asked for (RFC 6531)"
	SayNoRecipients   Phrase = "554 5.5.1 No recipient was accepted"
	SayParameter      Phrase = "555 5.5.4 Parameter not offered here (%s)"
	SayNoHTTP         Phrase = "554 5.5.1 This is a mail host (SMTP), no web host; goodbye"
	SayNoTLSHello     Phrase = "554 5.5.1 This port begins in clear: use STARTTLS; goodbye"
	SayNoSMTP         Phrase = "554 5.5.1 This is not SMTP; goodbye"
	SayHealthCheck    Phrase = "554 5.7.1 This connection is a health check (PROXY LOCAL or UNKNOWN); no mail is taken on it"
	SayInClear        Phrase = "554 5.5.1 Something was sent in clear behind STARTTLS; goodbye"
)

// Reply returns the phrase as a reply. Arguments are cleaned; a missing one reads as "?".
func (p Phrase) Reply(args ...string) Reply {
	code, text, _ := strings.Cut(string(p), " ")
	r := Reply{Text: text}
	r.Code, _ = strconv.Atoi(code)
	if len(text) > 5 && text[0] == code[0] && text[1] == '.' {
		r.Enhanced, r.Text, _ = strings.Cut(text, " ")
	}
	if strings.Contains(r.Text, "%s") {
		r.Text = strings.TrimRight(words{text: r.Text}.say(args), " ") // an empty word ends nothing in white space
	}
	return r
}
