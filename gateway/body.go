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

// Reader returns a reader over the whole body from its first octet.
func Reader(b Body) *io.SectionReader { return io.NewSectionReader(b, 0, b.Size()) }
