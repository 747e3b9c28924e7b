package gateway

import "io"

// Body is a message on its way: read many times, at any place, by several readers at once, never changed. It begins with
// the first octet of the header section as it came in, before any field of ours.
type Body interface {
	io.ReaderAt
	// Size is the number of octets.
	Size() int64
	// Close gives the memory or the file back. No reader may be at work then or later.
	Close() error
}

// BodyWriter takes a message in while it arrives. After a Write that failed only Discard may be called.
type BodyWriter interface {
	io.Writer
	// Done ends the writing and returns what can be read.
	Done() (Body, error)
	// Discard gives everything back.
	Discard()
}

// Rester is a Body that knows a shorter way to its octets than ReadAt.
type Rester interface {
	// Rest returns a reader of the octets from an offset within the body to its end: a *bytes.Reader over memory, or an
	// *io.SectionReader over an *os.File, neither of which need copy them. It is good until the body is closed.
	Rest(from int64) io.Reader
}

// InMemory is a Body that may lie in memory as a whole.
type InMemory interface {
	// Memory returns all octets of the body where they lie, or nil when they do not lie in memory. Nobody may change them,
	// and they are good until the body is closed.
	Memory() []byte
}

// Rest returns a reader of a body from an offset to its end, by the shortest way that the body knows.
func Rest(b Body, from int64) io.Reader {
	if r, ok := b.(Rester); ok {
		return r.Rest(from)
	}
	return io.NewSectionReader(b, from, b.Size()-from)
}

// Reader returns a reader over the whole body from its first octet.
func Reader(b Body) *io.SectionReader { return io.NewSectionReader(b, 0, b.Size()) }
