package packing

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"unicode/utf16"
)

// put writes texts, octets and little-endian numbers one behind the other.
func put(b *bytes.Buffer, all ...any) {
	for _, v := range all {
		switch v := v.(type) {
		case string:
			b.WriteString(v)
		case []byte:
			b.Write(v)
		default:
			_ = binary.Write(b, binary.LittleEndian, v) // into memory: numbers of a fixed size cannot fail
		}
	}
}

// utf16le is a text in UTF-16, little end first.
func utf16le(s string) (out []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return out
}

// RAR is a RAR of version 5 with the file as it is.
func RAR(name string, content []byte) []byte {
	var b bytes.Buffer
	v := func(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }
	block := func(parts ...[]byte) {
		body := bytes.Join(parts, nil)
		body = append(v(len(body)), body...)
		put(&b, crc32.ChecksumIEEE(body), body)
	}
	put(&b, "Rar!\x1a\x07\x01\x00")
	block(v(1), v(0), v(0))
	block(v(2), v(3), v(0), v(len(content)), v(4), v(len(content)), v(0o100644), binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(content)),
		v(0), v(1), v(len(name)), []byte(name))
	put(&b, content)
	block(v(5), v(0), v(0))
	return b.Bytes()
}

// SevenZip is a 7z with the file as it is.
func SevenZip(name string, content []byte) []byte {
	var h, b bytes.Buffer
	number := func(n int) []byte { return binary.LittleEndian.AppendUint64([]byte{0xff}, uint64(n)) }
	text := append(utf16le(name+"\x00"), 0)
	text = append([]byte{0}, text[:len(text)-1]...)
	put(&h, "\x01\x04\x06\x00\x01\x09", number(len(content)), "\x00\x07\x0b\x01\x00\x01\x01\x00\x0c", number(len(content)), "\x00\x08\x0d", number(1), "\x00\x00",
		"\x05", number(1), "\x11", number(len(text)), text, "\x00\x00")
	var start bytes.Buffer
	put(&start, uint64(len(content)), uint64(h.Len()), crc32.ChecksumIEEE(h.Bytes()))
	put(&b, "7z\xbc\xaf\x27\x1c\x00\x04", crc32.ChecksumIEEE(start.Bytes()), start.Bytes(), content, h.Bytes())
	return b.Bytes()
}

// Cabinet is a cabinet of Windows with the file as it is.
func Cabinet(name string, content []byte) []byte {
	var b bytes.Buffer
	file := 16 + len(name) + 1
	at := 36 + 8 + file
	put(&b, "MSCF\x00\x00\x00\x00", uint32(at+8+len(content)), uint32(0), uint32(44), uint32(0), byte(3), byte(1), uint16(1), uint16(1), uint16(0), uint16(1), uint16(0))
	put(&b, uint32(at), uint16(1), uint16(0), uint32(len(content)), uint32(0), uint16(0), uint32(0), uint16(0x20), name+"\x00")
	put(&b, uint32(0), uint16(len(content)), uint16(len(content)), content)
	return b.Bytes()
}

// ISO is an image of a disc (ECMA-119) with the file below its root. content is of at most a sector.
func ISO(name string, content []byte) []byte {
	const sector, start = 2048, 16 * 2048
	b := make([]byte, 20*sector)
	both := func(at int, n int) { // a number with its little end first, and again with its big end
		binary.LittleEndian.PutUint32(b[at:], uint32(n))
		binary.BigEndian.PutUint32(b[at+4:], uint32(n))
	}
	record := func(at int, name string, extent, size int, flags byte) int {
		n := 33 + len(name) + (len(name)+1)%2
		b[at], b[at+25], b[at+32] = byte(n), flags, byte(len(name))
		both(at+2, extent)
		both(at+10, size)
		copy(b[at+33:], name)
		return at + n
	}
	copy(b[start:], "\x01CD001\x01")
	both(start+80, 20)
	copy(b[start+120:], "\x01\x00\x00\x01\x01\x00\x00\x01\x00\x08\x08\x00")
	record(start+156, "\x00", 18, sector, 2)
	copy(b[start+sector:], "\xffCD001\x01")
	at := record(18*sector, "\x00", 18, sector, 2)
	at = record(at, "\x01", 18, sector, 2)
	record(at, name+";1", 19, len(content), 0)
	copy(b[19*sector:], content)
	return b
}
