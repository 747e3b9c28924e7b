package alarm

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/gateway"
)

// KindPath is the kind of alarms about paths of notices, whose object is the name of the path.
const KindPath = "path"

// Bounds and times of a Book.
const (
	most      = 1000               // alarms that are kept; of more only that there are more
	keep      = 7 * 24 * time.Hour // what is over
	gather    = 10 * time.Second   // what begins within is told together
	gatherMax = 10 * time.Minute   // as it becomes where notices go out again and again
	tick      = time.Second
	idle      = time.Minute // between looks while nothing is to be told
	saveTime  = 5 * time.Second
	// DefaultRepeat is after how long an alarm is told again that nobody acknowledged.
	DefaultRepeat = 4 * time.Hour
)

// Settings are what a policy says of alarms.
type Settings struct {
	Repeat   time.Duration // 0: DefaultRepeat; negative: never
	Paths    []Path        // in the order in which they are shown
	Severity map[string]Severity
}

// Path is one way to tell people.
type Path struct {
	Name  string   // mail, webhook
	Least Severity // milder alarms are not told by it
	To    string   // where it leads, for people; without secrets
	// Send hands a notice on and returns what the other side said. It ends soon after its context.
	Send func(ctx context.Context, n *Notice) (said string, err error)
}

// Options of a Book.
type Options struct {
	Host  string // names the node in notices
	Store Store  // nil: in memory
	// Event is told of each alarm that begins (its Over is zero) or ends. It does not wait, and does not call the Book.
	Event func(a *Alarm)
	Log   *slog.Logger // nil: says nothing
}

// Book is the alarms of one node. It is safe for concurrent use, and but for Ack, Unack and Test nothing of it waits.
type Book struct {
	o       Options
	mu      sync.Mutex
	set     Settings
	alarms  map[string]*Alarm
	begun   map[string]bool // to be told
	ended   map[string]bool // told of before, to be told that it is over
	dirty   map[string]bool // to be kept
	gone    map[string]bool // to be forgotten by the store
	turned  int             // alarms that there was no room for
	sent    []time.Time     // notices of the last hour
	first   time.Time       // when the oldest of begun and ended came; zero: there is none
	boxes   map[string]*outbox
	wake    chan struct{}
	saving  bool
	loaded  bool
	counted map[string]*counts
}

// New makes a Book that knows nothing yet; Load tells it what was before.
func New(o Options) *Book {
	if o.Store == nil {
		o.Store = new(File)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Book{o: o, wake: make(chan struct{}, 1), alarms: map[string]*Alarm{}, begun: map[string]bool{}, ended: map[string]bool{}, dirty: map[string]bool{},
		gone: map[string]bool{}, boxes: map[string]*outbox{}, counted: map[string]*counts{}}
}

// Tune puts settings in force. Notices that wait for a path that is still there go by what it is now.
func (b *Book) Tune(s Settings) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.Repeat == 0 {
		s.Repeat = DefaultRepeat
	}
	b.set = s
	for name := range b.boxes {
		if b.path(name) == nil {
			delete(b.boxes, name)
			b.clear(IDOf(KindPath, name), time.Now())
		}
	}
}

// Load reads what the store has. What was raised before wins over it, but for acknowledgement and owner.
func (b *Book) Load(ctx context.Context) error {
	list, err := b.o.Store.Load(ctx)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.loaded = true
	for i := range list {
		a := list[i].clone()
		if now := b.alarms[a.ID]; now != nil {
			if now.Standing() && a.Standing() {
				now.Since, now.Ack, now.Told, now.Count = a.Since, a.Ack, a.Told, a.Count
				delete(b.begun, a.ID)
				if a.Told.IsZero() {
					b.begun[a.ID] = true
				}
			}
			now.Owner = cmp.Or(now.Owner, a.Owner)
			continue
		}
		if len(b.alarms) < most {
			b.alarms[a.ID] = &a
			if a.Standing() && a.Told.IsZero() {
				b.pend(b.begun, a.ID, time.Now())
			}
		}
	}
	return nil
}

// Raise notes that something is wrong, or still is. It returns the alarm's name.
func (b *Book) Raise(r Report) string {
	id, now := r.ID(), time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.alarms[id]
	if a == nil {
		if len(b.alarms) >= most && !b.forgetOldest() {
			b.turned++
			return id
		}
		a = &Alarm{ID: id, Kind: gateway.CleanText(r.Kind, 40), Object: gateway.CleanText(r.Object, maxName), Over: now}
		b.alarms[id] = a
		delete(b.gone, id)
	}
	text, severity := gateway.CleanText(r.Text, maxText), b.severity(id, r.Severity)
	a.Seen, a.Do = now, gateway.CleanText(r.Do, maxDo)
	if a.Standing() {
		if severity != a.Severity && severity.AtLeast(a.Severity) { // it became worse: whoever knew, knew of less
			a.Ack = nil
			b.pend(b.begun, id, now)
		}
		if text != a.Text || severity != a.Severity {
			a.Text, a.Severity = text, severity
			b.dirty[id] = true
		}
		return id
	}
	a.Text, a.Severity, a.Since, a.Over, a.Ack, a.Told = text, severity, now, time.Time{}, nil, time.Time{}
	a.Count++
	b.dirty[id] = true
	if b.ended[id] { // nobody was told that it was over
		delete(b.ended, id)
	}
	b.pend(b.begun, id, now)
	b.event(a)
	return id
}

// severity is what the operator says of an alarm, or what was reported.
func (b *Book) severity(id string, s Severity) Severity {
	if own := b.set.Severity[id]; own.Known() {
		return own
	}
	if !s.Known() {
		return Warning
	}
	return s
}

// Clear notes that something is well again, or for the first time.
func (b *Book) Clear(kind, object string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clear(IDOf(kind, object), time.Now())
}

// clear ends an alarm; who calls it holds the lock.
func (b *Book) clear(id string, now time.Time) {
	a := b.alarms[id]
	if a == nil || !a.Standing() {
		return
	}
	a.Over = now
	b.dirty[id] = true
	delete(b.begun, id)
	if !a.Told.IsZero() {
		b.pend(b.ended, id, now)
	}
	b.event(a)
}

// Sweep clears the alarms of a kind whose objects are no more: those that are not named.
func (b *Book) Sweep(kind string, objects []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	there := map[string]bool{}
	for _, o := range objects {
		there[IDOf(kind, o)] = true
	}
	for id, a := range b.alarms {
		if a.Kind == kind && !there[id] {
			b.clear(id, time.Now())
		}
	}
}

func (b *Book) event(a *Alarm) {
	if b.o.Event != nil {
		c := a.clone()
		b.o.Event(&c)
	}
}

// pend has an alarm told with the next notice.
func (b *Book) pend(to map[string]bool, id string, now time.Time) {
	to[id] = true
	if b.first.IsZero() {
		b.first = now
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
}

// forgetOldest makes room by what was over first.
func (b *Book) forgetOldest() bool {
	var oldest *Alarm
	for _, a := range b.alarms {
		if !a.Standing() && !b.ended[a.ID] && (oldest == nil || a.Over.Before(oldest.Over)) {
			oldest = a
		}
	}
	if oldest != nil {
		b.forget(oldest.ID)
	}
	return oldest != nil
}

func (b *Book) forget(id string) {
	delete(b.alarms, id)
	delete(b.dirty, id)
	b.gone[id] = true
}

// List returns alarms: those that stand, the worst and then the newest first, and with over those that are over too, behind them.
func (b *Book) List(over bool) []Alarm {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Alarm, 0, len(b.alarms))
	for _, a := range b.alarms {
		if over || a.Standing() {
			out = append(out, a.clone())
		}
	}
	slices.SortFunc(out, func(x, y Alarm) int {
		if x.Standing() != y.Standing() {
			if x.Standing() {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(y.Severity.rank(), x.Severity.rank()), y.Since.Compare(x.Since), strings.Compare(x.ID, y.ID))
	})
	return out
}

// Get returns an alarm that is known.
func (b *Book) Get(id string) (Alarm, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.alarms[id]
	if a == nil {
		return Alarm{}, false
	}
	return a.clone(), true
}

// Errors of Ack and Unack.
var (
	ErrUnknown = errors.New("there is no such alarm")
	ErrOver    = errors.New("the alarm is over")
)

// Ack notes that somebody knows of an alarm, or with an owner that somebody takes care of it. It returns what it was and is. An
// error other than ErrUnknown and ErrOver says that the store could not keep it: it holds until the next start.
func (b *Book) Ack(ctx context.Context, id string, ack Ack, owner string) (before, after Alarm, err error) {
	ack.By, ack.Note, ack.At = gateway.CleanText(ack.By, maxName), gateway.CleanText(ack.Note, maxNote), time.Now()
	return b.edit(ctx, id, func(a *Alarm) {
		a.Ack = &ack
		if owner != "" {
			a.Owner = gateway.CleanText(owner, maxName)
		}
	})
}

// Unack takes an acknowledgement back: the alarm is told again when its time has come.
func (b *Book) Unack(ctx context.Context, id string) (before, after Alarm, err error) {
	return b.edit(ctx, id, func(a *Alarm) { a.Ack = nil })
}

func (b *Book) edit(ctx context.Context, id string, do func(*Alarm)) (before, after Alarm, err error) {
	b.mu.Lock()
	a := b.alarms[id]
	if a == nil || !a.Standing() {
		b.mu.Unlock()
		if a == nil {
			return before, after, ErrUnknown
		}
		return before, after, ErrOver
	}
	before = a.clone()
	do(a)
	after = a.clone()
	b.dirty[id] = true
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, saveTime)
	defer cancel()
	if err := b.o.Store.Save(ctx, []Alarm{after}); err != nil {
		return before, after, fmt.Errorf("noted, but not kept over a restart: %w", err)
	}
	return before, after, nil
}

// notice makes what is to be told now; nil for nothing.
func (b *Book) notice(now time.Time) *Notice {
	b.sent = slices.DeleteFunc(b.sent, func(t time.Time) bool { return now.Sub(t) > time.Hour })
	wait := min(gather<<min(len(b.sent), 10), gatherMax)
	due := !b.first.IsZero() && now.Sub(b.first) >= gather && (len(b.sent) == 0 || now.Sub(b.sent[len(b.sent)-1]) >= wait)
	n := &Notice{Host: b.o.Host, At: now}
	again := false
	for _, a := range b.alarms {
		if a.Ack != nil && !a.Ack.Until.IsZero() && !now.Before(a.Ack.Until) {
			a.Ack = nil
			b.dirty[a.ID] = true
		}
		again = again || b.repeats(a) && now.Sub(a.Told) >= b.set.Repeat
	}
	if !due && !again {
		return nil
	}
	for id, a := range b.alarms {
		switch {
		case due && b.begun[id]:
			n.Began = append(n.Began, a.clone())
		case due && b.ended[id]:
			n.Over = append(n.Over, a.clone())
			continue
		case again && b.repeats(a):
			n.Still = append(n.Still, a.clone())
		default:
			continue
		}
		a.Told = now
		b.dirty[id] = true
	}
	if due {
		clear(b.begun)
		clear(b.ended)
		b.first = time.Time{}
		b.sent = append(b.sent, now)
	}
	for _, list := range [...][]Alarm{n.Began, n.Still, n.Over} {
		slices.SortFunc(list, func(x, y Alarm) int {
			return cmp.Or(cmp.Compare(y.Severity.rank(), x.Severity.rank()), x.Since.Compare(y.Since), strings.Compare(x.ID, y.ID))
		})
	}
	n.ID = rand.Text()[:16]
	return n
}

// repeats reports whether an alarm is one that is told again and again.
func (b *Book) repeats(a *Alarm) bool {
	return b.set.Repeat > 0 && a.Standing() && a.Ack == nil && !a.Told.IsZero() && !b.begun[a.ID]
}
