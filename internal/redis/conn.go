package redis

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"
)

// mostDigits is how many digits the length of an answer may have. Ours are lists of a few numbers; a Cluster's map of its
// nodes and the first words of a connection have some thousand octets.
const mostDigits = 6

// errHuge ends a connection whose server announces what nobody asked for.
var errHuge = errors.New("an answer of a million parts or octets was announced")

// bounded is a connection that breaks at an answer too long: go-redis takes room for what a header announces before any of
// it has come, so that one line of ten octets could take all memory.
type bounded struct {
	net.Conn
	age    *atomic.Int64 // of all connections of the client
	born   int64         // the age when this one was made
	header bool          // within the line of a length
	inLine bool          // within any other line
	digits int
}

// Read looks through what came in. A line of a text that looks like a length counts as one.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	for _, c := range p[:n] {
		switch {
		case c == '\n':
			b.header, b.inLine, b.digits = false, false, 0
		case b.header:
			if b.digits++; b.digits > mostDigits+1 { // and the \r
				return 0, errHuge
			}
		case !b.inLine:
			b.header = c == '*' || c == '$'
			b.inLine = !b.header
		}
	}
	return n, err
}

// SyscallConn lets go-redis see that the server has closed a connection before it sends on it. One under TLS cannot be
// looked into; so that a restarted server does not cost a failed probe for each of the pool, one that breaks makes all that
// are as old count as broken.
func (b *bounded) SyscallConn() (syscall.RawConn, error) {
	if b.age.Load() != b.born {
		return nil, net.ErrClosed
	}
	if s, ok := b.Conn.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return unseen{}, nil
}

// unseen is a connection whose state nobody can see.
type unseen struct{}

func (unseen) Control(func(uintptr)) error    { return nil }
func (unseen) Read(func(uintptr) bool) error  { return nil }
func (unseen) Write(func(uintptr) bool) error { return nil }
