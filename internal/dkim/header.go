package dkim

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"hash/maphash"
)

// Field is one header field as its message has it.
type Field struct {
	Name string // as written, without white space before the colon; "" for a line that is no field
	Raw  []byte // name, colon, folded lines, CRLF
}

// Value returns what stands behind the colon, folds and CRLF included, and where it begins in Raw.
func (f *Field) Value() (value []byte, at int) {
	at = bytes.IndexByte(f.Raw, ':') + 1
	return f.Raw[at:], at
}

// Header is a header section, indexed by name so that choosing the fields of a signature costs what the signature names
// and not the whole section each time. It is not changed after it was made and may be used by several goroutines.
type Header struct {
	Fields []Field
	seed   maphash.Seed
	table  []int32 // open addressing: the last field of each name, plus one
	above  []int32 // the next field of the same name above, plus one; by field
}

// NewHeader indexes fields, in the order of the message.
func NewHeader(fields []Field) *Header {
	size := 16
	for size < 2*len(fields) {
		size *= 2
	}
	h := &Header{Fields: fields, seed: maphash.MakeSeed(), table: make([]int32, size), above: make([]int32, len(fields))}
	for i := range fields {
		if name := fields[i].Name; name != "" {
			at := h.slot(name)
			h.above[i] = h.table[at]
			h.table[at] = int32(i) + 1
		}
	}
	return h
}

// slot returns where the name is in the table, or where it would be.
func (h *Header) slot(name string) int {
	var lower [80]byte
	key := lower[:0]
	for i := 0; i < len(name); i++ {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		key = append(key, c)
	}
	at := int(maphash.Bytes(h.seed, key)) & (len(h.table) - 1)
	for h.table[at] != 0 && !sameName(h.Fields[h.table[at]-1].Name, name) {
		at = (at + 1) & (len(h.table) - 1)
	}
	return at
}

// sameName compares as names of fields are: only the case of US-ASCII does not count.
func sameName(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		x, y := a[i], b[i]
		if x != y && (x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z') {
			return false
		}
	}
	return true
}

// Last returns the last field of a name, whatever its case, or -1.
func (h *Header) Last(name string) int {
	if name == "" {
		return -1
	}
	return int(h.table[h.slot(name)]) - 1
}

// Above returns the next field above i with the same name, or -1.
func (h *Header) Above(i int) int { return int(h.above[i]) - 1 }

// Select chooses the fields that names (h=) stand for: of each name the last that is not taken yet (RFC 6376 section 5.4.2),
// -1 where none is left. The field own, the signature itself, is never chosen: it did not exist when it was made.
func (h *Header) Select(names []string, own int) []int {
	out := make([]int, len(names))
	type cursor struct {
		slot, next int
	}
	cursors := make([]cursor, 0, len(names))
	for i, name := range names {
		slot, c := h.slot(name), 0
		for c < len(cursors) && cursors[c].slot != slot {
			c++
		}
		if c == len(cursors) {
			cursors = append(cursors, cursor{slot, int(h.table[slot]) - 1})
		}
		next := cursors[c].next
		if next >= 0 && next == own {
			next = h.Above(next)
		}
		out[i] = next
		if next >= 0 {
			next = h.Above(next)
		}
		cursors[c].next = next
	}
	return out
}

// HeaderHasher hashes canonical header fields one after the other.
type HeaderHasher struct {
	canon  Canon
	hash   hash.Hash
	buf    []byte
	octets int64
}

// NewHeaderHasher begins a hash in a canonicalisation.
func NewHeaderHasher(c Canon) *HeaderHasher {
	return &HeaderHasher{canon: c, hash: sha256.New(), buf: make([]byte, 0, 4<<10)}
}

// Field adds a whole field.
func (w *HeaderHasher) Field(f *Field) {
	w.buf = AppendField(w.buf, f.Raw, w.canon)
	w.flush(2 << 10)
}

// Own adds the signature's own field, which comes last, with the value of b= removed; b is that tag of ParseTags over the
// field's Value, or nil for a field that is not signed yet and has none.
func (w *HeaderHasher) Own(f *Field, b *Tag) {
	from, to := len(f.Raw), len(f.Raw)
	if b != nil {
		_, at := f.Value()
		from, to = at+b.Start, at+b.End
	}
	w.buf = AppendUnsigned(w.buf, f.Raw, w.canon, from, to)
}

// Sum returns the SHA-256 of what was added.
func (w *HeaderHasher) Sum() (sum [sha256.Size]byte) {
	w.flush(0)
	w.hash.Sum(sum[:0])
	return sum
}

// Octets returns how many octets were hashed.
func (w *HeaderHasher) Octets() int64 { return w.octets + int64(len(w.buf)) }

func (w *HeaderHasher) flush(above int) {
	if len(w.buf) > above {
		w.hash.Write(w.buf)
		w.octets += int64(len(w.buf))
		w.buf = w.buf[:0]
	}
}
