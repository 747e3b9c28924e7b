package pdf

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"

	"gatepost/internal/unpack"
)

type format struct{}

func (format) Name() string { return "pdf" }

// headWithin is where viewers look for the header, in octets.
const headWithin = 1024

// Match takes a header in the first kilobyte, as viewers do. What begins as a zip or another container with a signature may hold a
// PDF there that is no PDF itself.
func (format) Match(head []byte, _ unpack.Content) bool {
	i := bytes.Index(head[:min(len(head), headWithin+5)], []byte("%PDF-"))
	if i <= 0 {
		return i == 0
	}
	for _, other := range []string{"PK\x03\x04", "7z\xBC\xAF", "Rar!", "\x1f\x8b", "\xD0\xCF\x11\xE0", "MSCF", "!<arch>", "{\\rt"} {
		if bytes.HasPrefix(head, []byte(other)) {
			return false
		}
	}
	return !tar(head)
}

// tar reports whether it begins with a header of tar, whose sum is right: a PDF that is its first file begins within a kilobyte.
// Old ones have no signature.
func tar(head []byte) bool {
	if len(head) < 512 {
		return false
	}
	sum := 0
	for i, c := range head[:512] {
		if i >= 148 && i < 156 {
			c = ' '
		}
		sum += int(c)
	}
	want, err := strconv.ParseInt(string(bytes.Trim(head[148:156], " \x00")), 8, 32)
	return err == nil && int(want) == sum
}

func (format) Open(w *unpack.Walk, at int, c unpack.Content) error {
	b := c.Bytes()
	l := looker{w: w, at: at, f: &file{inflate: maxInflate}, entered: map[*entry]bool{}}
	if i := bytes.Index(b, []byte("%PDF-")); i > 0 {
		if head := bytes.TrimSpace(b[:i]); len(head) > 0 {
			w.Sign(at, unpack.Trailing, "the PDF begins at octet "+strconv.Itoa(i))
		}
	}
	l.f.scan(b)
	if err := w.Check(); err != nil {
		return err
	}
	if !l.unlock() {
		w.Sign(at, unpack.Encrypted, "document")
		return l.end(b) // what is not encrypted, the structure, is in clear but for object streams
	}
	if err := l.f.expand(w.Check); err != nil {
		if errors.Is(err, errInflate) {
			return w.Over(unpack.TooMuch, at)
		}
		return err
	}
	if len(l.f.entries) == 0 {
		return errors.New("no object is found")
	}
	for i := range l.f.entries {
		if i&0xfff == 0 {
			if err := w.Check(); err != nil {
				return err
			}
		}
		if err := l.entry(&l.f.entries[i]); err != nil {
			return err
		}
	}
	if err := l.files(); err != nil {
		return err
	}
	return l.end(b)
}

// unlock opens the encryption of the file, if it has any; false: it stays shut.
func (l *looker) unlock() bool {
	f := l.f
	var d *dict
	var id []byte
	var at object
	for _, t := range f.trailers {
		if o := t.get("Encrypt"); o != nil {
			d, at = f.dict(o), o
		}
		if list, ok := f.resolve(t.get("ID")).(array); ok && len(list) > 0 && id == nil {
			if s, ok := f.resolve(list[0]).(text); ok {
				id = []byte(s)
			}
		}
	}
	if at == nil {
		return true
	}
	c := openCrypt(f, d, id)
	if c == nil {
		return false
	}
	if r, ok := at.(ref); ok {
		l.skip = r.number // its own strings are in clear
	}
	f.crypt = c
	l.w.Sign(l.at, unpack.OwnerPassword, "")
	return true
}

// end looks at what is behind the last end of the file: a viewer stops there, and another program may begin.
func (l *looker) end(b []byte) error {
	if l.f.escaped {
		l.w.Sign(l.at, unpack.Script, "names are written with # to hide them")
	}
	if i := bytes.LastIndex(b, []byte("%%EOF")); i >= 0 {
		if rest := bytes.Trim(b[i+5:], "\x00 \r\n\t"); len(rest) > 64 {
			l.w.Sign(l.at, unpack.Trailing, strconv.Itoa(len(rest))+" octets behind the end")
			if err := l.w.Enter(l.at, unpack.Entry{Name: "behind the end", Size: int64(len(rest))}, bytes.NewReader(rest)); err != nil {
				return err
			}
		}
	}
	if errors.Is(l.f.err, errMuch) {
		return l.w.Over(unpack.TooMuch, l.at)
	}
	return l.f.err
}

// text is a string of an object as people read it: decrypted, UTF-16 or Latin-1.
func (l *looker) text(e *entry, o object) string {
	s, ok := l.f.resolve(o).(text)
	if !ok {
		return ""
	}
	if r, is := o.(ref); is {
		if i, ok := l.f.last[r.number]; ok {
			e = &l.f.entries[i]
		}
	}
	if l.f.crypt != nil && !e.packed && e.id.number != l.skip {
		s = l.f.crypt.text(e.id, s)
	}
	return decodeText([]byte(s))
}

func decodeText(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte("\xfe\xff")), bytes.HasPrefix(b, []byte("\xff\xfe")):
		big := b[0] == 0xfe
		var u []uint16
		for i := 2; i+1 < len(b); i += 2 {
			if big {
				u = append(u, uint16(b[i])<<8|uint16(b[i+1]))
			} else {
				u = append(u, uint16(b[i+1])<<8|uint16(b[i]))
			}
		}
		return string(utf16.Decode(u))
	case bytes.HasPrefix(b, []byte("\xef\xbb\xbf")):
		return string(b[3:])
	}
	var s strings.Builder
	for _, c := range b {
		s.WriteRune(rune(c))
	}
	return s.String()
}
