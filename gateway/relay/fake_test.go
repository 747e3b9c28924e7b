package relay

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// act is what the fake does where it would answer; false ends the connection.
type act func(s *fakeSession) bool

func say(text string) act {
	return func(s *fakeSession) bool {
		_, err := io.WriteString(s.conn, text+"\r\n")
		return err == nil
	}
}

func raw(text string) act {
	return func(s *fakeSession) bool {
		_, err := io.WriteString(s.conn, text)
		return err == nil
	}
}

// hang says nothing until the other side closes.
func hang(s *fakeSession) bool {
	_, _ = io.Copy(io.Discard, s.in)
	return false
}

func closes(*fakeSession) bool { return false }

// resets ends the connection by a reset.
func resets(s *fakeSession) bool {
	if c, ok := s.socket.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	_ = s.socket.Close()
	return false
}

// then does one thing after the other.
func then(acts ...act) act {
	return func(s *fakeSession) bool {
		for _, a := range acts {
			if !a(s) {
				return false
			}
		}
		return true
	}
}

// endless writes text again and again until the other side closes.
func endless(text string, pause time.Duration) act {
	return func(s *fakeSession) bool {
		for {
			if _, err := io.WriteString(s.conn, text); err != nil {
				return false
			}
			if pause > 0 {
				select {
				case <-time.After(pause):
				case <-s.f.done:
					return false
				}
			}
		}
	}
}

// fake is a scripted next hop. Its steps: banner EHLO HELO STARTTLS MAIL RCPT DATA DOT RSET NOOP QUIT, and BODY or
// BDAT-body, which take the place of reading the message, and HANDSHAKE, which takes that of TLS.
type fake struct {
	ln      net.Listener
	offers  []string
	tls     *tls.Config
	discard bool // keep no messages

	plainSTARTTLS bool // STARTTLS is followed by no handshake
	readsOn       bool // a message follows whatever DATA was answered
	lmtp          bool // one reply for each recipient after a message, as dots has it
	collects      int  // answer nothing before that many commands of a flight came
	done          chan struct{}

	mu       sync.Mutex
	on       map[string]act
	rcpt     map[string]act // by path
	dots     map[string]act // likewise, after the end of the message
	messages []string
	commands []string
	conns    int
	open     map[net.Conn]bool
}

type fakeSession struct {
	f      *fake
	socket net.Conn
	conn   net.Conn // the socket, or TLS over it
	in     *bufio.Reader
	held   []string
	rcpts  []string // taken by default
}

func newFake(t testing.TB, offers ...string) *fake {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := quietFake(offers...)
	f.ln = ln
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { f.serve(c) })
		}
	})
	t.Cleanup(func() {
		close(f.done)
		_ = ln.Close()
		f.hangUp()
		wg.Wait()
	})
	return f
}

// quietFake is one without a listener, for pipes in a synctest bubble.
func quietFake(offers ...string) *fake {
	return &fake{offers: offers, on: map[string]act{}, rcpt: map[string]act{}, done: make(chan struct{}), open: map[net.Conn]bool{}}
}

func (f *fake) serve(c net.Conn) {
	f.mu.Lock()
	f.conns++
	f.open[c] = true
	f.mu.Unlock()
	(&fakeSession{f: f, socket: c, conn: c, in: bufio.NewReaderSize(c, 64<<10)}).serve()
	_ = c.Close()
	f.mu.Lock()
	delete(f.open, c)
	f.mu.Unlock()
}

// pipe is a Dialer that leads to the fake.
func (f *fake) pipe(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go f.serve(theirs)
	return ours, nil
}

func (f *fake) hop() Hop {
	a := f.ln.Addr().(*net.TCPAddr)
	return Hop{Host: "127.0.0.1", Port: a.Port}
}

func (f *fake) set(step string, a act) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on[step] = a
}

// hangUp closes every connection.
func (f *fake) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.open {
		_ = c.Close()
	}
}

func (f *fake) seen() (messages, commands []string, conns int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.messages...), append([]string(nil), f.commands...), f.conns
}

// do plays a step.
func (s *fakeSession) do(step, otherwise string) bool {
	s.f.mu.Lock()
	a := s.f.on[step]
	s.f.mu.Unlock()
	if a == nil {
		a = say(otherwise)
	}
	return a(s)
}

func (s *fakeSession) line() (string, bool) {
	if len(s.held) > 0 {
		l := s.held[0]
		s.held = s.held[1:]
		return l, true
	}
	l, err := s.in.ReadString('\n')
	if err != nil {
		return "", false
	}
	l = strings.TrimRight(l, "\r\n")
	if !s.f.discard {
		s.f.mu.Lock()
		s.f.commands = append(s.f.commands, l)
		s.f.mu.Unlock()
	}
	return l, true
}

func (s *fakeSession) serve() {
	if !s.do("banner", "220 inner.example ESMTP") {
		return
	}
	for {
		line, ok := s.line()
		if !ok {
			return
		}
		verb := strings.ToUpper(line)
		if i := strings.IndexByte(verb, ' '); i >= 0 {
			verb = verb[:i]
		}
		if verb == "MAIL" && s.f.collects > 1 {
			held := []string{}
			for len(held) < s.f.collects-1 {
				l, ok := s.line()
				if !ok {
					return
				}
				held = append(held, l)
			}
			s.held = held
		}
		if !s.command(verb, line) {
			return
		}
	}
}

func (s *fakeSession) command(verb, line string) bool {
	switch verb {
	case "LHLO":
		if !s.f.lmtp {
			return say("500 5.5.1 What?")(s)
		}
		fallthrough
	case "EHLO":
		if s.f.lmtp && verb == "EHLO" {
			return say("500 5.5.1 This is LMTP")(s)
		}
		text := "250-inner.example"
		for _, o := range s.f.offers {
			text += "\r\n250-" + o
		}
		return s.do("EHLO", text+"\r\n250 HELP")
	case "HELO", "MAIL", "RSET", "NOOP":
		s.rcpts = nil
		return s.do(verb, "250 2.0.0 Ok")
	case "RCPT":
		path := line[strings.IndexByte(line, '<')+1 : strings.LastIndexByte(line, '>')]
		s.f.mu.Lock()
		a := s.f.rcpt[path]
		s.f.mu.Unlock()
		if a != nil {
			return a(s)
		}
		s.rcpts = append(s.rcpts, path)
		return s.do(verb, "250 2.1.5 Ok")
	case "STARTTLS":
		if !s.do(verb, "220 2.0.0 Go on") {
			return false
		}
		if s.f.plainSTARTTLS {
			return true
		}
		s.f.mu.Lock()
		shake := s.f.on["HANDSHAKE"]
		s.f.mu.Unlock()
		if shake != nil {
			return shake(s)
		}
		secure := tls.Server(s.conn, s.f.tls)
		if secure.Handshake() != nil {
			return false
		}
		s.conn, s.in = secure, bufio.NewReaderSize(secure, 64<<10)
		return true
	case "DATA":
		return s.data()
	case "BDAT":
		return s.bdat(line)
	case "QUIT":
		s.do(verb, "221 2.0.0 Bye")
		return false
	}
	return s.do(verb, "500 5.5.1 What?")
}

func (s *fakeSession) data() bool {
	if !s.do("DATA", "354 Go on") {
		return false
	}
	s.f.mu.Lock()
	body, answer := s.f.on["BODY"], s.f.on["DATA"]
	s.f.mu.Unlock()
	if body != nil {
		return body(s)
	}
	if answer != nil && !s.f.readsOn {
		return true
	}
	if s.f.discard {
		return s.skip() && s.do("DOT", "250 2.0.0 Ok")
	}
	var msg bytes.Buffer
	for {
		l, err := s.in.ReadSlice('\n')
		if err != nil {
			return false
		}
		if string(l) == ".\r\n" {
			break
		}
		msg.Write(bytes.TrimPrefix(l, []byte(".")))
	}
	s.f.complete(msg.String())
	return s.dot("250 2.0.0 Ok: queued as 4711")
}

// dot answers a message.
func (s *fakeSession) dot(otherwise string) bool {
	if !s.f.lmtp {
		return s.do("DOT", otherwise)
	}
	for _, path := range s.rcpts {
		s.f.mu.Lock()
		a := s.f.dots[path]
		s.f.mu.Unlock()
		if a == nil {
			a = say("250 2.0.0 <" + path + "> Saved")
		}
		if !a(s) {
			return false
		}
	}
	return true
}

// skip reads a message as fast as can be: the client says nothing after its end.
func (s *fakeSession) skip() bool {
	var tail [5]byte
	for {
		b, err := s.in.Peek(max(s.in.Buffered(), 1))
		if err != nil {
			return false
		}
		if n := len(b); n >= len(tail) {
			copy(tail[:], b[n-len(tail):])
		} else {
			copy(tail[:], tail[n:])
			copy(tail[len(tail)-n:], b)
		}
		_, _ = s.in.Discard(len(b))
		if s.in.Buffered() == 0 && string(tail[:]) == "\r\n.\r\n" {
			return true
		}
	}
}

func (s *fakeSession) bdat(line string) bool {
	words := strings.Fields(line)
	n, err := strconv.Atoi(words[1])
	if err != nil || len(words) != 3 || words[2] != "LAST" {
		return say("501 5.5.4 Bad BDAT")(s)
	}
	s.f.mu.Lock()
	body := s.f.on["BDAT-body"]
	s.f.mu.Unlock()
	if body != nil {
		return body(s)
	}
	if s.f.discard {
		if _, err := io.CopyN(io.Discard, s.in, int64(n)); err != nil {
			return false
		}
		s.f.complete("")
		return s.do("DOT", "250 2.0.0 Ok")
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(s.in, b); err != nil {
		return false
	}
	s.f.complete(string(b))
	return s.dot(fmt.Sprintf("250 2.0.0 %d octets", n))
}

func (f *fake) complete(msg string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.discard {
		f.messages = append(f.messages, msg)
	}
}
