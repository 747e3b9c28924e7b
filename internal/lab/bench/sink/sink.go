// Package sink is a next hop for measurements: an SMTP server (RFC 5321) that
// takes every message, looks whether it is whole, counts and forgets it, cheaply
// enough not to be what a measurement measures.
//
// It never refuses, keeps nothing, and trusts its clients: it has no limits and
// listens on loopback only.
package sink

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"gatepost/internal/lab/bench/mark"
)

// Count is what a sink got so far.
type Count struct {
	Whole    mark.Tally `json:"whole"`    // messages that arrived as they were sent
	Damaged  int64      `json:"damaged"`  // messages that are too short, too long, or two in one
	Strange  int64      `json:"strange"`  // messages without the mark of a load
	CutOff   int64      `json:"cut_off"`  // messages whose connection ended before they did
	Sessions int64      `json:"sessions"` // connections
}

// Minus is what was counted in c after d.
func (c Count) Minus(d Count) Count {
	return Count{c.Whole.Minus(d.Whole), c.Damaged - d.Damaged, c.Strange - d.Strange, c.CutOff - d.CutOff, c.Sessions - d.Sessions}
}

// Check says what is wrong when the sink, since a count, did not get exactly the
// messages that were acknowledged.
func (c Count) Check(acknowledged mark.Tally) error {
	if c.Damaged+c.Strange+c.CutOff > 0 {
		return fmt.Errorf("sink: %d messages arrived damaged, %d without a mark, %d cut off", c.Damaged, c.Strange, c.CutOff)
	}
	if err := mark.Compare(acknowledged, c.Whole); err != nil {
		return fmt.Errorf("sink: %w", err)
	}
	return nil
}

// Sink is a running sink. Its methods may be called at any time.
type Sink struct {
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool // nil once closed

	messages, octets          atomic.Int64
	digest                    atomic.Uint64
	damaged, strange, cut, in atomic.Int64
}

// Start listens on a free port of 127.0.0.1.
func Start() (*Sink, error) { return StartAt("127.0.0.1:0") }

// StartAt listens at a host:port.
func StartAt(addr string) (*Sink, error) {
	l, err := net.Listen("tcp4", addr)
	if err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	s := &Sink{listener: l, conns: map[net.Conn]bool{}}
	s.running.Go(s.serve)
	return s, nil
}

// Addr is where the sink listens.
func (s *Sink) Addr() string { return s.listener.Addr().String() }

// Count is what came so far. It is exact while no message is under way.
func (s *Sink) Count() Count {
	return Count{
		Whole:   mark.Tally{Messages: s.messages.Load(), Octets: s.octets.Load(), Digest: s.digest.Load()},
		Damaged: s.damaged.Load(), Strange: s.strange.Load(), CutOff: s.cut.Load(), Sessions: s.in.Load(),
	}
}

// Close ends the sink and its connections.
func (s *Sink) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.running.Wait()
	return err
}

func (s *Sink) serve() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return // closed
		}
		s.mu.Lock()
		if s.conns == nil {
			s.mu.Unlock()
			conn.Close()
			return
		}
		s.conns[conn] = true
		s.mu.Unlock()
		s.in.Add(1)
		s.running.Go(func() {
			_ = s.session(conn) // it hung up, which ends its session and nothing else
			conn.Close()
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
		})
	}
}

// bufferSize holds the whole header of a message and makes reads of large ones few.
const bufferSize = 128 << 10

// maxLine is more than any command has (RFC 5321 section 4.5.3.1.4, and room for parameters).
const maxLine = 4 << 10

var errLine = errors.New("sink: command line too long")

// greeting is the reply to EHLO. No CHUNKING: the sink knows DATA only.
const greeting = "250-sink.load.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 0\r\n"

func (s *Sink) session(conn net.Conn) error {
	r := &reader{conn: conn, buf: make([]byte, bufferSize)}
	w := bufio.NewWriter(conn)
	say := func(text string) error {
		_, err := w.WriteString(text)
		if err != nil || r.buffered() > 0 { // more commands are here: answer them together (RFC 2920)
			return err
		}
		return w.Flush()
	}
	if err := say("220 sink.load.test ESMTP\r\n"); err != nil {
		return err
	}
	for {
		line, err := r.line()
		if err != nil {
			return err
		}
		verb, _, _ := bytes.Cut(line, []byte(" "))
		switch strings.ToUpper(string(verb)) {
		case "EHLO":
			err = say(greeting)
		case "DATA":
			if err = say("354 go on\r\n"); err == nil {
				if err = w.Flush(); err == nil {
					err = s.message(r)
				}
			}
			if err == nil {
				err = say("250 2.0.0 taken\r\n")
			}
		case "QUIT":
			return say("221 2.0.0 bye\r\n")
		case "RCPT":
			if bytes.Contains(line, []byte("<gatepost-canary-")) { // else its word would be void, and nothing spooled for it
				err = say("550 5.1.1 no such recipient\r\n")
				break
			}
			err = say("250 2.0.0 ok\r\n")
		case "HELO", "MAIL", "RSET", "NOOP":
			err = say("250 2.0.0 ok\r\n")
		default:
			err = say("500 5.5.1 what?\r\n")
		}
		if err != nil {
			return err
		}
	}
}

// message reads one message up to its dot and counts it.
func (s *Sink) message(r *reader) error {
	m, err := r.message()
	switch {
	case err != nil:
		s.cut.Add(1)
		return err
	case !m.marked:
		s.strange.Add(1)
	case m.octets != m.size || !m.ended:
		s.damaged.Add(1)
	default:
		s.octets.Add(m.size)
		s.digest.Add(mark.Hash(m.id))
		s.messages.Add(1)
	}
	return nil
}
