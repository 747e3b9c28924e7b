package addrpool

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// ParseAddress turns unix:/path, /path, tcp:host:port or host:port, as operators write where a scanner is, into what net.Dial
// takes. Its errors name the address and what to write instead.
func ParseAddress(address string) (network, target string, err error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok || strings.HasPrefix(address, "/") {
		if !ok {
			path = address
		}
		if !strings.HasPrefix(path, "/") || strings.ContainsRune(path, 0) {
			return "", "", fmt.Errorf("address %q: want unix: and an absolute path", address)
		}
		return "unix", path, nil
	}
	target = strings.TrimPrefix(address, "tcp:")
	host, port, err := net.SplitHostPort(target)
	if err != nil || host == "" || strings.ContainsAny(host, "/ ") {
		return "", "", fmt.Errorf("address %q: want unix:/path or tcp:host:port", address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", fmt.Errorf("address %q: port %q is not a number from 1 to 65535", address, port)
	}
	return "tcp", target, nil
}
