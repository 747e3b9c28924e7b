package gateway

import (
	"errors"
	"strings"
	"sync/atomic"
	"time"
)

// ID names one event: a connection or a transaction. It is time-ordered and unique in an installation: milliseconds since
// 1970 in the upper 44 bits, the node in 8, a sequence in 12. Zero means no event.
type ID uint64

// ErrReference says that a text is not a reference: wrong length, a letter outside the alphabet, or a wrong check digit.
var ErrReference = errors.New("reference: not one of ours (14 letters and digits, like K7Q29-FXM3T-BN5C)")

// crockford is the base32 alphabet without I, L, O and U, so that a reference survives being read out over a telephone.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// String returns the reference of the id: 13 letters of base32 and a check digit, in groups of 5, 5 and 4. It is the
// same text in the reply, the header, the log and the console.
func (id ID) String() string {
	v := uint64(id)
	var digits [14]byte
	for i := 12; i >= 0; i-- {
		digits[i] = crockford[v&31]
		v >>= 5
	}
	digits[13] = checkDigit(digits[:13])
	var out [16]byte
	copy(out[:5], digits[:5])
	out[5] = '-'
	copy(out[6:11], digits[5:10])
	out[11] = '-'
	copy(out[12:], digits[10:])
	return string(out[:])
}

// Time returns when the id was given, to the millisecond.
func (id ID) Time() time.Time { return time.UnixMilli(int64(id >> 20)) }

// MarshalText writes the reference.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads a reference, as ParseID does.
func (id *ID) UnmarshalText(text []byte) error {
	v, err := ParseID(string(text))
	if err == nil {
		*id = v
	}
	return err
}

// ParseID reads a reference as people type it: case, spaces and hyphens do not matter, and O is read as 0, I and L as 1.
// It returns ErrReference for anything else.
func ParseID(text string) (ID, error) {
	digits := make([]byte, 0, 14)
	for _, r := range strings.ToUpper(text) {
		switch r {
		case '-', ' ', '.', '\t', '\n', '\r':
			continue
		case 'O':
			r = '0'
		case 'I', 'L':
			r = '1'
		}
		if r > 'Z' || strings.IndexByte(crockford, byte(r)) < 0 || len(digits) == 14 {
			return 0, ErrReference
		}
		digits = append(digits, byte(r))
	}
	if len(digits) != 14 || checkDigit(digits[:13]) != digits[13] || strings.IndexByte(crockford, digits[0]) > 15 {
		return 0, ErrReference
	}
	var v uint64
	for _, d := range digits[:13] {
		v = v<<5 | uint64(strings.IndexByte(crockford, d))
	}
	return ID(v), nil
}

// checkDigit finds one wrong letter and most swaps of neighbours: the weights are odd and differ between neighbours.
func checkDigit(digits []byte) byte {
	sum := 0
	for i, d := range digits {
		sum += (2*i + 1) * strings.IndexByte(crockford, d)
	}
	return crockford[sum&31]
}

// IDs gives out ids. The zero value is node 0 and ready for use; it is safe for concurrent use.
type IDs struct {
	Node uint8
	last atomic.Uint64 // milliseconds<<12 | sequence
}

// Next returns an id greater than every one before, also when the clock stands still or jumps back.
func (g *IDs) Next() ID {
	for {
		last := g.last.Load()
		next := uint64(time.Now().UnixMilli()) << 12
		if next <= last {
			next = last + 1 // more than 4,096 in one millisecond borrow from the next
		}
		if g.last.CompareAndSwap(last, next) {
			return ID(next>>12<<20 | uint64(g.Node)<<12 | next&0xfff)
		}
	}
}
