package office

import (
	"bytes"
	"compress/zlib"
	"strconv"
	"strings"

	"gatepost/internal/unpack"
)

// word looks at the main stream of Word 97 to 2003. [MS-DOC] 2.5.2: the flags of FibBase.
func (o *oleFile) word(b []byte) {
	if flags := u16(b, 10); flags&0x0100 != 0 {
		o.w.Sign(o.at, unpack.Encrypted, "document")
		if flags&0x8000 == 0 {
			return
		}
	}
	// A field begins with 0x13; its instruction ends with 0x14 or 0x15. Text is 8-bit or UTF-16, piece by piece.
	for rest := b; ; {
		i := bytes.IndexByte(rest, 0x13)
		if i < 0 {
			break
		}
		rest = rest[i+1:]
		raw := cut(rest, 0, 1024)
		if !fieldStart(raw) {
			continue
		}
		var text string
		if len(raw) > 0 && raw[0] == 0 {
			text = wide(raw[1:min(len(raw), 64)])
			if fieldWord(text) {
				text = wide(raw[1:])
			}
		} else {
			text = narrow(cut(raw, 0, 32))
			if fieldWord(text) {
				text = narrow(raw)
			}
		}
		if !fieldWord(text) {
			continue
		}
		if end := strings.IndexAny(text, "\x14\x15"); end >= 0 {
			text = text[:end]
		}
		field(o.w, o.at, text)
	}
}

// fieldStart reports, at no cost, whether the first letter behind 0x13 may be that of a field that is looked at.
func fieldStart(raw []byte) bool {
	for _, c := range raw[:min(len(raw), 40)] {
		switch c {
		case 0, ' ', '\t', '"':
			continue
		case 'd', 'h', 'i', 'l', 'r', 'D', 'H', 'I', 'L', 'R':
			return true
		}
		return false
	}
	return false
}

// fieldWord reports whether a text begins like a field that is looked at.
func fieldWord(text string) bool {
	word, _, _ := strings.Cut(strings.TrimLeft(text, " \t\""), " ")
	switch strings.ToUpper(strings.TrimRight(word, "\x14\x15\r\n\t\"")) {
	case "DDE", "DDEAUTO", "HYPERLINK", "INCLUDEPICTURE", "INCLUDETEXT", "INCLUDE", "IMPORT", "LINK", "DATABASE", "RD", "HTMLACTIVEX":
		return true
	}
	return false
}

// field looks at the instruction of a field of Word: ECMA-376 part 1, 17.16.5.
func field(w *unpack.Walk, at int, text string) {
	text = fold(strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, text))
	word, rest, _ := strings.Cut(text, " ")
	word = strings.ToUpper(strings.Trim(word, `"`))
	switch word {
	case "DDE", "DDEAUTO":
		w.Sign(at, unpack.DDE, word+" "+rest)
	case "HYPERLINK":
		if u := argument(rest); u != "" && !strings.HasPrefix(u, `\`) || strings.HasPrefix(u, `\\`) {
			w.Link(at, unpack.Link{URI: u, Where: "document"})
		}
	case "INCLUDEPICTURE", "INCLUDETEXT", "INCLUDE", "IMPORT", "LINK", "DATABASE", "RD":
		for _, p := range strings.Fields(strings.ReplaceAll(rest, `"`, " ")) {
			if q := strings.ReplaceAll(p, `\\`, `\`); remote(p) || remote(q) || strings.HasPrefix(p, `\\\\`) {
				w.Sign(at, unpack.RemoteContent, word+" "+rest)
				return
			}
		}
		if word == "LINK" && strings.Contains(strings.ToLower(rest), ".exe") {
			w.Sign(at, unpack.DDE, word+" "+rest)
		}
	}
}

// argument is the first argument of a field, without its quotes.
func argument(rest string) string {
	rest = strings.TrimSpace(rest)
	if q, ok := strings.CutPrefix(rest, `"`); ok {
		a, _, _ := strings.Cut(q, `"`)
		return a
	}
	a, _, _ := strings.Cut(rest, " ")
	return a
}

// slides looks at the main stream of PowerPoint 97 to 2003: records in each other, of which those that keep a compound file
// matter. [MS-PPT] 2.10.34: ExOleObjStg, with the project of macros or an embedded object.
func (o *oleFile) slides(b []byte) error {
	if user := o.f.stream(0, "Current User"); u32(user, 12) == 0xF3D1C4DF || o.f.find(0, "EncryptedSummary") >= 0 {
		o.w.Sign(o.at, unpack.Encrypted, "document")
		return nil
	}
	n := 0
	for at := 0; at+8 <= len(b); {
		version, id, size := u16(b, at), u16(b, at+2), int(u32(b, at+4)&0x7fffffff)
		at += 8
		if version&0xf == 0xf {
			continue // a container: what is in it follows
		}
		body := cut(b, at, size)
		at += len(body)
		if id == 0x0FBA && version>>4 == 0 { // CString of a hyperlink's target, among others
			if u := wide(body); remote(u) {
				o.w.Link(o.at, unpack.Link{URI: u, Where: "document"})
			}
		}
		if id != 0x1011 {
			continue
		}
		n++
		e := unpack.Entry{Name: "ExOleObjStg " + strconv.Itoa(n), Size: -1, Packed: int64(len(body))}
		if version>>4 == 0 {
			if err := o.w.Enter(o.at, e, bytes.NewReader(body)); err != nil {
				return err
			}
			continue
		}
		z, err := zlib.NewReader(bytes.NewReader(cut(body, 4, len(body))))
		if err != nil {
			continue
		}
		if err := o.w.Enter(o.at, e, z); err != nil {
			return err
		}
	}
	return nil
}
