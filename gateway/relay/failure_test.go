package relay

import (
	"errors"
	"net"
	"testing"
)

// TestFailureNamesItsStepOnce shows the words that a person reads in queue, trace and status.
func TestFailureNamesItsStepOnce(t *testing.T) {
	for want, f := range map[string]*failure{
		"dial: tcp 192.0.2.1:25: refused": {at: atDial, err: &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 25}, Err: errors.New("refused")}},
		"ehlo: dial":                      {at: atEHLO, err: errors.New("dial")},
	} {
		if got := f.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
