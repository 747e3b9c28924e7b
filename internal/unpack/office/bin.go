package office

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
)

// u16 and u32 read a little-endian number, 0 where there is none.
func u16(b []byte, at int) int {
	if at < 0 || at+2 > len(b) {
		return 0
	}
	return int(binary.LittleEndian.Uint16(b[at:]))
}

func u32(b []byte, at int) uint32 {
	if at < 0 || at+4 > len(b) {
		return 0
	}
	return binary.LittleEndian.Uint32(b[at:])
}

// cut returns up to n octets at a place, fewer where there are fewer.
func cut(b []byte, at, n int) []byte {
	if at < 0 || at >= len(b) || n <= 0 {
		return nil
	}
	return b[at : at+min(n, len(b)-at)]
}

// wide decodes UTF-16LE up to a NUL.
func wide(b []byte) string {
	u := make([]uint16, 0, len(b)/2)
	for i := 0; i+1 < len(b); i += 2 {
		c := binary.LittleEndian.Uint16(b[i:])
		if c == 0 {
			break
		}
		u = append(u, c)
	}
	return string(utf16.Decode(u))
}

// narrow decodes an 8-bit text up to a NUL, as Latin-1 where it is no UTF-8: the code page is seldom known, and what is
// looked for is ASCII.
func narrow(b []byte) string {
	for i, c := range b {
		if c == 0 {
			b = b[:i]
			break
		}
	}
	return latin(b)
}

func latin(b []byte) string {
	plain := true
	for _, c := range b {
		plain = plain && c < 0x80
	}
	if plain {
		return string(b)
	}
	var s strings.Builder
	s.Grow(len(b) + 16)
	for _, c := range b {
		s.WriteRune(rune(c))
	}
	return s.String()
}

// guid writes a CLSID as it lies in files, without braces, in capitals.
func guid(b []byte) string {
	if len(b) < 16 {
		return ""
	}
	const hex = "0123456789ABCDEF"
	var s strings.Builder
	for i, at := range [...]int{3, 2, 1, 0, -1, 5, 4, -1, 7, 6, -1, 8, 9, -1, 10, 11, 12, 13, 14, 15} {
		_ = i
		if at < 0 {
			s.WriteByte('-')
			continue
		}
		s.WriteByte(hex[b[at]>>4])
		s.WriteByte(hex[b[at]&15])
	}
	return s.String()
}

// fold makes one line of a text: white space of any length is one space.
func fold(s string) string { return strings.Join(strings.Fields(s), " ") }

// short cuts a text for evidence before it is cleaned.
func short(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
