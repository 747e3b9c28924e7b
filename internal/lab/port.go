package lab

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// lowestPort is where the search for free ports begins; below it are ports that
// known services use.
const lowestPort = 12000

// Port is a TCP port on 127.0.0.1 that is kept for one part until Release.
//
// A part that cannot be told "any port" needs a number before it starts, and
// between the choice and its bind another process may take it. So the number is
// one that the system never hands out by itself (below its ephemeral range), and
// a lock file keeps other labs of this machine away from it.
type Port struct {
	Number int
	lock   *os.File
}

// ReservePort finds a port that nothing listens at.
func ReservePort() (*Port, error) {
	dir := filepath.Join(os.TempDir(), "gatepost-ports-"+strconv.Itoa(os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("port: %w", err)
	}
	high := ephemeralStart()
	for range 200 {
		number := lowestPort + rand.IntN(high-lowestPort)
		port, err := lockPort(dir, number)
		if err != nil {
			return nil, err
		}
		if port == nil {
			continue
		}
		l, err := net.Listen("tcp4", port.Addr())
		if err != nil {
			port.Release()
			continue
		}
		l.Close()
		return port, nil
	}
	return nil, fmt.Errorf("port: none is free between %d and %d", lowestPort, high)
}

// portOr is the port that a caller kept, or a new one that the part releases at its end: own.
func portOr(kept *Port) (port *Port, own []*Port, err error) {
	if kept != nil {
		return kept, nil, nil
	}
	port, err = ReservePort()
	return port, []*Port{port}, err
}

// release gives ports back.
func release(ports []*Port) {
	for _, p := range ports {
		p.Release()
	}
}

// lockPort takes the lock of a number; nil without an error when somebody has it.
func lockPort(dir string, number int) (*Port, error) {
	f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(number)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("port: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, nil
	}
	return &Port{Number: number, lock: f}, nil
}

// Addr is the port as host:port.
func (p *Port) Addr() string { return "127.0.0.1:" + strconv.Itoa(p.Number) }

// Release gives the port back. The lock file stays: were it removed, two labs
// could hold locks on two files of the same name.
func (p *Port) Release() {
	if p != nil {
		p.lock.Close()
	}
}

// ephemeralStart is the first port that the system hands out by itself.
func ephemeralStart() int {
	const usual = 32768
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return usual
	}
	first, _, _ := bytes.Cut(bytes.TrimSpace(b), []byte("\t"))
	n, err := strconv.Atoi(string(first))
	if err != nil || n < lowestPort+1000 {
		return usual
	}
	return n
}
