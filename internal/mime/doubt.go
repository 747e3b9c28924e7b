package mime

import (
	"bytes"
	"io"
	"strconv"
	"strings"
)

// owed is a reading of a part that is to follow once its end is known: what other clients make of it.
type owed struct {
	part     int
	kind     reading
	text     string // a boundary, a type or an encoding
	from, to int64
}

type reading uint8

const (
	whole          reading = iota // a multipart in which no part begins is content like any other
	encodedMessage                // a message in a transfer encoding, which RFC 2045 forbids and clients decode
	byType                        // by another Content-Type
	bySecond                      // by another boundary
	byPrefix                      // by a boundary of which lines need be only the beginning
	byEncoding                    // by another transfer encoding
	toPadding                     // of base64 only what stands before its first padding
	guessed                       // by the boundary that its content seems to have
	besides                       // what stands before the first boundary, or behind the last
)

// maxOwed bounds what is owed at once.
const maxOwed = 100

func (r *run) owes(o owed) {
	if len(r.owed) < maxOwed {
		r.owed = append(r.owed, o)
	}
}

// pay does what is owed of a part.
func (r *run) pay(part int) {
	if len(r.owed) == 0 {
		return
	}
	var due []owed
	left := r.owed[:0]
	for _, o := range r.owed {
		if o.part == part {
			due = append(due, o)
		} else {
			left = append(left, o)
		}
	}
	r.owed = left
	for _, o := range due {
		if r.full || r.err != nil {
			return
		}
		if !r.affords(part, o) {
			r.defect(TooMany, part, "readings of it")
			return
		}
		r.nested++
		r.second(o)
		r.nested--
	}
}

// affords reports whether another reading of a part is within bounds, and counts it.
func (r *run) affords(part int, o owed) bool {
	p := &r.t.Parts[part]
	if o.kind == besides {
		return true // looks at little, and counts where it finds something
	}
	cost := p.End - p.Content
	if r.nested >= maxNested || r.seconds >= maxSeconds && o.kind != whole || r.again < cost {
		return false
	}
	if o.kind != whole {
		r.seconds++
	}
	r.again -= cost
	return true
}

// second is one more reading of a part.
func (r *run) second(o owed) {
	p := r.t.Parts[o.part]
	switch o.kind {
	case whole:
		r.again1(p.Within, p.Content, p.End).only(o.part)
		if p.kind() != plain && r.holds(r.t.content(o.part, 0), o.text) {
			r.apart(o.part, o.part, 0, r.t.Parts[o.part].Octets, o.text)
		}
	case encodedMessage:
		if q := r.again1(o.part, 0, p.Octets); p.Octets > 0 {
			r.t.Parts[o.part].Leaf = false
			if next, ok := q.enclosed(o.part); ok {
				q.message(next, "text/plain")
				q.scan()
			}
		}
	case byType:
		r.byType(o.part, o.text)
	case bySecond, byPrefix:
		r.apart1(o.part, o.text, o.kind == byPrefix)
	case byEncoding, toPadding:
		if !p.Leaf {
			return
		}
		q := r.again1(p.Within, p.Content, p.End)
		if next, ok := q.double(o.part, p.Type); ok {
			if r.t.Parts[next].stops = o.kind == toPadding; o.kind == byEncoding {
				r.t.Parts[next].Encoding = o.text
			}
			q.only(next)
		}
	case guessed:
		if b := r.guess(o.part); b != "" && !r.readBy(o.part, b) {
			r.apart1(o.part, b, false)
		}
	case besides:
		r.besides(o)
	}
}

// again1 begins another reading of a region, within the same doubt.
func (r *run) again1(within int, from, to int64) *run {
	q := r.walk.run(within, from, max(from, to))
	q.doubt = r.doubt
	return q
}

// only takes the whole region as the content of a part.
func (r *run) only(part int) {
	r.open = append(r.open[:0], part)
	r.takes(part, r.t.Parts[part].kind())
	r.scan()
}

// double adds a doubtful part that reads the content of another, with what that is said to be.
func (r *run) double(part int, kind string) (int, bool) {
	p := r.t.Parts[part]
	n := 1
	for i := part + 1; i < len(r.t.Parts) && n < r.l.Parts; i++ {
		if q := &r.t.Parts[i]; q.Parent == part && q.Doubt {
			n++
		}
	}
	return r.part(Part{Parent: part, Depth: p.Depth + 1, Path: doubtful(&p, n), Doubt: true, Type: kind, Params: p.Params,
		Encoding: p.Encoding, Disposition: p.Disposition, Names: p.Names})
}

// doubtful is the path of the nth doubtful part of a part. Of a message that has parts, "1~1" is that of the first of them.
func doubtful(of *Part, n int) string {
	path := of.Path
	if path == "" && of.Leaf {
		path = "1"
	}
	return path + "~" + strconv.Itoa(n)
}

// apart1 reads the content of a part by another boundary.
func (r *run) apart1(part int, boundary string, prefix bool) {
	p := r.t.Parts[part]
	q := r.again1(p.Within, p.Content, p.End)
	q.prefix = prefix
	q.multi(part, boundary)
}

// apart reads the decoded content of a part by its boundary.
func (r *run) apart(part, within int, from, to int64, boundary string) {
	r.again1(within, from, to).multi(part, boundary)
}

// multi adds a doubtful multipart that reads what the run reads, and its parts.
func (r *run) multi(part int, boundary string) {
	kind := r.t.Parts[part].Type
	if !strings.HasPrefix(kind, "multipart/") {
		kind = "multipart/mixed"
	}
	if r.t.Parts[part].Depth+2 > r.l.Depth {
		r.defect(TooDeep, part, kind)
		return
	}
	next, ok := r.double(part, kind)
	if !ok {
		return
	}
	q := &r.t.Parts[next]
	q.Encoding, q.Names, q.Disposition, q.Params = "", nil, "", map[string]string{"boundary": boundary}
	r.doubt = true
	r.frames = append(r.frames, frame{part: next, at: len(r.open) - 1, boundary: []byte("--" + strings.TrimRight(boundary, " \t")),
		path: q.Path + ".", from: r.win.place(), second: true})
	r.scan()
	if n := len(r.t.Parts); next == n-1 {
		r.t.Parts = r.t.Parts[:n-1] // nothing is seen in it after all
		r.forget(next)
	}
}

// forget takes back what was noted of a part that is no more.
func (r *run) forget(part int) {
	kept := r.t.Defects[:0]
	for _, d := range r.t.Defects {
		if d.Part != part {
			kept = append(kept, d)
		}
	}
	r.t.Defects = kept
}

// byType reads a part by another Content-Type.
func (r *run) byType(part int, text string) {
	v := parse(text)
	p := r.t.Parts[part]
	switch {
	case strings.HasPrefix(v.word, "multipart/"):
		if b := v.says("boundary", false); len(b.values) > 0 {
			r.apart1(part, b.values[0], false)
		}
	case v.word == p.Type || !isType(v.word):
		r.named(part, &v, "name")
	default:
		q := r.again1(p.Within, p.Content, p.End)
		next, ok := q.double(part, v.word)
		if !ok {
			return
		}
		r.t.Parts[next].Params = v.all()
		q.named(next, &v, "name")
		q.only(next)
	}
}

// peekSize is how much of a region is looked at to tell what it is.
const peekSize = 64 << 10

func peek(r io.Reader) []byte {
	b, err := io.ReadAll(io.LimitReader(r, peekSize))
	if err != nil {
		return nil
	}
	return b
}

// holds reports whether content has a line that begins with a boundary.
func (r *run) holds(content io.Reader, boundary string) bool {
	b := peek(content)
	return bytes.HasPrefix(b, []byte("--"+boundary)) || bytes.Contains(b, []byte("\n--"+boundary))
}

// guess returns the boundary that the content of a part seems to have: a line that begins with two hyphens in front of a
// field that describes a part. "" for none.
func (r *run) guess(part int) string {
	p := &r.t.Parts[part]
	for b := peek(r.t.region(p.Within, p.Content, p.End)); len(b) > 0; {
		line, rest, _ := bytes.Cut(b, []byte("\n"))
		b = rest
		line = bytes.TrimRight(line, "\r \t")
		if len(line) > 2 && len(line) < maxBoundaryLine && line[0] == '-' && line[1] == '-' && isContent(rest[:min(len(rest), 9)]) {
			return string(line[2:])
		}
	}
	return ""
}

// readBy reports whether a part was read by a boundary already.
func (r *run) readBy(part int, boundary string) bool {
	for i := part + 1; i < len(r.t.Parts); i++ {
		if p := &r.t.Parts[i]; p.Parent == part && p.Doubt && p.Params["boundary"] == boundary {
			return true
		}
	}
	return false
}

// minBesides is how much may stand before the first boundary or behind the last without being looked at: it is a notice for
// clients without MIME, or the words of a mailing list.
const minBesides = 64

// besides looks at what stands before the first boundary or behind the last, and adds it as a doubtful part where it is more
// than words.
func (r *run) besides(o owed) {
	if o.to-o.from < minBesides {
		return
	}
	if !hides(peek(r.t.region(r.within, o.from, o.to))) {
		return
	}
	r.defect(PreambleText, o.part, "content outside of the parts")
	if o.kind = byEncoding; !r.affords(o.part, o) {
		return
	}
	q := r.again1(r.within, o.from, o.to)
	if next, ok := q.double(o.part, "text/plain"); ok {
		p := &r.t.Parts[next]
		p.Encoding, p.Names, p.Disposition, p.Params = "", nil, "", nil
		q.only(next)
	}
}

// hides reports whether a text is more than words: it has fields of a part, a file in it, markup, or much of it.
func hides(b []byte) bool {
	if len(b) > 8<<10 {
		return true
	}
	lower := bytes.ToLower(b)
	for _, sign := range [...]string{"content-type:", "content-transfer-encoding:", "\nbegin ", "\n=ybegin ", "<html", "<script", "<a ", "<img", "<form", "http-equiv"} {
		if bytes.Contains(lower, []byte(sign)) {
			return true
		}
	}
	dense := 0
	for line := range bytes.Lines(b) {
		if line = bytes.TrimRight(line, "\r\n"); len(line) >= 40 && bytes.IndexByte(line, ' ') < 0 && bytes.Trim(line, "-_=*#~.") != nil && isBase64(line) {
			dense++
		} else {
			dense = 0
		}
		if dense == 3 {
			return true
		}
	}
	return false
}

func isBase64(line []byte) bool {
	for _, c := range line {
		if v := sextets[3][c]; v >= 64 && v&pad == 0 {
			return false
		}
	}
	return true
}
