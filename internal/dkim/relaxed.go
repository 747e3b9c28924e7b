package dkim

// relaxedBody is RFC 6376 section 3.4.4: white space within a line becomes one space, none is left at the end of a line, and
// no empty lines at the end of the body. What is held back is counted, never kept.
type relaxedBody struct {
	out   *sums
	lines int64 // CRLFs held back
	space bool  // and white space behind them
	cr    bool  // and a CR behind that
	some  bool  // anything was written
	n     int
	buf   [512]byte // small pieces, so that hostile text costs no call each
}

// write copies nothing of text that is canonical already.
func (r *relaxedBody) write(p []byte) {
	for i := 0; i < len(p); {
		if r.lines == 0 && !r.space && !r.cr {
			n := canonical(p[i:])
			r.emit(p[i : i+n])
			if i += n; i == len(p) {
				return
			}
		}
		r.step(p[i])
		i++
	}
}

// canonical returns how many octets at the start of p stand in the canonical form as they are, whatever follows.
func canonical(p []byte) int {
	i := 0
	for i < len(p) {
		switch c := p[i]; {
		case c > ' ':
			i++
		case c == ' ':
			if i+1 >= len(p) || p[i+1] <= ' ' {
				return i
			}
			i += 2
		case c == '\r':
			if i+2 >= len(p) || p[i+1] != '\n' || p[i+2] <= ' ' {
				return i
			}
			i += 3
		case c == '\t':
			return i
		default:
			i++
		}
	}
	return i
}

// step takes one octet.
func (r *relaxedBody) step(c byte) {
	if r.cr {
		r.cr = false
		if c == '\n' {
			r.space = false
			r.lines++
			return
		}
		r.flush()
		r.emitByte('\r') // it ends no line
	}
	switch c {
	case ' ', '\t':
		r.space = true
	case '\r':
		r.cr = true
	default:
		r.flush()
		r.emitByte(c)
	}
}

// flush writes what was held back, since something follows it.
func (r *relaxedBody) flush() {
	for ; r.lines > 0 && r.lines < 8; r.lines-- {
		r.emitByte('\r')
		r.emitByte('\n')
	}
	if r.lines > 0 {
		r.drain()
		ends(r.out, r.lines)
		r.lines, r.some = 0, true
	}
	if r.space {
		r.emitByte(' ')
		r.space = false
	}
}

func (r *relaxedBody) emitByte(c byte) {
	if r.n == len(r.buf) {
		r.drain()
	}
	r.buf[r.n] = c
	r.n++
	r.some = true
}

func (r *relaxedBody) emit(p []byte) {
	if len(p) == 0 {
		return
	}
	r.some = true
	if len(p) > len(r.buf)/4 {
		r.drain()
		r.out.write(p)
		return
	}
	if r.n+len(p) > len(r.buf) {
		r.drain()
	}
	r.n += copy(r.buf[r.n:], p)
}

func (r *relaxedBody) drain() {
	if r.n > 0 {
		r.out.write(r.buf[:r.n])
		r.n = 0
	}
}

func (r *relaxedBody) end() {
	if r.cr {
		r.flush()
		r.emitByte('\r')
	}
	r.drain()
	if r.some {
		ends(r.out, 1)
	}
}
