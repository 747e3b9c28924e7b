package lab

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// NextHopOptions say what a fake next hop offers.
type NextHopOptions struct {
	// Extensions are the lines of its EHLO reply. Nil: PIPELINING, SIZE 67108864,
	// 8BITMIME, ENHANCEDSTATUSCODES, SMTPUTF8, CHUNKING, DSN.
	Extensions []string
	// Everyone has it take every recipient. Otherwise it refuses those that begin with gatepost-canary-, and is seen to know
	// whom it takes.
	Everyone bool
	// TLS makes it offer STARTTLS too.
	TLS *tls.Config
	// Taken gets each message at its end, before its reply is written, and the next hop keeps none: for more mail than
	// memory holds. It is called from many goroutines.
	Taken func(Received)
	// Port is where it listens, kept by the caller, so that another may be started there after a Close. Nil: one that is
	// free.
	Port *Port
}

// NextHop is a fake next hop for faults that a real MTA cannot be made to show. It
// takes any address but a canary's, and any order of commands, judges nothing, and notes what it
// got octet by octet.
//
// Its steps (see On) are CONNECT (the banner), EHLO, HELO, STARTTLS, MAIL, RCPT,
// "RCPT <address>" for one recipient, DATA (in place of the 354), BODY (before it
// reads the body: After octets are read first), DOT (the reply after the dot),
// BDAT (after a chunk that is not the last), LAST (after the last), RSET, NOOP,
// VRFY, QUIT and OTHER.
type NextHop struct {
	fake
	options NextHopOptions

	mu       sync.Mutex
	messages []Received
	commands []string
}

// Received is one transaction whose body began to arrive at a fake next hop.
type Received struct {
	Connection int      // which connection it came on, from 1
	Mail       string   // the MAIL command without its CRLF
	Rcpts      []string // the RCPT commands that were answered with 2xx
	Raw        []byte   // the body as it came: with dots doubled and the ending dot, or the chunks
	Body       []byte   // the body itself
	Chunked    bool     // it came by BDAT
	TLS        bool
	Complete   bool // its end was seen
	Accepted   bool // a reply that begins with 250 was written
}

// StartNextHop starts a fake next hop.
func StartNextHop(o NextHopOptions) (*NextHop, error) {
	if o.Extensions == nil {
		o.Extensions = []string{"PIPELINING", "SIZE 67108864", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8", "CHUNKING", "DSN"}
	}
	h := &NextHop{options: o}
	addr := "127.0.0.1:0"
	if o.Port != nil {
		addr = o.Port.Addr()
	}
	if err := h.listenAt(addr, h.session); err != nil {
		return nil, err
	}
	return h, nil
}

// Messages are the bodies that came, complete or not, in the order of their ends.
func (h *NextHop) Messages() []Received {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.messages)
}

// Forget makes the fake as it was at its start: what it noted is gone, every step is
// as usual, and its connections are closed.
func (h *NextHop) Forget() {
	h.forgetSteps()
	h.Disconnect()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.messages, h.commands = nil, nil
}

// Accepted are the messages that it took over with a 250.
func (h *NextHop) Accepted() []Received {
	return slices.DeleteFunc(h.Messages(), func(r Received) bool { return !r.Accepted })
}

// AwaitAccepted waits until at least n messages were taken over.
func (h *NextHop) AwaitAccepted(ctx context.Context, n int) ([]Received, error) {
	err := poll(ctx, func() (bool, error) { return len(h.Accepted()) >= n, nil })
	if err != nil {
		return nil, fmt.Errorf("next hop: has %d messages, not %d: %w", len(h.Accepted()), n, err)
	}
	return h.Accepted(), nil
}

// Commands are all command lines that came, on all connections.
func (h *NextHop) Commands() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.commands)
}

// hopSession is one connection to a fake next hop.
type hopSession struct {
	hop    *NextHop
	conn   net.Conn
	in     *bufio.Reader
	number int
	secure bool
	tx     Received // the transaction so far
}

func (h *NextHop) session(conn net.Conn) {
	s := &hopSession{hop: h, conn: conn, in: bufio.NewReaderSize(conn, 64<<10), number: h.Connections()}
	s.reset()
	if !h.perform(conn, h.next("CONNECT"), []byte("220 nexthop.lab.test ESMTP\r\n")) {
		return
	}
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		h.mu.Lock()
		h.commands = append(h.commands, line)
		h.mu.Unlock()
		if !s.command(line) {
			return
		}
	}
}

func (s *hopSession) reset() { s.tx = Received{Connection: s.number, TLS: s.secure} }

// answer performs a step with a usual reply; ok is false at the connection's end.
// The code is the first three octets of what was sent.
func (s *hopSession) answer(step, usual string) (code string, ok bool) {
	return s.answerAction(s.hop.next(step), usual)
}

func (s *hopSession) answerAction(a Action, usual string) (code string, ok bool) {
	text := []byte(usual + "\r\n")
	if a.Bytes != nil {
		text = a.Bytes
	}
	return string(text[:min(3, len(text))]), s.hop.perform(s.conn, a, []byte(usual+"\r\n"))
}

// command answers one command; false ends the connection.
func (s *hopSession) command(line string) bool {
	verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
	ok := true
	switch verb {
	case "EHLO":
		s.reset()
		_, ok = s.answer("EHLO", s.greeting())
	case "HELO", "RSET":
		s.reset()
		_, ok = s.answer(verb, "250 2.0.0 OK")
	case "STARTTLS":
		return s.startTLS()
	case "MAIL":
		s.reset()
		s.tx.Mail = line
		_, ok = s.answer("MAIL", "250 2.1.0 OK")
	case "RCPT":
		return s.rcpt(line)
	case "DATA":
		return s.data()
	case "BDAT":
		return s.bdat(line)
	case "NOOP", "VRFY":
		_, ok = s.answer(verb, "250 2.0.0 OK")
	case "QUIT":
		s.answer("QUIT", "221 2.0.0 bye")
		return false
	default:
		_, ok = s.answer("OTHER", "500 5.5.1 unknown command")
	}
	return ok
}

func (s *hopSession) greeting() string {
	lines := append([]string{"nexthop.lab.test"}, s.hop.options.Extensions...)
	if s.hop.options.TLS != nil && !s.secure {
		lines = append(lines, "STARTTLS")
	}
	last := len(lines) - 1
	var b strings.Builder
	for _, line := range lines[:last] {
		b.WriteString("250-" + line + "\r\n")
	}
	return b.String() + "250 " + lines[last]
}

func (s *hopSession) startTLS() bool {
	if s.hop.options.TLS == nil {
		_, ok := s.answer("STARTTLS", "502 5.5.1 not offered")
		return ok
	}
	code, ok := s.answer("STARTTLS", "220 2.0.0 go ahead")
	if !ok || code != "220" {
		return ok
	}
	secure := tls.Server(s.conn, s.hop.options.TLS)
	if err := secure.HandshakeContext(s.hop.ctx); err != nil {
		return false
	}
	s.conn, s.in, s.secure = secure, bufio.NewReaderSize(secure, 64<<10), true
	s.reset()
	return true
}

func (s *hopSession) rcpt(line string) bool {
	// A step for this recipient alone comes before the one for all.
	a := s.hop.next("RCPT " + pathOf(line))
	if a.usual() {
		a = s.hop.next("RCPT")
	}
	usual := "250 2.1.5 OK"
	if !s.hop.options.Everyone && isCanary(line) {
		usual = "550 5.1.1 No such recipient"
	}
	code, ok := s.answerAction(a, usual)
	if strings.HasPrefix(code, "2") {
		s.tx.Rcpts = append(s.tx.Rcpts, line)
	}
	return ok
}

// isCanary reports whether a recipient is one that a gateway asks for to see whether its next hop takes everyone.
func isCanary(text string) bool { return strings.Contains(text, "<gatepost-canary-") }

// pathOf is the path of a MAIL or RCPT command, with its angle brackets.
func pathOf(line string) string {
	open, end := strings.IndexByte(line, '<'), strings.LastIndexByte(line, '>')
	if open < 0 || end < open {
		return ""
	}
	return line[open : end+1]
}

func (s *hopSession) data() bool {
	usual := "354 go ahead"
	if len(s.tx.Rcpts) == 0 {
		usual = "554 5.5.1 no valid recipients"
	}
	code, ok := s.answer("DATA", usual)
	if !ok || code != "354" {
		return ok
	}
	a := s.hop.next("BODY")
	if !a.usual() {
		if _, err := io.CopyN(&bytesWriter{&s.tx.Raw}, s.in, int64(a.After)); err == nil {
			s.hop.perform(s.conn, a, nil)
		}
		s.note(false)
		return false
	}
	if !s.readBody() {
		s.note(false)
		return false
	}
	return s.finish("DOT")
}

// readBody reads to the line that has only a dot, and takes doubled dots away.
func (s *hopSession) readBody() bool {
	begin := true // at the begin of a line: after CRLF only
	for {
		part, err := s.in.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			s.tx.Raw = append(s.tx.Raw, part...)
			return false
		}
		s.tx.Raw = append(s.tx.Raw, part...)
		if begin && bytes.Equal(part, []byte(".\r\n")) {
			s.tx.Complete = true
			return true
		}
		if begin && part[0] == '.' {
			part = part[1:]
		}
		s.tx.Body = append(s.tx.Body, part...)
		begin = bytes.HasSuffix(s.tx.Raw, []byte("\r\n"))
	}
}

func (s *hopSession) bdat(line string) bool {
	fields := strings.Fields(line)
	size := int64(-1)
	if len(fields) > 1 {
		if n, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
			size = n
		}
	}
	if size < 0 {
		_, ok := s.answer("OTHER", "501 5.5.4 BDAT needs a size")
		return ok
	}
	s.tx.Chunked = true
	a := s.hop.next("BODY")
	if !a.usual() {
		if _, err := io.CopyN(&bytesWriter{&s.tx.Raw}, s.in, min(size, int64(a.After))); err == nil {
			s.hop.perform(s.conn, a, nil)
		}
		s.note(false)
		return false
	}
	_, err := io.CopyN(&bytesWriter{&s.tx.Raw}, s.in, size)
	s.tx.Body = s.tx.Raw
	if err != nil {
		s.note(false)
		return false
	}
	if len(fields) > 2 && strings.EqualFold(fields[2], "LAST") {
		s.tx.Complete = true
		return s.finish("LAST")
	}
	_, ok := s.answer("BDAT", "250 2.0.0 "+fields[1]+" octets")
	return ok
}

// finish answers a complete body. What is answered with 250 is noted first, so
// that a client that has read the reply finds the message.
func (s *hopSession) finish(step string) bool {
	const usual = "250 2.0.0 taken over"
	a := s.hop.next(step)
	sends := a.Bytes
	if sends == nil {
		sends = []byte(usual)
	}
	if !s.hop.sleep(a.Delay) {
		s.note(false)
		return false
	}
	a.Delay = 0
	s.note(bytes.HasPrefix(sends, []byte("250")))
	_, ok := s.answerAction(a, usual)
	return ok
}

func (s *hopSession) note(accepted bool) {
	s.tx.Accepted = accepted
	if taken := s.hop.options.Taken; taken != nil {
		taken(s.tx)
		s.reset()
		return
	}
	s.hop.mu.Lock()
	s.hop.messages = append(s.hop.messages, s.tx)
	s.hop.mu.Unlock()
	s.reset()
}

// bytesWriter appends to a slice that others read too.
type bytesWriter struct{ to *[]byte }

func (w *bytesWriter) Write(b []byte) (int, error) {
	*w.to = append(*w.to, b...)
	return len(b), nil
}
