package load

import (
	"fmt"
	"net"
	"time"
)

// sources is how many client addresses there are: one address has too few ports for tens of thousands of connections,
// and a server counts its clients by address.
const sources = 250

// source is the address of client number n: all of 127.0.0.0/8 is loopback (RFC 1122 section 3.2.1.3).
func source(n int) *net.TCPAddr {
	return &net.TCPAddr{IP: net.IPv4(127, 1, 1, byte(1+n%sources))}
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
