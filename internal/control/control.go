// Package control is how the command line asks the running daemon: HTTP with JSON over a private unix socket in the state
// folder. The handlers are plain http.Handlers, so that the console can mount the same ones.
//
// It never listens on a network, never knows what a verb means, and lets in root and the daemon's own user only, by the
// credentials of the socket (SO_PEERCRED).
package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of every request and reply.
const (
	maxBody     = 1 << 20
	maxReply    = 64 << 20
	readTime    = 10 * time.Second
	verbTime    = 60 * time.Second
	dialTime    = 2 * time.Second
	maxInFlight = 32
)

// ErrNotRunning says that no daemon answers at the socket.
var ErrNotRunning = errors.New("the daemon does not run, or not with this state folder")

// ErrUnreachable says that no API could be asked at an address.
var ErrUnreachable = errors.New("the server cannot be asked")

// Fault is an error that the command line shows as it is, and that goes over HTTP as a problem (RFC 9457).
type Fault struct {
	Title    string `json:"title,omitempty"` // of the status
	Status   int    `json:"status"`          // of HTTP
	Message  string `json:"detail"`          // what is wrong
	Hint     string `json:"hint,omitempty"`  // what to do
	Field    string `json:"field,omitempty"` // that is wrong, of those that the operation takes
	Instance string `json:"instance,omitempty"`
	// Retry is how long whoever asks had better wait; 0 says nothing.
	Retry time.Duration `json:"-"`
}

// TellRetry sets the field of a reply that says when to come again (RFC 9110 section 10.2.3), where there is such a time.
func (f *Fault) TellRetry(h http.Header) {
	if f.Retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int((f.Retry+time.Second-1)/time.Second)))
	}
}

func (f *Fault) Error() string {
	if f.Hint != "" {
		return f.Message + "; " + f.Hint
	}
	return f.Message
}

// Listen opens the socket, readable and writable by the daemon's user only. A socket that a dead process left behind is
// replaced: the caller holds the lock of the state folder, so that no living one can be there.
func Listen(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&os.ModeSocket == 0 {
			return nil, fmt.Errorf("control socket: %s is there and is no socket; remove it or write another path", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("control socket: %w", err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	// Between bind and here nobody else gets in: the state folder is ours alone, and peers are checked at each accept.
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return &checked{Listener: l, slots: make(chan struct{}, maxInFlight)}, nil
}

// Serve answers at the socket until ctx is done.
func Serve(ctx context.Context, l net.Listener, verbs http.Handler) error {
	s := &http.Server{Handler: verbs, ReadTimeout: readTime, WriteTimeout: readTime + verbTime, IdleTimeout: readTime, MaxHeaderBytes: 16 << 10, ConnContext: withPeer}
	stop := context.AfterFunc(ctx, func() {
		// Who asked is answered: the context of the verb bounds how long that can take.
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTime)
		defer cancel()
		_ = s.Shutdown(end)
	})
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

// checked lets in root and our own user, and not too many at once.
type checked struct {
	net.Listener
	slots chan struct{}
}

// SetDeadline bounds the waiting for the next connection, as that of the socket does.
func (c *checked) SetDeadline(t time.Time) error {
	return c.Listener.(*net.UnixListener).SetDeadline(t)
}

func (c *checked) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		uid, in := peer(conn)
		if !in {
			conn.Close()
			continue
		}
		select {
		case c.slots <- struct{}{}:
			return &counted{Conn: conn, slots: c.slots, uid: uid}, nil
		default:
			conn.Close()
		}
	}
}

type counted struct {
	net.Conn
	slots chan struct{}
	uid   uint32 // of who is at the other end
	once  sync.Once
}

// peerKey is under what the context of a verb knows who asked.
type peerKey struct{}

// Peer is the user who asked, by the credentials of the socket; false where nobody asked by one.
func Peer(ctx context.Context) (uid uint32, ok bool) {
	uid, ok = ctx.Value(peerKey{}).(uint32)
	return uid, ok
}

// withPeer notes who is at the other end of a connection.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*counted); ok {
		return context.WithValue(ctx, peerKey{}, c.uid)
	}
	return ctx
}

func (c *counted) Close() error {
	c.once.Do(func() { <-c.slots })
	return c.Conn.Close()
}

// peer is who is at the other end, and whether he is let in: root and our own user are.
func peer(conn net.Conn) (uid uint32, in bool) {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, false
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, false
	}
	var cred *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) { cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil || failed != nil {
		return 0, false
	}
	return cred.Uid, cred.Uid == 0 || int(cred.Uid) == os.Geteuid()
}
