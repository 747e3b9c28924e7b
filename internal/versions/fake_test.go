package versions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/internal/config"
)

var errAway = errors.New("the store is away")

// memory is a Store for tests of what goes on around one; that of the daemon is tested with its tables.
type memory struct {
	mu      sync.Mutex
	head    Head
	all     []Version
	away    map[*node]bool
	watch   map[chan struct{}]bool
	deaf    bool // nobody is told
	steps   *steps
	failing string // the step of a change that fails
}

// node is a Store as one node reaches it.
type node struct{ *memory }

func newMemory() *memory { return &memory{away: map[*node]bool{}, watch: map[chan struct{}]bool{}} }

func (n *node) reach() (func(), error) {
	n.mu.Lock()
	if n.away[n] {
		n.mu.Unlock()
		return nil, errAway
	}
	return n.mu.Unlock, nil
}

func (n *node) cut(off bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away[n] = off
}

func (n *node) Head(context.Context) (Head, error) {
	done, err := n.reach()
	if err != nil {
		return Head{}, err
	}
	defer done()
	return n.head, nil
}

func (n *node) Change(_ context.Context, c Change) (Head, error) {
	done, err := n.reach()
	if err != nil {
		return Head{}, err
	}
	defer done()
	n.steps.note("store")
	if n.failing == "store" {
		return Head{}, errAway
	}
	if n.head.Number != c.Expect.Number || n.head.Epoch != c.Expect.Epoch {
		return Head{}, ErrMoved
	}
	n.head = Head{Number: n.head.Number, Epoch: n.head.Epoch + 1, Confirm: c.Confirm, Back: c.Back}
	for _, v := range c.New {
		if v.Number <= n.head.Number {
			return Head{}, errors.New("does not ascend")
		}
		n.head.Number, n.all = v.Number, append(n.all, v)
	}
	if !n.deaf {
		for c := range n.watch {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}
	return n.head, nil
}

func (n *node) Version(_ context.Context, number int64) (*Version, error) {
	done, err := n.reach()
	if err != nil {
		return nil, err
	}
	defer done()
	i := slices.IndexFunc(n.all, func(v Version) bool { return v.Number == number })
	if i < 0 {
		return nil, ErrNone
	}
	v := n.all[i]
	return &v, nil
}

func (n *node) List(context.Context, int64, int) ([]Version, error) { return nil, errAway }

func (n *node) Watch(context.Context) <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := make(chan struct{}, 1)
	n.watch[c] = true
	return c
}

func (n *node) Draft(context.Context, string) (*Draft, error)    { return nil, ErrNone }
func (n *node) SaveDraft(context.Context, *Draft) (int64, error) { return 0, errAway }
func (n *node) DropDraft(context.Context, string) error          { return errAway }

// steps are what was done, in order.
type steps struct {
	mu  sync.Mutex
	all []string
}

func (s *steps) note(what string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, what)
}

// daemon is a Target that keeps the text in force.
type daemon struct {
	mu      sync.Mutex
	inForce string // "" for policy.toml
	file    []byte
	guard   Guard
	steps   *steps
	refuse  string // a text that it cannot use
	held    sync.Mutex
	numbers []int64
}

type ready struct {
	d      *daemon
	number int64
	text   string
}

func (d *daemon) Prepare(_ context.Context, number int64, text []byte) (Prepared, config.Problems, error) {
	d.held.Lock()
	d.steps.note("prepare")
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refuse != "" && strings.Contains(string(text), d.refuse) {
		d.held.Unlock()
		return nil, nil, config.Problems{{File: "policy.toml", Line: 1, Message: "is refused"}}
	}
	return &ready{d, number, string(text)}, config.Problems{{Message: "advice", Warning: true}}, nil
}

func (r *ready) Install(context.Context) {
	r.d.steps.note("install")
	r.d.mu.Lock()
	r.d.inForce, r.d.numbers = r.text, append(r.d.numbers, r.number)
	r.d.mu.Unlock()
	r.d.held.Unlock()
}

func (r *ready) Discard() {
	r.d.steps.note("discard")
	r.d.held.Unlock()
}

func (d *daemon) File() []byte { return d.file }

func (d *daemon) Guard() Guard {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.guard
}

func (d *daemon) text() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inForce
}

// world is a node with its Keeper, which runs within the bubble of the test.
type world struct {
	*Keeper
	*daemon
	store *node
	meter *Meter
	dir   string
	told  []Event
	stop  context.CancelFunc
	ended sync.WaitGroup
}

func newWorld(t *testing.T, m *memory) *world {
	t.Helper()
	w := &world{daemon: &daemon{file: []byte("file\n")}, store: &node{m}, dir: t.TempDir(), meter: new(Meter)}
	w.start(t)
	return w
}

// start starts the node, as the daemon does: with the copy on its disk.
func (w *world) start(t *testing.T) {
	t.Helper()
	began, err := config.ReadPublished(w.dir)
	if err == nil {
		_, text := began.InForce(time.Now())
		w.daemon.mu.Lock()
		w.inForce = text
		w.daemon.mu.Unlock()
	}
	w.Keeper = New(Options{Store: w.store, Target: w.daemon, Dir: w.dir, Copy: began, Meter: w.meter, Tell: func(e Event) {
		w.daemon.mu.Lock()
		defer w.daemon.mu.Unlock()
		w.told = append(w.told, e)
	}})
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	w.ended.Go(func() { w.Run(ctx) })
}

// end ends it; t.Cleanup would be outside of the bubble.
func (w *world) end() {
	w.stop()
	w.ended.Wait()
}

// publish publishes a text over what is in force.
func (w *world) publish(t *testing.T, text string, confirm time.Duration) *Result {
	t.Helper()
	number, _ := w.InForce()
	r, err := w.Publish(context.Background(), Proposal{Text: []byte(text), Author: "anna", Comment: "c", Expect: number, Confirm: confirm, Kind: Publish})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return r
}

// is fails the test where another version is in force, in the daemon, in the Keeper, or on disk.
func (w *world) is(t *testing.T, number int64, text string) {
	t.Helper()
	synctest.Wait()
	n, got := w.InForce()
	if n != number || string(got) != text || w.text() != text {
		t.Errorf("in force are %d %q, and in the daemon %q, not %d %q", n, got, w.text(), number, text)
	}
	p, err := config.ReadPublished(w.dir)
	if err != nil {
		t.Error(err)
		return
	}
	if n, got := p.InForce(time.Now()); n != number || got != text {
		t.Errorf("a start would find %d %q, not %d %q", n, got, number, text)
	}
}

func (w *world) events() string {
	w.daemon.mu.Lock()
	defer w.daemon.mu.Unlock()
	var out []string
	for _, e := range w.told {
		out = append(out, fmt.Sprintf("%s %d", e.Version.Kind, e.Version.Number))
	}
	return strings.Join(out, ", ")
}
