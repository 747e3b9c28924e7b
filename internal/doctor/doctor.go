// Package doctor looks at a mail gateway from outside in, as senders see it, and then at what stands behind it: DNS, the
// domains it serves, its host, its listener, the lists it asks, its clock, its next hops, its scanners, its disk and its web.
// Each thing looked at is a Line: a verdict, what was seen, and what exactly to do.
//
// It changes nothing, sends no message, and asks nobody but whom a World names. What it cannot tell it calls Unknown, never
// OK. It knows nothing of Gatepost but its words; who runs it fills in the World.
package doctor

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Verdict is what a look came to. The zero value is that nothing could be told.
type Verdict uint8

// The verdicts.
const (
	Unknown Verdict = iota // it could not be told
	OK
	Warn // mail goes on, and somebody should know
	Fail // mail is lost, refused or open to strangers, now or soon
)

// String is the word of a page; Unknown is a question mark there.
func (v Verdict) String() string { return [...]string{"?", "ok", "warn", "FAIL"}[v&3] }

// MarshalText is the word for programs.
func (v Verdict) MarshalText() ([]byte, error) {
	return []byte([...]string{"unknown", "ok", "warn", "fail"}[v&3]), nil
}

// Line is one thing that was looked at.
type Line struct {
	ID      string   `json:"id"` // one of IDs
	Verdict Verdict  `json:"verdict"`
	About   string   `json:"about,omitempty"` // a domain, a host, a server
	Saw     string   `json:"saw"`             // one line, cleaned
	Fix     []string `json:"fix,omitempty"`   // records and keys to paste, commands to run; a line each
}

// Group is what is looked at in one go, beside the other groups.
type Group struct {
	Name string
	Run  func(ctx context.Context, r *Report)
}

// Findings are the lines of one group.
type Findings struct {
	Group string
	Lines []Line
}

// Report collects the lines of a group. It may be used from several goroutines, whose lines come in the order of their
// numbers; a group that uses one only need not number anything.
type Report struct {
	mu     sync.Mutex
	closed bool
	lines  []numbered
}

type numbered struct {
	at int
	Line
}

// mostLines bounds what one group may tell: whoever publishes records decides how many there are.
const mostLines = 2000

// tell adds a line.
func (r *Report) tell(l Line) { r.at(0).tell(l) }

// part is the place in a Report of one of several things that are looked at together.
type part struct {
	r  *Report
	at int
}

// at makes the place number n of a Report.
func (r *Report) at(n int) part { return part{r, n} }

func (p part) tell(l Line) {
	l.Saw = clean(l.Saw, 400)
	for i := range l.Fix {
		l.Fix[i] = clean(l.Fix[i], 2000)
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	if !p.r.closed && len(p.r.lines) < mostLines {
		p.r.lines = append(p.r.lines, numbered{p.at, l})
	}
}

func (p part) ok(id, about, saw string)                  { p.tell(Line{id, OK, about, saw, nil}) }
func (p part) warn(id, about, saw string, fix ...string) { p.tell(Line{id, Warn, about, saw, fix}) }
func (p part) fail(id, about, saw string, fix ...string) { p.tell(Line{id, Fail, about, saw, fix}) }
func (p part) unknown(id, about, saw string, fix ...string) {
	p.tell(Line{id, Unknown, about, saw, fix})
}

// Bound is how long each group may take.
const Bound = 20 * time.Second

// grace is how long a group may take to tell what it has when its time is over, before it is left behind.
const grace = time.Second

// Examine runs all groups at the same time, each for as long as bound, and returns what they found in the order that they were
// given in. A group that hangs or panics has an Unknown line NAME.unfinished behind those that it had until then.
func Examine(ctx context.Context, groups []Group, bound time.Duration) []Findings {
	out := make([]Findings, len(groups))
	var all sync.WaitGroup
	for i, g := range groups {
		all.Go(func() { out[i] = Findings{g.Name, g.examine(ctx, bound)} })
	}
	all.Wait()
	return out
}

func (g *Group) examine(ctx context.Context, bound time.Duration) []Line {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	r, done := &Report{}, make(chan string, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Sprintf("a fault of the doctor's own: %v", p)
			}
			close(done)
		}()
		g.Run(ctx, r)
	}()
	last := time.NewTimer(bound + grace)
	defer last.Stop()
	var why string
	select {
	case why = <-done:
	case <-last.C:
		why = "was not done after " + bound.String()
	}
	if why != "" {
		r.tell(Line{ID: g.Name + ".unfinished", Saw: why})
	}
	return r.close()
}

// close ends a report: what comes later is not heard.
func (r *Report) close() []Line {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return inOrder(r.lines)
}

// Well reports whether everything is ok or a warning: what could not be told is not well.
func Well(found []Findings) bool {
	for _, g := range found {
		for _, l := range g.Lines {
			if l.Verdict == Fail || l.Verdict == Unknown {
				return false
			}
		}
	}
	return true
}
