package journal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// SyslogOptions say where lines go and how they are named there. Address is required.
type SyslogOptions struct {
	// Network is "unixgram" (/dev/log), "udp", or "tcp" with octet counting (RFC 6587 section 3.4.1). "" is unixgram.
	Network string
	Address string // a path, or host:port
	// Hostname and App name us; "" takes the host's name and "gatepost".
	Hostname, App string
	// Enterprise is the private enterprise number of the structured data; "" is 32473, kept for examples (RFC 5612).
	Enterprise string
	Facility   int // RFC 5424 section 6.2.1; 0 is 2, mail
	Queue      int // lines that may wait; 0: DefaultSinkQueue
}

// Times of a syslog sink.
const (
	syslogDial    = 5 * time.Second
	syslogWrite   = 5 * time.Second
	syslogBackOff = time.Second // doubled up to syslogMost
	syslogMost    = 30 * time.Second
	// maxDatagram is the longest message: what receivers of RFC 5424 are asked to take, and what fits a datagram.
	maxDatagram = 8 << 10
)

// Syslog is a sink that sends RFC 5424 messages. Over TCP, lines that were on their way when the connection broke are lost
// and cannot be counted: the protocol has no answers.
type Syslog struct {
	*pump
	o      SyslogOptions
	conn   net.Conn
	gone   chan struct{} // closed when the other side closed a TCP connection
	until  time.Time     // no new attempt before
	pause  time.Duration
	stop   context.CancelFunc
	ctx    context.Context
	header string
}

// NewSyslog begins to send lines. It does not connect at once and never fails for a server that is away: it comes back to
// it with growing pauses, of at most half a minute, and counts what is lost meanwhile.
func NewSyslog(o SyslogOptions) (*Syslog, error) {
	if o.Network == "" {
		o.Network = "unixgram"
	}
	switch o.Network {
	case "unixgram", "udp", "tcp":
	default:
		return nil, fmt.Errorf("syslog: %q is not one of unixgram, udp, tcp", o.Network)
	}
	if o.Address == "" {
		return nil, errors.New("syslog: no address")
	}
	if o.Facility == 0 {
		o.Facility = 2
	}
	if o.Hostname == "" {
		o.Hostname, _ = os.Hostname() // RFC 5424 has "-" for none
	}
	if o.App == "" {
		o.App = "gatepost"
	}
	if o.Enterprise == "" {
		o.Enterprise = "32473"
	}
	s := &Syslog{pump: newPump("syslog", o.Queue), o: o}
	s.header = word(o.Hostname, 255) + " " + word(o.App, 48) + " " + strconv.Itoa(os.Getpid()) + " "
	s.ctx, s.stop = context.WithCancel(context.Background())
	go s.run()
	return s, nil
}

// Close sends what waits, for at most the time of ctx, and hangs up.
func (s *Syslog) Close(ctx context.Context) error {
	err := s.pump.Close(ctx)
	s.stop()
	return err
}

func (s *Syslog) run() {
	defer close(s.done)
	for l := range s.lines {
		if s.ctx.Err() != nil || s.send(s.message(l)) != nil {
			s.lost.Add(1)
		}
	}
	s.hangUp()
}

// send writes one message, connecting before where that is due. A message that failed on a connection that was open before
// is tried once more on a new one: the server may have been restarted.
func (s *Syslog) send(msg []byte) error {
	for fresh := false; ; {
		if s.conn != nil && s.isGone() {
			s.hangUp()
		}
		if s.conn == nil {
			if err := s.connect(); err != nil {
				return err
			}
			fresh = true
		}
		_ = s.conn.SetWriteDeadline(time.Now().Add(syslogWrite)) // a connection that has none fails in Write
		_, err := s.conn.Write(msg)
		if err == nil {
			s.pause = 0
			return nil
		}
		s.hangUp()
		if fresh {
			s.later()
			return err
		}
	}
}

// errPause is no fault: the next attempt is not due yet.
var errPause = errors.New("syslog: waiting before the next attempt")

func (s *Syslog) connect() error {
	if time.Now().Before(s.until) {
		return errPause
	}
	d := net.Dialer{Timeout: syslogDial}
	conn, err := d.DialContext(s.ctx, s.o.Network, s.o.Address)
	if err != nil {
		s.later()
		return err
	}
	s.conn, s.gone = conn, nil
	if s.o.Network == "tcp" {
		gone := make(chan struct{})
		s.gone = gone
		go func() { // a syslog server says nothing; what ends the reading is its end
			defer close(gone)
			var b [512]byte
			for {
				if _, err := conn.Read(b[:]); err != nil {
					return
				}
			}
		}()
	}
	return nil
}

// later puts the next attempt off.
func (s *Syslog) later() {
	s.pause = min(max(2*s.pause, syslogBackOff), syslogMost)
	s.until = time.Now().Add(s.pause)
}

func (s *Syslog) isGone() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

func (s *Syslog) hangUp() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
}

// message writes a line as RFC 5424 section 6 has it, framed for its transport.
func (s *Syslog) message(l *Line) []byte {
	b := make([]byte, 0, len(l.JSON)+256)
	b = fmt.Appendf(b, "<%d>1 ", s.o.Facility*8+int(l.severity))
	b = l.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z07:00")
	b = append(b, ' ')
	b = append(append(b, s.header...), word(string(l.Verb), 32)...)
	b = append(b, " [gatepost@"+s.o.Enterprise...)
	for _, p := range [...][2]string{{"id", reference(l)}, {"verdict", l.Verdict}, {"reason", l.Reason}} {
		if p[1] != "" {
			b = append(b, ' ')
			b = append(b, p[0]...)
			b = append(append(append(b, `="`...), escapeParam(p[1][:min(len(p[1]), 200)])...), '"')
		}
	}
	b = append(b, "] "...)
	text := l.JSON[:max(len(l.JSON)-1, 0)] // without the line end
	if len(b)+len(text) > maxDatagram {
		// Half an object helps nobody; the reference leads to the whole story.
		o := object{}
		o.moment("time", l.Time)
		o.always("kind", string(l.Verb))
		o.text("id", reference(l))
		o.text("verdict", l.Verdict)
		o.text("reason", l.Reason[:min(len(l.Reason), 200)])
		o.always("cut", "too long for syslog")
		text = o.end()
		text = text[:len(text)-1]
	}
	b = append(b, text...)
	if s.o.Network == "tcp" {
		b = append([]byte(strconv.Itoa(len(b))+" "), b...)
	}
	return b
}

func reference(l *Line) string {
	if l.ID == 0 {
		return ""
	}
	return l.ID.String()
}

// word makes a header field of printable US-ASCII without spaces, "-" for none.
func word(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s[:min(len(s), most)]
}

// escapeParam follows RFC 5424 section 6.3.3; our values are words of closed lists, so that nothing else can be in them.
func escapeParam(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`).Replace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s))
}
