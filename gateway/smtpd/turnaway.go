package smtpd

import (
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"

	"gatepost/gateway"
)

const (
	// earlyWrite bounds the writing of a refusal before the banner where it cannot be done without waiting.
	earlyWrite = time.Second
	// maxLingering is how many refused clients that had already talked are listened to at once, so that the refusal
	// arrives; the others may see their connection reset instead.
	maxLingering = 64
)

// turnAway refuses a connection that never becomes a session: the refusal is counted, said and the connection closed. It
// never waits for the client, so that the accept loop can call it: what is said fits into the empty buffer of a new
// connection, or is not said.
func (s *Server) turnAway(conn net.Conn, client netip.Addr, why gateway.Reason, r gateway.Reply) {
	s.Journal.Early(client, why)
	s.sendOff(conn, appendReply(nil, r))
}

// sendOff says a last word without waiting, and closes.
func (s *Server) sendOff(conn net.Conn, word []byte) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok { // of a test, or a kind of listener that is not known yet
		go func() {
			_ = conn.SetWriteDeadline(time.Now().Add(earlyWrite))
			_, _ = conn.Write(word)
			_ = conn.Close()
		}()
		return
	}
	if talks := blurt(tcp, word); talks && s.lingering.Add(1) <= maxLingering {
		go func() {
			defer s.lingering.Add(-1)
			hearOut(tcp)
			_ = tcp.Close()
		}()
		return
	} else if talks {
		s.lingering.Add(-1)
	}
	_ = tcp.Close()
}

// blurt writes what fits into the connection's buffer, and reports whether the client has said something that was not
// read: closing would then reset the connection, and the word might be lost.
func blurt(tcp *net.TCPConn, word []byte) (talks bool) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	var first [1]byte
	_ = raw.Write(func(fd uintptr) bool {
		_, _ = syscall.Write(int(fd), word)
		return true
	})
	_ = raw.Read(func(fd uintptr) bool {
		n, _ := syscall.Read(int(fd), first[:])
		talks = n > 0
		return true
	})
	return talks
}

// hearOut lets the last word arrive at a client that is still sending.
func hearOut(tcp *net.TCPConn) {
	_ = tcp.CloseWrite()
	_ = tcp.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, struct{ io.Reader }{tcp}, lingerOctets)
}
