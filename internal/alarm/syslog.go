package alarm

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"gatepost/gateway"
)

// Syslog tells a syslog server of notices (RFC 5424): one message for each alarm, at its severity. It answers nothing, so that
// success says only that the system took the messages.
type Syslog struct {
	Network string // unixgram, udp, or tcp with octet counting (RFC 6587 section 3.4.1)
	Address string // a path, or host:port
}

// syslogMost is the longest text of a message: receivers must take 480 octets and should take 2,048 (RFC 5424 section 6.1).
const syslogMost = 1500

// Send tells of a notice.
func (s *Syslog) Send(ctx context.Context, n *Notice) (string, error) {
	conn, err := new(net.Dialer).DialContext(ctx, s.Network, s.Address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if until, ok := ctx.Deadline(); ok {
		if err := conn.SetWriteDeadline(until); err != nil {
			return "", err
		}
	}
	sent := 0
	for _, m := range s.messages(n) {
		if s.Network == "tcp" {
			m = strconv.Itoa(len(m)) + " " + m
		}
		if _, err := conn.Write([]byte(m)); err != nil {
			return "", err
		}
		sent++
	}
	return fmt.Sprintf("%d messages were sent; syslog does not answer", sent), nil
}

// messages are those of a notice.
func (s *Syslog) messages(n *Notice) (out []string) {
	if n.Test {
		out = append(out, line(n, "alarm_test", Info, "somebody tries whether notices arrive; nothing is wrong"))
	}
	for _, l := range [...]struct {
		word string
		list []Alarm
	}{{"alarm", n.Began}, {"alarm_still", n.Still}, {"alarm_over", n.Over}} {
		for i := range l.list {
			a := &l.list[i]
			severity := a.Severity
			if !a.Standing() {
				severity = Info
			}
			out = append(out, line(n, l.word, severity, a.ID+": "+a.Text))
		}
	}
	if n.More > 0 {
		out = append(out, line(n, "alarm", Warning, strconv.Itoa(n.More)+" more alarms; gatepost alarm list shows all of them"))
	}
	return out
}

// line is one message, of the facility mail (2). Texts of alarms are printable ASCII.
func line(n *Notice, word string, severity Severity, text string) string {
	level := map[Severity]int{Info: 5, Warning: 4, Critical: 2}[severity]
	host := strings.Join(strings.Fields(gateway.CleanText(n.Host, 255)), "-")
	if host == "" {
		host = "-"
	}
	return fmt.Sprintf("<%d>1 %s %s gatepost %d %s - %s", 2*8+level, n.At.UTC().Format("2006-01-02T15:04:05.000Z07:00"), host, os.Getpid(), word, cut(text, syslogMost))
}
