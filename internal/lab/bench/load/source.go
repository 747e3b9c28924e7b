package load

import (
	"fmt"
	"net"
	"time"
)

// source is the address of client number n: all of 127.0.0.0/8 is loopback (RFC 1122 section 3.2.1.3). One address has too
// few ports for tens of thousands of connections, and a server counts its clients by address and by network, so that
// each of 40,000 has a network of its own.
func source(n int) *net.TCPAddr {
	return &net.TCPAddr{IP: net.IPv4(127, byte(1+n%200), byte(n/200%200), 7)}
}

// dialFrom connects as client number n.
func dialFrom(n int, addr string, deadline time.Time) (net.Conn, error) {
	d := net.Dialer{LocalAddr: source(n), Deadline: deadline}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}
