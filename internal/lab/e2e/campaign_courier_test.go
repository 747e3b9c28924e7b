package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// courier sends parcels as a mail server does: each until it has read a 250, again after any other end but a refusal. It
// knows of each attempt how far it came.
type courier struct {
	addr    string
	seed    uint64
	moments chan<- string // told how far a message is, when somebody waits for it

	open     atomic.Int64 // transactions under way
	attempts atomic.Int64
	mu       sync.Mutex
	unknown  map[int]int    // parcel: attempts that ended after the last octet and before a reply
	refused  map[int]string // parcels with a 5xx
	said     string         // the last other reply that was no success
}

// gaveUp says that a parcel was refused for good.
func (c *courier) gaveUp(p *parcel) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused[p.number] != ""
}

// note keeps what went wrong.
func (c *courier) note(p *parcel, command string, code int, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case code >= 500:
		c.refused[p.number] = fmt.Sprintf("%.80q: %d %s", command, code, text)
	case code >= 400:
		c.said = fmt.Sprintf("%.80q: %d %s", command, code, text)
	}
}

// moment tells that something is so now; nobody may be waiting for it.
func moment(to chan<- string, what string) {
	select {
	case to <- what:
	default:
	}
}

// carry sends what comes through the channel, several parcels over one connection, until it is closed and all is sent.
func (c *courier) carry(ctx context.Context, parcels <-chan *parcel) {
	r := rand.New(rand.NewPCG(c.seed, 1<<40))
	var s *courierSession
	for p := range parcels {
		for ctx.Err() == nil && !c.gaveUp(p) {
			if s == nil || r.IntN(4) == 0 {
				s.close()
				s = c.connect()
			}
			c.attempts.Add(1)
			if s != nil && s.send(p, r) {
				break
			}
			s.close()
			s = nil
			time.Sleep(time.Duration(20+r.IntN(100)) * time.Millisecond)
		}
	}
	s.close()
}

// courierSession is one connection.
type courierSession struct {
	c      *courier
	conn   net.Conn
	in     *textproto.Reader
	offers string
	p      *parcel // of the transaction under way
}

func (c *courier) connect() *courierSession {
	conn, err := net.DialTimeout("tcp", c.addr, clientTime)
	if err != nil {
		return nil
	}
	s := &courierSession{c: c, conn: conn, in: textproto.NewReader(bufio.NewReader(conn))}
	if s.reply("banner") != 220 || s.say("EHLO courier.sender.test\r\n") != 250 {
		s.close()
		return nil
	}
	return s
}

func (s *courierSession) close() {
	if s != nil {
		s.conn.Close()
	}
}

// say writes and reads a reply; 0 when the connection is at its end.
func (s *courierSession) say(octets string) int {
	if !s.write([]byte(octets)) {
		return 0
	}
	return s.reply(octets)
}

func (s *courierSession) write(octets []byte) bool {
	_ = s.conn.SetWriteDeadline(time.Now().Add(2 * clientTime))
	_, err := s.conn.Write(octets)
	return err == nil
}

func (s *courierSession) reply(to string) int {
	_ = s.conn.SetReadDeadline(time.Now().Add(2 * clientTime))
	code, text, err := s.in.ReadResponse(0)
	if code == 0 && err != nil {
		return 0
	}
	if strings.HasPrefix(to, "EHLO") {
		s.offers = text
	}
	if s.p != nil {
		s.c.note(s.p, to, code, text)
	}
	return code
}

// send runs one transaction; true when the parcel was taken over.
func (s *courierSession) send(p *parcel, r *rand.Rand) bool {
	s.c.open.Add(1)
	defer s.c.open.Add(-1)
	s.p = p
	mail := "MAIL FROM:<" + sender + ">"
	if strings.Contains(s.offers, "8BITMIME") {
		mail += " BODY=8BITMIME"
	}
	if s.say(mail+"\r\n") != 250 {
		return false
	}
	for _, to := range p.to {
		if s.say("RCPT TO:<"+to+">\r\n") != 250 {
			return false
		}
	}
	if p.chunked && strings.Contains(s.offers, "CHUNKING") {
		return s.chunks(p, r)
	}
	return s.data(p)
}

func (s *courierSession) data(p *parcel) bool {
	if s.say("DATA\r\n") != 354 {
		return false
	}
	octets := append(bytes.ReplaceAll(p.message, []byte("\r\n."), []byte("\r\n..")), ".\r\n"...)
	half := len(octets) / 2
	if !s.write(octets[:half]) {
		return false
	}
	moment(s.c.moments, "in DATA")
	return s.write(octets[half:]) && s.outcome(p, 0)
}

// chunks sends the message by BDAT (RFC 3030), the chunks pipelined.
func (s *courierSession) chunks(p *parcel, r *rand.Rand) bool {
	var wire []byte
	left, n := p.message, 0
	for len(left) > 0 {
		size := min(len(left), 1+r.IntN(200_000))
		wire = append(wire, "BDAT "+strconv.Itoa(size)...)
		if size == len(left) {
			wire = append(wire, " LAST"...)
		}
		wire = append(append(wire, "\r\n"...), left[:size]...)
		left = left[size:]
		n++
	}
	half := len(wire) / 2
	if !s.write(wire[:half]) {
		return false
	}
	moment(s.c.moments, "in BDAT")
	if !s.write(wire[half:]) {
		return false
	}
	return s.outcome(p, n-1)
}

// outcome reads the reply to a whole message, after those to chunks. None means that nobody here knows whether it was
// taken over.
func (s *courierSession) outcome(p *parcel, chunks int) bool {
	moment(s.c.moments, "after the dot")
	code := 250
	for ; chunks >= 0 && code == 250; chunks-- {
		code = s.reply("the message")
	}
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if code == 0 {
		s.c.unknown[p.number]++
	}
	return code == 250
}
