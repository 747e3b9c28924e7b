package spool

import (
	"cmp"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
)

// Filter picks messages. What is not set picks all; what is set must all hold. Texts match without regard to case.
type Filter struct {
	IDs     []gateway.ID
	Route   string
	State   string // of State's names
	From    string // a part of the reverse-path; "<>" is the null one
	To      string // a part of a recipient
	Said    string // a part of why it is still here
	Before  time.Time
	After   time.Time // arrived in [After, Before)
	Smaller int64     // octets; 0 for any
	Larger  int64
	Limit   int // at most so many, the oldest first; 0: all
}

// Empty reports a filter that picks everything.
func (f *Filter) Empty() bool {
	g := *f
	g.Limit = 0
	return len(g.IDs) == 0 && g.Route == "" && g.State == "" && g.From == "" && g.To == "" && g.Said == "" &&
		g.Before.IsZero() && g.After.IsZero() && g.Smaller == 0 && g.Larger == 0
}

// Listed is a message as a list shows it.
type Listed struct {
	ID       gateway.ID `json:"id"`
	State    State      `json:"state"`
	Route    string     `json:"route"`
	From     string     `json:"from"`
	To       []string   `json:"to"`             // the first ones, where there are many
	More     bool       `json:"more,omitempty"` // To does not have all
	Rcpts    int        `json:"rcpts"`
	Left     int        `json:"left"` // of them, those without an end
	Size     int64      `json:"size"`
	Arrived  time.Time  `json:"arrived"` // or since when its lifetime counts, after a retry of a dead letter
	Next     time.Time  `json:"next,omitzero"`
	Attempts int        `json:"attempts"`
	Said     string     `json:"said,omitempty"`
}

// Fate is a recipient and what became of it.
type Fate struct {
	Address string        `json:"address"`
	End     End           `json:"end"`
	Reply   gateway.Reply `json:"reply,omitzero"`
	NextHop string        `json:"next_hop,omitempty"`
	At      time.Time     `json:"at,omitzero"`
	Expired bool          `json:"expired,omitempty"`
}

// fates are those of some recipients, or of all where list is nil.
func fates(env *envelope, s *state, list []int) []Fate {
	var out []Fate
	for i := range env.Rcpts {
		if list != nil && !slices.Contains(list, i) {
			continue
		}
		f := Fate{Address: env.Rcpts[i].Address.Text}
		if s != nil && i < len(s.Rcpts) {
			m := &s.Rcpts[i]
			f.End, f.Reply, f.NextHop, f.At, f.Expired = m.End, m.Reply, m.NextHop, m.At, m.Expired
		}
		out = append(out, f)
	}
	return out
}

// Shown is all that is known of a message.
type Shown struct {
	Listed
	Rcpts    []Fate          `json:"recipients"`
	EnvRoute string          `json:"first_route,omitempty"` // where it was to go, where a person sent it another way
	Custody  gateway.Custody `json:"custody"`
	Client   gateway.Client  `json:"client,omitzero"`
	Last     time.Time       `json:"last,omitzero"` // attempt
	NextHop  string          `json:"next_hop,omitempty"`
	File     string          `json:"file"`
}

// List returns the messages that the filter picks, the oldest first.
func (q *Queue) List(f *Filter) ([]Listed, error) {
	var out []Listed
	err := q.Each(f, func(l *Listed) error {
		out = append(out, *l)
		return nil
	})
	return out, err
}

// Each calls do for each message that the filter picks, the oldest first, without the lock, until do answers an
// error, which it returns.
func (q *Queue) Each(f *Filter, do func(*Listed) error) error {
	n := 0
	for _, e := range q.picked(f) {
		q.mu.Lock()
		there := q.index.all[e.id] == e
		l, cut := e.listed(), e.cut
		q.mu.Unlock()
		if !there || cut && !q.matchAll(f, &l) {
			continue
		}
		if n++; f.Limit > 0 && n > f.Limit {
			return nil
		}
		if err := do(&l); err != nil {
			return err
		}
	}
	return nil
}

// picked are the messages that the filter picks by what is in memory; those with more recipients than that has are among
// them where the others are asked for.
func (q *Queue) picked(f *Filter) []*entry {
	g := f.folded()
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []*entry
	if len(f.IDs) > 0 {
		for _, id := range f.IDs {
			if e := q.index.all[id]; e != nil && g.match(e) {
				out = append(out, e)
			}
		}
	} else {
		for _, e := range q.index.all {
			if g.match(e) {
				out = append(out, e)
			}
		}
	}
	slices.SortFunc(out, func(a, b *entry) int { return cmp.Or(cmp.Compare(a.since, b.since), cmp.Compare(a.id, b.id)) })
	return slices.Compact(out)
}

// folded is the filter as match wants it.
func (f *Filter) folded() Filter {
	g := *f
	g.From, g.To, g.Said = strings.ToLower(f.From), strings.ToLower(f.To), strings.ToLower(f.Said)
	return g
}

// match is called with the lock held, on a folded filter.
func (f *Filter) match(e *entry) bool {
	arrived := time.UnixMilli(e.since)
	switch {
	case f.Route != "" && f.Route != e.lane.name, f.State != "" && f.State != e.state.String(),
		!f.Before.IsZero() && !arrived.Before(f.Before), !f.After.IsZero() && arrived.Before(f.After),
		f.Smaller > 0 && e.size >= f.Smaller, f.Larger > 0 && e.size <= f.Larger,
		f.From == "<>" && e.from() != "", f.From != "" && f.From != "<>" && !strings.Contains(strings.ToLower(e.from()), f.From),
		f.Said != "" && !strings.Contains(strings.ToLower(e.said), f.Said):
		return false
	}
	return f.To == "" || e.cut || slices.ContainsFunc(e.to(), func(to string) bool { return strings.Contains(strings.ToLower(to), f.To) })
}

// matchAll looks for the recipient in the file, where memory does not have all of them.
func (q *Queue) matchAll(f *Filter, l *Listed) bool {
	if f.To == "" {
		return true
	}
	m, err := openMessage(q.name(l.ID, ".msg"), l.ID)
	if err != nil {
		return false
	}
	defer m.file.Close()
	return slices.ContainsFunc(m.Rcpts, func(r rcpt) bool {
		return strings.Contains(strings.ToLower(r.Address.Text), strings.ToLower(f.To))
	})
}

func (e *entry) listed() Listed {
	l := Listed{ID: e.id, State: e.state, Route: e.lane.name, From: e.from(), To: e.to(), More: e.cut, Rcpts: int(e.rcpts), Left: int(e.left),
		Size: e.size, Arrived: time.UnixMilli(e.since).UTC(), Attempts: int(e.attempts), Said: e.said}
	if e.state == Waiting && e.next > 0 {
		l.Next = time.UnixMilli(e.next).UTC()
	}
	if l.Said == "" && e.lane.away {
		l.Said = e.lane.pace.said
	}
	return l
}

// Show returns all that is known of a message. os.ErrNotExist says that it is not in the queue.
func (q *Queue) Show(id gateway.ID) (*Shown, error) {
	q.mu.Lock()
	e := q.index.all[id]
	if e == nil {
		q.mu.Unlock()
		return nil, os.ErrNotExist
	}
	out := &Shown{Listed: e.listed(), File: q.name(id, ".msg")}
	q.mu.Unlock()
	m, err := openMessage(out.File, id)
	if err != nil {
		return nil, err
	}
	defer m.file.Close()
	q.mu.Lock()
	s := q.unsaved[id]
	q.mu.Unlock()
	if s == nil {
		if s, err = readState(q.name(id, ".st"), len(m.Rcpts)); err != nil {
			return nil, err
		}
	}
	out.Custody, out.Client, out.Last, out.NextHop = m.Custody, m.Client, s.Last, s.NextHop
	out.Rcpts = fates(m.envelope, s, nil)
	if m.Route != out.Route {
		out.EnvRoute = m.Route
	}
	out.To, out.More = nil, false
	for i := range m.Rcpts {
		out.To = append(out.To, m.Rcpts[i].Address.Text)
	}
	return out, nil
}

// Message is a message of the queue, to be read. It is good also when the queue has delivered it meanwhile.
type Message struct {
	*io.SectionReader
	file *os.File
}

// Close gives the file back.
func (m *Message) Close() error { return m.file.Close() }

// Open opens a message, as it goes out. os.ErrNotExist says that it is not in the queue.
func (q *Queue) Open(id gateway.ID) (*Message, error) {
	q.mu.Lock()
	there := q.index.all[id] != nil
	q.mu.Unlock()
	if !there {
		return nil, os.ErrNotExist
	}
	m, err := openMessage(q.name(id, ".msg"), id)
	if err != nil {
		return nil, err
	}
	return &Message{io.NewSectionReader(m.file, m.start, m.Size), m.file}, nil
}

// Damaged is a file that was set aside.
type Damaged struct {
	File string    `json:"file"`
	Why  string    `json:"why,omitempty"`
	Size int64     `json:"size"`
	At   time.Time `json:"at"`
}

// Damaged returns the files that were set aside, at most 1,000 of them.
func (q *Queue) Damaged() ([]Damaged, error) {
	files, err := os.ReadDir(q.dirs.corrupt())
	if err != nil {
		return nil, err
	}
	var out []Damaged
	for _, f := range files {
		info, err := f.Info()
		if err != nil || !isDamaged(f.Name()) || len(out) == 1000 {
			continue
		}
		d := Damaged{File: filepath.Join(q.dirs.corrupt(), f.Name()), Size: info.Size(), At: info.ModTime().UTC()}
		if text, err := os.ReadFile(d.File + whyExt); err == nil && len(text) < 4096 {
			if lines := strings.Split(string(text), "\n"); len(lines) > 1 {
				d.Why = gateway.CleanText(lines[1], 300)
			}
		}
		out = append(out, d)
	}
	return out, nil
}

// Totals is how full the queue is.
type Totals struct {
	Routes    []RouteTotals `json:"routes"`
	Messages  int           `json:"messages"`
	Octets    int64         `json:"octets"`
	Damaged   int           `json:"damaged"` // files that were set aside
	Latched   string        `json:"latched,omitempty"`
	LatchedAt time.Time     `json:"latched_at,omitzero"`
	Full      bool          `json:"full,omitempty"` // no message would be taken for want of room
}

// RouteTotals is the part of one route; those without a message are left out.
type RouteTotals struct {
	Route    string          `json:"route"`
	Messages map[State]int   `json:"messages"`
	Octets   map[State]int64 `json:"octets"`
	Oldest   time.Time       `json:"oldest,omitzero"` // of those that wait
	Away     time.Time       `json:"away,omitzero"`   // since when; zero while it is well
	Said     string          `json:"said,omitempty"`  // why it is away
	Tries    int             `json:"tries,omitempty"` // since then
	Retry    time.Time       `json:"retry,omitzero"`  // when it is tried again at the latest
	InFlight int             `json:"in_flight,omitempty"`
	Window   int             `json:"window,omitempty"` // deliveries that there may be at once
}

// Totals returns how full the queue is.
func (q *Queue) Totals() Totals {
	full := q.roomFor(0) != nil
	damaged, _ := q.Damaged() // a person may have taken some away
	q.mu.Lock()
	defer q.mu.Unlock()
	t := Totals{Messages: len(q.index.all), Octets: q.index.octets, Damaged: len(damaged) + q.unmoved, Full: full}
	if q.latched != nil {
		t.Latched, t.LatchedAt = q.latched.Error(), q.latchAt
	}
	oldest := make(map[*lane]int64)
	for _, e := range q.index.all {
		if at, ok := oldest[e.lane]; e.state <= Delivering && (!ok || e.since < at) {
			oldest[e.lane] = e.since
		}
	}
	for _, l := range q.index.names {
		r := RouteTotals{Route: l.name, Messages: map[State]int{}, Octets: map[State]int64{}, InFlight: l.inFlight, Window: max(l.window, 1)}
		for s := range states {
			if l.count[s] > 0 {
				r.Messages[s], r.Octets[s] = l.count[s], l.octets[s]
			}
		}
		if len(r.Messages) == 0 {
			continue
		}
		if at, ok := oldest[l]; ok {
			r.Oldest = time.UnixMilli(at).UTC()
		}
		if l.away {
			r.Away, r.Said, r.Tries, r.Retry = l.pace.since.UTC(), l.pace.said, l.tries, l.pace.probe.UTC()
		}
		t.Routes = append(t.Routes, r)
	}
	return t
}
