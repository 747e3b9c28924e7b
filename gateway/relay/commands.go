package relay

import (
	"errors"
	"strconv"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

// maxFlight is how many commands are on their way unanswered, so that their replies fit the socket buffers and neither
// side can block the other (RFC 2920 section 3.1).
const maxFlight = 100

// errAddress says that an address cannot be written to this next hop; the edge should have refused it.
var errAddress = errors.New("address cannot be written in a command")

// maxFlightKept is how much memory of a flight stays with its connection, in octets and commands.
const maxFlightKept = 16 << 10

// flight is the commands of a transaction, in order, and the replies to them. It belongs to a connection, and is used again
// for each transaction.
type flight struct {
	octets  []byte
	ends    []int // of each command
	replies []smtpwire.Reply
}

// reset begins another transaction of about n recipients.
func (f *flight) reset(n int) {
	clear(f.replies)
	f.octets, f.ends, f.replies = f.octets[:0], f.ends[:0], f.replies[:0]
	if cap(f.octets) > maxFlightKept || cap(f.octets) < 128 {
		f.octets = make([]byte, 0, min(256+96*n, maxFlightKept))
	}
	if cap(f.ends) > maxFlightKept/32 || cap(f.ends) < 3 {
		f.ends, f.replies = make([]int, 0, n+2), make([]smtpwire.Reply, 0, n+2)
	}
}

func (f *flight) text(s string) { f.octets = append(f.octets, s...) }

// end ends a command.
func (f *flight) end() {
	f.octets = append(f.octets, "\r\n"...)
	f.ends = append(f.ends, len(f.octets))
}

func (f *flight) add(command string) {
	f.text(command)
	f.end()
}

// cut returns the octets of the commands from..to.
func (f *flight) cut(from, to int) []byte {
	start := 0
	if from > 0 {
		start = f.ends[from-1]
	}
	return f.octets[start:f.ends[to-1]]
}

// mail adds MAIL with the parameters that the next hop offers and the message needs. size is left out when negative.
func (f *flight) mail(o offer, from gateway.Address, opt gateway.MailOptions, size int64, eightBit, utf8 bool) error {
	f.text("MAIL FROM:")
	if err := f.path(from, utf8); err != nil {
		return err
	}
	if o.sizeSaid && size >= 0 {
		f.text(" SIZE=")
		f.octets = strconv.AppendInt(f.octets, size, 10)
	}
	if eightBit && o.eightBit {
		f.text(" BODY=8BITMIME")
	}
	if utf8 {
		f.text(" SMTPUTF8")
	}
	if opt.RequireTLS {
		f.text(" REQUIRETLS")
	}
	if o.dsn {
		if !plain(opt.Return) || !plain(opt.EnvID) {
			return errAddress
		}
		if opt.Return != "" {
			f.text(" RET=")
			f.text(opt.Return)
		}
		if opt.EnvID != "" {
			f.text(" ENVID=")
			f.text(opt.EnvID)
		}
	}
	f.end()
	return nil
}

// rcpt adds RCPT.
func (f *flight) rcpt(o offer, to gateway.Address, opt gateway.RcptOptions, utf8 bool) error {
	if to.IsNull() {
		return errAddress
	}
	f.text("RCPT TO:")
	if err := f.path(to, utf8); err != nil {
		return err
	}
	if o.dsn {
		notify := strings.Join(opt.Notify, ",")
		if !plain(notify) || !plain(opt.Original) {
			return errAddress
		}
		if notify != "" {
			f.text(" NOTIFY=")
			f.text(notify)
		}
		if opt.Original != "" && (utf8 || ascii(opt.Original)) {
			f.text(" ORCPT=")
			f.text(opt.Original)
		}
	}
	f.end()
	return nil
}

// plain reports whether a value can be written as one word of a command.
func plain(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == 127 })
}

// path adds an address in angle brackets.
func (f *flight) path(a gateway.Address, utf8 bool) error {
	text, err := wirePath(a, utf8)
	f.octets = append(append(append(f.octets, '<'), text...), '>')
	return err
}

// wirePath is an address as it stands between angle brackets: as it came where the next hop can read that, else with the
// domain as A-labels and the local part quoted anew.
func wirePath(a gateway.Address, utf8 bool) (string, error) {
	text := a.Text
	if !utf8 && !ascii(text) {
		if a.UTF8 || !ascii(a.Local) || !ascii(a.Domain) {
			return "", errAddress
		}
		text = smtpwire.QuoteLocal(a.Local)
		if a.Domain != "" {
			text += "@" + a.Domain
		}
	}
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c < ' ' || c == 127:
			return "", errAddress
		case c == '\\' && quoted:
			i++
			if i == len(text) || text[i] < ' ' || text[i] == 127 {
				return "", errAddress
			}
		case c == '"':
			quoted = !quoted
		case !quoted && (c == '<' || c == '>' || c == ' '):
			return "", errAddress
		}
	}
	if quoted {
		return "", errAddress
	}
	return text, nil
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
