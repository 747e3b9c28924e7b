package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gatepost/internal/config"
)

// TestHints shows that a socket that cannot be opened says what to write: for a port below 1024 both ways out.
func TestHints(t *testing.T) {
	at := netip.MustParseAddrPort("0.0.0.0:25")
	for err, want := range map[error][]string{
		unix.EACCES: {"AmbientCapabilities=CAP_NET_BIND_SERVICE in gatepost.service",
			"ListenStream=25 and FileDescriptorName=smtp in gatepost.socket"},
		unix.EADDRINUSE:    {"ss -ltnp"},
		unix.EADDRNOTAVAIL: {"ip addr"},
		unix.EMFILE:        {""},
	} {
		got := hint(fmt.Errorf("listen tcp 0.0.0.0:25: bind: %w", err), "smtp", at)
		for _, w := range want {
			if !strings.Contains(got, w) || w == "" && got != "" {
				t.Errorf("%v: %q, want %q", err, got, w)
			}
		}
	}
}

// TestListenAllOrNone shows that of two sockets the first is closed again when the second cannot be opened.
func TestListenAllOrNone(t *testing.T) {
	first, err := listen(&config.Bootstrap{Listeners: []config.Listener{{Name: "a", Addresses: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	taken := first.smtp[0].Addr().String()
	defer first.close()
	b := &config.Bootstrap{Listeners: []config.Listener{{Name: "b", Addresses: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort(taken)}}}}
	out, err := listen(b, nil)
	if err == nil || !strings.Contains(err.Error(), "listener[b].addresses: ") || !strings.Contains(err.Error(), "ss -ltnp") {
		t.Fatalf("%v", err)
	}
	if _, err := out.smtp[0].Accept(); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("the first socket is still open: %v", err)
	}
}
