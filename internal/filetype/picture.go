package filetype

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

const (
	// leastCode is the side in points of the smallest code that a telephone reads as a link, with a point for each module.
	leastCode = 21
	// mostSide bounds the other side.
	mostSide = 4096
	// longText is how many letters in a row are a text, where compressed points have none.
	longText = 16
)

// OnlySmallPicture reports whether content, all of it, is one GIF or PNG and nothing else: each block in its place and of its
// size, no comment, no animation, nothing behind the end, no text and no other file in the points; with a side below that of
// the smallest code. Nobody has to look into such a picture. What it does not know is not one.
func OnlySmallPicture(c []byte) bool {
	return (smallGIF(c) || smallPNG(c)) && !bytes.Contains(c, []byte("PK\x05\x06")) && !bytes.Contains(c, []byte("%PDF-")) && !hasText(c)
}

// hasText reports whether letters stand in a row.
func hasText(c []byte) bool {
	n := 0
	for _, b := range c {
		if b < ' ' || b > '~' {
			n = 0
		} else if n++; n == longText {
			return true
		}
	}
	return false
}

func smallSides(w, h uint32) bool {
	return w > 0 && h > 0 && w <= mostSide && h <= mostSide && min(w, h) < leastCode
}

// smallGIF walks a GIF (GIF89a specification, appendix B) with one picture and at most what says how it is shown.
func smallGIF(c []byte) bool {
	if len(c) < 13 || string(c[:6]) != "GIF87a" && string(c[:6]) != "GIF89a" {
		return false
	}
	w, h := uint32(binary.LittleEndian.Uint16(c[6:])), uint32(binary.LittleEndian.Uint16(c[8:]))
	at, control := 13+colours(c[10]), false
	if !smallSides(w, h) {
		return false
	}
	if at+8 <= len(c) && string(c[at:at+3]) == "\x21\xf9\x04" && c[at+7] == 0 {
		at, control = at+8, true
	}
	if at+10 > len(c) || c[at] != 0x2c || control && string(c[:6]) == "GIF87a" {
		return false
	}
	d := c[at:]
	right := uint32(binary.LittleEndian.Uint16(d[1:])) + uint32(binary.LittleEndian.Uint16(d[5:]))
	bottom := uint32(binary.LittleEndian.Uint16(d[3:])) + uint32(binary.LittleEndian.Uint16(d[7:]))
	if right > w || bottom > h {
		return false
	}
	at += 10 + colours(d[9])
	if at >= len(c) || c[at] < 2 || c[at] > 8 {
		return false
	}
	for at++; at < len(c) && c[at] != 0; { // the points, in blocks
		at += 1 + int(c[at])
	}
	return at+2 == len(c) && c[at+1] == 0x3b
}

// colours is the size of a table of colours in octets, by the flags that tell of it.
func colours(flags byte) int {
	if flags&0x80 == 0 {
		return 0
	}
	return 3 << (flags&7 + 1)
}

// smallPNG walks the chunks of a PNG (ISO/IEC 15948): those that tell points and colours, each with its checksum.
func smallPNG(c []byte) bool {
	const magic = "\x89PNG\r\n\x1a\n"
	if len(c) < len(magic)+25 || string(c[:len(magic)+8]) != magic+"\x00\x00\x00\x0dIHDR" {
		return false
	}
	if !smallSides(binary.BigEndian.Uint32(c[16:]), binary.BigEndian.Uint32(c[20:])) {
		return false
	}
	points, behind := false, false // the points, and something behind them
	for at, first := len(magic), true; at+12 <= len(c); first = false {
		n, kind := binary.BigEndian.Uint32(c[at:]), string(c[at+4:at+8])
		if int64(n) > int64(len(c)-at-12) {
			return false
		}
		end := at + 8 + int(n)
		if crc32.ChecksumIEEE(c[at+4:end]) != binary.BigEndian.Uint32(c[end:]) || first != (kind == "IHDR") {
			return false
		}
		switch {
		case kind == "IDAT" && !behind:
			points = true
		case kind == "IEND" && n == 0:
			return points && end+4 == len(c)
		case n == 0, n > mostOf(kind):
			return false
		default:
			behind = points
		}
		at = end + 4
	}
	return false
}

// mostOf is how long a chunk may be that tells of colours, sizes or times; 0 where it is none of these.
func mostOf(kind string) uint32 {
	switch kind {
	case "PLTE":
		return 768
	case "tRNS":
		return 256
	case "cHRM":
		return 32
	case "IHDR":
		return 13
	case "pHYs":
		return 9
	case "tIME":
		return 7
	case "bKGD":
		return 6
	case "gAMA", "sBIT":
		return 4
	case "sRGB":
		return 1
	}
	return 0
}
