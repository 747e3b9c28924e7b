package mime

import (
	"bytes"
	"fmt"
	"hash"
	"strconv"
)

// Walk reads a message once and tells what it is made of. It fails only where the message cannot be read.
func Walk(src Source, l Limits) (*Tree, error) {
	t := &Tree{src: src}
	w := &walk{t: t, l: l, text: l.Text, kept: l.Kept, again: 2*src.Size() + 1<<20}
	r := w.run(-1, 0, src.Size())
	if root, ok := r.part(Part{Parent: -1}); ok {
		r.message(root, "text/plain")
		r.scan()
	}
	if w.err != nil {
		return nil, fmt.Errorf("message: %w", w.err)
	}
	return t, nil
}

// walk is what all runs over a message share.
type walk struct {
	t       *Tree
	l       Limits
	text    int64 // octets of text that may still be looked at
	kept    int64 // octets of them that may still be kept
	again   int64 // octets that may still be read a second time
	seconds int   // second readings begun
	nested  int   // runs in each other
	full    bool  // no more parts are looked at
	err     error
	buf     []byte
	sum     hash.Hash
	blocks  blocks
}

// Bounds of second readings: how many there are in all, and how many runs may be in each other.
const (
	maxSeconds = 32
	maxNested  = 6
	maxDefects = 500
	maxText    = 200
)

// sha returns the hash of a leaf; there is one leaf at a time, and runs in each other begin when it has ended.
func (w *walk) sha() hash.Hash {
	if w.sum == nil {
		w.sum = newSum()
	}
	w.sum.Reset()
	return w.sum
}

// defect writes a defect down, each kind once of a part.
func (w *walk) defect(kind Kind, part int, text string) {
	if len(w.t.Defects) >= maxDefects {
		return
	}
	for i := range w.t.Defects {
		if d := &w.t.Defects[i]; d.Kind == kind && d.Part == part {
			return
		}
	}
	w.t.Defects = append(w.t.Defects, Defect{Kind: kind, Part: part, Text: clean(text)})
}

// clean makes a text of a message fit to be shown.
func clean(s string) string {
	s = s[:min(len(s), maxText)]
	out := make([]rune, 0, len(s))
	for _, r := range readable(s) {
		if r < ' ' || r == 127 || r >= 0x80 && !printable(r) {
			r = '?'
		}
		out = append(out, r)
	}
	text := string(out)
	for len(text) > maxText {
		out = out[:len(out)-1]
		text = string(out)
	}
	return text
}

func (w *walk) tooMany() {
	w.full = true
	w.defect(TooMany, 0, strconv.Itoa(w.l.Parts)+" parts")
}

// run is one reading of a stretch of octets, from its beginning to its end.
type run struct {
	*walk
	win    window
	within int
	doubt  bool
	prefix bool // a boundary is also what only begins with it, as some clients have it
	frames []frame
	open   []int // parts whose end is not known yet, from the outermost
	owed   []owed
	leaf   leaf
	active bool // leaf takes the content
}

// frame is a multipart whose parts are being read.
type frame struct {
	part     int
	at       int    // its place in run.open
	boundary []byte // with the two hyphens in front
	path     string // what the paths of its parts begin with
	parts    int
	state    state
	from     int64 // where its preamble or its epilogue begins
	odd      bool  // a line was seen that only begins with the boundary
	second   bool  // it is a second reading, which is worth nothing without parts
}

type state uint8

const (
	preamble state = iota
	body
	epilogue
)

// run begins a reading of the octets of a region.
func (w *walk) run(within int, from, to int64) *run {
	r := &run{walk: w, within: within}
	r.win.base = from
	if m := memory(w.t.src); m != nil && within < 0 {
		r.win.buf = m[from:to]
	} else {
		r.win.r = w.t.region(within, from, to)
	}
	return r
}

// part adds a part that begins at the place of the run.
func (r *run) part(p Part) (i int, ok bool) {
	if len(r.t.Parts) >= r.l.Parts {
		r.tooMany()
		return 0, false
	}
	at := r.win.place()
	p.Within, p.Start, p.Content, p.End, p.Doubt = r.within, at, at, at, p.Doubt || r.doubt
	r.t.Parts = append(r.t.Parts, p)
	i = len(r.t.Parts) - 1
	r.open = append(r.open, i)
	return i, true
}

// message reads the header section of a part or a message, and of the messages that it holds, until there is content that is
// to be cut into parts or taken in.
func (r *run) message(part int, implied string) {
	for {
		var f fields
		ended := r.header(part, &f)
		next, ok := r.decide(part, &f, implied, ended)
		if !ok {
			return
		}
		part, implied = next, "text/plain"
	}
}

// scan reads on to the end of the region.
func (r *run) scan() {
	for !r.full && r.err == nil {
		frame, last, end, ok := r.content()
		if !ok {
			break
		}
		r.boundary(frame, last, end)
	}
	if r.full && r.err == nil {
		r.skip()
	}
	r.close(0, r.win.place())
	if err := r.win.failed(); err != nil && r.err == nil {
		r.err = err
	}
}

// skip passes over what is not looked at any more.
func (r *run) skip() {
	for {
		r.win.at = len(r.win.buf)
		if !r.win.more() {
			return
		}
	}
}

// maxBoundaryLine is how long a line may be that is a boundary: RFC 2046 allows 70 octets.
const maxBoundaryLine = 1100

// content passes content on up to the next boundary, whose frame it returns. end is where the content ended; last says that
// the boundary is the last of its frame.
func (r *run) content() (frame int, last bool, end int64, ok bool) {
	cur, mid := 0, len(r.frames) == 0
	for {
		buf := r.win.rest()
		for cur < len(buf) {
			if len(r.frames) == 0 {
				cur = len(buf)
				break
			}
			if !mid && buf[cur] == '-' {
				line, whole := r.line(buf[cur:])
				if !whole {
					break
				}
				if frame, last, ok = r.bounds(line); ok {
					n := cur - len(lineEnd(buf[:cur]))
					r.feed(buf[:n])
					end = r.win.place() + int64(n)
					r.win.at += cur + len(line)
					return frame, last, end, true
				}
			}
			n := bytes.IndexByte(buf[cur:], '\n')
			if mid = n < 0; mid {
				cur = len(buf)
				break
			}
			cur += n + 1
		}
		keep := 0
		if len(r.frames) > 0 {
			keep = len(lineEnd(buf[:cur]))
		}
		r.feed(buf[:cur-keep])
		r.win.at += cur - keep
		cur = keep
		if r.win.more() || cur < len(r.win.rest()) {
			continue // at the end of all, the last line is looked at as it is
		}
		r.feed(r.win.rest())
		r.win.at = len(r.win.buf)
		return 0, false, 0, false
	}
}

// line returns the line at the beginning of b; whole is false where more octets must come into sight to tell.
func (r *run) line(b []byte) (line []byte, whole bool) {
	n := bytes.IndexByte(b[:min(len(b), maxBoundaryLine)], '\n')
	switch {
	case n >= 0:
		return b[:n+1], true
	case len(b) < maxBoundaryLine && r.win.r != nil && r.win.err == nil:
		return nil, false
	}
	return b[:min(len(b), maxBoundaryLine)], true
}

// lineEnd returns the line end that b ends with, or the half of one.
func lineEnd(b []byte) []byte {
	n := len(b)
	switch {
	case n > 1 && b[n-1] == '\n' && b[n-2] == '\r':
		return b[n-2:]
	case n > 0 && (b[n-1] == '\n' || b[n-1] == '\r'):
		return b[n-1:]
	}
	return nil
}

// bounds returns the frame of which a line of content is the boundary, and notes one that is nearly that.
func (r *run) bounds(line []byte) (frame int, last, ok bool) {
	frame, last, ok = r.match(line)
	if ok || frame < 0 || r.frames[frame].odd {
		return frame, last, ok
	}
	f := &r.frames[frame]
	f.odd = true
	r.defect(BoundaryOdd, f.part, string(bytes.TrimRight(line[:min(len(line), maxText)], "\r\n")))
	r.owes(owed{part: f.part, kind: byPrefix, text: string(f.boundary[2:])})
	return frame, false, false
}

// match returns the innermost frame of which a line is the boundary; else the one whose boundary the line only begins with,
// or -1.
func (r *run) match(line []byte) (frame int, last, ok bool) {
	if len(line) < 2 || line[1] != '-' {
		return -1, false, false
	}
	odd := -1
	for i := len(r.frames) - 1; i >= 0; i-- {
		rest, is := bytes.CutPrefix(line, r.frames[i].boundary)
		if !is {
			continue
		}
		after, closes := bytes.CutPrefix(rest, []byte("--"))
		switch {
		case len(bytes.TrimRight(rest, " \t\r\n")) == 0:
			return i, false, true
		case closes && (r.prefix || len(bytes.TrimRight(after, " \t\r\n")) == 0):
			return i, true, true
		case r.prefix:
			return i, false, true
		}
		odd = i
	}
	return odd, false, false
}

// boundary ends what is open within a frame, and begins the next part of it unless the boundary was its last.
func (r *run) boundary(at int, last bool, end int64) {
	r.close(r.frames[at].at+1, end)
	f := &r.frames[at]
	if f.state == preamble {
		r.owes(owed{part: f.part, kind: besides, from: f.from, to: end})
	}
	if last {
		f.state, f.from = epilogue, r.win.place()
		return
	}
	p := Part{Parent: f.part, Depth: r.t.Parts[f.part].Depth + 1, Doubt: f.state == epilogue}
	if p.Doubt {
		r.defect(PreambleText, f.part, "parts behind the last boundary")
	} else {
		f.state = body
	}
	f.parts++
	p.Path = f.path + strconv.Itoa(f.parts)
	implied := "text/plain"
	if r.t.Parts[f.part].Type == "multipart/digest" {
		implied = "message/rfc822"
	}
	if part, ok := r.part(p); ok {
		r.message(part, implied)
	}
}

// close ends the open parts from a place on, the innermost first, and pays what is owed of each.
func (r *run) close(from int, end int64) {
	if r.active {
		r.active = false
		r.leaf.end()
		if d := &r.leaf.dec; d.goesOn && !d.stops && !r.leaf.isText { // a text with the words of a list behind it is no riddle
			r.owes(owed{part: r.leaf.part, kind: toPadding})
		}
	}
	for i := len(r.open) - 1; i >= from; i-- {
		part := r.open[i]
		r.open = r.open[:i]
		p := &r.t.Parts[part]
		p.End = max(end, p.Content)
		if n := len(r.frames) - 1; n >= 0 && r.frames[n].part == part {
			f := r.frames[n]
			r.frames = r.frames[:n]
			r.left(&f, end)
		}
		r.pay(part)
	}
}

// left ends a multipart.
func (r *run) left(f *frame, end int64) {
	if f.state != epilogue && !r.full {
		r.defect(EndMissing, f.part, string(f.boundary))
	}
	switch f.state {
	case preamble:
		if f.second {
			return
		}
		r.owes(owed{part: f.part, kind: whole, text: string(f.boundary[2:])})
	case epilogue:
		r.owes(owed{part: f.part, kind: besides, from: f.from, to: end})
	}
}

func (r *run) feed(b []byte) {
	if r.active {
		r.leaf.write(b)
	}
}
