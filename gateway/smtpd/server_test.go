package smtpd

import (
	"context"
	"net"
	"testing"
)

// TestSessionsWhileItStarts: how many sessions there are can be asked at any time, also while the first Serve begins.
// The race detector is the judge.
func TestSessionsWhileItStarts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, l, "smtp") }()
	if n := s.Sessions(); n != 0 {
		t.Errorf("%d sessions", n)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
