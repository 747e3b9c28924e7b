package quarantine

import (
	"slices"
	"sync"
	"time"

	"gatepost/gateway"
)

// lessons are the messages that engines are still to be told of, and when each is tried. What stands in the state of a message
// (Lesson.Due) is what counts: this is made anew from that at the start. The zero value has none.
type lessons struct {
	mu   sync.Mutex
	next map[gateway.ID]time.Time
	busy gateway.ID    // the one that is given now
	bell chan struct{} // has room for one: something was added
}

// add has a message tried at a time.
func (s *lessons) add(id gateway.ID, at time.Time) {
	s.mu.Lock()
	if s.next == nil {
		s.next = make(map[gateway.ID]time.Time)
	}
	s.next[id] = at
	s.mu.Unlock()
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

// remove takes a message off the list.
func (s *lessons) remove(id gateway.ID) {
	s.mu.Lock()
	delete(s.next, id)
	s.mu.Unlock()
}

// erased takes a message off the list that is no longer there, and says whether its lesson is lost with it. Of the one that is
// given now, whoever gives it knows more.
func (s *lessons) erased(id gateway.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, waits := s.next[id]
	if id == s.busy {
		return false
	}
	delete(s.next, id)
	return waits
}

func (s *lessons) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.next)
}

// first is the message that is tried first, and when; 0: none waits.
func (s *lessons) first() (id gateway.ID, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for each, when := range s.next {
		if id == 0 || when.Before(at) || when.Equal(at) && each < id {
			id, at = each, when
		}
	}
	return id, at
}

// give notes which one is given now; 0: none.
func (s *lessons) give(id gateway.ID) {
	s.mu.Lock()
	s.busy = id
	s.mu.Unlock()
}

// ease is how the engines are spared while they fail. The zero value asks at once.
type ease struct {
	faults int       // in a row
	until  time.Time // nobody is asked before
}

// failed counts a failure, and says whether it begins a rest.
func (e *ease) failed(now time.Time) bool {
	if e.faults++; e.faults < faultsInRow {
		return false
	}
	e.until = now.Add(growing(e.faults-faultsInRow, restAtMost))
	return e.faults == faultsInRow
}

// growing is a pause that doubles with n, from firstPause on.
func growing(n int, most time.Duration) time.Duration {
	return min(firstPause<<min(n, 20), most)
}

// union is both, each name once, in order.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
