package mime

import (
	"bytes"
	"hash"
	"strings"
)

// blocks finds files that are written into a text without MIME: uuencode and yEnc, as some clients still show them as
// attachments.
type blocks struct {
	w    *walk
	at   int64  // how much of the text was seen
	held []byte // the beginning of a line
	skip bool   // the rest of the line says nothing

	in    transferEncoding // plain: no block is open
	first bool             // the next line is the first of it
	open  block
	dec   decoder
	sum   hash.Hash
	buf   []byte
	done  []block
	hqx   bool
}

// block is one of them. Its places count in the decoded text.
type block struct {
	kind                transferEncoding
	name                string
	start, content, end int64
	octets              int64
	sum                 [32]byte
	head                []byte
}

// maxBlockLine is how long a line of such a block may be: yEnc's are 128 or 256 octets by custom, uuencode's 61.
const maxBlockLine = 1100

func (u *blocks) reset(w *walk) {
	*u = blocks{w: w, held: u.held[:0], done: u.done[:0], buf: u.buf, sum: u.sum}
}

// write looks at the next octets of the text, line by line.
func (u *blocks) write(b []byte) {
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			u.hold(b)
			return
		}
		line := b[:i+1]
		b = b[i+1:]
		switch {
		case u.skip:
			u.skip = false
		case len(u.held) > 0:
			u.line(append(u.held, line...))
			u.at += int64(len(u.held))
			u.held = u.held[:0]
		case u.in != plain || mayBegin(line[0]):
			u.line(line)
		}
		u.at += int64(len(line))
	}
}

// hold keeps the beginning of a line, where it matters.
func (u *blocks) hold(b []byte) {
	switch {
	case u.skip, len(u.held) == 0 && u.in == plain && !mayBegin(b[0]), len(u.held)+len(b) > maxBlockLine:
		u.at += int64(len(u.held) + len(b))
		u.held, u.skip = u.held[:0], true
		u.close() // a block has no such line
	default:
		u.held = append(u.held, b...)
	}
}

func mayBegin(c byte) bool { return c == 'b' || c == '=' || c == '(' }

// line takes a whole line that begins at u.at.
func (u *blocks) line(line []byte) {
	text := bytes.TrimRight(line, "\r\n")
	if u.in == plain {
		u.begin(text, int64(len(line)))
		return
	}
	next := u.at + int64(len(line))
	switch {
	case u.in == yenc && bytes.HasPrefix(text, []byte("=ypart ")) && u.first:
		u.open.content, u.open.end = next, next
		return
	case u.in == yenc && bytes.HasPrefix(text, []byte("=yend")), u.in == uuencode && string(text) == "end":
		u.close()
		return
	case len(line) > maxBlockLine, u.in == uuencode && !uuLine(text):
		u.close()
		u.begin(text, int64(len(line)))
		return
	}
	u.first = false
	u.buf = u.dec.decode(u.buf[:0], line)
	u.open.octets += int64(len(u.buf))
	u.sum.Write(u.buf)
	if n := min(u.w.l.Head-len(u.open.head), len(u.buf)); n > 0 {
		u.open.head = append(u.open.head, u.buf[:n]...)
	}
	u.open.end = next
}

// begin looks whether a line begins a block; length is that of the line with its end.
func (u *blocks) begin(text []byte, length int64) {
	kind, name := plain, ""
	switch {
	case bytes.HasPrefix(text, []byte("begin ")):
		mode, rest, _ := strings.Cut(strings.TrimLeft(string(text[6:min(len(text), 1000)]), " "), " ")
		if len(mode) < 3 || len(mode) > 4 || strings.Trim(mode, "01234567") != "" || strings.TrimSpace(rest) == "" {
			return
		}
		kind, name = uuencode, strings.TrimSpace(rest)
	case bytes.HasPrefix(text, []byte("=ybegin ")):
		_, rest, ok := strings.Cut(string(text[:min(len(text), 1000)]), " name=")
		if !ok {
			return
		}
		kind, name = yenc, strings.Trim(rest, ` "`)
	case bytes.HasPrefix(text, []byte("(This file must be converted with BinHex")):
		u.hqx = true
		return
	default:
		return
	}
	if len(u.done)+len(u.w.t.Parts) >= u.w.l.Parts {
		u.w.tooMany()
		return
	}
	u.in, u.first, u.dec = kind, true, decoder{kind: kind}
	u.open = block{kind: kind, name: readable(name), start: u.at, content: u.at + length, end: u.at + length}
	if u.sum == nil {
		u.sum = newSum()
	}
	u.sum.Reset()
}

// close ends a block; one without content was none.
func (u *blocks) close() {
	if u.in == plain {
		return
	}
	u.in = plain
	if u.open.octets == 0 {
		return
	}
	u.sum.Sum(u.open.sum[:0])
	u.done = append(u.done, u.open)
}

// end writes down the blocks as parts that some clients see.
func (u *blocks) end(part int) {
	if len(u.held) > 0 {
		line := append(u.held, '\n')
		u.line(line)
		u.held = u.held[:0]
	}
	u.close()
	if u.hqx {
		u.w.defect(UUEncoded, part, "BinHex")
	}
	for i := range u.done {
		b := &u.done[i]
		of := &u.w.t.Parts[part]
		q := Part{Parent: part, Depth: of.Depth + 1, Path: doubtful(of, i+1), Leaf: true, Doubt: true, Type: "application/octet-stream",
			Within: part, Start: b.start, Content: b.content, End: min(b.end, of.Octets), Encoding: "x-uuencode", Disposition: "attachment",
			Names: []string{b.name}, Octets: b.octets, SHA256: b.sum, Head: b.head, block: b.kind}
		if b.kind == yenc {
			q.Encoding = "x-yenc"
		}
		if of.kind() == plain {
			q.Within = of.Within
			q.Start, q.Content, q.End = q.Start+of.Content, q.Content+of.Content, q.End+of.Content
		}
		u.w.defect(UUEncoded, part, b.name)
		u.w.t.Parts = append(u.w.t.Parts, q)
	}
}

// uuLine reports whether a line can be one of uuencode: its length, and letters for that many octets. Blanks at its end
// may have got lost.
func uuLine(line []byte) bool {
	if len(line) == 0 || line[0] < ' ' || line[0] > '`' {
		return false
	}
	n := int(line[0]-' ') & 63
	if n == 0 {
		return len(line) == 1
	}
	want := (n + 2) / 3 * 4
	if have := len(line) - 1; have > want+3 || have == 0 {
		return false
	}
	for _, c := range line[1:] {
		if c < ' ' || c > '`' {
			return false
		}
	}
	return true
}

// uu decodes uuencode: each line says how many octets it holds.
func (d *decoder) uu(dst, src []byte) []byte {
	for _, c := range src {
		switch {
		case c == '\n':
			for d.left > 0 {
				dst = d.uuLetter(dst, ' ')
			}
			d.inLine, d.bits, d.have = false, 0, 0
		case !d.inLine:
			d.inLine, d.left = true, (c-' ')&63
		case d.left > 0 && c != '\r':
			dst = d.uuLetter(dst, c)
		}
	}
	return dst
}

func (d *decoder) uuLetter(dst []byte, c byte) []byte {
	d.bits, d.have = d.bits<<6|uint32(c-' ')&63, d.have+1
	if d.have < 4 {
		return dst
	}
	n := min(d.left, 3)
	dst = append(dst, []byte{byte(d.bits >> 16), byte(d.bits >> 8), byte(d.bits)}[:n]...)
	d.left, d.bits, d.have = d.left-n, 0, 0
	return dst
}

// yenc decodes yEnc: each octet is moved by 42, and an equals sign moves the next by 64 more.
func (d *decoder) yenc(dst, src []byte) []byte {
	for _, c := range src {
		switch {
		case c == '\r' || c == '\n':
		case d.ended:
			dst, d.ended = append(dst, c-64-42), false
		case c == '=':
			d.ended = true
		default:
			dst = append(dst, c-42)
		}
	}
	return dst
}
