package systemd

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// Socket is a listening TCP socket that systemd opened.
type Socket struct {
	net.Listener
	Name  string // of FileDescriptorName=; empty where the unit gave none
	dual  bool   // an IPv6 socket that takes IPv4 too
	place netip.AddrPort
}

// Sockets takes over the sockets that systemd passed to this process, in their order, and clears LISTEN_PID, LISTEN_FDS and
// LISTEN_FDNAMES, so that no child believes they were meant for it. A descriptor that is no listening TCP socket is an
// error that says what to write into the unit. Without systemd there are none.
func Sockets() ([]Socket, error) {
	var out []Socket
	var wrong []error
	for _, f := range activation.Files(true) {
		s, err := socket(f)
		f.Close() // the listener has a descriptor of its own
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		out = append(out, s)
	}
	if len(wrong) > 0 {
		for _, s := range out {
			s.Close()
		}
		return nil, errors.Join(wrong...)
	}
	return out, nil
}

func socket(f *os.File) (Socket, error) {
	fd := int(f.Fd())
	name := given(f.Name())
	if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
		return Socket{}, fmt.Errorf("systemd: %s is no listening socket: write ListenStream= and Accept=no in the socket unit", f.Name())
	}
	l, err := net.FileListener(f)
	if err != nil {
		return Socket{}, fmt.Errorf("systemd: %s: %w", f.Name(), err)
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		l.Close()
		return Socket{}, fmt.Errorf("systemd: %s listens on %s and not on TCP: write ListenStream=25, or an address and port, in the socket unit", f.Name(), l.Addr())
	}
	only, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
	place := tcp.Addr().(*net.TCPAddr).AddrPort()
	return Socket{Listener: &shared{tcp}, Name: name, dual: err == nil && only == 0, place: netip.AddrPortFrom(place.Addr().Unmap(), place.Port())}, nil
}

// shared is a listener whose socket others have as well. Whether a socket blocks is a property of what they share, and
// systemd makes it block whenever it starts a process with it (NonBlocking=no): one that still serves would be held in its
// next accept past every deadline, and its Close with it, until a client comes.
type shared struct{ *net.TCPListener }

// Accept waits for the next connection, as that of the listener does, also where somebody made the socket block.
func (s *shared) Accept() (net.Conn, error) {
	raw, err := s.SyscallConn()
	if err != nil {
		return nil, err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		var flags int
		if flags, failed = unix.FcntlInt(fd, unix.F_GETFL, 0); failed == nil && flags&unix.O_NONBLOCK == 0 {
			failed = unix.SetNonblock(int(fd), true)
		}
	}); err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: s.Addr(), Err: os.NewSyscallError("fcntl", failed)}
	}
	return s.TCPListener.Accept()
}

// given returns the name that a unit gives on purpose. Without FileDescriptorName= systemd passes the name of the socket
// unit, systemd-socket-activate "unknown", and the library numbers what has no name at all.
func given(name string) string {
	if name == "unknown" || strings.HasSuffix(name, ".socket") || strings.HasPrefix(name, "LISTEN_FD_") {
		return ""
	}
	return name
}

// Serves reports whether clients of the address reach this socket, so that nobody else can bind it: the same address, or
// every address of both families, which is what ListenStream=25 opens.
func (s *Socket) Serves(a netip.AddrPort) bool {
	if s.place.Port() != a.Port() {
		return false
	}
	at, want := s.place.Addr(), a.Addr().Unmap()
	return at == want || s.dual && at == netip.IPv6Unspecified() && want == netip.IPv4Unspecified()
}

// String names the socket for an error: its name, if it has one, and its address.
func (s *Socket) String() string {
	if s.Name == "" {
		return s.Addr().String()
	}
	return s.Name + " (" + s.Addr().String() + ")"
}
