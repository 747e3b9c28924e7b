// Package load sends mail as fast as a server takes it, over several connections
// at once, and measures how long each message takes.
//
// It is a client for measurements (RFC 5321, RFC 2920): it sends to loopback, never
// retries, and takes any reply but the one it expects for the failure of the whole
// run.
package load

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"gatepost/internal/lab/bench/mark"
)

// The names of the load. They must resolve for a gateway that looks them up.
const (
	Helo = "client.sender.test"
	From = "newsletter@sender.test"
	To   = "user@served.test"
)

// Message makes messages of one size that differ in their identity. It may be
// used by many goroutines.
type Message struct {
	size   int
	body   []byte // what lies between header and trailer, with dots doubled
	run    uint64 // in the upper half of every id
	serial atomic.Uint32
}

// NewMessage makes messages of about size octets: a header as mail programs write
// it, some lines of text, and an attachment's worth of base64 in lines of 76.
func NewMessage(size int) *Message {
	m := &Message{run: uint64(rand.Uint32()) << 32}
	text := "Hello,\r\n\r\nthis is a message of a load. The lines below are what an attachment looks like.\r\n" +
		"..a line that begins with a dot, doubled as it is sent\r\n\r\n"
	rest := max(size-len(m.appendHead(nil, 0, time.Now()))-mark.TrailerLen, 0)
	m.body = append(m.body, text[:min(len(text), rest)]...)
	if rest < len(text) { // too small for text: only whole lines end a body
		m.body = slices.Repeat([]byte("x"), max(rest-2, 0))
		m.body = append(m.body, "\r\n"...)
	}
	random := rand.New(rand.NewPCG(1, 2)) // the same body in every run
	raw, line := make([]byte, 57), make([]byte, 76)
	for rest-len(m.body) > 2 {
		for i := range raw {
			raw[i] = byte(random.Uint32())
		}
		base64.StdEncoding.Encode(line, raw)
		m.body = append(m.body, line[:min(len(line), rest-len(m.body)-2)]...)
		m.body = append(m.body, "\r\n"...)
	}
	m.size = len(m.appendHead(nil, 0, time.Now())) + len(m.body) + mark.TrailerLen
	return m
}

// Size is the octets of one message as it is sent, without the ending dot.
func (m *Message) Size() int { return m.size }

// next is the identity of the next message.
func (m *Message) next() uint64 { return m.run | uint64(m.serial.Add(1)) }

// appendHead appends the header of message id. It has one length for all ids and times.
func (m *Message) appendHead(b []byte, id uint64, now time.Time) []byte {
	b = mark.AppendField(b, id, m.size)
	b = append(b, "From: Newsletter <"+From+">\r\nTo: <"+To+">\r\nDate: "...)
	b = now.UTC().AppendFormat(b, "Mon, 02 Jan 2006 15:04:05 -0700")
	return fmt.Appendf(b, "\r\nMessage-ID: <%016x@sender.test>\r\nSubject: Load %016x\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n", id, id)
}

// appendEnd appends what closes message id.
func appendEnd(b []byte, id uint64) []byte {
	return append(mark.AppendTrailer(b, id), ".\r\n"...)
}
