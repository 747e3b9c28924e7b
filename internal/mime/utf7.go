package mime

import (
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/transform"
)

// utf7 is UTF-7 (RFC 2152), which can write any text in US-ASCII that says something else. It is only read.
type utf7 struct{}

func (utf7) NewDecoder() *encoding.Decoder { return &encoding.Decoder{Transformer: &utf7Decoder{}} }
func (utf7) NewEncoder() *encoding.Encoder { return encoding.Nop.NewEncoder() }

type utf7Decoder struct {
	shifted bool   // behind a plus sign
	empty   bool   // right behind it
	bits    uint32 // of the letters read
	have    uint   // how many of them count
	high    rune   // the first half of a surrogate pair
}

func (d *utf7Decoder) Reset() { *d = utf7Decoder{} }

func (d *utf7Decoder) Transform(dst, src []byte, _ bool) (nDst, nSrc int, err error) {
	for ; nSrc < len(src); nSrc++ {
		if len(dst)-nDst < 2*utf8.UTFMax {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += d.octet(dst[nDst:], src[nSrc])
	}
	return nDst, nSrc, nil
}

// octet takes one octet and writes what that completes.
func (d *utf7Decoder) octet(dst []byte, c byte) int {
	if !d.shifted {
		if c == '+' {
			*d = utf7Decoder{shifted: true, empty: true}
			return 0
		}
		return utf8.EncodeRune(dst, plainRune(c))
	}
	if v := sextets[3][c]; v < 64 {
		d.empty = false
		d.bits, d.have = d.bits<<6|v, d.have+6
		if d.have < 16 {
			return 0
		}
		d.have -= 16
		return d.unit(dst, rune(d.bits>>d.have&0xffff))
	}
	n := 0
	if d.high != 0 {
		n = utf8.EncodeRune(dst, utf8.RuneError)
	}
	if c == '-' {
		if d.empty {
			n += utf8.EncodeRune(dst[n:], '+')
		}
	} else {
		n += utf8.EncodeRune(dst[n:], plainRune(c))
	}
	d.Reset()
	return n
}

// unit takes 16 bits of UTF-16.
func (d *utf7Decoder) unit(dst []byte, u rune) int {
	if high := d.high; high != 0 {
		d.high = 0
		if r := utf16.DecodeRune(high, u); r != utf8.RuneError {
			return utf8.EncodeRune(dst, r)
		}
		n := utf8.EncodeRune(dst, utf8.RuneError)
		return n + d.unit(dst[n:], u)
	}
	if u >= 0xd800 && u < 0xdc00 {
		d.high = u
		return 0
	}
	return utf8.EncodeRune(dst, u)
}

func plainRune(c byte) rune {
	if c < 0x80 {
		return rune(c)
	}
	return utf8.RuneError
}
