package unpack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// ErrLimit ends a walk: a limit was met, and Report.Limit says which. A Format returns it as it got it.
var ErrLimit = errors.New("unpack: limit")

// ErrTooBig is what a reader that is given to Enter fails with where going on needs more memory than there is, as for a huge
// dictionary: it becomes the limit TooBig. It may be wrapped.
var ErrTooBig = errors.New("unpack: needs too much memory")

// Walk opens objects one in another, within its limits.
type Walk struct {
	ctx       context.Context
	formats   []Format
	limits    Limits
	typeOf    func(content []byte) string
	report    Report
	octets    int64        // unpacked so far
	brought   int64        // octets of the items so far
	held      int64        // octets of the objects that lie in memory now, one in another
	unscanned map[int]bool // objects whose contents other scanners may not see
	shown     int64        // octets of contents
	contents  [][]byte
	texts     int // octets of names, signs and links in the report
}

// NewWalk returns a walk. typeOf tells the media type of content; the first format that matches opens it.
func NewWalk(ctx context.Context, l Limits, typeOf func(content []byte) string, formats []Format) *Walk {
	return &Walk{ctx: ctx, limits: l, typeOf: typeOf, formats: formats}
}

// Report is what was found so far.
func (w *Walk) Report() Report { return w.report }

// Object is an object of the report, for a Format to add to. It is good until the next Enter.
func (w *Walk) Object(at int) *Object { return &w.report.Objects[at] }

// Sign adds a sign to an object: each text of a kind once, and at most maxSigns.
func (w *Walk) Sign(at int, k Kind, text string) {
	o := &w.report.Objects[at]
	s := Sign{Kind: k, Text: Clean(text)}
	for _, have := range o.Signs {
		if have == s {
			return
		}
	}
	if len(o.Signs) < maxSigns {
		if w.texts += len(s.Text); w.texts > maxTexts {
			s.Text = ""
		}
		o.Signs = append(o.Signs, s)
	}
}

// Link adds a link to an object, each once, and at most maxLinks.
func (w *Walk) Link(at int, l Link) {
	o := &w.report.Objects[at]
	for _, have := range o.Links {
		if have == l {
			return
		}
	}
	if len(o.Links) < maxLinks && w.texts < maxTexts {
		w.texts += len(l.URI) + len(l.Text)
		o.Links = append(o.Links, l)
	}
}

const (
	maxSigns = 64
	maxLinks = 256
	maxText  = 200 // octets of the text of a sign
	maxName  = 1024
	maxTexts = 2 << 20 // octets of all texts of a report; what is beyond is told without its text
)

// Item opens a part of a message.
func (w *Walk) Item(i Item, content []byte) error {
	at, err := w.add(-1, i.Part, 0, Entry{Name: i.Name, Size: int64(len(content))})
	if err != nil {
		return err
	}
	w.brought += int64(len(content))
	return w.open(at, content)
}

// Enter looks at something in an object: it unpacks r within the limits, and looks into it. r may be nil where the content
// cannot be had (a folder, an encrypted entry): then the entry is listed only. It returns ErrLimit when the walk is over;
// an r that fails becomes the sign Broken of the entry, and the next may follow.
func (w *Walk) Enter(parent int, e Entry, r io.Reader) error {
	o := &w.report.Objects[parent]
	at, err := w.add(parent, o.Part, o.Depth+1, e)
	if err != nil || r == nil {
		return err
	}
	content, whole, err := w.read(at, e, r)
	switch {
	case errors.Is(err, ErrLimit):
		return err
	case errors.Is(err, ErrTooBig):
		return w.over(TooBig, at)
	case err != nil:
		w.Sign(at, Broken, err.Error())
	}
	if w.unscanned[parent] {
		w.show(at, content, whole)
	}
	if !whole {
		w.Sign(at, Unread, "")
		return nil
	}
	return w.open(at, content)
}

// Check tells a Format that works long without Enter whether the time is over: ErrLimit then.
func (w *Walk) Check() error {
	if w.ctx.Err() != nil {
		return w.over(TooLong, -1)
	}
	return nil
}

// Room is how many objects may still be added. A Format that lists before it enters needs no longer a list than this and one.
func (w *Walk) Room() int { return max(0, w.limits.Entries-len(w.report.Objects)) }

// Over ends the walk at an object, for a limit that a Format met itself.
func (w *Walk) Over(l Limit, at int) error { return w.over(l, at) }

func (w *Walk) over(l Limit, at int) error {
	if w.report.Limit == "" {
		w.report.Limit = l
		if at >= 0 {
			w.report.At = w.path(at)
		}
	}
	return ErrLimit
}

// path names an object by the names of what it lies in.
func (w *Walk) path(at int) string {
	var names []string
	for ; at >= 0; at = w.report.Objects[at].Parent {
		names = append([]string{Clean(w.report.Objects[at].Name)}, names...)
	}
	return strings.Join(names, " > ")
}

func (w *Walk) add(parent, part, depth int, e Entry) (int, error) {
	switch {
	case w.ctx.Err() != nil:
		return 0, w.over(TooLong, parent)
	case len(w.report.Objects) >= w.limits.Entries:
		return 0, w.over(TooManyEntries, parent)
	case depth > w.limits.Depth:
		return 0, w.over(TooDeep, parent)
	}
	o := Object{Parent: parent, Part: part, Depth: depth, Name: w.name(e.Name), Size: e.Size, Packed: e.Packed, Folder: e.Folder}
	for _, other := range e.Names {
		if other = w.name(other); other != "" && other != o.Name && len(o.Names) < MaxNames && !slices.Contains(o.Names, other) {
			o.Names = append(o.Names, other)
		}
	}
	w.report.Objects = append(w.report.Objects, o)
	at := len(w.report.Objects) - 1
	for _, s := range e.Signs {
		w.Sign(at, s.Kind, s.Text)
	}
	return at, nil
}

// name is a name as the report has it: valid UTF-8, of bounded length. Its end says what it is.
func (w *Walk) name(s string) string {
	if len(s) > maxName {
		s = s[:maxName/2] + "…" + s[len(s)-maxName/2:]
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	if w.texts += len(s); w.texts > maxTexts && len(s) > shortName {
		s = strings.ToValidUTF8("…"+s[len(s)-shortName:], "\uFFFD")
	}
	return s
}

// MaxNames is how many other names of an object are told. A Format that can come to more enters it once more.
const MaxNames = 16

// shortName is how much of a name is told once there were too many long ones, in octets.
const shortName = 64

// read unpacks an entry into memory. What is too big to be looked into is read on without being kept, for its size and the
// digest; whole is false then.
func (w *Walk) read(at int, e Entry, r io.Reader) (content []byte, whole bool, err error) {
	most := w.limits.Object
	if w.limits.Held > 0 {
		most = min(most, w.limits.Held-w.held)
	}
	left := w.limits.Octets - w.octets
	r = &timed{w: w, r: r, at: at, packed: e.Packed}
	var b bytes.Buffer
	if e.Size > 0 {
		b.Grow(int(max(0, min(e.Size, most, left, 1<<20))))
	}
	_, err = io.Copy(&b, io.LimitReader(r, max(0, min(most, left))+1))
	n, whole := int64(b.Len()), true
	if err == nil && n > most && n <= left {
		whole = false
		h := sha256.New()
		h.Write(b.Bytes())
		b = bytes.Buffer{}
		var more int64
		more, err = io.Copy(h, io.LimitReader(r, left-n+1))
		n += more
		w.report.Objects[at].SHA256 = hex.EncodeToString(h.Sum(nil))
	}
	w.octets += n
	w.report.Objects[at].Size = n
	switch {
	case errors.Is(err, ErrLimit):
		return nil, false, err
	case w.ctx.Err() != nil:
		return nil, false, w.over(TooLong, at)
	case n > left:
		return nil, false, w.over(TooMuch, at)
	}
	return b.Bytes(), whole, err
}

// timed ends reading with the time of the walk, and what unpacks to so much more than it is that it is made to.
type timed struct {
	w      *Walk
	r      io.Reader
	at     int
	packed int64
	n      int64
}

func (t *timed) Read(p []byte) (int, error) {
	if t.w.ctx.Err() != nil {
		return 0, t.w.over(TooLong, t.at)
	}
	n, err := t.r.Read(p)
	t.n += int64(n)
	if t.w.dense(t.n, t.packed) || t.w.dense(t.w.octets+t.n, t.w.brought) {
		return n, t.w.over(TooDense, t.at)
	}
	return n, err
}

// dense reports whether so much is too much to come out of so little; where that is not known nothing is.
func (w *Walk) dense(unpacked, packed int64) bool {
	return w.limits.Ratio > 0 && packed > 0 && unpacked > w.limits.RatioFrom && unpacked/w.limits.Ratio >= packed
}

// open looks into content.
func (w *Walk) open(at int, content []byte) error {
	w.held += int64(len(content))
	defer func() { w.held -= int64(len(content)) }()
	sum := sha256.Sum256(content)
	head := content[:min(len(content), HeadSize)]
	o := &w.report.Objects[at]
	o.Size, o.SHA256, o.Type = int64(len(content)), hex.EncodeToString(sum[:]), w.typeOf(content)
	c := memory{bytes.NewReader(content), content}
	opened := false
	for _, f := range w.formats {
		if _, behind := f.(Behind); opened && !behind || !f.Match(head, c) {
			continue
		}
		if !opened {
			w.report.Objects[at].Format = f.Name()
		} else {
			w.Unscanned(at) // what has two faces is read by one of them
		}
		opened = true
		err := f.Open(w, at, c)
		if errors.Is(err, ErrLimit) {
			return err
		}
		if err != nil {
			w.Sign(at, Broken, f.Name()+": "+err.Error())
		}
	}
	return nil
}

// memory is Content.
type memory struct {
	*bytes.Reader
	all []byte
}

func (m memory) Size() int64   { return int64(len(m.all)) }
func (m memory) Bytes() []byte { return m.all }

// Clean makes a text of a stranger fit to be shown: valid UTF-8 without control and format characters, at most 200 octets.
func Clean(s string) string {
	if len(s) > 4*maxText {
		s = s[:4*maxText]
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError, r < ' ', r >= 0x7f && r < 0xa0:
			return '?'
		case r >= 0x200b && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0xfeff:
			return '?' // what hides or turns text (UTS 55)
		}
		return r
	}, s)
	for len(s) > maxText {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}
