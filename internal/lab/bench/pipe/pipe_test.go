package pipe

import (
	"testing"
	"time"

	"gatepost/internal/lab/bench/load"
	"gatepost/internal/lab/bench/sink"
)

// TestRelay shows that a load arrives whole through a pipe, and that Close ends what runs.
func TestRelay(t *testing.T) {
	s, err := sink.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p, err := Start(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	r, err := load.Job{Addr: p.Addr(), Message: load.NewMessage(200 << 10), Connections: 3, PerSession: 2,
		For: 20 * time.Second, Count: 12, Timeout: 20 * time.Second}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Count().Check(r.Acknowledged); err != nil || r.Acknowledged.Messages != 12 {
		t.Errorf("%d messages, %v; want 12", r.Acknowledged.Messages, err)
	}
	idle, err := load.Idle{Addr: p.Addr(), Count: 2}.Hold(t.Context(), 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	// The next hop is gone: the client's connection ends and nothing hangs.
	p, err = Start("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := (load.Job{Addr: p.Addr(), Message: load.NewMessage(1000), Connections: 1, PerSession: 1,
		For: time.Second, Count: 1, Timeout: 20 * time.Second}).Run(t.Context()); err == nil {
		t.Error("a message was taken by nobody")
	}
}
