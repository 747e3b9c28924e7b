package smtpd

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/gateway"
)

// pressureEvery is how often the memory is asked about.
const pressureEvery = time.Second

// Stress is what is told when the server begins to shed load, and when that is over.
type Stress struct {
	On          bool
	Connections int           // open at that moment
	Most        int           // limits.connections
	Memory      float64       // share of the memory limit in use; 0 where it is not known
	After       time.Duration // how long it lasted; of the end
}

// stress remembers whether load is shed. It is entered at one mark and left at a lower one, so that it does not flicker.
type stress struct {
	on     atomic.Bool
	full   atomic.Bool   // memory is nearly gone: nobody new, no message
	memory atomic.Uint64 // bits of the share that was last seen

	mu    sync.Mutex
	since time.Time
}

// Stressed reports whether load is being shed: shorter waits and timeouts, refusals in place of the banner.
func (s *Server) Stressed() bool { return s.stress.on.Load() }

// weigh compares the load with the marks. It is called whenever a connection came or went, and costs next to nothing.
func (s *Server) weigh(l *gateway.Limits) {
	m, open := &l.Stress, s.gate.open()
	share, memory := float64(open)/float64(max(l.Connections, 1)), math.Float64frombits(s.stress.memory.Load())
	switch s.stress.on.Load() {
	case false:
		if m.ConnectionsOn > 0 && share >= m.ConnectionsOn || m.MemoryOn > 0 && memory >= m.MemoryOn {
			s.turn(true, l, open, memory)
		}
	case true:
		if (share < m.ConnectionsOff || m.ConnectionsOn <= 0) && (memory < m.MemoryOff || m.MemoryOn <= 0) {
			s.turn(false, l, open, memory)
		}
	}
}

// turn enters or leaves stress, once, tells it, and hurries those who wait already.
func (s *Server) turn(on bool, l *gateway.Limits, open int, memory float64) {
	s.stress.mu.Lock()
	if !s.stress.on.CompareAndSwap(!on, on) {
		s.stress.mu.Unlock()
		return
	}
	e := Stress{On: on, Connections: open, Most: l.Connections, Memory: memory}
	if on {
		s.stress.since = time.Now()
	} else {
		e.After = time.Since(s.stress.since)
	}
	s.stress.mu.Unlock()
	go func() { // not in the accept loop: it is told, and many sessions may be there
		if s.OnStress != nil {
			s.OnStress(e)
		}
		if on {
			s.hurry(l.Stress.CommandTimeout)
		}
	}()
}

// hurry shortens the time of every session that waits for a command outside a transaction.
func (s *Server) hurry(d time.Duration) {
	if d <= 0 {
		return
	}
	end := time.Now().Add(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.sessions {
		c.hurry(end)
	}
}

func (c *session) hurry(end time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle && !c.Trusted && !c.srv.draining.Load() && end.Before(c.deadline) {
		c.deadline = end
		_ = c.raw.SetReadDeadline(end)
	}
}

// watchPressure asks about the memory until the server is empty.
func (s *Server) watchPressure() {
	tick := time.NewTicker(pressureEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.empty:
			return
		case <-tick.C:
			s.feelPressure()
		}
	}
}

// feelPressure takes the memory in use into account.
func (s *Server) feelPressure() {
	snap := s.Current()
	if s.Pressure == nil || snap == nil {
		return
	}
	memory := s.Pressure()
	s.stress.memory.Store(math.Float64bits(memory))
	full := snap.Limits.Stress.MemoryFull
	s.stress.full.Store(full > 0 && memory >= full)
	s.weigh(&snap.Limits)
}

// commandTimeout is how long the next command may take.
func (c *session) commandTimeout() time.Duration {
	if short := c.limits.Stress.CommandTimeout; short > 0 && !c.Trusted && c.srv.Stressed() {
		return min(short, c.limits.CommandTimeout)
	}
	return c.limits.CommandTimeout
}

var errNoMemory = errors.New("smtp message: the memory of the gateway is nearly used up")

// noRoom is the body of a message that there is no memory for: its chunks are read, since they must be, and not kept.
type noRoom struct{}

func (noRoom) Write([]byte) (int, error)   { return 0, errNoMemory }
func (noRoom) Done() (gateway.Body, error) { return nil, errNoMemory }
func (noRoom) Discard()                    {}

// newBody is where a message goes.
func (c *session) newBody() gateway.BodyWriter {
	if c.srv.stress.full.Load() {
		return noRoom{}
	}
	return c.srv.NewBody()
}
