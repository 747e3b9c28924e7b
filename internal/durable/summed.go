package durable

import (
	"hash/crc32"
	"io"
)

// Summed writes to a file of a Disk, and adds up what it wrote. Its own errors tell those of the disk from those of what is
// written.
type Summed struct {
	To  io.Writer
	Sum uint32 // CRC-32C of the octets that were written
	N   int64  // how many
	Err error  // of the disk, the last; nil: none
}

// Write is that of io.Writer.
func (s *Summed) Write(p []byte) (int, error) {
	n, err := s.To.Write(p)
	s.Sum, s.N = crc32.Update(s.Sum, Castagnoli(), p[:n]), s.N+int64(n)
	if err != nil {
		s.Err = err
	}
	return n, err
}

// Castagnoli is the table of CRC-32C, which each file of messages ends with.
func Castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) } // the library keeps it

// DiskError wraps what went wrong with the disk, not with the message.
type DiskError struct{ Err error }

// Error is what was wrong.
func (e DiskError) Error() string { return e.Err.Error() }

// Unwrap returns what was wrong.
func (e DiskError) Unwrap() error { return e.Err }
