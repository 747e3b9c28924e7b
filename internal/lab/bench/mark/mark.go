// Package mark gives every message of a load an identity that survives a
// gateway: a header field in front of the message's own and a line at its end.
// Whoever receives the message can tell from these two, without keeping it, that
// it is whole and which one it is.
//
// It proves neither order nor content between the two lines, but for its length.
package mark

import (
	"bytes"
	"fmt"
	"strconv"
)

const (
	field     = "X-Load: "
	trailer   = "load-end "
	idWidth   = 16 // hexadecimal digits of a uint64
	sizeWidth = 10 // decimal digits of the size
)

// FieldLen is the length of the header field that AppendField writes.
const FieldLen = len(field) + idWidth + 1 + sizeWidth + 2

// TrailerLen is the length of the line that AppendTrailer writes.
const TrailerLen = len(trailer) + idWidth + 2

// AppendField appends the header field of message id. size is the octets of the
// message as it is sent, from this field to the end of the trailer, with dots
// doubled (RFC 5321 section 4.5.2); at most ten digits.
func AppendField(b []byte, id uint64, size int) []byte {
	return fmt.Appendf(b, "%s%0*x %0*d\r\n", field, idWidth, id, sizeWidth, size)
}

// AppendTrailer appends the last line of message id.
func AppendTrailer(b []byte, id uint64) []byte {
	return fmt.Appendf(b, "%s%0*x\r\n", trailer, idWidth, id)
}

// FindField finds the header field in the beginning of a message, behind fields
// that a gateway put in front of it. at is where it begins. ok is false when it
// is not there, or not yet wholly.
func FindField(b []byte) (at int, id uint64, size int64, ok bool) {
	if !bytes.HasPrefix(b, []byte(field)) {
		at = bytes.Index(b, []byte("\n"+field)) + 1
		if at == 0 {
			return 0, 0, 0, false
		}
	}
	if len(b) < at+FieldLen {
		return 0, 0, 0, false
	}
	text := b[at+len(field) : at+FieldLen]
	id, err := strconv.ParseUint(string(text[:idWidth]), 16, 64)
	if err != nil {
		return 0, 0, 0, false
	}
	size, err = strconv.ParseInt(string(text[idWidth+1:idWidth+1+sizeWidth]), 10, 64)
	return at, id, size, err == nil
}

// EndsWith says whether b ends with the trailer of message id.
func EndsWith(b []byte, id uint64) bool {
	var want [TrailerLen]byte
	return bytes.HasSuffix(b, AppendTrailer(want[:0], id))
}

// Tally counts messages so that two counts are equal only when they are of the
// same messages: one that is missing is not made up for by one that came twice.
type Tally struct {
	Messages int64  `json:"messages"`
	Octets   int64  `json:"octets"` // the sizes of their fields together
	Digest   uint64 `json:"digest"` // the sum of a hash of each id
}

// Add counts one message.
func (t *Tally) Add(id uint64, size int64) {
	t.Messages++
	t.Octets += size
	t.Digest += Hash(id)
}

// Plus is both together.
func (t Tally) Plus(u Tally) Tally {
	return Tally{t.Messages + u.Messages, t.Octets + u.Octets, t.Digest + u.Digest}
}

// Minus is what was counted in t after u.
func (t Tally) Minus(u Tally) Tally {
	return Tally{t.Messages - u.Messages, t.Octets - u.Octets, t.Digest - u.Digest}
}

// Compare says what is wrong when what was acknowledged is not what arrived.
func Compare(acknowledged, arrived Tally) error {
	switch a, b := acknowledged.Messages, arrived.Messages; {
	case a > b:
		return fmt.Errorf("of %d acknowledged messages %d did not arrive", a, a-b)
	case a < b:
		return fmt.Errorf("%d messages arrived, but only %d were acknowledged", b, a)
	case acknowledged.Octets != arrived.Octets:
		return fmt.Errorf("%d octets were sent, %d arrived", acknowledged.Octets, arrived.Octets)
	case acknowledged.Digest != arrived.Digest:
		return fmt.Errorf("as many messages arrived as were acknowledged (%d), but not the same", a)
	}
	return nil
}

// Hash spreads the bits of an id, so that sums of few ids differ (the finaliser
// of SplitMix64).
func Hash(id uint64) uint64 {
	id += 0x9e3779b97f4a7c15
	id = (id ^ id>>30) * 0xbf58476d1ce4e5b9
	id = (id ^ id>>27) * 0x94d049bb133111eb
	return id ^ id>>31
}
