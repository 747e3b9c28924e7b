package mime

import (
	"hash"
	"strings"
)

// step is how much of encoded content is decoded at once, and how far apart the places are where decoding can be taken up.
const step = 32 << 10

// mark is a place in encoded content: how much of it was read, what that came to, and how decoding stood.
type mark struct {
	raw, decoded int64
	dec          decoder
}

// leaf takes the content of one part in, a piece at a time.
type leaf struct {
	w      *walk
	part   int
	dec    decoder
	stable bool      // what is written stays where it is
	sum    hash.Hash // nil: none is wanted
	octets int64
	raw    int64
	head   []byte
	isText bool
	text   []byte // as it is written, charset and all; nil where it is too long to be kept
	looked int64  // octets of it that count
	lent   bool   // text lies in the message
	cut    bool
	uu     *blocks
	marks  []mark
}

// begin makes a leaf ready for a part.
func (l *leaf) begin(w *walk, part int, kind transferEncoding, stable bool) {
	p := &w.t.Parts[part]
	*l = leaf{w: w, part: part, dec: decoder{kind: kind, stops: w.t.Parts[part].stops}, stable: stable}
	l.isText = isText(p.Type)
	p.Leaf = true
	if !l.isText || p.Doubt || len(p.Names) > 0 || p.Disposition == "attachment" {
		l.sum = w.sha()
	}
	if l.isText || isUU(p.Encoding) {
		l.uu = &w.blocks
		l.uu.reset(w)
	}
}

// isText reports whether a type is shown, or written, as text.
func isText(t string) bool {
	return strings.HasPrefix(t, "text/") || t == "message/delivery-status" || t == "message/disposition-notification" || t == "message/feedback-report"
}

// write takes the next octets of the content as they stand in the message.
func (l *leaf) write(b []byte) {
	if l.dec.kind == plain {
		l.raw += int64(len(b))
		l.take(b)
		return
	}
	for len(b) > 0 {
		n := min(len(b), step-int(l.raw%step))
		l.w.buf = l.dec.decode(l.w.buf[:0], b[:n])
		l.raw += int64(n)
		l.take(l.w.buf)
		if l.raw%step == 0 {
			l.marks = append(l.marks, mark{raw: l.raw, decoded: l.octets, dec: l.dec})
		}
		b = b[n:]
	}
}

// take takes decoded octets.
func (l *leaf) take(b []byte) {
	l.octets += int64(len(b))
	if l.sum != nil {
		l.sum.Write(b)
	}
	borrow := l.stable && l.dec.kind == plain
	if n := min(l.w.l.Head-len(l.head), len(b)); n > 0 {
		if l.head == nil && borrow {
			l.head = b[:n:n]
		} else {
			l.head = append(l.head, b[:n]...)
		}
	}
	if l.uu != nil {
		l.uu.write(b)
	}
	if !l.isText {
		return
	}
	n := int(min(l.w.text, int64(len(b))))
	l.cut = l.cut || n < len(b)
	l.w.text -= int64(n)
	before := l.looked
	l.looked += int64(n)
	switch {
	case before == 0 && borrow:
		l.text, l.lent = b[:n:n], true
	case n == 0 || l.text == nil && before > 0: // nothing more, or too long already
	case l.looked > l.w.kept:
		l.text, l.lent = nil, false
	default:
		l.text, l.lent = append(l.text, b[:n]...), false
	}
}

// end writes down what the part is.
func (l *leaf) end() {
	l.w.buf = l.dec.end(l.w.buf[:0])
	if len(l.w.buf) > 0 {
		l.take(l.w.buf)
	}
	p := &l.w.t.Parts[l.part]
	p.Octets, p.Head, p.Cut, p.looked = l.octets, l.head, l.cut, l.looked
	if l.sum != nil {
		l.sum.Sum(p.SHA256[:0])
	}
	if l.isText {
		if !l.lent {
			l.w.kept -= int64(len(l.text))
		}
		p.text = l.w.decoded(l.part, l.text)
	}
	if l.dec.broken && !p.stops {
		kind := Base64Broken
		if l.dec.kind == quoted {
			kind = QuotedBroken
		}
		l.w.defect(kind, l.part, p.Encoding)
	}
	if len(l.marks) > 0 {
		if l.w.t.marks == nil {
			l.w.t.marks = map[int][]mark{}
		}
		l.w.t.marks[l.part] = l.marks
	}
	if l.uu != nil {
		l.uu.end(l.part)
	}
}

// decoded is a text as UTF-8.
func (w *walk) decoded(part int, text []byte) []byte {
	charset := w.t.Parts[part].Params["charset"]
	_, odd, ok := charsetOf(charset)
	if !ok {
		w.defect(CharsetUnknown, part, charset)
	}
	if odd {
		w.defect(CharsetOdd, part, charset)
	}
	if text == nil { // it is read again, or there is none
		return nil
	}
	return toUTF8(charset, text)
}
