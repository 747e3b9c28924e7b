// Package lzfu opens compressed RTF, as Outlook keeps the body of a message in TNEF and .msg. [MS-OXRTFCP].
package lzfu

import (
	"encoding/binary"
	"errors"
)

// ErrFormat says that it is no compressed RTF, or that it ends early.
var ErrFormat = errors.New("no compressed RTF")

// dictionary is what the dictionary has at the beginning: 2.1.2.1.
const dictionary = "{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"

// Unpack returns the RTF, at most so many octets of it: 17 octets of a token of two are the most, so that a body unpacks to 8
// times its size. The checksum is not looked at; Outlook does, and what it would not show does no harm to look into.
func Unpack(b []byte, most int) ([]byte, error) {
	if len(b) < 16 {
		return nil, ErrFormat
	}
	size := min(int(binary.LittleEndian.Uint32(b[4:])&0x7fffffff), most)
	kind := string(b[8:12])
	b = b[16:]
	switch kind {
	case "MELA": // not compressed
		return b[:min(size, len(b))], nil
	case "LZFu":
	default:
		return nil, ErrFormat
	}
	var dict [4096]byte
	at := copy(dict[:], dictionary)
	out := make([]byte, 0, min(size, 8*len(b)))
	put := func(c byte) {
		out = append(out, c)
		dict[at] = c
		at = (at + 1) & 4095
	}
	for len(b) > 0 && len(out) < size {
		flags := b[0]
		b = b[1:]
		for bit := 0; bit < 8 && len(out) < size; bit++ {
			if flags>>bit&1 == 0 {
				if len(b) < 1 {
					return out, ErrFormat
				}
				put(b[0])
				b = b[1:]
				continue
			}
			if len(b) < 2 {
				return out, ErrFormat
			}
			from, n := int(b[0])<<4|int(b[1])>>4, int(b[1]&15)+2
			b = b[2:]
			if from == at { // the end
				return out, nil
			}
			for range n {
				put(dict[from])
				from = (from + 1) & 4095
			}
		}
	}
	return out, nil
}
