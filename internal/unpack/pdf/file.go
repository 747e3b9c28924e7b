package pdf

import (
	"bytes"
	"errors"
)

// entry is an object of a file, with the stream that follows it.
type entry struct {
	id     ref
	value  object
	stream []byte // as it lies; nil: none
	packed bool   // it lies in an object stream, which is encrypted as a whole
}

// file is what was found in a PDF.
type file struct {
	entries  []entry
	last     map[int]int // the last entry of a number
	trailers []*dict
	work     int   // octets of parsing that are left
	items    int   // objects that may still be kept
	inflate  int64 // octets of streams that may still be decoded
	crypt    *crypt
	escaped  bool
	err      error
}

var errMuch = errors.New("it has more objects than are looked at")

const (
	maxEntries = 1 << 19
	maxObjects = 4 << 20  // values in all of one file, each of which is some fifty octets of memory
	maxInflate = 64 << 20 // octets decoded of one file, embedded files not counted
)

// scan finds all objects: each "n g obj", also within streams, since a cross reference may point anywhere. Trailers too.
// Where objects overlap, the octets that are read are counted against a multiple of the file.
func (f *file) scan(b []byte) {
	f.work, f.items = 6*len(b)+1<<20, maxObjects
	f.last = map[int]int{}
	lastEnd := bytes.LastIndex(b, []byte("endstream"))
	for at := 0; len(f.entries) < maxEntries; {
		i := bytes.Index(b[at:], []byte("obj"))
		if i < 0 {
			break
		}
		i += at
		at = i + 3
		id, ok := header(b, i)
		if !ok {
			continue
		}
		p := parser{b: b, at: at}
		value := p.next(0)
		f.items -= p.items
		if f.work -= p.at - at; f.work < 0 || f.items < 0 {
			f.err = errMuch
			return
		}
		f.escaped = f.escaped || p.escape
		e := entry{id: id, value: value}
		d, isDict := value.(*dict)
		end := p.at
		if word, _ := p.next(0).(keyword); isDict && word == "stream" {
			e.stream = body(b, p.at, d, lastEnd)
			end = p.at
		}
		f.add(e)
		at = end
	}
	for at := 0; len(f.trailers) < 1000; {
		i := bytes.Index(b[at:], []byte("trailer"))
		if i < 0 {
			break
		}
		at += i + 7
		p := parser{b: b, at: at}
		if d, ok := p.next(0).(*dict); ok {
			f.trailers = append(f.trailers, d)
		}
		if f.work -= p.at - at; f.work < 0 {
			f.err = errMuch
			return
		}
	}
}

func (f *file) add(e entry) {
	f.last[e.id.number] = len(f.entries)
	f.entries = append(f.entries, e)
	if d, ok := e.value.(*dict); ok && d.get("Type") == name("XRef") {
		f.trailers = append(f.trailers, d)
	}
}

// header reads "n g" before "obj".
func header(b []byte, at int) (ref, bool) {
	number := func() (int, bool) {
		end := at
		for at > 0 && end-at < 10 && b[at-1] >= '0' && b[at-1] <= '9' {
			at--
		}
		n := 0
		for _, c := range b[at:end] {
			n = n*10 + int(c-'0')
		}
		return n, at < end
	}
	blank := func() bool {
		end := at
		for at > 0 && end-at < 64 && space(b[at-1]) {
			at--
		}
		return at < end
	}
	blank()
	g, ok := number()
	if !ok || !blank() {
		return ref{}, false
	}
	n, ok := number()
	return ref{n, g}, ok
}

// body is the stream that begins behind the keyword: by its length where "endstream" stands there, up to "endstream" else.
func body(b []byte, at int, d *dict, lastEnd int) []byte {
	switch {
	case at < len(b) && b[at] == '\n':
		at++
	case at+1 < len(b) && b[at] == '\r' && b[at+1] == '\n':
		at += 2
	case at < len(b) && b[at] == '\r':
		at++
	}
	if n, ok := d.get("Length").(float64); ok && n >= 0 && int(n) <= len(b)-at {
		rest := b[at+int(n):]
		if bytes.HasPrefix(bytes.TrimLeft(rest[:min(len(rest), 16)], "\r\n "), []byte("endstre")) {
			return b[at : at+int(n)]
		}
	}
	if at > lastEnd { // none follows; asked once, since each stream without an end would search to the end
		return b[min(at, len(b)):]
	}
	return b[at : at+bytes.Index(b[at:], []byte("endstream"))]
}

// resolve follows references, a few: they may lead in a circle.
func (f *file) resolve(o object) object {
	for range 16 {
		r, ok := o.(ref)
		if !ok {
			return o
		}
		i, ok := f.last[r.number]
		if !ok {
			return nil
		}
		o = f.entries[i].value
	}
	return nil
}

// find is the entry that a reference names.
func (f *file) find(o object) *entry {
	for range 16 {
		r, ok := o.(ref)
		if !ok {
			return nil
		}
		i, ok := f.last[r.number]
		if !ok {
			return nil
		}
		if f.entries[i].stream != nil {
			return &f.entries[i]
		}
		o = f.entries[i].value
	}
	return nil
}

func (f *file) dict(o object) *dict {
	d, _ := f.resolve(o).(*dict)
	return d
}

// expand reads the objects of object streams: 7.5.7.
func (f *file) expand(check func() error) error {
	for i := 0; i < len(f.entries) && len(f.entries) < maxEntries; i++ {
		e := f.entries[i]
		d, ok := e.value.(*dict)
		if !ok || e.stream == nil || d.get("Type") != name("ObjStm") {
			continue
		}
		if err := check(); err != nil {
			return err
		}
		b, err := f.decode(&e)
		if errors.Is(err, errInflate) {
			return err
		}
		if err != nil {
			f.err = err
		}
		n, _ := f.resolve(d.get("N")).(float64)
		first, _ := f.resolve(d.get("First")).(float64)
		if first < 0 || int(first) > len(b) {
			continue
		}
		index := parser{b: b[:int(first)]}
		for range int(min(max(n, 0), maxItems/2)) {
			number, ok1 := index.next(0).(float64)
			offset, ok2 := index.next(0).(float64)
			if !ok1 || !ok2 {
				break
			}
			if offset < 0 || int(first)+int(offset) >= len(b) {
				continue
			}
			p := parser{b: b, at: int(first) + int(offset)}
			start := p.at
			value := p.next(0)
			f.items -= p.items
			if f.work -= p.at - start; f.work < -maxInflate || f.items < 0 {
				f.err = errMuch
				return nil
			}
			f.escaped = f.escaped || p.escape
			if len(f.entries) < maxEntries {
				f.add(entry{id: ref{int(number), 0}, value: value, packed: true})
			}
		}
	}
	return nil
}
