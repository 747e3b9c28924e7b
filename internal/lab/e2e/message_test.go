package e2e

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"gatepost/internal/lab"
)

// arrival is a message as the next hop got it, with the gateway's own fields told apart.
type arrival struct {
	commands []string // MAIL and RCPT without SIZE, which was compared with what came
	fields   []string // our own header fields, unfolded
	content  string   // octet for octet what stood behind them
}

// sizeParameter is SIZE of MAIL (RFC 1870).
var sizeParameter = regexp.MustCompile(` SIZE=(\d+)`)

// readArrival looks at a message that a fake next hop took over. An error says what the gateway did not do.
func readArrival(r lab.Received) (arrival, error) {
	a := arrival{commands: append([]string{r.Mail}, r.Rcpts...)}
	if size := sizeParameter.FindStringSubmatch(r.Mail); size != nil {
		if n, err := strconv.Atoi(size[1]); err != nil || n != len(r.Body) {
			return a, fmt.Errorf("%s: the message has %d octets", r.Mail, len(r.Body))
		}
		a.commands[0] = sizeParameter.ReplaceAllString(r.Mail, "")
	}
	rest := r.Body
	for len(a.fields) == 0 || !strings.HasPrefix(a.fields[len(a.fields)-1], "Received: ") {
		field, after, err := cutField(rest)
		if err != nil {
			return a, err
		}
		a.fields, rest = append(a.fields, field), after
	}
	if received := a.fields[len(a.fields)-1]; !strings.Contains(received, " by "+hostname+" (Gatepost) ") {
		return a, fmt.Errorf("the first Received is not ours: %q", received)
	}
	if bytes.HasPrefix(rest, []byte("X-Gatepost-")) {
		field, after, err := cutField(rest)
		if err != nil {
			return a, err
		}
		a.fields, rest = append(a.fields, field), after
	}
	a.content = string(rest)
	return a, nil
}

// cutField takes the first header field, unfolded, off a message.
func cutField(message []byte) (field string, rest []byte, err error) {
	end := 0
	for {
		n := bytes.Index(message[end:], []byte("\r\n"))
		if n <= 0 {
			return "", nil, fmt.Errorf("the header section ends before our Received: %.2000q", message)
		}
		end += n + 2
		if end == len(message) || message[end] != ' ' && message[end] != '\t' {
			break
		}
	}
	words := strings.Fields(string(message[:end]))
	return strings.Join(words, " "), message[end:], nil
}

// field is the value of one of our own fields; ok is false when it is not there.
func (a *arrival) field(name string) (value string, ok bool) {
	for _, f := range a.fields {
		if value, ok = strings.CutPrefix(f, name+": "); ok {
			return value, true
		}
	}
	return "", false
}
