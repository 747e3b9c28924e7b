package forward

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxMessage is the longest message, in octets: what receivers of RFC 5424 are asked to take. A longer one is cut.
const maxMessage = 8 << 10

// field is a field of an entry as journalctl writes it in JSON: text, numbers of octets where it is no text, a list of these where there
// are several, of which the first counts, or null.
type field string

func (f *field) UnmarshalJSON(b []byte) error {
	var several []json.RawMessage
	switch {
	case b[0] == '"':
		return json.Unmarshal(b, (*string)(f))
	case b[0] != '[' || json.Unmarshal(b, &several) != nil || len(several) == 0:
		return nil // null, or something new; the rest of the entry counts
	case several[0][0] == '"' || several[0][0] == '[':
		return f.UnmarshalJSON(several[0])
	}
	octets := make([]byte, 0, len(several))
	for _, n := range several {
		octet, err := strconv.ParseUint(string(n), 10, 8)
		if err != nil {
			return nil
		}
		octets = append(octets, byte(octet))
	}
	*f = field(strings.ToValidUTF8(string(octets), "\uFFFD"))
	return nil
}

// entry is what is sent of one.
type entry struct {
	Cursor   string `json:"__CURSOR"`
	Time     field  `json:"__REALTIME_TIMESTAMP"` // microseconds since 1970
	Kind     field  `json:"_TRANSPORT"`
	Priority field  `json:"PRIORITY"`
	Facility field  `json:"SYSLOG_FACILITY"`
	Name     field  `json:"SYSLOG_IDENTIFIER"`
	Program  field  `json:"_COMM"`
	PID      field  `json:"_PID"`
	Message  field  `json:"MESSAGE"`
}

// render makes a message of a line of the journal, nil for one that has none, and tells its cursor.
func render(line []byte, hostname string) (message []byte, cursor string) {
	var e entry
	if len(line) == 0 || json.Unmarshal(line, &e) != nil {
		return nil, ""
	}
	if strings.ContainsFunc(e.Cursor, func(r rune) bool { return r <= ' ' || r > '~' }) || len(e.Cursor) >= maxCursor {
		e.Cursor = ""
	}
	if e.Message == "" {
		return nil, e.Cursor
	}
	// RFC 5424 section 6.2.1: 0 is the kernel, 3 are daemons, 6 says that it is information.
	facility := 3
	if e.Kind == "kernel" {
		facility = 0
	}
	facility = number(e.Facility, facility, 23)
	stamp := "-"
	if micros, err := strconv.ParseInt(string(e.Time), 10, 64); err == nil {
		stamp = time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05.000000Z")
	}
	name := e.Name
	if name == "" {
		name = e.Program
	}
	message = fmt.Appendf(nil, "<%d>1 %s %s %s %s - - ", facility*8+number(e.Priority, 6, 7), stamp, word(hostname, 255), word(string(name), 48), word(string(e.PID), 128))
	for _, r := range string(e.Message) {
		if r < ' ' || r == 0x7f {
			r = ' ' // no second line that somebody else wrote
		}
		if len(message)+utf8.RuneLen(r) > maxMessage {
			break
		}
		message = utf8.AppendRune(message, r)
	}
	return message, e.Cursor
}

// number reads one between 0 and most, or is otherwise.
func number(f field, otherwise, most int) int {
	n, err := strconv.Atoi(string(f))
	if err != nil || n < 0 || n > most {
		return otherwise
	}
	return n
}

// word is a field of the header: printable ASCII without spaces, "-" for none (RFC 5424 section 6).
func word(text string, most int) string {
	var b strings.Builder
	for _, r := range text {
		if r > ' ' && r < 0x7f && b.Len() < most {
			b.WriteRune(r)
		}
	}
	if b.Len() == 0 {
		return "-"
	}
	return b.String()
}
