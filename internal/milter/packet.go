package milter

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Commands to the filter (libmilter's SMFIC_*).
const (
	cmdOptions = 'O'
	cmdMacro   = 'D'
	cmdConnect = 'C'
	cmdHelo    = 'H'
	cmdMail    = 'M'
	cmdRcpt    = 'R'
	cmdData    = 'T'
	cmdHeader  = 'L'
	cmdEOH     = 'N'
	cmdBody    = 'B'
	cmdEnd     = 'E'
	cmdQuit    = 'Q'
)

// Replies of the filter (SMFIR_*).
const (
	repContinue   = 'c'
	repAccept     = 'a'
	repDiscard    = 'd'
	repReject     = 'r'
	repTempFail   = 't'
	repCode       = 'y'
	repSkip       = 's'
	repProgress   = 'p'
	repConnFail   = '4'
	repQuarantine = 'q'
	repAddHeader  = 'h'
	repInsHeader  = 'i'
	repChgHeader  = 'm'
	repNewBody    = 'b'
	repAddRcpt    = '+'
	repAddRcptPar = '2'
	repDelRcpt    = '-'
	repChgFrom    = 'e'
)

// Bounds.
const (
	maxPacket  = 256 << 10 // octets of one packet of the filter's
	maxReplies = 10_000    // packets of a dialogue
	maxOctets  = 128 << 20 // octets of all of them
	maxText    = 200       // octets of what it says that are kept
	maxChanges = 50
	bodyChunk  = 65_535 // MILTER_CHUNK_SIZE
)

// packets is the two directions of a connection.
type packets struct {
	r       *bufio.Reader
	w       *bufio.Writer
	replies int
	octets  int
}

// send writes one packet, and leaves it in the buffer until a reply is waited for.
func (p *packets) send(command byte, data ...[]byte) error {
	n := 1
	for _, d := range data {
		n += len(d)
	}
	var head [5]byte
	binary.BigEndian.PutUint32(head[:4], uint32(n))
	head[4] = command
	_, err := p.w.Write(head[:])
	for _, d := range data {
		if err == nil {
			_, err = p.w.Write(d)
		}
	}
	if err == nil && (command == cmdQuit || p.w.Buffered() > bodyChunk) {
		err = p.w.Flush()
	}
	if err != nil {
		return fmt.Errorf("milter: write: %w", err)
	}
	return nil
}

// read reads one packet of the filter's.
func (p *packets) read() (reply byte, data []byte, err error) {
	if err := p.w.Flush(); err != nil {
		return 0, nil, fmt.Errorf("milter: write: %w", err)
	}
	return p.next()
}

func (p *packets) next() (reply byte, data []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, nil, fmt.Errorf("%w: connection closed", ErrReply)
		}
		return 0, nil, fmt.Errorf("milter: read: %w", err)
	}
	n := binary.BigEndian.Uint32(head[:4])
	p.replies++
	if n == 0 || n > maxPacket || p.replies > maxReplies || p.octets+int(n) > maxOctets {
		return 0, nil, fmt.Errorf("%w: a packet of %d octets, the %dth", ErrReply, n, p.replies)
	}
	p.octets += int(n)
	data = make([]byte, n-1)
	if _, err := io.ReadFull(p.r, data); err != nil {
		return 0, nil, fmt.Errorf("%w: cut off: %w", ErrReply, err)
	}
	return head[4], data, nil
}

// zero ends a text with a NUL, without those that it holds.
func zero(s string) []byte { return append([]byte(strings.ReplaceAll(s, "\x00", "")), 0) }

// texts splits the data of a reply at its NULs; all must be ended.
func texts(data []byte) ([]string, bool) {
	if len(data) == 0 || data[len(data)-1] != 0 {
		return nil, false
	}
	var out []string
	for t := range bytes.SplitSeq(data[:len(data)-1], []byte{0}) {
		out = append(out, printable(string(t)))
	}
	return out, true
}

// printable makes a short text out of what a server said.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), maxText)])
}
