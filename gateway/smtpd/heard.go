package smtpd

import (
	"net"
	"syscall"
)

// Whether a client read the 250 of its message cannot be asked. Its next command tells it, where that was not sent before:
// a client may send commands behind a message (RFC 2920 section 3.1).

// said notes the message whose 250 is about to be written.
func (c *session) said() {
	c.unheardOf() // of the message before, whose 250 was written when what followed it had come already
	c.unheard = c.tx.result.Claim
	c.behind = c.unheard != nil && c.pending()
}

// pending reports whether the client sent anything that we have not read. Behind TLS that may be no data of its own; then
// its message is remembered for nothing.
func (c *session) pending() bool { return c.r.Buffered() > 0 || c.look.sees(c.raw) }

// look tells whether something waits in the kernel's buffer of a socket, again and again without a piece of memory for it.
type look struct {
	at    syscall.RawConn
	ask   func(fd uintptr) bool
	octet [1]byte
	n     int
}

func (l *look) sees(conn net.Conn) bool {
	if l.ask == nil {
		s, ok := conn.(syscall.Conn)
		if !ok {
			return false
		}
		at, err := s.SyscallConn()
		if err != nil {
			return false
		}
		l.at = at
		l.ask = func(fd uintptr) bool {
			l.n, _, _ = syscall.Recvfrom(int(fd), l.octet[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			return true
		}
	}
	l.n = 0
	_ = l.at.Read(l.ask)
	return l.n > 0
}

// heard notes that a command line came in whole.
func (c *session) heard() {
	switch {
	case c.unheard == nil:
	case c.behind:
		c.behind = c.pending() // what lies there may have been sent with it
	default:
		c.unheard.Heard(true)
		c.unheard = nil
	}
}

// unheardOf ends the waiting of a message whose client is gone, or cannot be known to have read.
func (c *session) unheardOf() {
	if c.unheard != nil {
		c.unheard.Heard(false)
		c.unheard = nil
	}
}
