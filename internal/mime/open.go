package mime

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"runtime"
	"sort"
)

func newSum() hash.Hash { return sha256.New() }

// Open returns the decoded content of a part, as its sum has it; of a multipart or a message what lies in it, as it stands.
// Reading fails where the message cannot be read. Several may read at once.
func (t *Tree) Open(part int) io.Reader {
	p := &t.Parts[part]
	r := t.region(p.Within, p.Content, p.End)
	if kind := p.kind(); kind != plain && (p.Leaf || p.Octets > 0) {
		return &decoding{r: r, dec: decoder{kind: kind, stops: p.stops}}
	}
	return r
}

// Content returns the decoded content of a part, at most max octets of it.
func (t *Tree) Content(part int, max int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(min(t.Parts[part].Octets, max)))
	if _, err := io.Copy(&b, io.LimitReader(t.Open(part), max)); err != nil {
		return nil, fmt.Errorf("part %q: %w", t.Parts[part].Path, err)
	}
	return b.Bytes(), nil
}

// longTexts are the long texts that are in memory at the same time, in the whole process: however many messages are looked
// at, what their texts take has a bound. Looking at a text is work for a processor, so that more would not be faster.
var longTexts = make(chan struct{}, max(2, runtime.GOMAXPROCS(0)))

// Text has use look at the text of a part: UTF-8, as far as Limits.Text allows; nothing of a part that is no text. A long one
// is read again from the message, waits for others to be looked at, and is gone when use returns; an error says that it
// could not be read, and use was not called. The text may lie in the message itself: use may not change it, nor ask for
// another text, and copies what it keeps.
func (t *Tree) Text(part int, use func(text []byte)) error {
	p := &t.Parts[part]
	if p.text != nil || p.looked == 0 {
		use(p.text)
		return nil
	}
	longTexts <- struct{}{}
	defer func() { <-longTexts }()
	b, err := t.Content(part, p.looked)
	if err == nil && int64(len(b)) < p.looked {
		err = fmt.Errorf("part %q: %w", p.Path, io.ErrUnexpectedEOF)
	}
	if err != nil {
		return err
	}
	use(toUTF8(p.Params["charset"], b))
	return nil
}

// Header returns the header section of a part, without the empty line, as far as max octets; nil where it cannot be read.
func (t *Tree) Header(part int, max int64) []byte {
	p := &t.Parts[part]
	b, err := io.ReadAll(t.region(p.Within, p.Start, min(p.Content, p.Start+max)))
	if err != nil {
		return nil
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
}

// kind is the encoding that the content of a part is in.
func (p *Part) kind() transferEncoding {
	if p.block != plain {
		return p.block
	}
	kind, _ := known(p.Encoding)
	return kind
}

// region returns octets of the message, or of the decoded content of a part.
func (t *Tree) region(within int, from, to int64) io.Reader {
	if within >= 0 {
		return io.LimitReader(t.content(within, from), max(to-from, 0))
	}
	if m := memory(t.src); m != nil {
		return bytes.NewReader(m[from:max(from, to)])
	}
	return io.NewSectionReader(t.src, from, max(to-from, 0))
}

// content returns the decoded content of a part from a place in it to its end.
func (t *Tree) content(part int, from int64) io.Reader {
	p := &t.Parts[part]
	kind := p.kind()
	if kind == plain {
		return t.region(p.Within, p.Content+from, p.End)
	}
	start := mark{dec: decoder{kind: kind, stops: p.stops}}
	marks := t.marks[part]
	if i := sort.Search(len(marks), func(i int) bool { return marks[i].decoded > from }); i > 0 {
		start = marks[i-1]
	}
	return &decoding{r: t.region(p.Within, p.Content+start.raw, p.End), dec: start.dec, skip: from - start.decoded}
}

// decoding is a reader of encoded content.
type decoding struct {
	r    io.Reader
	dec  decoder
	skip int64 // decoded octets that nobody wants
	in   []byte
	out  []byte // decoded, from at on not read yet
	at   int
	err  error
}

func (d *decoding) Read(p []byte) (int, error) {
	for d.at == len(d.out) {
		if d.err != nil {
			return 0, d.err
		}
		if d.in == nil {
			d.in = make([]byte, step)
		}
		var n int
		n, d.err = d.r.Read(d.in)
		d.out = d.dec.decode(d.out[:0], d.in[:n])
		if d.err == io.EOF {
			d.out = d.dec.end(d.out)
		}
		d.at = int(min(d.skip, int64(len(d.out))))
		d.skip -= int64(d.at)
	}
	n := copy(p, d.out[d.at:])
	d.at += n
	return n, nil
}
