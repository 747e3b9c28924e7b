package smtpd

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

// Bounds of a PROXY header (haproxy.org, proxy-protocol.txt, sections 2.1 and 2.2).
const (
	maxProxyV1 = 107     // octets with CRLF
	maxProxyV2 = 4 << 10 // octets with all TLVs; the protocol would allow 65,551
	prefixV2   = 16      // signature, version, family, length
	headRead   = 512     // what is read at once; a header without large TLVs fits
)

// What is wrong with a header.
var (
	errNoProxyHeader  = errors.New("proxy header: missing")
	errBadProxyHeader = errors.New("proxy header: bad")
)

// proxyHeader is what a header said.
type proxyHeader struct {
	client, local netip.AddrPort
	health        bool   // LOCAL or UNKNOWN: the proxy speaks for itself
	rest          []byte // what came in the same breath behind it: the client's
}

// readProxyHeader reads a header from r, and nothing behind it but what came with it. The caller bounds the time.
func readProxyHeader(r io.Reader) (proxyHeader, error) {
	buf := make([]byte, headRead)
	have := 0
	for {
		size, err := proxyHeaderSize(buf[:have])
		if err != nil {
			return proxyHeader{}, err
		}
		if size > 0 && have >= size {
			h, err := parseProxyHeader(buf[:size])
			h.rest = buf[size:have:have]
			return h, err
		}
		if size > len(buf) {
			grown := make([]byte, size) // exactly: what is behind stays in the connection
			copy(grown, buf[:have])
			buf = grown
		}
		n, err := r.Read(buf[have:])
		have += n
		switch {
		case n > 0: // an error comes again
		case err == nil:
			return proxyHeader{}, io.ErrNoProgress
		case errors.Is(err, io.EOF) && have > 0:
			return proxyHeader{}, fmt.Errorf("%w: cut off", errBadProxyHeader)
		case errors.Is(err, io.EOF):
			return proxyHeader{}, errNoProxyHeader
		default:
			return proxyHeader{}, err
		}
	}
}

// proxyHeaderSize returns how many octets the header that b begins with has, 0 while that is not known.
func proxyHeaderSize(b []byte) (int, error) {
	switch {
	case !begins(b, proxyproto.SIGV1) && !begins(b, proxyproto.SIGV2):
		return 0, errNoProxyHeader
	case len(b) > 0 && b[0] == proxyproto.SIGV1[0]:
		end := bytes.IndexByte(b[:min(len(b), maxProxyV1)], '\n')
		if end < 0 && len(b) >= maxProxyV1 {
			return 0, fmt.Errorf("%w: over %d octets", errBadProxyHeader, maxProxyV1)
		}
		return end + 1, nil
	case len(b) < prefixV2:
		return 0, nil
	}
	size := prefixV2 + int(binary.BigEndian.Uint16(b[14:]))
	if size > maxProxyV2 {
		return 0, fmt.Errorf("%w: %d octets, at most %d", errBadProxyHeader, size, maxProxyV2)
	}
	return size, nil
}

// begins reports whether b can be the beginning of something that begins with sig.
func begins(b, sig []byte) bool {
	n := min(len(b), len(sig))
	return bytes.Equal(b[:n], sig[:n])
}

// parseProxyHeader reads a header that is whole. TLVs are not looked at. A header that names no TCP client is that of a
// connection of the proxy's own.
func parseProxyHeader(b []byte) (proxyHeader, error) {
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(b), len(b)))
	if err != nil {
		return proxyHeader{}, fmt.Errorf("%w: %w", errBadProxyHeader, err)
	}
	if h.Command.IsLocal() || h.TransportProtocol.IsUnspec() {
		return proxyHeader{health: true}, nil
	}
	from, to, ok := h.TCPAddrs()
	if !ok {
		return proxyHeader{}, fmt.Errorf("%w: not of a TCP connection", errBadProxyHeader)
	}
	out := proxyHeader{client: addrPort(net.Addr(from)), local: addrPort(net.Addr(to))}
	if a := out.client.Addr(); !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return proxyHeader{}, fmt.Errorf("%w: %s is no client", errBadProxyHeader, a)
	}
	return out, nil
}
