package systemd

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// pulseEvery is how often an accept loop without clients shows that it lives.
const pulseEvery = time.Second

// Pulse is a listener whose accept loop shows that it loops: each call of Accept is a beat, and while nobody connects it
// beats by itself, within Accept. A loop that hangs between two calls beats no more. A timer that beats would show that
// timers work, and nothing of the loop.
type Pulse struct {
	net.Listener
	deadline interface{ SetDeadline(time.Time) error }
	armed    time.Time    // when the deadline was set last; of the accept loop alone
	last     atomic.Int64 // Unix time in nanoseconds
	ended    atomic.Bool
}

// NewPulse wraps a TCP or unix listener; another kind beats only when Accept is called.
func NewPulse(l net.Listener) *Pulse {
	p := &Pulse{Listener: l}
	p.deadline, _ = l.(interface{ SetDeadline(time.Time) error })
	p.beat()
	return p
}

func (p *Pulse) beat() {
	now := time.Now()
	p.last.Store(now.UnixNano())
	if p.deadline != nil && now.Sub(p.armed) > pulseEvery/2 {
		p.armed = now
		_ = p.deadline.SetDeadline(now.Add(pulseEvery)) // a listener that is closed tells so at Accept
	}
}

// Accept waits for the next connection, as the listener's own does, which it returns as it is.
func (p *Pulse) Accept() (net.Conn, error) {
	for {
		p.beat()
		c, err := p.Listener.Accept()
		if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
			p.armed = time.Time{}
			continue
		}
		return c, err
	}
}

// Close closes the listener; nobody expects another beat.
func (p *Pulse) Close() error {
	p.ended.Store(true)
	return p.Listener.Close()
}

// Beats reports whether the loop was seen within the given time, or has ended on purpose.
func (p *Pulse) Beats(within time.Duration) bool {
	return p.ended.Load() || time.Since(time.Unix(0, p.last.Load())) <= within
}
