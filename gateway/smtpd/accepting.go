package smtpd

import (
	"log/slog"
	"sync"
	"time"
)

// acceptPause is how long the accept loop waits after an error: short enough that nobody in the backlog notices.
const acceptPause = 50 * time.Millisecond

// acceptance remembers whether connections can be accepted, so that a loop that cannot is told of once, and not with
// every try.
type acceptance struct {
	mu    sync.Mutex
	fault map[string]acceptFault // by listener
}

type acceptFault struct {
	since time.Time
	text  string
}

func (a *acceptance) fails(log *slog.Logger, listener string, err error) {
	a.mu.Lock()
	_, before := a.fault[listener]
	if a.fault == nil {
		a.fault = make(map[string]acceptFault)
	}
	if !before {
		a.fault[listener] = acceptFault{time.Now(), err.Error()}
	}
	a.mu.Unlock()
	if !before {
		log.Error("smtp listener: no connection can be accepted; clients wait in the backlog", "listener", listener, "error", err)
	}
}

func (a *acceptance) works(log *slog.Logger, listener string) {
	a.mu.Lock()
	f, before := a.fault[listener]
	delete(a.fault, listener)
	a.mu.Unlock()
	if before {
		log.Warn("smtp listener: connections are accepted again", "listener", listener, "after", time.Since(f.since).Round(time.Millisecond))
	}
}

// Accepting reports whether the last try to accept a connection worked on every listener, and what went wrong.
func (s *Server) Accepting() (ok bool, detail string) {
	s.accepting.mu.Lock()
	defer s.accepting.mu.Unlock()
	for listener, f := range s.accepting.fault {
		return false, listener + ": " + f.text
	}
	return true, ""
}
