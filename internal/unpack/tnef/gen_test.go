package tnef

import (
	"encoding/binary"
	"unicode/utf16"
)

func le32(n int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(n)) }

func attribute(level byte, kind, id int, body string) string {
	sum := 0
	for _, c := range []byte(body) {
		sum += int(c)
	}
	return string(level) + string(le32(kind<<16|id)) + string(le32(len(body))) + body + string([]byte{byte(sum), byte(sum >> 8)})
}

// write writes a TNEF stream.
func write(attributes ...string) []byte {
	out := "\x78\x9f\x3e\x22\x01\x00"
	out += attribute(levelMessage, 8, 0x9006, "\x00\x00\x01\x00")                 // attTnefVersion
	out += attribute(levelMessage, 6, 0x9007, "\xe4\x04\x00\x00\x00\x00\x00\x00") // attOemCodepage
	out += attribute(levelMessage, 7, 0x8008, "IPM.Microsoft Mail.Note\x00")
	for _, a := range attributes {
		out += a
	}
	return []byte(out)
}

func padded(s string) string {
	for len(s)%4 != 0 {
		s += "\x00"
	}
	return s
}

func prop(id, kind int, value string) string {
	head := string(le32(id<<16 | kind))
	if fixed(kind) > 0 {
		return head + value
	}
	return head + string(le32(1)) + string(le32(len(value))) + padded(value)
}

func list(props ...string) string {
	out := string(le32(len(props)))
	for _, p := range props {
		out += p
	}
	return out
}

func utf16le(s string) string {
	var b []byte
	for _, c := range utf16.Encode([]rune(s + "\x00")) {
		b = binary.LittleEndian.AppendUint16(b, c)
	}
	return string(b)
}

// file is an attachment with a short and a long name.
func file(title, long, content string) string {
	out := attribute(levelAttach, 6, attRender, "\x01\x00\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00")
	out += attribute(levelAttach, 1, attTitle, title+"\x00") + attribute(levelAttach, 6, attData, content)
	if long != "" {
		out += attribute(levelAttach, 6, attAttachment, list(prop(0x3705, 3, "\x01\x00\x00\x00"), prop(0x3707, typeUnicode, utf16le(long))))
	}
	return out
}

const lzfuHello = "\x2d\x00\x00\x00\x2b\x00\x00\x00LZFu\xf1\xc5\xc7\xa7\x03\x00\x0a\x00rcpg125B2\x0a\xf3 hel\x09\x00 bw\x05\xb0ld}\x0a\x80\x0f\xa0"

func generated() map[string][]byte {
	out := map[string][]byte{}
	out["10-two-files.tnef"] = write(file("notes.txt", "notes of today.txt", "hello"), file("a.exe", "", "MZ"))
	out["11-names-differ.tnef"] = write(file("picture.jpg", "run me.exe", "MZ"))
	out["12-body.tnef"] = write(attribute(levelMessage, 2, attBody, "plain\x00"), attribute(levelMessage, 6, attMessage, list(
		string(le32(0x8001<<16|3))+"\x29\x03\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46"+"\x01\x00\x00\x00"+string(le32(10))+padded(utf16le("abcd"))+"\x05\x00\x00\x00",
		prop(0x1009, typeBinary, lzfuHello), prop(0x1013, typeBinary, "<p>hello</p>"))))
	nested := write(file("inner.js", "inner script.js", "alert"))
	out["13-nested.tnef"] = write(attribute(levelAttach, 6, attRender, "\x01\x00\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00") + attribute(levelAttach, 1, attTitle, "a message\x00") +
		attribute(levelAttach, 6, attAttachment, list(prop(0x3701, typeObject, "\x07\x03\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46"+string(nested)))))
	out["14-object.tnef"] = write(attribute(levelAttach, 6, attRender, "\x02\x00\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00") + attribute(levelAttach, 1, attTitle, "Picture\x00") +
		attribute(levelAttach, 6, attAttachment, list(prop(0x3701, typeObject, "\x0b\x00\x00\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46\xd0\xcf\x11\xe0"))))
	out["15-no-begin.tnef"] = write(attribute(levelAttach, 1, attTitle, "a.txt\x00")+attribute(levelAttach, 6, attData, "one"), attribute(levelAttach, 1, attTitle, "b.txt\x00")+attribute(levelAttach, 6, attData, "two"))
	whole := write(file("long.bin", "", "0123456789"))
	out["16-cut.tnef"] = whole[:len(whole)-6]
	out["17-lies.tnef"] = append(write(file("a.bin", "", "x")), "\x02\x0f\x80\x06\x00\xff\xff\xff\x7fabc"...)
	out["18-garbage.tnef"] = append(write(file("a.bin", "", "x")), "no more attributes"...)
	out["19-empty.tnef"] = []byte("\x78\x9f\x3e\x22\x01\x00")
	return out
}
