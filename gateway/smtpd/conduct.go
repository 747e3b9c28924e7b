package smtpd

import (
	"cmp"
	"errors"
	"net"
	"strings"
	"syscall"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

const (
	maxSent = 40 // octets that are kept of what was sent too early
	maxWord = 40 // octets that are kept of a word that is no verb
)

// aheadKind tells what a client does wrong that sends more behind a command before it was answered; "" for nothing. What
// stands behind QUIT never runs, and so is no fault.
func (c *session) aheadKind(verb string) gateway.AheadKind {
	switch verb {
	case "QUIT":
		return ""
	case "EHLO", "HELO":
		return gateway.AheadGreeting
	case "DATA":
		return gateway.AheadMessage
	}
	if !c.offer.pipelining {
		return gateway.AheadUnoffered
	}
	switch verb {
	case "NOOP", "VRFY", "EXPN", "TURN", "ETRN", "STARTTLS", "AUTH": // RFC 2920 section 3.1, RFC 3207, RFC 4954
		return gateway.AheadSync
	}
	return ""
}

// ahead looks, before the reply to a command is written, whether the client sent more though it had to wait for that
// reply. It returns a last reply when policy drops such a client.
func (c *session) ahead(verb string) (last gateway.Reply) {
	kind := c.aheadKind(verb)
	if kind == "" {
		return last
	}
	sent := c.waiting()
	if len(sent) == 0 || len(sent) >= 4 && strings.EqualFold(string(sent[:4]), "QUIT") {
		return last
	}
	if !c.Conduct.Note(gateway.Ahead{Kind: kind, Behind: verb, Sent: gateway.CleanText(string(sent), maxSent)}) {
		return last
	}
	return c.watch()
}

// waiting returns the beginning of what the client has sent and we have not read: from our buffer, or else from that of
// the kernel. What lies there was certainly sent before the client could read a reply that is not written yet. Behind TLS
// the kernel's octets may be no data of the client, so only our buffer counts.
func (c *session) waiting() []byte {
	if c.r.Buffered() > 0 {
		b, _ := c.r.Peek(maxSent)
		return b
	}
	if c.conn != c.raw {
		return nil
	}
	return peek(c.raw)
}

// peek returns what waits in the kernel's buffer of a socket, without taking it; nothing where the connection is no socket.
func peek(conn net.Conn) []byte {
	s, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	var b [maxSent]byte
	n := 0
	_ = raw.Read(func(fd uintptr) bool {
		n, _, _ = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	})
	return b[:max(n, 0)]
}

// noVerb notes the first word of a line that is no command, and returns a last reply when policy drops who sends it.
func (c *session) noVerb(line []byte) (last gateway.Reply) {
	word, _, _ := strings.Cut(string(line[:min(len(line), maxWord)]), " ")
	if word = gateway.CleanText(word, maxWord); word == "" || !c.Conduct.NoteWord(word) {
		return last
	}
	return c.watch()
}

// watch asks the checks of conduct about what was just noted, and returns a last reply when the verdict is to drop.
func (c *session) watch() (last gateway.Reply) {
	v := c.Snapshot.Pipeline.Watch(c.ctx, &c.Session)
	if v.Outcome == gateway.Drop {
		return gateway.Word(v.Outcome, v.Reason, v.Args)
	}
	return last
}

// leaveIf ends the session with a last reply, if there is one and it has not ended.
func (c *session) leaveIf(last gateway.Reply) {
	if !last.IsZero() && c.End == "" {
		c.leaveWith(gateway.EndRefused, last)
	}
}

// lineEnds says whether a command line may be run that did not end in CRLF as all the others.
//
// The danger of a bare LF is that two hosts disagree where a command begins: who passes on an address or a name that holds
// an LF, and does not take it for a line end, would have us run what somebody else wrote. The name in the first command is
// the client's own, so a client whose first command ends in a bare LF takes LF for a line end itself, and there is nothing
// to disagree about as long as every command ends so. A line with the other end breaks that, and ends the session,
// whatever the policy. Where normalise_for names the client, the operator has answered for it.
func (c *session) lineEnds(line smtpwire.Line, err error) error {
	bare := errors.Is(err, smtpwire.ErrBareLF)
	if line.End == smtpwire.EndNone || bare && c.normalises() {
		if bare {
			return nil
		}
		return err
	}
	if c.lineEnd == smtpwire.EndNone {
		c.lineEnd = line.End
	}
	fresh := false
	if line.End == smtpwire.EndLF && c.Conduct.BareLF == "" {
		c.Conduct.BareLF, fresh = cmp.Or(gateway.CleanText(string(line.Text), maxSent), "an empty line"), true
	}
	if line.End != c.lineEnd {
		c.Conduct.Mixed, fresh = true, true
	}
	drop := fresh && !c.watch().IsZero()
	switch {
	case c.Conduct.Mixed && err == nil:
		return smtpwire.ErrBareLF
	case bare && !c.Conduct.Mixed && !drop:
		return nil
	}
	return err
}
