// Package tnef opens winmail.dat: how Outlook and Exchange pack a message with all its properties into one attachment. Few other
// clients show what is in it, so that what is there is seen by the reader of Outlook alone, and by nobody before.
//
// [MS-OXTNEF]: attributes one behind another, those of an attachment behind the one that begins it. What is seen and what is not:
// docs/documents.md.
package tnef

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
	"unicode/utf16"

	"gatepost/internal/unpack"
	"gatepost/internal/unpack/lzfu"
)

// Formats are the formats of this package.
func Formats() []unpack.Format { return []unpack.Format{format{}} }

type format struct{}

func (format) Name() string { return "tnef" }
func (format) Match(head []byte, _ unpack.Content) bool {
	return bytes.HasPrefix(head, []byte("\x78\x9f\x3e\x22"))
}

// Attributes: 2.1.3.
const (
	attBody        = 0x800C
	attData        = 0x800F
	attTitle       = 0x8010
	attTransport   = 0x9001 // the name of the file that was made of it
	attRender      = 0x9002
	attMessage     = 0x9003
	attAttachment  = 0x9005
	levelMessage   = 1
	levelAttach    = 2
	maxAttachments = 10_000
	maxBody        = 16 << 20
)

// attachment is what is known of one so far.
type attachment struct {
	title, long, display string
	data, object         []byte // object: of PR_ATTACH_DATA_OBJ, behind its interface
	message              bool   // the object is a message
	begun                bool
}

// name is what a client would call it: the long name counts, and one that says otherwise is told.
func (a *attachment) name(n int) string {
	for _, s := range []string{a.long, a.title, a.display} {
		if s != "" {
			return s
		}
	}
	if a.message {
		return "message " + strconv.Itoa(n)
	}
	return "attachment " + strconv.Itoa(n)
}

// reader reads one TNEF stream.
type reader struct {
	w    *unpack.Walk
	at   int
	n    int
	now  attachment
	seen bool // an attribute was read
}

func (format) Open(w *unpack.Walk, at int, c unpack.Content) error {
	r := reader{w: w, at: at}
	rest := c.Bytes()[min(6, int(c.Size())):]
	for len(rest) >= 9 {
		if err := w.Check(); err != nil {
			return err
		}
		level, id := rest[0], int(binary.LittleEndian.Uint16(rest[1:]))
		size := int(binary.LittleEndian.Uint32(rest[5:]) & 0x7fffffff)
		if level != levelMessage && level != levelAttach {
			return r.finish(errorf("no attribute where one is due"))
		}
		body := rest[9:]
		whole := size <= len(body)
		body = body[:min(size, len(body))]
		rest = rest[min(9+size+2, len(rest)):] // a checksum follows, which readers of TNEF disregard
		r.seen = true
		if err := r.attribute(level, id, body); err != nil {
			return err
		}
		if !whole {
			return r.finish(errorf("it is cut off"))
		}
	}
	return r.finish(nil)
}

type errorf string

func (e errorf) Error() string { return string(e) }

func (r *reader) finish(why error) error {
	if err := r.flush(); err != nil {
		return err
	}
	if why == nil && !r.seen {
		why = errorf("it is empty")
	}
	return why
}

func (r *reader) attribute(level byte, id int, body []byte) error {
	switch id {
	case attRender: // the next attachment begins
		if err := r.flush(); err != nil {
			return err
		}
		r.now.begun = true
	case attTitle:
		// A title without attRender before it begins an attachment too, where the one before has its own.
		if r.now.title != "" {
			if err := r.flush(); err != nil {
				return err
			}
		}
		r.now.begun, r.now.title = true, narrow(body)
	case attTransport:
		if r.now.display == "" {
			r.now.display = narrow(body)
		}
	case attData:
		if r.now.data != nil {
			if err := r.flush(); err != nil {
				return err
			}
		}
		r.now.begun, r.now.data = true, body
	case attAttachment:
		r.now.begun = true
		properties(body, r.now.property)
	case attMessage:
		var err error
		properties(body, func(p property) {
			if err == nil {
				err = r.body(p)
			}
		})
		return err
	case attBody:
		if level == levelMessage && len(bytes.Trim(body, "\x00 \r\n")) > 0 {
			return r.enter("body.txt", bytes.TrimRight(body, "\x00"))
		}
	}
	return nil
}

func (r *reader) enter(name string, b []byte) error {
	return r.w.Enter(r.at, unpack.Entry{Name: name, Size: int64(len(b))}, bytes.NewReader(b))
}

// body enters a text of the message: HTML as it is, RTF unpacked.
func (r *reader) body(p property) error {
	switch p.id {
	case 0x1009:
		b, err := lzfu.Unpack(p.value, maxBody)
		if err != nil && len(b) == 0 {
			r.w.Sign(r.at, unpack.Broken, "the body: "+err.Error())
			return nil
		}
		return r.enter("body.rtf", b)
	case 0x1013:
		if s := p.text(); p.kind == typeUnicode || p.kind == typeString {
			return r.enter("body.html", []byte(s))
		}
		return r.enter("body.html", p.value)
	}
	return nil
}

// property takes a property of an attachment.
func (a *attachment) property(p property) {
	switch p.id {
	case 0x3707:
		a.long = p.text()
	case 0x3704:
		if a.title == "" {
			a.title = p.text()
		}
	case 0x3001:
		a.display = p.text()
	case 0x3701:
		switch {
		case p.kind == typeObject && len(p.value) >= 16:
			a.message = string(p.value[:16]) == "\x07\x03\x02\x00\x00\x00\x00\x00\xC0\x00\x00\x00\x00\x00\x00\x46"
			a.object = p.value[16:]
		case a.data == nil:
			a.data = p.value
		}
	}
}

// flush enters the attachment that was read.
func (r *reader) flush() error {
	a := r.now
	r.now = attachment{}
	if !a.begun {
		return nil
	}
	if r.n++; r.n > maxAttachments {
		return r.w.Over(unpack.TooManyEntries, r.at)
	}
	content := a.data
	if a.object != nil {
		content = a.object
		if !a.message {
			r.w.Sign(r.at, unpack.Embedded, "an object: "+a.name(r.n))
		}
	}
	e := unpack.Entry{Name: a.name(r.n), Names: []string{a.long, a.title, a.display}, Size: int64(len(content))}
	if a.long != "" && a.title != "" && !similar(a.long, a.title) {
		e.Signs = append(e.Signs, unpack.Sign{Kind: unpack.NameTwice, Text: unpack.Clean(a.title)})
	}
	if content == nil {
		e.Size = -1
		return r.w.Enter(r.at, e, nil)
	}
	return r.w.Enter(r.at, e, bytes.NewReader(content))
}

// similar reports whether a short name (8.3) may be that of a long one: what the file is for stands behind the dot.
func similar(long, title string) bool {
	ext := func(s string) string {
		s = strings.ToLower(s)
		i := strings.LastIndexByte(s, '.')
		if i < 0 {
			return ""
		}
		return s[i+1 : min(len(s), i+4)]
	}
	return ext(long) == ext(title)
}

// narrow decodes an 8-bit text up to a NUL: the code page is seldom given, and what counts of a name is ASCII.
func narrow(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	s := string(b)
	if strings.ToValidUTF8(s, "") == s {
		return s
	}
	var out strings.Builder
	for _, c := range b {
		out.WriteRune(rune(c))
	}
	return out.String()
}

func wide(b []byte) string {
	var u []uint16
	for i := 0; i+1 < len(b); i += 2 {
		c := binary.LittleEndian.Uint16(b[i:])
		if c == 0 {
			break
		}
		u = append(u, c)
	}
	return string(utf16.Decode(u))
}
