package pdf

import "strconv"

// An object is one of: nil, bool, float64, name, text, ref, array, dict. ISO 32000-1, 7.3.
type (
	object any
	name   string
	text   string // a string, as it lies: encrypted where the file is
	ref    struct{ number, generation int }
	array  []object
	dict   struct {
		keys   []name
		values []object
		escape bool // a name of it was written with # where none is needed
	}
)

func (d *dict) get(key name) object {
	if d == nil {
		return nil
	}
	for i := len(d.keys) - 1; i >= 0; i-- { // the last of two counts, as it does in most viewers
		if d.keys[i] == key {
			return d.values[i]
		}
	}
	return nil
}

const (
	maxDepth = 64      // of objects in each other
	maxItems = 1 << 17 // objects in one object
	maxText  = 1 << 24 // octets of a string
)

// parser reads objects from octets. It never fails: what is no object is nil, and goes on.
type parser struct {
	b      []byte
	at     int
	items  int  // objects read since the last reset
	escape bool // a name was written with # where none is needed
}

func space(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == 0
}

func delimiter(c byte) bool {
	switch c {
	case '(', ')', '<', '>', '[', ']', '{', '}', '/', '%':
		return true
	}
	return false
}

func (p *parser) skip() {
	for p.at < len(p.b) {
		switch c := p.b[p.at]; {
		case space(c):
			p.at++
		case c == '%':
			for p.at < len(p.b) && p.b[p.at] != '\n' && p.b[p.at] != '\r' {
				p.at++
			}
		default:
			return
		}
	}
}

// keyword is a word that is no object: "obj", "R", "stream".
type keyword string

// next reads an object, or a keyword. At the end it is the keyword "".
func (p *parser) next(depth int) object {
	p.skip()
	p.items++
	if p.at >= len(p.b) || p.items > maxItems {
		return keyword("")
	}
	c := p.b[p.at]
	switch {
	case c == '/':
		p.at++
		return p.name()
	case c == '(':
		p.at++
		return p.literal()
	case c == '<':
		if p.at+1 < len(p.b) && p.b[p.at+1] == '<' {
			p.at += 2
			return p.dict(depth + 1)
		}
		p.at++
		return p.hex()
	case c == '[':
		p.at++
		return p.array(depth + 1)
	case c == '>' && p.at+1 < len(p.b) && p.b[p.at+1] == '>':
		p.at += 2
		return keyword(">>")
	case delimiter(c):
		p.at++
		return keyword(string(c))
	}
	start := p.at
	for p.at < len(p.b) && !space(p.b[p.at]) && !delimiter(p.b[p.at]) && p.at-start < 256 {
		p.at++
	}
	word := string(p.b[start:p.at])
	switch word {
	case "true":
		return true
	case "false":
		return false
	case "null":
		return nil
	}
	if c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' {
		if f, err := strconv.ParseFloat(word, 64); err == nil {
			return f
		}
	}
	return keyword(word)
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

func (p *parser) name() name {
	var out []byte
	for p.at < len(p.b) && !space(p.b[p.at]) && !delimiter(p.b[p.at]) && len(out) < 256 {
		c := p.b[p.at]
		if c == '#' && p.at+2 < len(p.b) {
			if hi, lo := hexDigit(p.b[p.at+1]), hexDigit(p.b[p.at+2]); hi >= 0 && lo >= 0 {
				c = byte(hi<<4 | lo)
				p.at += 2
				p.escape = p.escape || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
			}
		}
		out = append(out, c)
		p.at++
	}
	return name(out)
}

func (p *parser) literal() text {
	var out []byte
	depth := 1
	for ; p.at < len(p.b) && len(out) < maxText; p.at++ {
		c := p.b[p.at]
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				p.at++
				return text(out)
			}
		case '\\':
			p.at++
			if p.at >= len(p.b) {
				return text(out)
			}
			switch c = p.b[p.at]; c {
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 't':
				c = '\t'
			case 'b':
				c = '\b'
			case 'f':
				c = '\f'
			case '\r':
				if p.at+1 < len(p.b) && p.b[p.at+1] == '\n' {
					p.at++
				}
				continue
			case '\n':
				continue
			case '0', '1', '2', '3', '4', '5', '6', '7':
				n := 0
				for i := 0; i < 3 && p.at < len(p.b) && p.b[p.at] >= '0' && p.b[p.at] <= '7'; i++ {
					n = n<<3 | int(p.b[p.at]-'0')
					p.at++
				}
				p.at--
				c = byte(n)
			}
		}
		out = append(out, c)
	}
	return text(out)
}

func (p *parser) hex() text {
	var out []byte
	half := -1
	for ; p.at < len(p.b) && len(out) < maxText; p.at++ {
		c := p.b[p.at]
		if c == '>' {
			p.at++
			break
		}
		d := hexDigit(c)
		switch {
		case d < 0:
		case half < 0:
			half = d
		default:
			out = append(out, byte(half<<4|d))
			half = -1
		}
	}
	if half >= 0 {
		out = append(out, byte(half<<4))
	}
	return text(out)
}

// list reads objects up to an end, and joins "n g R" to references.
func (p *parser) list(end keyword, depth int) []object {
	var out []object
	for depth <= maxDepth {
		o := p.next(depth)
		k, is := o.(keyword)
		if !is {
			out = append(out, o)
			continue
		}
		switch k {
		case "", end:
			return out
		case "R":
			if n := len(out); n >= 2 {
				a, ok1 := out[n-2].(float64)
				b, ok2 := out[n-1].(float64)
				if ok1 && ok2 {
					out = append(out[:n-2], ref{int(a), int(b)})
				}
			}
		case "obj", "endobj", "stream", "endstream", "xref", "trailer": // its end is missing
			p.at -= len(k)
			return out
		}
	}
	return out
}

func (p *parser) array(depth int) array { return p.list("]", depth) }

func (p *parser) dict(depth int) *dict {
	before := p.escape
	p.escape = false
	items := p.list(">>", depth)
	d := &dict{escape: p.escape}
	p.escape = p.escape || before
	for i := 0; i < len(items); {
		key, ok := items[i].(name)
		if !ok {
			i++
			continue
		}
		var value object
		if i+1 < len(items) {
			value = items[i+1]
		}
		d.keys, d.values = append(d.keys, key), append(d.values, value)
		i += 2
	}
	return d
}
