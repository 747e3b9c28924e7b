package gateway

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
)

// ErrHeaderTooBig says that a header section did not end within the limit.
var ErrHeaderTooBig = errors.New("header section: too big")

// ErrTooManyFields says that a header section has more than MaxFields fields.
var ErrTooManyFields = errors.New("header section: too many fields")

// MaxFields bounds the memory that a header section of tiny fields can take. A message with more is not taken: what nobody
// looked at could hold any field.
const MaxFields = 10000

// maxFields is where cutting ends: it has room for the fields that are added to a message.
const maxFields = MaxFields + 100

// usualFields is how many are made room for at once.
const usualFields = 48

// Header is a header section as it came in, cut into fields (RFC 5322 section 2.2). Nothing is decoded and nothing is
// changed; fields that are no fields are kept, without a name.
type Header struct {
	Raw       []byte
	Fields    []Field
	BodyStart int64 // where the content begins, behind the empty line
	Malformed int   // lines that are neither a field nor its continuation
	Complete  bool  // an empty line ended it
}

// Field is one field with its folded lines, as offsets into Raw.
type Field struct {
	Name       string // as written, without space before the colon; "" for a malformed line
	Start, End int    // of the whole field with its last CRLF
	value      int
	SpacedName bool // white space before the colon: obsolete (RFC 5322 section 4.5) and a disguise
}

// ReadHeader reads the header section of a body, at most max octets, and fails with ErrHeaderTooBig beyond that, and with
// ErrTooManyFields beyond MaxFields. What it returns is good until the body is closed: of a body in memory it is a part.
func ReadHeader(b Body, max int) (*Header, error) {
	h, err := readHeader(b, max)
	switch {
	case err != nil:
		return nil, err
	case len(h.Raw) > max:
		return nil, ErrHeaderTooBig
	case len(h.Fields) > MaxFields:
		return nil, ErrTooManyFields
	}
	return h, nil
}

func readHeader(b Body, max int) (*Header, error) {
	if m, ok := b.(InMemory); ok {
		if raw := m.Memory(); raw != nil {
			return ParseHeader(slices.Clip(raw[:min(len(raw), max+4)])), nil
		}
	}
	size := int(min(b.Size(), int64(max)+4))
	raw := make([]byte, 0, min(size, 8<<10))
	for len(raw) < size {
		chunk := min(size-len(raw), max64K(len(raw)))
		from := len(raw)
		raw = append(raw, make([]byte, chunk)...)
		n, err := b.ReadAt(raw[from:], int64(from))
		raw = raw[:from+n]
		if err != nil && err != io.EOF {
			return nil, err
		}
		if end := headerEnd(raw, from); end >= 0 || n < chunk {
			break
		}
	}
	return ParseHeader(raw), nil
}

// max64K doubles the chunk: most header sections fit the first 8 KiB, and few need more than 64.
func max64K(have int) int { return min(max(have, 8<<10), 64<<10) }

// headerEnd returns where the content begins, or -1; from is how far was looked before.
func headerEnd(raw []byte, from int) int {
	if bytes.HasPrefix(raw, []byte("\r\n")) {
		return 2
	}
	from = max(from-3, 0)
	if i := bytes.Index(raw[from:], []byte("\r\n\r\n")); i >= 0 {
		return from + i + 4
	}
	return -1
}

// ParseHeader cuts the header section at the start of raw into fields. It never fails: what it cannot read is counted in
// Malformed. Lines end in CRLF; the edge lets nothing else in.
func ParseHeader(raw []byte) *Header {
	h := &Header{Raw: raw, BodyStart: int64(len(raw))}
	if end := headerEnd(raw, 0); end >= 0 {
		h.Raw, h.BodyStart, h.Complete = raw[:end-2], int64(end), true
	}
	h.Fields = make([]Field, 0, min(bytes.Count(h.Raw, []byte{'\n'}), usualFields))
	for at := 0; at < len(h.Raw); {
		end := fieldEnd(h.Raw, at)
		if len(h.Fields) == maxFields {
			h.Malformed++
			h.Fields[maxFields-1].End = len(h.Raw)
			break
		}
		f := Field{Start: at, End: end, value: at}
		line := h.Raw[at:end]
		colon := bytes.IndexByte(line, ':')
		name := bytes.TrimRight(line[:max(colon, 0)], " \t\r\n") // a name may even be folded before its colon
		if colon > 0 && isFieldName(name) {
			f.Name, f.value, f.SpacedName = fieldName(name), at+colon+1, len(name) < colon
		} else {
			h.Malformed++
		}
		h.Fields = append(h.Fields, f)
		at = end
	}
	return h
}

// fieldEnd returns the end of the field that begins at at: the first CRLF that no white space follows.
func fieldEnd(raw []byte, at int) int {
	for {
		i := bytes.IndexByte(raw[at:], '\n')
		if i < 0 {
			return len(raw)
		}
		at += i + 1
		if at >= len(raw) || raw[at] != ' ' && raw[at] != '\t' {
			return at
		}
	}
}

// isFieldName follows RFC 5322 section 3.6.8: printable US-ASCII but the colon.
func isFieldName(name []byte) bool {
	for _, c := range name {
		if c <= ' ' || c >= 127 || c == ':' {
			return false
		}
	}
	return len(name) > 0
}

// fieldName returns a name as it is written; those of nearly every message cost no memory.
func fieldName(name []byte) string {
	switch string(name) {
	case "Received":
		return "Received"
	case "From":
		return "From"
	case "To":
		return "To"
	case "Subject":
		return "Subject"
	case "Date":
		return "Date"
	case "Message-ID":
		return "Message-ID"
	case "Message-Id":
		return "Message-Id"
	case "MIME-Version":
		return "MIME-Version"
	case "Content-Type":
		return "Content-Type"
	case "Content-Transfer-Encoding":
		return "Content-Transfer-Encoding"
	case "DKIM-Signature":
		return "DKIM-Signature"
	}
	return string(name)
}

// Value returns the unfolded text behind the colon, without white space around it.
func (h *Header) Value(f Field) string {
	v := string(bytes.TrimSpace(h.Raw[f.value:f.End]))
	return strings.TrimSpace(strings.ReplaceAll(v, "\r\n", "")) // an empty folded line can leave white space
}

// All returns the fields of a name, whatever its case.
func (h *Header) All(name string) []Field {
	var out []Field
	for _, f := range h.Fields {
		if strings.EqualFold(f.Name, name) {
			out = append(out, f)
		}
	}
	return out
}

// Count returns how many fields have the name.
func (h *Header) Count(name string) int {
	n := 0
	for i := range h.Fields {
		if strings.EqualFold(h.Fields[i].Name, name) {
			n++
		}
	}
	return n
}

// Get returns the value of the first field of that name, or "".
func (h *Header) Get(name string) string {
	for _, f := range h.Fields {
		if strings.EqualFold(f.Name, name) {
			return h.Value(f)
		}
	}
	return ""
}
