package relay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Why no connection was to be had. None is a fault of the next hop.
var (
	errBusy = errors.New("pool: no connection became free in time")
	errFull = errors.New("pool: too many messages wait for a connection")
	errRate = errors.New("rate: more messages than the route hands to this next hop")
)

// lane is what a connection is taken for. Each lane has only a share of the pool, so that messages and questions about
// recipients cannot take all of it from each other.
type lane uint8

const (
	forMail lane = iota
	forAsking
	lanes
)

// share is how many of a pool's connections a lane may have at the same time. A pool of one is shared by all.
func (l lane) share(size int) int {
	if l == forMail && size > 1 {
		return size - max(1, size/8)
	}
	return max(1, size/2)
}

// slots are the right to have connections to a next hop, and those who wait for it: so many, and no longer than so long.
type slots struct {
	all     chan struct{}
	lanes   [lanes]chan struct{}
	queue   int32 // that may wait, in each lane
	waiting [lanes]atomic.Int32
	moved   atomic.Int64  // when one was last taken or given back, in ns since 1970
	refused atomic.Uint64 // that got none

	starting sync.Mutex
	parked   atomic.Int32 // places that nobody gets while a next hop that was away is begun with slowly
}

func newSlots(size, queue int) *slots {
	s := &slots{all: make(chan struct{}, size), queue: int32(queue)}
	for l := range lanes {
		s.lanes[l] = make(chan struct{}, l.share(size))
	}
	return s
}

// used is how many are taken.
func (s *slots) used() int { return max(len(s.all)-int(s.parked.Load()), 0) }

// narrow leaves one place of those that are free now: a next hop that is back has enough to do.
func (s *slots) narrow() {
	s.starting.Lock()
	defer s.starting.Unlock()
	for int(s.parked.Load()) < cap(s.all)-1 && put(s.all) {
		s.parked.Add(1)
	}
}

// widen doubles what is left of them, up to all.
func (s *slots) widen() {
	if s.parked.Load() == 0 {
		return
	}
	s.starting.Lock()
	defer s.starting.Unlock()
	for n := min(cap(s.all)-int(s.parked.Load()), int(s.parked.Load())); n > 0; n-- {
		s.parked.Add(-1)
		<-s.all
	}
	s.moved.Store(time.Now().UnixNano())
}

// take waits for the right to have one more connection, at most for that time.
func (s *slots) take(ctx context.Context, l lane, within time.Duration) error {
	if !put(s.lanes[l]) {
		return s.wait(ctx, l, within, false)
	}
	if !put(s.all) {
		return s.wait(ctx, l, within, true)
	}
	s.moved.Store(time.Now().UnixNano())
	return nil
}

// put takes a place that is free now.
func put(c chan struct{}) bool {
	select {
	case c <- struct{}{}:
		return true
	default:
		return false
	}
}

// wait is take where one has to wait; inLane says that only the place among all is missing.
func (s *slots) wait(ctx context.Context, l lane, within time.Duration, inLane bool) error {
	defer s.waiting[l].Add(-1)
	var err error
	if s.waiting[l].Add(1) > s.queue {
		err = errFull
	}
	t := time.NewTimer(within)
	defer t.Stop()
	for _, c := range [...]chan struct{}{s.lanes[l], s.all} {
		if err != nil {
			break
		}
		if c == s.lanes[l] && inLane {
			continue
		}
		select {
		case c <- struct{}{}:
			inLane = true
		case <-t.C:
			err = errBusy
		case <-ctx.Done():
			err = fmt.Errorf("%w: %w", errBusy, ctx.Err())
		}
	}
	if err != nil {
		s.refused.Add(1)
		if inLane {
			<-s.lanes[l]
		}
		return err
	}
	s.moved.Store(time.Now().UnixNano())
	return nil
}

// give gives a place back.
func (s *slots) give(l lane) {
	<-s.all
	<-s.lanes[l]
	s.moved.Store(time.Now().UnixNano())
}

// crowded says that one more message is unlikely to get a connection in time: as many wait as may, or some wait and for
// half their time nothing has moved.
func (s *slots) crowded(within time.Duration) bool {
	n := s.waiting[forMail].Load()
	return n >= s.queue || n > 0 && time.Since(time.Unix(0, s.moved.Load())) > within/2
}

// room says that a connection could be had at once.
func (s *slots) room(l lane) bool {
	return len(s.all) < cap(s.all) && len(s.lanes[l]) < cap(s.lanes[l])
}
