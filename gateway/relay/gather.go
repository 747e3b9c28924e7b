package relay

import (
	"net"
	"os"
	"syscall"
)

// How much is written at once, in octets.
const (
	ownBuffer = 32 << 10  // small pieces are copied together up to this
	maxWrite  = 256 << 10 // one write, under one deadline; the next hop is listened to between two
	minLend   = 2 << 10   // what is smaller is cheaper copied
	fileTail  = 16 << 10  // the end of a stretch of a file is read and goes out together with what follows
)

// gather writes a message to the connection in few and large writes: small pieces are copied together, large ones go out
// from where they lie. Each write is under a deadline of its own, and none is made when the next hop has something to
// say: before the end of the message that is a refusal.
type gather struct {
	c    *conn
	own  []byte      // copied octets, of ownBuffer at most
	used int         // own[:used] stands in vec already
	vec  [][]byte    // what is to be written, in order
	work net.Buffers // vec while it is written
	size int         // octets in vec
}

// Write copies p, or writes it at once when it is large; it keeps nothing of it.
func (g *gather) Write(p []byte) (int, error) {
	if len(p) > cap(g.own)-len(g.own) {
		large := len(p) >= ownBuffer/2
		if !large || g.c.tls != "" { // TLS makes a record of each piece
			if err := g.flush(); err != nil {
				return 0, err
			}
		}
		if large {
			if err := g.refer(p); err != nil {
				return 0, err
			}
			if err := g.flush(); err != nil {
				return 0, err
			}
			return len(p), nil
		}
	}
	g.own = append(g.own, p...)
	return len(p), nil
}

// lend takes octets that stay what they are until the next flush. Over TLS they are copied anyway.
func (g *gather) lend(p []byte) error {
	if len(p) < minLend || g.c.tls != "" {
		_, err := g.Write(p)
		return err
	}
	return g.refer(p)
}

// refer takes octets by reference, and writes when there are enough of them.
func (g *gather) refer(p []byte) error {
	for len(p) > 0 {
		g.close()
		n := min(len(p), maxWrite-g.size)
		g.vec = append(g.vec, p[:n])
		g.size += n
		if p = p[n:]; g.size == maxWrite {
			if err := g.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// close makes a piece of what was copied since the last one.
func (g *gather) close() {
	if n := len(g.own) - g.used; n > 0 {
		g.vec = append(g.vec, g.own[g.used:])
		g.size += n
		g.used = len(g.own)
	}
}

// flush writes what was taken.
func (g *gather) flush() error {
	g.close()
	if len(g.vec) == 0 {
		return nil
	}
	if err := g.c.mayWrite(); err != nil {
		return err
	}
	var err error
	if len(g.vec) == 1 {
		_, err = g.c.nc.Write(g.vec[0])
	} else {
		g.work = g.vec
		_, err = g.work.WriteTo(g.c.nc)
	}
	g.empty()
	return err
}

func (g *gather) empty() {
	clear(g.vec)
	g.own, g.used, g.vec, g.work, g.size = g.own[:0], 0, g.vec[:0], nil, 0
}

// mayWrite begins the time of one write, unless the next hop has spoken.
func (c *conn) mayWrite() error {
	if c.in.Buffered() > 0 || c.readable() {
		return errEarly
	}
	return c.nc.SetWriteDeadline(c.by(c.hop.timeouts.Write))
}

// file sends n octets of a file from an offset, by sendfile(2), and returns how many of them are left for the caller: all
// where the file cannot be sent so. What was taken before goes out first.
func (g *gather) file(f *os.File, from, n int64) (left int64, err error) {
	if g.c.raw == nil || g.c.tls != "" {
		return n, nil
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return n, nil // it will fail to be read, too
	}
	if err := g.flush(); err != nil {
		return n, err
	}
	var failed error
	at, end := from, from+n
	for at < end && failed == nil {
		if err := g.c.mayWrite(); err != nil {
			return end - at, err
		}
		stop := min(at+maxWrite, end)
		inner := raw.Control(func(in uintptr) {
			err = g.c.raw.Write(func(out uintptr) (done bool) {
				done, failed = sendFile(int(out), int(in), &at, stop)
				return done
			})
		})
		if err == nil {
			err = inner
		}
		if err != nil {
			return end - at, err
		}
	}
	if at == from && (failed == syscall.EINVAL || failed == syscall.ENOSYS || failed == syscall.EOPNOTSUPP) {
		return n, nil // this file system cannot
	}
	return end - at, failed
}

// sendFile sends a file from *at up to stop, as far as the socket takes it; done says that there is no need to wait.
func sendFile(out, in int, at *int64, stop int64) (done bool, err error) {
	for *at < stop {
		switch n, err := syscall.Sendfile(out, in, at, int(stop-*at)); {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return false, nil
		case err == syscall.EIO:
			return true, unread{err} // of the file
		case err != nil:
			return true, err
		case n == 0:
			return true, unread{errShort}
		}
	}
	return true, nil
}
