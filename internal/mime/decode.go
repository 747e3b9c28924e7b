package mime

// decoder undoes a transfer encoding, a piece at a time. It is a plain value: a copy of it goes on where it stood, which is
// how Open finds its way into the middle.
type decoder struct {
	kind   transferEncoding
	broken bool // something in it that RFC 2045 does not allow
	stops  bool // of base64: nothing counts behind a padding
	goesOn bool // of base64: something stands behind a padding

	// Of base64, uuencode and yEnc.
	bits   uint32
	have   uint8 // sextets in bits
	ended  bool  // a padding was seen; of yEnc an escape
	inLine bool  // of uuencode: the length of the line was read
	left   uint8 // and how many of its octets are to come

	// Of quoted-printable.
	held  [maxHeld]byte // what may begin an escape
	holds uint8
}

// maxHeld is how long the blanks between an equals sign and the end of its line may be that are taken for transport
// padding (RFC 2045 section 6.7, rule 3).
const maxHeld = 64

type transferEncoding uint8

const (
	plain transferEncoding = iota
	base64
	quoted
	uuencode
	yenc
)

// decode appends what src decodes to.
func (d *decoder) decode(dst, src []byte) []byte {
	switch d.kind {
	case base64:
		return d.base64(dst, src)
	case quoted:
		return d.quoted(dst, src)
	case uuencode:
		return d.uu(dst, src)
	case yenc:
		return d.yenc(dst, src)
	}
	return append(dst, src...)
}

// end appends what was held back.
func (d *decoder) end(dst []byte) []byte {
	switch {
	case d.kind == base64 && d.have > 0:
		d.broken = true // cut off; what is whole of it is taken
		return d.flush(dst)
	case d.kind == uuencode:
		return d.uu(dst, []byte{'\n'})
	case d.kind == quoted && d.holds > 0:
		if h := d.held[:d.holds]; len(trimBlanks(h[1:])) > 0 {
			d.broken = true
			dst = append(dst, h...)
		}
		d.holds = 0
	}
	return dst
}

// sextets is the value of each letter of base64, shifted to its place of four: one look-up for each, one test for all.
// Other octets have the bit no set.
var sextets = makeSextets()

const (
	no  = 1 << 31
	gap = 1 << 30 // white space, which stands anywhere
	pad = 1 << 29
)

func makeSextets() (t [4][256]uint32) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for c := range 256 {
		for i := range t {
			t[i][c] = no
		}
	}
	for v, c := range []byte(letters) {
		for i := range t {
			t[i][c] = uint32(v) << (18 - 6*i)
		}
	}
	for _, c := range []byte("\r\n\t ") {
		t[3][c] |= gap
	}
	t[3]['='] |= pad
	return t
}

// base64 reads as mail clients do: what is not of the alphabet is passed over, and what comes behind a padding is a new
// beginning (RFC 2045 section 6.8 leaves both open).
func (d *decoder) base64(dst, src []byte) []byte {
	if n := len(src)/4*3 + 8; cap(dst)-len(dst) < n {
		dst = append(make([]byte, 0, len(dst)+n), dst...)
	}
	out := dst[:cap(dst)]
	n := len(dst)
	t := &sextets
	for i := 0; i < len(src); {
		if d.stops && d.goesOn {
			break
		}
		if d.have == 0 && !d.ended {
			for ; i+4 <= len(src) && n+3 <= len(out); i += 4 {
				s := src[i : i+4 : i+4]
				v := t[0][s[0]] | t[1][s[1]] | t[2][s[2]] | t[3][s[3]]
				if v >= 1<<24 {
					break
				}
				o := out[n : n+3 : n+3]
				o[0], o[1], o[2] = byte(v>>16), byte(v>>8), byte(v)
				n += 3
			}
			if i == len(src) {
				break
			}
		}
		v := t[3][src[i]]
		i++
		switch {
		case v < 64:
			if d.ended {
				if d.goesOn, d.broken = true, true; d.stops {
					return out[:n]
				}
				d.ended = false
			}
			d.bits, d.have = d.bits<<6|v, d.have+1
			if d.have == 4 {
				n = len(append(out[:n], byte(d.bits>>16), byte(d.bits>>8), byte(d.bits)))
				d.bits, d.have = 0, 0
			}
		case v&gap != 0:
		case v&pad != 0:
			d.padding()
			n = len(d.flush(out[:n]))
		default:
			d.broken = true
		}
	}
	return out[:n]
}

// padding notes an equals sign.
func (d *decoder) padding() {
	if d.have == 1 || d.have == 0 && !d.ended {
		d.broken = true
	}
	d.ended = true
}

// flush appends the whole octets of sextets that are no four.
func (d *decoder) flush(dst []byte) []byte {
	switch d.have {
	case 2:
		dst = append(dst, byte(d.bits>>4))
	case 3:
		dst = append(dst, byte(d.bits>>10), byte(d.bits>>2))
	}
	d.bits, d.have = 0, 0
	return dst
}
