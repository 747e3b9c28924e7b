package spool

import (
	"container/heap"
	"strings"
	"time"

	"gatepost/gateway"
)

// State is what a message of the queue does now.
type State uint8

// The states of a message.
const (
	Waiting    State = iota // for its time, or for its route
	Delivering              // somebody is at work on it
	Held                    // until a person releases it
	Dead                    // a dead letter: it cannot be delivered, and whoever sent it may not be told
	states
)

// String returns the name.
func (s State) String() string { return nameOf(stateNames(), s) }

// MarshalText writes the name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a name.
func (s *State) UnmarshalText(b []byte) error { return parseName(stateNames(), "state", b, s) }

func stateNames() []string { return []string{"waiting", "delivering", "held", "dead"} }

// entry is what is kept in memory of a message: what decides when it is tried, and what a list shows. It is bounded,
// however many recipients there are.
type entry struct {
	id       gateway.ID
	lane     *lane
	who      string // reverse-path and recipients, as long as they are short; see whoOf
	said     string // why it is still here; mostly the same octets as its neighbours'
	size     int64
	since    int64 // milliseconds: from when on its lifetime counts; the order of a route
	next     int64 // milliseconds: not before
	at       int32 // in the heap
	attempts uint16
	rcpts    uint16 // in all, as far as they can be counted here
	left     uint16 // of them, those that are not done
	in       pile
	state    State
	fault    bool // its last attempt broke: it is tried once its route is well
	cut      bool // who does not have all recipients
	finished bool // nothing is left to do but to remove its files
}

// pile is the heap that an entry lies in.
type pile uint8

const (
	inNone  pile = iota
	inDue        // its time has come
	inLater      // its time will come
)

// maxWho bounds what a message's addresses take in memory.
const maxWho = 256

// whoOf joins the addresses of a message for lists and filters: the reverse-path, then the recipients, a line each.
func whoOf(e *envelope) (who string, cut bool) {
	var b strings.Builder
	b.WriteString(limit(e.From.Text, maxWho))
	for i := range e.Rcpts {
		if text := e.Rcpts[i].Address.Text; b.Len()+1+len(text) <= maxWho {
			b.WriteByte('\n')
			b.WriteString(text)
		} else {
			cut = true
		}
	}
	return strings.Clone(b.String()), cut || len(e.From.Text) > maxWho
}

func (e *entry) from() string { from, _, _ := strings.Cut(e.who, "\n"); return from }

func (e *entry) to() []string {
	if _, to, any := strings.Cut(e.who, "\n"); any {
		return strings.Split(to, "\n")
	}
	return nil
}

// counted fits a number into what an entry has for it.
func counted(n int) uint16 { return uint16(min(n, 1<<16-1)) }

// lane is the messages of one route.
type lane struct {
	name     string
	due      byAge
	later    byNext
	count    [states]int
	octets   [states]int64
	lastSaid string // of one of them; the others share its octets
	pace
}

// byAge is a heap of those whose time has come: who came first goes first.
type byAge []*entry

func (h byAge) Len() int { return len(h) }
func (h byAge) Less(i, j int) bool {
	if h[i].since != h[j].since {
		return h[i].since < h[j].since
	}
	return h[i].id < h[j].id
}
func (h byAge) Swap(i, j int) { h[i], h[j] = h[j], h[i]; h[i].at, h[j].at = int32(i), int32(j) }

// Push and Pop are for package heap.
func (h *byAge) Push(x any) { e := x.(*entry); e.at, e.in = int32(len(*h)), inDue; *h = append(*h, e) }

// Pop is for package heap.
func (h *byAge) Pop() any { return popEntry((*[]*entry)(h)) }

// byNext is a heap of those whose time will come.
type byNext []*entry

func (h byNext) Len() int           { return len(h) }
func (h byNext) Less(i, j int) bool { return h[i].next < h[j].next }
func (h byNext) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].at, h[j].at = int32(i), int32(j) }

// Push and Pop are for package heap.
func (h *byNext) Push(x any) {
	e := x.(*entry)
	e.at, e.in = int32(len(*h)), inLater
	*h = append(*h, e)
}

// Pop is for package heap.
func (h *byNext) Pop() any { return popEntry((*[]*entry)(h)) }

func popEntry(list *[]*entry) *entry {
	n := len(*list) - 1
	e := (*list)[n]
	(*list)[n] = nil
	*list = (*list)[:n]
	e.in = inNone
	if cap(*list) > 64 && n < cap(*list)/4 {
		*list = append(make([]*entry, 0, cap(*list)/2), *list...) // what a flood took is given back
	}
	return e
}

// index is all messages of the queue. It is used with the queue's lock held.
type index struct {
	all    map[gateway.ID]*entry
	lanes  map[string]*lane
	names  []*lane // in the order in which they came
	octets int64
}

func newIndex() index {
	return index{all: make(map[gateway.ID]*entry), lanes: make(map[string]*lane)}
}

// lane returns the lane of a route.
func (x *index) lane(route string) *lane {
	l := x.lanes[route]
	if l == nil {
		l = &lane{name: strings.Clone(route)}
		x.lanes[l.name] = l
		x.names = append(x.names, l)
	}
	return l
}

// add takes a message in.
func (x *index) add(e *entry, s State, now time.Time) {
	x.all[e.id] = e
	x.octets += e.size
	x.enter(e, s, now)
}

// drop forgets a message.
func (x *index) drop(e *entry) {
	x.leave(e)
	delete(x.all, e.id)
	x.octets -= e.size
}

// change brings a message to a state, and where it waits to its place among those that do.
func (x *index) change(e *entry, s State, now time.Time) {
	x.leave(e)
	x.enter(e, s, now)
}

// move brings a message to another route.
func (x *index) move(e *entry, route string, now time.Time) {
	x.leave(e)
	e.lane = x.lane(route)
	x.enter(e, e.state, now)
}

func (x *index) leave(e *entry) {
	l := e.lane
	l.count[e.state]--
	l.octets[e.state] -= e.size
	switch e.in {
	case inDue:
		heap.Remove(&l.due, int(e.at))
	case inLater:
		heap.Remove(&l.later, int(e.at))
	}
}

func (x *index) enter(e *entry, s State, now time.Time) {
	l := e.lane
	e.state = s
	l.count[s]++
	l.octets[s] += e.size
	switch {
	case s != Waiting:
	case e.next <= now.UnixMilli():
		heap.Push(&l.due, e)
	default:
		heap.Push(&l.later, e)
	}
}

// ripen moves those whose time has come.
func (l *lane) ripen(now time.Time) {
	for len(l.later) > 0 && l.later[0].next <= now.UnixMilli() {
		heap.Push(&l.due, heap.Pop(&l.later))
	}
}

// flush makes those due at once whose last attempt broke, or all: the route is well again.
func (l *lane) flush(now time.Time, all bool) {
	var due []*entry
	for _, e := range l.later {
		if e.fault || all {
			due = append(due, e)
		}
	}
	for _, e := range due {
		heap.Remove(&l.later, int(e.at))
		e.next = now.UnixMilli()
		heap.Push(&l.due, e)
	}
}
