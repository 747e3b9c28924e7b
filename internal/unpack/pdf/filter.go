package pdf

import (
	"bytes"
	"compress/lzw"
	"compress/zlib"
	"encoding/ascii85"
	"errors"
	"io"
)

var errInflate = errors.New("streams unpack to too much")

// decode is what a stream holds: 7.4. What is over the budget of the file is errInflate; another error comes with what was read
// before it.
func (f *file) decode(e *entry) ([]byte, error) {
	r, err := f.reader(e)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(r, f.inflate+1))
	if f.inflate -= int64(len(b)); f.inflate < 0 {
		return nil, errInflate
	}
	return b, err
}

// reader decodes a stream as it is read.
func (f *file) reader(e *entry) (io.Reader, error) {
	d, _ := e.value.(*dict)
	raw := e.stream
	if f.crypt != nil && !e.packed {
		raw = f.crypt.stream(e.id, raw, d)
	}
	var r io.Reader = bytes.NewReader(raw)
	filters := f.list(first(d, "Filter", "F"))
	params := f.list(first(d, "DecodeParms", "DP"))
	if len(filters) > 16 {
		return nil, errors.New("too many filters")
	}
	for i, o := range filters {
		n, _ := f.resolve(o).(name)
		var parm *dict
		if i < len(params) {
			parm = f.dict(params[i])
		}
		switch n {
		case "FlateDecode", "Fl":
			r = predict(&inflater{raw: r}, f, parm)
		case "LZWDecode", "LZW":
			r = predict(newLZW(r, f, parm), f, parm)
		case "ASCIIHexDecode", "AHx":
			r = &hexReader{r: r}
		case "ASCII85Decode", "A85":
			r = ascii85.NewDecoder(&only85{r: r})
		case "RunLengthDecode", "RL":
			r = &runLength{r: byteReader{r: r}}
		case "Crypt":
		default:
			return nil, errors.New("filter " + string(n))
		}
	}
	return r, nil
}

func first(d *dict, keys ...name) object {
	for _, k := range keys {
		o := d.get(k)
		if k == "F" { // of a stream it may be a file too
			switch o.(type) {
			case name, array:
			default:
				continue
			}
		}
		if o != nil {
			return o
		}
	}
	return nil
}

// list is an array, or one object as a list of one.
func (f *file) list(o object) array {
	switch v := f.resolve(o).(type) {
	case nil:
		return nil
	case array:
		return v
	default:
		return array{v}
	}
}

// inflater reads zlib, and goes on where its checksum or its head is wrong, as viewers do.
type inflater struct {
	raw io.Reader
	z   io.Reader
}

func (i *inflater) Read(p []byte) (int, error) {
	if i.z == nil {
		z, err := zlib.NewReader(i.raw)
		if err != nil {
			return 0, err
		}
		i.z = z
	}
	n, err := i.z.Read(p)
	if errors.Is(err, zlib.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// predict undoes the predictor of PNG, which object streams may have: 7.4.4.4. TIFF's is of pictures only.
func predict(r io.Reader, f *file, parm *dict) io.Reader {
	kind, _ := f.resolve(parm.get("Predictor")).(float64)
	if kind < 10 {
		return r
	}
	number := func(key name, otherwise int) int {
		n, ok := f.resolve(parm.get(key)).(float64)
		if !ok || n < 1 || n > 1<<16 {
			return otherwise
		}
		return int(n)
	}
	bits := number("Colors", 1) * number("BitsPerComponent", 8)
	row := (bits*number("Columns", 1) + 7) / 8
	if row > 1<<20 {
		return r
	}
	return &predictor{r: r, pixel: max(1, bits/8), row: make([]byte, row+1), last: make([]byte, row)}
}

type predictor struct {
	r         io.Reader
	pixel     int
	row, last []byte
	out       []byte
}

func (p *predictor) Read(b []byte) (int, error) {
	if len(p.out) == 0 {
		n, err := io.ReadFull(p.r, p.row)
		if n < 2 {
			if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
				err = io.EOF
			}
			return 0, err
		}
		row := p.row[1:n]
		for i := range row {
			var left, up, corner int
			if i >= p.pixel {
				left, corner = int(row[i-p.pixel]), int(p.last[i-p.pixel])
			}
			up = int(p.last[i])
			switch p.row[0] {
			case 1:
				row[i] += byte(left)
			case 2:
				row[i] += byte(up)
			case 3:
				row[i] += byte((left + up) / 2)
			case 4:
				row[i] += byte(paeth(left, up, corner))
			}
		}
		copy(p.last, row)
		p.out = p.last[:len(row)]
	}
	n := copy(b, p.out)
	p.out = p.out[n:]
	return n, nil
}

func paeth(a, b, c int) int {
	abs := func(n int) int { return max(n, -n) }
	pa, pb, pc := abs(b-c), abs(a-c), abs(a+b-2*c)
	switch {
	case pa <= pb && pa <= pc:
		return a
	case pb <= pc:
		return b
	}
	return c
}

// hexReader reads ASCIIHexDecode.
type hexReader struct {
	r    io.Reader
	done bool
}

func (h *hexReader) Read(p []byte) (int, error) {
	if h.done || len(p) == 0 {
		return 0, io.EOF
	}
	n, half := 0, -1
	var c [1]byte
	for n < len(p) {
		if _, err := io.ReadFull(h.r, c[:]); err != nil || c[0] == '>' {
			h.done = true
			if half >= 0 {
				p[n] = byte(half << 4)
				n++
			}
			break
		}
		d := hexDigit(c[0])
		switch {
		case d < 0:
		case half < 0:
			half = d
		default:
			p[n] = byte(half<<4 | d)
			half = -1
			n++
		}
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// only85 ends with "~>", which the decoder of the standard library does not know.
type only85 struct {
	r    io.Reader
	done bool
}

func (o *only85) Read(p []byte) (int, error) {
	if o.done {
		return 0, io.EOF
	}
	n, err := o.r.Read(p)
	if i := bytes.IndexByte(p[:n], '~'); i >= 0 {
		o.done = true
		n = i
		if n == 0 {
			return 0, io.EOF
		}
	}
	return n, err
}

type byteReader struct{ r io.Reader }

func (b byteReader) ReadByte() (byte, error) {
	var c [1]byte
	_, err := io.ReadFull(b.r, c[:])
	return c[0], err
}

// runLength reads RunLengthDecode: 7.4.5.
type runLength struct {
	r    byteReader
	left int  // octets of the run that are left
	copy bool // whether they are all the same
	c    byte
}

func (r *runLength) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if r.left == 0 {
			head, err := r.r.ReadByte()
			if err != nil || head == 128 {
				if n == 0 {
					return 0, io.EOF
				}
				return n, nil
			}
			if r.copy = head > 128; r.copy {
				r.left = 257 - int(head)
				if r.c, err = r.r.ReadByte(); err != nil {
					return n, io.EOF
				}
			} else {
				r.left = int(head) + 1
			}
		}
		c := r.c
		if !r.copy {
			var err error
			if c, err = r.r.ReadByte(); err != nil {
				return n, io.EOF
			}
		}
		p[n] = c
		n++
		r.left--
	}
	return n, nil
}

// newLZW reads LZWDecode. Its codes grow one entry earlier than those of compress/lzw, unless EarlyChange says 0.
func newLZW(r io.Reader, f *file, parm *dict) io.Reader {
	if early, ok := f.resolve(parm.get("EarlyChange")).(float64); ok && early == 0 {
		return lzw.NewReader(r, lzw.MSB, 8)
	}
	return &lzwReader{r: byteReader{r: r}, width: 9, last: -1, next: 258}
}

// lzwReader is LZW with early change: 7.4.4.2.
type lzwReader struct {
	r      byteReader
	bits   uint32
	have   uint
	width  uint
	next   int
	last   int // the code before, -1: none
	prefix [4096]uint16
	suffix [4096]byte
	out    []byte
	err    error
}

func (l *lzwReader) Read(p []byte) (int, error) {
	for len(l.out) == 0 {
		if l.err != nil {
			return 0, l.err
		}
		l.code()
	}
	n := copy(p, l.out)
	l.out = l.out[n:]
	return n, nil
}

func (l *lzwReader) code() {
	for l.have < l.width {
		c, err := l.r.ReadByte()
		if err != nil {
			l.err = io.EOF
			return
		}
		l.bits, l.have = l.bits<<8|uint32(c), l.have+8
	}
	l.have -= l.width
	code := int(l.bits >> l.have & (1<<l.width - 1))
	switch {
	case code == 256:
		l.width, l.next, l.last = 9, 258, -1
		return
	case code == 257:
		l.err = io.EOF
		return
	case code > l.next || code == l.next && l.last < 0:
		l.err = errors.New("LZW: a code that is not there yet")
		return
	}
	whole := code
	if code == l.next {
		whole = l.last
	}
	var stack []byte
	for c := whole; ; c = int(l.prefix[c]) {
		if c < 256 {
			stack = append(stack, byte(c))
			break
		}
		stack = append(stack, l.suffix[c])
	}
	head := stack[len(stack)-1]
	for i, j := 0, len(stack)-1; i < j; i, j = i+1, j-1 {
		stack[i], stack[j] = stack[j], stack[i]
	}
	if code == l.next {
		stack = append(stack, head)
	}
	if l.last >= 0 && l.next < 4096 {
		l.prefix[l.next], l.suffix[l.next] = uint16(l.last), head
		l.next++
		if l.next+1 >= 1<<l.width && l.width < 12 {
			l.width++
		}
	}
	l.last, l.out = code, stack
}
