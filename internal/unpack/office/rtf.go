package office

import (
	"bytes"
	"strconv"
	"strings"

	"gatepost/internal/unpack"
)

// richText is RTF. It is read as Word reads it, which takes nearly everything: a header that is cut, groups that do not match,
// data of objects with other groups and control words in between.
type richText struct{}

func (richText) Name() string { return "rtf" }
func (richText) Match(head []byte, _ unpack.Content) bool {
	return bytes.HasPrefix(bytes.TrimLeft(head, "\x00 \t\r\n"), []byte(`{\rt`))
}

// Destinations that are collected.
type rtfKind byte

const (
	rtfNone     rtfKind = iota
	rtfObject           // \objdata: hexadecimal digits
	rtfField            // \fldinst: the instruction of a field
	rtfTemplate         // \*\template: what the document is based on
	rtfClass            // \*\objclass
	rtfIgnored          // inside \objdata: a group of its own, which Word leaves out
)

// rtfReader reads one document.
type rtfReader struct {
	w       *unpack.Walk
	at      int
	stack   []rtfKind // destinations of the groups that are open
	kind    rtfKind
	star    bool // \* was read
	data    []byte
	half    int // a digit that waits for the other one, -1: none
	text    []byte
	objects int
}

const (
	rtfDepth   = 10_000 // groups in each other; what is deeper is read as if it were not
	rtfText    = 8192   // octets of an instruction
	rtfObjects = 500
)

func (richText) Open(w *unpack.Walk, at int, c unpack.Content) error {
	r := rtfReader{w: w, at: at, half: -1}
	b := c.Bytes()
	for i := 0; i < len(b); {
		if i&0xffff == 0 {
			if err := w.Check(); err != nil {
				return err
			}
		}
		switch b[i] {
		case '{':
			r.open()
			i++
		case '}':
			if err := r.close(); err != nil {
				return err
			}
			i++
		case '\\':
			n, err := r.control(b[i:])
			if err != nil {
				return err
			}
			i += n
		default:
			r.put(b[i])
			i++
		}
	}
	for range len(r.stack) + 1 {
		if err := r.close(); err != nil {
			return err
		}
	}
	return nil
}

func (r *rtfReader) open() {
	if len(r.stack) < rtfDepth {
		r.stack = append(r.stack, r.kind)
	}
	r.star = false
}

// close ends a group, and the destination with the group that began it.
func (r *rtfReader) close() error {
	outer := rtfNone
	if n := len(r.stack); n > 0 {
		outer = r.stack[n-1]
		r.stack = r.stack[:n-1]
	}
	inner := r.kind
	r.kind, r.star = outer, false
	if inner == outer || inner == rtfIgnored {
		return nil
	}
	return r.end(inner)
}

func (r *rtfReader) end(kind rtfKind) error {
	switch kind {
	case rtfObject:
		data := r.data
		r.data, r.half = nil, -1
		return r.object(data)
	case rtfField:
		field(r.w, r.at, latin(r.text))
	case rtfTemplate:
		if t := fold(latin(r.text)); remote(t) {
			r.w.Sign(r.at, unpack.RemoteContent, "template: "+t)
		}
	case rtfClass:
		if name := fold(latin(r.text)); badClass(name) {
			r.w.Sign(r.at, unpack.Equation, name)
		}
	}
	r.text = r.text[:0]
	return nil
}

// put takes an octet of text.
func (r *rtfReader) put(c byte) {
	r.star = false
	switch r.kind {
	case rtfObject:
		d := hexDigit(c)
		switch {
		case d < 0:
		case r.half < 0:
			r.half = d
		default:
			r.data = append(r.data, byte(r.half<<4|d))
			r.half = -1
		}
	case rtfField, rtfTemplate, rtfClass:
		if len(r.text) < rtfText && c != '\r' && c != '\n' {
			r.text = append(r.text, c)
		}
	}
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// control reads a control word or symbol, and returns how many octets it is.
func (r *rtfReader) control(b []byte) (int, error) {
	if len(b) < 2 {
		return len(b), nil
	}
	if !isLetter(b[1]) {
		switch b[1] {
		case '*':
			r.star = true
		case '\'':
			if len(b) >= 4 && r.kind != rtfObject {
				if hi, lo := hexDigit(b[2]), hexDigit(b[3]); hi >= 0 && lo >= 0 {
					r.put(byte(hi<<4 | lo))
				}
			}
			return min(4, len(b)), nil // within \objdata it is left out, as Word does
		case '\\', '{', '}':
			r.put(b[1])
		case '\r', '\n', '~', '_':
			r.put(' ')
		}
		return 2, nil
	}
	i := 1
	for i < len(b) && i < 250 && isLetter(b[i]) {
		i++
	}
	word := string(b[1:i])
	start := i
	if i < len(b) && b[i] == '-' {
		i++
	}
	for i < len(b) && i-start < 12 && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	n, _ := strconv.Atoi(string(b[start:i]))
	if i < len(b) && b[i] == ' ' {
		i++
	}
	if word == "bin" && n > 0 {
		raw := cut(b, i, n)
		if r.kind == rtfObject {
			r.data, r.half = append(r.data, raw...), -1
		}
		return i + len(raw), nil
	}
	return i, r.word(word, n)
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func (r *rtfReader) word(word string, n int) error {
	star := r.star
	r.star = false
	begin := rtfNone
	switch strings.ToLower(word) {
	case "objdata", "datastore":
		begin = rtfObject
	case "fldinst":
		begin = rtfField
	case "template":
		begin = rtfTemplate
	case "objclass":
		begin = rtfClass
	case "objupdate":
		r.w.Sign(r.at, unpack.Embedded, "an object that is updated when the document is opened (objupdate)")
		return nil
	case "objautlink", "objlink":
		r.w.Sign(r.at, unpack.Embedded, "a linked object ("+strings.ToLower(word)+")")
		return nil
	case "u":
		if n < 0 {
			n += 1 << 16
		}
		if r.kind != rtfObject && n > 0 && n < 1<<16 {
			for _, c := range []byte(string(rune(n))) {
				r.put(c)
			}
		}
		return nil
	case "tab", "par", "line":
		if r.kind != rtfObject {
			r.put(' ')
		}
		return nil
	default:
		if r.kind == rtfObject && star {
			r.kind = rtfIgnored
		}
		return nil
	}
	if r.kind == begin {
		return nil
	}
	if old := r.kind; old != rtfNone && old != rtfIgnored {
		if err := r.end(old); err != nil {
			return err
		}
	}
	r.kind = begin
	return nil
}

// object looks at the data of an object: OLE 1.0, or what is found in it.
func (r *rtfReader) object(b []byte) error {
	if r.objects++; r.objects > rtfObjects || len(b) < 8 {
		return nil
	}
	name := "object " + strconv.Itoa(r.objects)
	if o, ok := parseOLE1(b); ok && o.class != "" {
		if badClass(o.class) {
			r.w.Sign(r.at, unpack.Equation, o.class)
		}
		r.w.Sign(r.at, unpack.Embedded, "an object: "+o.class)
		if o.linked {
			r.w.Sign(r.at, unpack.RemoteContent, "a linked object: "+o.class+" "+o.topic)
			return nil
		}
		name += " " + o.class
		if len(o.data) > 0 {
			b = o.data
		}
		if p, ok := parsePackage(b); ok && strings.EqualFold(o.class, "package") {
			return r.w.Enter(r.at, unpack.Entry{Name: p.name, Names: p.names, Size: int64(len(p.content))}, bytes.NewReader(p.content))
		}
	} else {
		r.w.Sign(r.at, unpack.Embedded, "an object")
	}
	if i := bytes.Index(b, []byte(cfbMagic)); i > 0 {
		b = b[i:]
	}
	return r.w.Enter(r.at, unpack.Entry{Name: name, Size: int64(len(b))}, bytes.NewReader(b))
}
