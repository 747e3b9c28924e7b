package lab

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// FakeClamd speaks clamd's protocol and does what a script says: refuse, hang,
// close, trickle, talk garbage. Without a script it finds EICAR where it stands
// plainly.
//
// Its steps are CONNECT, PING, VERSION, STATS, INSTREAM (the answer), BODY (before
// it reads the stream: After octets are read first) and OTHER.
type FakeClamd struct {
	fake
	// Limit is its StreamMaxLength in octets; a longer stream is answered as clamd
	// does, in the middle, and the connection closed.
	limit int

	mu      sync.Mutex
	scanned [][]byte
}

// fakeStreamLimit is the shipped StreamMaxLength.
const fakeStreamLimit = 64 << 20

// StartFakeClamd starts a fake clamd. The limit is its StreamMaxLength in
// octets; 0 means 64 MiB.
func StartFakeClamd(limit int) (*FakeClamd, error) {
	if limit == 0 {
		limit = fakeStreamLimit
	}
	c := &FakeClamd{limit: limit}
	if err := c.listen(c.session); err != nil {
		return nil, err
	}
	return c, nil
}

// Scanned are the streams that came to their end.
func (c *FakeClamd) Scanned() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.scanned)
}

// session serves one connection: one command, as clamd does outside IDSESSION.
func (c *FakeClamd) session(conn net.Conn) {
	if !c.perform(conn, c.next("CONNECT"), nil) {
		return
	}
	in := bufio.NewReaderSize(conn, 64<<10)
	first, err := in.ReadByte()
	if err != nil {
		return
	}
	// zCOMMAND ends in NUL and nCOMMAND in a newline; answers end alike.
	end := byte('\n')
	if first == 'z' {
		end = 0
	}
	command, err := in.ReadString(end)
	if err != nil {
		return
	}
	command = command[:len(command)-1]
	answer := func(step, text string) {
		c.perform(conn, c.next(step), append([]byte(text), end))
	}
	switch command {
	case "PING":
		answer("PING", "PONG")
	case "VERSION":
		answer("VERSION", "ClamAV 1.4.6/27000/Mon Nov 23 10:00:00 2026")
	case "STATS":
		answer("STATS", "POOLS: 1\n\nSTATE: VALID PRIMARY\nTHREADS: live 1  idle 0 max 4 idle-timeout 30\nQUEUE: 0 items\n\tSTATS 0.000001\n\nMEMSTATS: N/A\nEND")
	case "INSTREAM":
		text, ok := c.stream(conn, in)
		if ok {
			answer("INSTREAM", text)
		}
	default:
		answer("OTHER", "UNKNOWN COMMAND")
	}
}

// stream reads an INSTREAM body and says what a clamd would.
func (c *FakeClamd) stream(conn net.Conn, in *bufio.Reader) (answer string, ok bool) {
	if a := c.next("BODY"); !a.usual() {
		if _, err := io.CopyN(io.Discard, in, int64(a.After)); err == nil {
			c.perform(conn, a, nil)
		}
		return "", false
	}
	var data []byte
	for {
		var size uint32
		if err := binary.Read(in, binary.BigEndian, &size); err != nil {
			return "", false
		}
		if size == 0 {
			break
		}
		if len(data)+int(size) > c.limit {
			return "INSTREAM size limit exceeded. ERROR", true
		}
		start := len(data)
		data = append(data, make([]byte, size)...)
		if _, err := io.ReadFull(in, data[start:]); err != nil {
			return "", false
		}
	}
	c.mu.Lock()
	c.scanned = append(c.scanned, data)
	c.mu.Unlock()
	if bytes.Contains(data, []byte(EICAR())) {
		return "stream: Eicar-Test-Signature FOUND", true
	}
	return "stream: OK", true
}

// FakeSpamd speaks the spamd protocol and does what a script says. Without a
// script it finds only GTUBE.
//
// Its steps are CONNECT, BODY (before it reads the message: After octets are read
// first) and the request's verb: PING, CHECK, SYMBOLS, REPORT, HEADERS, PROCESS.
type FakeSpamd struct {
	fake

	mu       sync.Mutex
	requests []SpamdRequest
}

// SpamdRequest is one request that a fake spamd got.
type SpamdRequest struct {
	Verb    string
	Header  []string // lines without CRLF
	Message []byte
}

// StartFakeSpamd starts a fake spamd.
func StartFakeSpamd() (*FakeSpamd, error) {
	s := &FakeSpamd{}
	if err := s.listen(s.session); err != nil {
		return nil, err
	}
	return s, nil
}

// Requests are the requests that came to their end.
func (s *FakeSpamd) Requests() []SpamdRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

func (s *FakeSpamd) session(conn net.Conn) {
	if !s.perform(conn, s.next("CONNECT"), nil) {
		return
	}
	in := bufio.NewReaderSize(conn, 64<<10)
	request, ok := s.read(conn, in)
	if !ok {
		return
	}
	s.mu.Lock()
	s.requests = append(s.requests, request)
	s.mu.Unlock()
	if s.perform(conn, s.next(request.Verb), spamdAnswer(request)) {
		// spamd closes after its answer; so ends a client that reads to the end.
		conn.Close()
	}
}

func (s *FakeSpamd) read(conn net.Conn, in *bufio.Reader) (r SpamdRequest, ok bool) {
	line, err := in.ReadString('\n')
	if err != nil {
		return r, false
	}
	r.Verb, _, _ = strings.Cut(strings.TrimSpace(line), " ")
	size := int64(0)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return r, false
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			break
		}
		r.Header = append(r.Header, line)
		if name, value, _ := strings.Cut(line, ":"); strings.EqualFold(name, "Content-length") {
			if size, err = strconv.ParseInt(strings.TrimSpace(value), 10, 64); err != nil {
				return r, false
			}
		}
	}
	if a := s.next("BODY"); !a.usual() {
		if _, err := io.CopyN(io.Discard, in, int64(a.After)); err == nil {
			s.perform(conn, a, nil)
		}
		return r, false
	}
	_, err = io.CopyN(&bytesWriter{&r.Message}, in, size)
	return r, err == nil
}

// spamdAnswer is what a spamd would say.
func spamdAnswer(r SpamdRequest) []byte {
	if r.Verb == "PING" {
		return []byte("SPAMD/1.5 0 PONG\r\n")
	}
	spam, symbols := "False ; 0.1 / 5.0", "LAB_CLEAN"
	if bytes.Contains(r.Message, []byte(GTUBE())) {
		spam, symbols = "True ; 1000.0 / 5.0", "GTUBE"
	}
	var body string
	switch r.Verb {
	case "SYMBOLS":
		body = symbols + "\r\n"
	case "REPORT":
		body = "Content analysis details:\r\n\r\n " + symbols + "\r\n"
	case "HEADERS":
		body = "X-Spam-Status: " + symbols + "\r\n\r\n"
	case "PROCESS":
		body = "X-Spam-Status: " + symbols + "\r\n" + string(r.Message)
	}
	return fmt.Appendf(nil, "SPAMD/1.1 0 EX_OK\r\nContent-length: %d\r\nSpam: %s\r\n\r\n%s", len(body), spam, body)
}
