package mime

import "bytes"

// quoted reads quoted-printable as mail clients do: an equals sign that begins no escape stands for itself, and blanks at
// the end of a line stay.
func (d *decoder) quoted(dst, src []byte) []byte {
	for len(src) > 0 && d.holds > 0 {
		dst, src = d.held1(dst, src)
	}
	for {
		i := bytes.IndexByte(src, '=')
		if i < 0 {
			return append(dst, src...)
		}
		dst, src = append(dst, src[:i]...), src[i:]
		if len(src) >= 3 {
			if a, b := hexDigit(src[1]), hexDigit(src[2]); a|b < 16 {
				dst, src = append(dst, a<<4|b), src[3:]
				continue
			}
			if src[1] == '\r' && src[2] == '\n' {
				src = src[3:]
				continue
			}
		}
		d.held[0], d.holds = '=', 1
		src = src[1:]
		for len(src) > 0 && d.holds > 0 {
			dst, src = d.held1(dst, src)
		}
	}
}

// held1 takes one more octet behind an equals sign, and ends the escape where that tells what it is.
func (d *decoder) held1(dst, src []byte) (out, rest []byte) {
	c, last := src[0], d.held[d.holds-1]
	blanks := len(trimBlanks(d.held[1:d.holds])) == 0
	switch {
	case c == '\n' && (blanks || last == '\r'):
		d.holds = 0 // a soft line break
		return dst, src[1:]
	case last == '\r':
		// Not one after all.
	case c == '\r' && blanks, (c == ' ' || c == '\t') && blanks && d.holds < maxHeld-1:
		d.held[d.holds] = c
		d.holds++
		return dst, src[1:]
	case d.holds == 1 && hexDigit(c) < 16:
		d.held[1], d.holds = c, 2
		return dst, src[1:]
	case d.holds == 2 && hexDigit(last) < 16 && hexDigit(c) < 16:
		d.holds = 0
		return append(dst, hexDigit(last)<<4|hexDigit(c)), src[1:]
	}
	d.broken = true
	dst = append(dst, d.held[:d.holds]...)
	d.holds = 0
	return dst, src
}

// hexDigit is the value of a hexadecimal digit; 255 of what is none.
func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

// trimBlanks cuts blanks off at the beginning.
func trimBlanks(b []byte) []byte { return bytes.TrimLeft(b, " \t") }
