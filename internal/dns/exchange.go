package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// udpBuffer is larger than the replies we ask for, so that one from a server
// that does not care is still seen whole.
const udpBuffer = 4096

// maxStrangers is how many packets that are no reply to our question a try
// over UDP looks at. More of them on a port that only the server should know
// is somebody guessing IDs; the question then goes over TCP.
const maxStrangers = 16

var (
	errStrangers   = errors.New("too many replies to other questions")
	errOnlyStrange = errors.New("only replies to other questions")
)

// exchanger sends packed to server over network ("udp" or "tcp") and returns
// the first packet for which check returns nil; it returns errTruncated when
// check does. The packet belongs to the caller. It ends with ctx.
type exchanger func(ctx context.Context, network, server string, packed []byte, check func([]byte) error) ([]byte, error)

// sockets is the exchanger that uses the network.
type sockets struct{ buffers sync.Pool }

func newSockets() *sockets {
	return &sockets{buffers: sync.Pool{New: func() any { b := make([]byte, udpBuffer); return &b }}}
}

// exchange opens a socket of its own for each query: the kernel then picks a
// new random port, which with the random ID is what keeps others from
// answering in the server's place (RFC 5452 section 9.2). The socket is
// connected, so that packets from other addresses never arrive.
func (s *sockets) exchange(ctx context.Context, network, server string, packed []byte, check func([]byte) error) ([]byte, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, server)
	if err != nil {
		return nil, fmt.Errorf("dial name server: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, fmt.Errorf("set deadline: %w", err)
		}
	}
	// A deadline in the past ends a read at once when the caller gives up.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if network == "tcp" {
		return exchangeTCP(conn, packed, check)
	}
	again := time.AfterFunc(resendAfter, func() { _, _ = conn.Write(packed) })
	defer again.Stop()
	return s.exchangeUDP(conn, packed, check)
}

// resendAfter is when a query over UDP goes out a second time within its try, in the same words from the same port: a packet
// that was lost, as in a burst that is more than the server's buffer, costs no whole try. A server that is still at work on
// the first answers both, and the second answer finds nobody.
const resendAfter = 600 * time.Millisecond

func (s *sockets) exchangeUDP(conn net.Conn, packed []byte, check func([]byte) error) ([]byte, error) {
	if _, err := conn.Write(packed); err != nil {
		return nil, fmt.Errorf("send query: %w", err)
	}
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	strangers := 0
	for {
		n, err := conn.Read(*buf)
		if err != nil {
			if strangers > 0 && isTimeout(err) {
				return nil, errOnlyStrange
			}
			return nil, fmt.Errorf("read reply: %w", err)
		}
		switch err := check((*buf)[:n]); {
		case err == nil && n == udpBuffer:
			return nil, errTruncated
		case err == nil:
			return append([]byte(nil), (*buf)[:n]...), nil
		case errors.Is(err, errTruncated):
			return nil, err
		}
		if strangers++; strangers > maxStrangers {
			return nil, errStrangers
		}
	}
}

// exchangeTCP sends one query with its length before it (RFC 1035 section
// 4.2.2). On a connection of our own the first reply is ours or none is.
func exchangeTCP(conn net.Conn, packed []byte, check func([]byte) error) ([]byte, error) {
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, len(packed)+2), uint16(len(packed)))
	if _, err := conn.Write(append(framed, packed...)); err != nil {
		return nil, fmt.Errorf("send query: %w", err)
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, fmt.Errorf("read reply: %w", err)
	}
	// The length is taken at its word up to 64 KiB; what follows may be less,
	// and then the memory is held until the deadline.
	reply := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, reply); err != nil {
		return nil, fmt.Errorf("read reply: %w", err)
	}
	if err := check(reply); err != nil {
		return nil, err
	}
	return reply, nil
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout() || errors.Is(err, context.DeadlineExceeded)
}
