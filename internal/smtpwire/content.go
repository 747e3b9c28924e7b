package smtpwire

import (
	"bytes"
	"encoding/binary"
	"io"
)

// Limits bound one message. The zero value is strict and takes messages of
// DefaultMaxSize.
type Limits struct {
	// MaxSize is the most octets a message may have, counted as RFC 1870
	// section 3 does: with line ends, dots unstuffed, without the final dot.
	// A message of exactly MaxSize is taken. 0 means DefaultMaxSize.
	MaxSize int64
	// MaxDiscard is how many more octets of a refused message are read, so
	// that the refusal can be spoken in step. 0 means DefaultMaxDiscard.
	MaxDiscard int64
	// Normalise writes CRLF for every bare CR and bare LF and drops NULs,
	// instead of refusing the message. Also then only CRLF.CRLF as it came
	// over the wire ends a message, and only a dot behind a true CRLF is
	// unstuffed. The outcome may hold CRLF.CRLF: send it through a DotWriter.
	Normalise bool
}

// Defaults of [Limits], in octets.
const (
	DefaultMaxSize    = 50 << 20
	DefaultMaxDiscard = 64 << 20
)

func (l Limits) withDefaults() Limits {
	if l.MaxSize <= 0 {
		l.MaxSize = DefaultMaxSize
	}
	if l.MaxDiscard <= 0 {
		l.MaxDiscard = DefaultMaxDiscard
	}
	return l
}

// Result is what was measured of a message. After an error the measures hold
// for what was read.
type Result struct {
	Size        int64 // octets of the message, as Limits.MaxSize counts
	Delivered   int64 // octets written to the destination
	Lines       int64 // line ends
	LongestLine int64 // octets between LFs as they came, without line end; RFC 5321 section 4.5.3.1.6 wants 998
	Repaired    int64 // bare CRs, bare LFs and NULs that were normalised
	EightBit    bool  // an octet over 127 was seen (RFC 6152)
	Unended     bool  // not empty and without CRLF at its end (BDAT only)
	// Dots are where in the destination a line begins with a dot, ascending. They are forgotten (DotsUnknown) of a message
	// with a fault, of one that was repaired, and of one with more than maxDots of them.
	Dots        []int64
	DotsUnknown bool
}

// maxDots is how many lines that begin with a dot are remembered of a message: few have any, and one made of dots gains
// nothing.
const maxDots = 64

// Clean tells whether the destination has exactly what a DotWriter would let pass, and Dots are all the places where it
// would stuff one, so that it need not be looked at again. It holds of a message that was read without an error.
func (r *Result) Clean() bool { return !r.DotsUnknown && !r.Unended }

// dot notes that the octet at this place of the destination is a dot at the beginning of a line.
func (r *Result) dot(at int64) {
	switch {
	case r.DotsUnknown:
	case len(r.Dots) == maxDots:
		r.forgetDots()
	default:
		r.Dots = append(r.Dots, at)
	}
}

func (r *Result) forgetDots() { r.Dots, r.DotsUnknown = nil, true }

// content takes the octets of a message in pieces, dots already unstuffed:
// judges, counts and delivers them. No piece ends between CR and LF.
type content struct {
	lim     Limits
	dst     io.Writer
	res     Result
	fault   error // the first; nothing is delivered after it
	line    int64 // octets of the unfinished line
	scratch []byte
	lender  Room // dst, while the octets lie in memory that it lent
}

// layout is what the line scan found in a piece.
type layout struct {
	crlf   int // line ends
	bareLF int // index of the first bare LF, -1 if none
}

// scanLines measures the lines of b and returns where the line ends are.
func (c *content) scanLines(b []byte) layout {
	found := layout{bareLF: -1}
	for p := 0; ; {
		if c.line == 0 {
			p = c.ordinary(b, p, &found)
		}
		if c.line == 0 && p < len(b) && b[p] == '.' {
			c.res.dot(c.res.Delivered + int64(p))
		}
		i := bytes.IndexByte(b[p:], '\n')
		if i < 0 {
			c.longer(len(b) - p)
			return found
		}
		c.endLine(b, p, p+i, &found)
		p += i + 1
	}
}

// ordinary measures whole lines from b[p], where a line begins, as long as they
// end with CRLF and do not begin with a dot, and returns where it stopped.
// Nearly every line of nearly every message is such a one: this loop is what
// the speed of large messages depends on.
func (c *content) ordinary(b []byte, p int, found *layout) int {
	lines, longest := 0, 0
	for p < len(b) && b[p] != '.' {
		i := bytes.IndexByte(b[p:], '\n')
		if i < 1 || b[p+i-1] != '\r' {
			break
		}
		longest = max(longest, i-1)
		lines++
		p += i + 1
	}
	found.crlf += lines
	c.res.Lines += int64(lines)
	c.res.LongestLine = max(c.res.LongestLine, int64(longest))
	return p
}

// endLine notes the line that ends with the LF at b[i] and of which the
// octets from b[p] on are new.
func (c *content) endLine(b []byte, p, i int, found *layout) {
	if i > p && b[i-1] == '\r' {
		found.crlf++
		c.longer(i - p - 1)
	} else {
		if found.bareLF < 0 {
			found.bareLF = i
		}
		c.longer(i - p)
	}
	c.res.Lines++
	c.line = 0
}

func (c *content) longer(n int) {
	c.line += int64(n)
	c.res.LongestLine = max(c.res.LongestLine, c.line)
}

// take judges and delivers the piece b, which found describes. b may be
// changed. lines is the count of lines before b.
func (c *content) take(b []byte, found layout, lines int64) error {
	if len(b) == 0 {
		return nil
	}
	if !c.res.EightBit {
		c.res.EightBit = hasEightBit(b)
	}
	kind, at := firstViolation(b, found)
	if kind != 0 && c.lim.Normalise {
		b, kind = c.normalise(b), 0
		c.res.forgetDots()
	}
	if c.fault == nil {
		if kind == 0 {
			at = len(b)
		}
		c.deliver(b[:at])
		if kind != 0 && c.fault == nil {
			line := lines + int64(bytes.Count(b[:at], []byte{'\n'})) + 1
			c.fault = &ContentError{kind, c.res.Size + int64(at), line}
		}
	}
	if c.fault != nil {
		c.res.forgetDots()
	}
	if len(b) > 0 {
		c.res.Unended = b[len(b)-1] != '\n'
	}
	c.res.Size += int64(len(b))
	return c.flood()
}

// deliver writes b, or as much of it as the size limit leaves.
func (c *content) deliver(b []byte) {
	var over error
	if left := c.lim.MaxSize - c.res.Delivered; int64(len(b)) > left {
		b, over = b[:left], ErrTooBig
	}
	if len(b) > 0 && c.lender != nil {
		c.lender.Keep(len(b)) // b begins where the loan does
		c.res.Delivered += int64(len(b))
	} else if len(b) > 0 {
		n, err := c.dst.Write(b)
		c.res.Delivered += int64(n)
		if err == nil && n < len(b) {
			err = io.ErrShortWrite
		}
		if err != nil {
			c.fault = &SinkError{err}
			return
		}
	}
	c.fault = over
}

// flood tells when more of a refused message came than is worth reading.
func (c *content) flood() error {
	if c.fault != nil && c.res.Size-c.res.Delivered > c.lim.MaxDiscard {
		return ErrFlood
	}
	// Dropped NULs count nowhere else.
	if c.res.Repaired > c.lim.MaxDiscard {
		return ErrFlood
	}
	return nil
}

// firstViolation finds the first octet of b that no message may have. found
// is of all of b.
func firstViolation(b []byte, found layout) (kind Violation, at int) {
	at = len(b)
	if found.bareLF >= 0 {
		kind, at = BareLF, found.bareLF
	}
	if i := bytes.IndexByte(b[:at], 0); i >= 0 {
		kind, at = NUL, i
	}
	if kind == 0 && bytes.Count(b, []byte{'\r'}) == found.crlf {
		return 0, 0
	}
	for p := 0; ; {
		i := bytes.IndexByte(b[p:at], '\r')
		if i < 0 {
			return kind, at
		}
		if p += i + 1; p == len(b) || b[p] != '\n' {
			return BareCR, p - 1
		}
	}
}

// normalise returns b with CRLF for each bare CR and LF and without NULs.
func (c *content) normalise(b []byte) []byte {
	out := c.scratch[:0]
	for len(b) > 0 {
		i := bytes.IndexAny(b, "\r\n\x00")
		if i < 0 {
			out = append(out, b...)
			break
		}
		out = append(out, b[:i]...)
		rest := b[i+1:]
		switch {
		case b[i] == '\r' && len(rest) > 0 && rest[0] == '\n':
			rest = rest[1:]
			out = append(out, '\r', '\n')
		case b[i] == 0:
			c.res.Repaired++
		default:
			c.res.Repaired++
			if b[i] == '\r' {
				c.res.Lines++
			}
			out = append(out, '\r', '\n')
		}
		b = rest
	}
	c.scratch = out
	return out
}

// hasEightBit tells whether b has an octet over 127, sixty-four at a time.
func hasEightBit(b []byte) bool {
	const high = 0x8080808080808080
	for len(b) >= 64 {
		p := (*[64]byte)(b)
		v := binary.NativeEndian.Uint64(p[0:]) | binary.NativeEndian.Uint64(p[8:]) |
			binary.NativeEndian.Uint64(p[16:]) | binary.NativeEndian.Uint64(p[24:])
		w := binary.NativeEndian.Uint64(p[32:]) | binary.NativeEndian.Uint64(p[40:]) |
			binary.NativeEndian.Uint64(p[48:]) | binary.NativeEndian.Uint64(p[56:])
		if (v|w)&high != 0 {
			return true
		}
		b = b[64:]
	}
	for _, x := range b {
		if x >= 0x80 {
			return true
		}
	}
	return false
}
