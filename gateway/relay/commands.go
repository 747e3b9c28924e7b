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

// flight is the commands of a transaction, in order.
type flight struct {
	octets []byte
	ends   []int // of each command
}

func (f *flight) add(words ...string) {
	for _, w := range words {
		f.octets = append(f.octets, w...)
	}
	f.octets = append(f.octets, "\r\n"...)
	f.ends = append(f.ends, len(f.octets))
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
	path, err := wirePath(from, utf8)
	if err != nil {
		return err
	}
	words := []string{"MAIL FROM:", path}
	if o.sizeSaid && size >= 0 {
		words = append(words, " SIZE=", strconv.FormatInt(size, 10))
	}
	if eightBit && o.eightBit {
		words = append(words, " BODY=8BITMIME")
	}
	if utf8 {
		words = append(words, " SMTPUTF8")
	}
	if o.dsn {
		if !plain(opt.Return) || !plain(opt.EnvID) {
			return errAddress
		}
		if opt.Return != "" {
			words = append(words, " RET=", opt.Return)
		}
		if opt.EnvID != "" {
			words = append(words, " ENVID=", opt.EnvID)
		}
	}
	f.add(words...)
	return nil
}

// rcpt adds RCPT.
func (f *flight) rcpt(o offer, to gateway.Address, opt gateway.RcptOptions, utf8 bool) error {
	if to.IsNull() {
		return errAddress
	}
	path, err := wirePath(to, utf8)
	if err != nil {
		return err
	}
	words := []string{"RCPT TO:", path}
	if o.dsn {
		notify := strings.Join(opt.Notify, ",")
		if !plain(notify) || !plain(opt.Original) {
			return errAddress
		}
		if notify != "" {
			words = append(words, " NOTIFY=", notify)
		}
		if opt.Original != "" && (utf8 || ascii(opt.Original)) {
			words = append(words, " ORCPT=", opt.Original)
		}
	}
	f.add(words...)
	return nil
}

// plain reports whether a value can be written as one word of a command.
func plain(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == 127 })
}

// wirePath writes an address in angle brackets: as it came where the next hop can read that, else with the domain as
// A-labels and the local part quoted anew.
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
	return "<" + text + ">", nil
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
