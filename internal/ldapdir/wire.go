package ldapdir

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// patient ends a read or write that stands still.
type patient struct{ net.Conn }

func (p *patient) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(time.Now().Add(standstill)); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}

func (p *patient) Write(b []byte) (int, error) {
	if err := p.SetWriteDeadline(time.Now().Add(standstill)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}

// framed lets only messages of LDAP through, each of a bounded length, since the reader behind it would take as much memory
// as a message says to have. It is read by one goroutine.
type framed struct {
	net.Conn
	rest   int64  // octets that may still come in all
	left   int    // of the message that is read
	head   []byte // of the next one, which is not known to be good yet
	given  int    // octets of head that were given on
	failed error
}

var (
	errFrame = errors.New("sent something that is no message of LDAP")
	errTotal = fmt.Errorf("sent more than %d octets", int64(maxTotal))
)

func (f *framed) Read(p []byte) (int, error) {
	if f.failed != nil {
		return 0, f.failed
	}
	if len(p) == 0 {
		return 0, nil
	}
	if f.left == 0 && f.given == len(f.head) {
		if f.failed = f.readHead(); f.failed != nil {
			return 0, f.failed
		}
	}
	if f.given < len(f.head) {
		n := copy(p, f.head[f.given:])
		f.given += n
		return n, nil
	}
	n, err := f.Conn.Read(p[:min(len(p), f.left)])
	f.left -= n
	return n, err
}

// readHead reads tag and length of the next message.
func (f *framed) readHead() error {
	head, length, err := readHead(f.Conn, f.head[:0])
	f.head, f.given = head, 0
	if err != nil {
		return err
	}
	if length > maxMessage {
		return fmt.Errorf("sent a message of %d octets, and %d are taken", length, maxMessage)
	}
	if f.rest -= int64(len(head) + length); f.rest < 0 {
		return errTotal
	}
	f.left = length
	return nil
}

// readHead reads what a message of LDAP begins with (RFC 4511 section 5.1: a SEQUENCE of definite length), octet by octet,
// so that nothing behind it is read.
func readHead(r io.Reader, into []byte) (head []byte, length int, err error) {
	next := func() (byte, error) {
		var b [1]byte
		_, err := io.ReadFull(r, b[:])
		into = append(into, b[0])
		return b[0], err
	}
	tag, err := next()
	if err != nil {
		return into, 0, err
	}
	first, err := next()
	switch {
	case err != nil:
		return into, 0, err
	case tag != 0x30 || first == 0x80 || first > 0x84:
		return into, 0, errFrame
	case first < 0x80:
		return into, int(first), nil
	}
	for range first & 0x7f {
		b, err := next()
		if err != nil {
			return into, 0, err
		}
		length = length<<8 | int(b)
	}
	return into, length, nil
}

// startTLSRequest is an ExtendedRequest for 1.3.6.1.4.1.1466.20037 (RFC 4511 section 4.14), message 1.
const startTLSRequest = "\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"

// startTLS asks for TLS, and reads the answer and not an octet behind it: what came in clear is never taken for what comes
// encrypted.
func startTLS(conn net.Conn) error {
	if _, err := io.WriteString(conn, startTLSRequest); err != nil {
		return err
	}
	_, length, err := readHead(conn, nil)
	if err != nil {
		return err
	}
	if length > 4096 {
		return errFrame
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(conn, body); err != nil {
		return err
	}
	// messageID 1, then ExtendedResponse (application 24) that begins with the result code.
	const id = "\x02\x01\x01"
	if len(body) < len(id)+2 || string(body[:len(id)]) != id || body[len(id)] != 0x78 {
		return errFrame
	}
	body = body[len(id)+1:]
	skip := 1 // the length, whose value does not matter here
	if body[0] > 0x80 {
		skip += int(body[0] & 0x7f)
	}
	if len(body) < skip+3 || body[skip] != 0x0a || body[skip+1] != 1 {
		return errFrame
	}
	if code := body[skip+2]; code != 0 {
		return fmt.Errorf("the server refuses it with result code %d", code)
	}
	return nil
}
