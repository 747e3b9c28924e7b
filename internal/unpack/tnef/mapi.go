package tnef

import "encoding/binary"

// Types of properties: [MS-OXCDATA] 2.11.1.
const (
	typeObject  = 0x0D
	typeString  = 0x1E
	typeUnicode = 0x1F
	typeBinary  = 0x102
	typeMany    = 0x1000
)

// property is a property of MAPI, with its first value.
type property struct {
	id, kind int
	value    []byte
}

func (p property) text() string {
	if p.kind == typeUnicode {
		return wide(p.value)
	}
	return narrow(p.value)
}

// properties reads a list: [MS-OXTNEF] 2.1.3.4. It ends at the first thing that it does not know: what follows would be guessed.
func properties(b []byte, each func(property)) {
	ok := true
	number := func() int {
		if len(b) < 4 {
			ok = false
			return 0
		}
		n := int(binary.LittleEndian.Uint32(b) & 0x7fffffff)
		b = b[4:]
		return n
	}
	skip := func(n int) []byte {
		n = (n + 3) &^ 3
		if n > len(b) {
			n, ok = len(b), false
		}
		out := b[:n]
		b = b[n:]
		return out
	}
	for count := number(); count > 0 && ok; count-- {
		if len(b) < 4 {
			return
		}
		kind, id := int(binary.LittleEndian.Uint16(b)), int(binary.LittleEndian.Uint16(b[2:]))
		b = b[4:]
		if id >= 0x8000 { // it has a name
			skip(16) // the set
			if number() == 0 {
				skip(4)
			} else {
				skip(number())
			}
		}
		values := 1
		many := kind&typeMany != 0
		kind &^= typeMany
		variable := kind == typeString || kind == typeUnicode || kind == typeBinary || kind == typeObject
		if many || variable {
			values = number()
		}
		size := fixed(kind)
		if !variable && size == 0 {
			return
		}
		p := property{id: id, kind: kind}
		for i := 0; i < values && ok; i++ {
			n := size
			if variable {
				n = number()
			}
			v := skip(n)
			if i == 0 {
				p.value = v[:min(n, len(v))]
			}
		}
		if p.value != nil {
			each(p)
		}
	}
}

// fixed is the size of a type that has one; 0: it has none, or is not known.
func fixed(kind int) int {
	switch kind {
	case 0x01, 0x02, 0x03, 0x04, 0x0A, 0x0B:
		return 4
	case 0x05, 0x06, 0x07, 0x14, 0x40:
		return 8
	case 0x48:
		return 16
	}
	return 0
}
