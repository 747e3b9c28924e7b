package versions

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"gatepost/internal/config"
	"gatepost/internal/durable"
)

// Target is the daemon, as far as a version is put in force in it.
type Target interface {
	// Prepare decodes a document and builds all that it needs. Nothing is in force by it, and until Install or Discard of
	// what it returns nothing else changes what is. The error may be config.Problems; beside a nil error they are warnings.
	Prepare(ctx context.Context, number int64, text []byte) (Prepared, config.Problems, error)
	// File is the policy in force where no version was published; nil where there is none.
	File() []byte
	// Guard says when a version is undone by itself, by the policy in force.
	Guard() Guard
}

// Prepared is a version that can be put in force, which cannot fail.
type Prepared interface {
	Install(ctx context.Context)
	Discard()
}

// Event is what a Keeper tells of a change.
type Event struct {
	Version Version
	Here    bool   // this node made it; else another did
	Why     string // of an undo
	Lapsed  bool   // of an undo: in this node only, since the store cannot be told yet
}

// Options are what a Keeper works with.
type Options struct {
	Store  Store // each call of which fails soon while it is away
	Target Target
	Dir    string            // the state folder, for the copy
	Copy   *config.Published // what the daemon was started with; nil: policy.toml
	Meter  *Meter            // what became of mail; nil: nothing is guarded
	Tell   func(Event)       // nil: nobody
	Log    *slog.Logger      // nil: nothing
}

// Keeper keeps what is in force in this node as the store has it.
type Keeper struct {
	o    Options
	busy sync.Mutex // held by whoever changes what is in force

	mu      sync.Mutex
	now     config.Published // Number 0: none was published, as far as is known here
	lapsed  string           // why what is in force is now.Before, and the store was not told yet; "" where it is now.Text
	trouble error
	looked  bool      // the store has told its head once
	begun   time.Time // since when the version is in force here
}

// New returns a Keeper of a daemon that has started.
func New(o Options) *Keeper {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Tell == nil {
		o.Tell = func(Event) {}
	}
	k := &Keeper{o: o}
	if o.Copy != nil {
		k.now = *o.Copy
		number, _ := k.now.InForce(time.Now())
		if number != k.now.Number {
			k.lapsed = unconfirmed
		}
	}
	return k
}

// InForce is the version that is in force in this node, and its text; 0 where none was published.
func (k *Keeper) InForce() (number int64, text []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.now.Number == 0 {
		return 0, nil
	}
	if k.lapsed != "" {
		return k.now.Back, []byte(k.now.Before)
	}
	return k.now.Number, []byte(k.now.Text)
}

// Now is what is known here of the head.
func (k *Keeper) Now() config.Published {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now
}

// Health is an error while this node does not have in force what was published, or could not keep a copy of it.
func (k *Keeper) Health() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.trouble
}

// Looked reports whether the store has told what is published, and this node has it in force or says why not.
func (k *Keeper) Looked() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.looked
}

// Proposal is a version that somebody wants to publish.
type Proposal struct {
	Text    []byte
	Author  string
	Comment string
	Expect  int64         // the version that its author knows as the one in force; 0: none was published
	Confirm time.Duration // how long somebody has to confirm it before it is undone; 0: nobody has to
	Kind    Kind
	Of      int64
	Undid   int64
}

// Result is what came of a Proposal.
type Result struct {
	Version   Version
	Unchanged bool            // it is in force already, and nothing was done
	Confirm   time.Time       // until when it must be confirmed; zero: it need not
	Warnings  config.Problems // of the document
}

// unconfirmed is why most versions are undone.
const unconfirmed = "nobody confirmed it in time"

// Refused is the error of a version that the daemon cannot use. What it wraps may be config.Problems.
type Refused struct{ Err error }

// Error is what was wrong.
func (e *Refused) Error() string { return e.Err.Error() }

// Unwrap returns what was wrong.
func (e *Refused) Unwrap() error { return e.Err }

// ErrSame says that there is nothing to go back to.
var ErrSame = errors.New("versions: there is no version to go back to")

// Publish puts a version in force, here and wherever the store reaches, or changes nothing. The error is Refused,
// ErrMoved, ErrSame, or of the store.
func (k *Keeper) Publish(ctx context.Context, p Proposal) (*Result, error) {
	k.busy.Lock()
	defer k.busy.Unlock()
	store := k.o.Store
	head, err := store.Head(ctx)
	if err != nil {
		return nil, err
	}
	if known := k.Now().Number; head.Number != p.Expect && (head.Number != 0 || known != p.Expect) {
		return nil, ErrMoved // a store that was lost is no reason, where what it lost is in force
	}
	current, err := k.current(ctx, store, head)
	if err != nil {
		return nil, err
	}
	if current != nil && current.Number > 0 && current.Digest == config.Version(p.Text) {
		return &Result{Version: *current, Unchanged: true}, nil
	}
	return k.publish(ctx, store, head, current, p)
}

// current is the version that counts at a head: that of the store, or where none was published, what is in force here, with
// the number 0.
func (k *Keeper) current(ctx context.Context, store Store, head Head) (*Version, error) {
	if head.Number > 0 {
		return store.Version(ctx, head.Number)
	}
	_, text := k.InForce()
	if text == nil {
		text = k.o.Target.File()
	}
	if text == nil {
		return nil, nil
	}
	return &Version{Kind: Takeover, Author: "gatepost", Comment: "what was in force before the first version", Digest: config.Version(text), Text: text}, nil
}

// publish is the way of every version: build, store, put in force, copy. busy is held.
func (k *Keeper) publish(ctx context.Context, store Store, head Head, current *Version, p Proposal) (*Result, error) {
	when := time.Now().UTC().Truncate(time.Microsecond)
	next := max(head.Number, k.Now().Number) + 1 // above what is known here: a store that was lost must not use a number again
	c := Change{Expect: head}
	if current != nil && current.Number == 0 {
		current.Number, current.Time = next, when
		c.New, next = append(c.New, *current), next+1
	}
	v := Version{Number: next, Time: when, Author: p.Author, Comment: p.Comment, Kind: p.Kind, Of: p.Of, Undid: p.Undid, Digest: config.Version(p.Text), Text: p.Text}
	c.New = append(c.New, v)
	if current != nil && (p.Kind == Publish || p.Confirm > 0) { // who goes back is not stopped by the guard
		c.Back = current.Number
	}
	if p.Confirm > 0 {
		if c.Back == 0 {
			return nil, ErrSame
		}
		c.Confirm = when.Add(p.Confirm)
	}
	prepared, warnings, err := k.o.Target.Prepare(ctx, next, p.Text)
	if err != nil {
		return nil, &Refused{err}
	}
	if head, err = store.Change(ctx, c); err != nil {
		prepared.Discard()
		return nil, err
	}
	prepared.Install(context.WithoutCancel(ctx))
	var before string
	if c.Back > 0 {
		before = string(current.Text)
	}
	k.keep(copyOf(&v, head, before), true)
	k.o.Tell(Event{Version: v, Here: true, Why: p.Comment})
	return &Result{Version: v, Confirm: c.Confirm, Warnings: warnings}, nil
}

// copyOf is what a node keeps of a version.
func copyOf(v *Version, h Head, before string) config.Published {
	return config.Published{Number: v.Number, Epoch: h.Epoch, Time: v.Time, Author: v.Author, Kind: string(v.Kind), Text: string(v.Text), Confirm: h.Confirm, Back: h.Back, Before: before}
}

// keep notes what is in force now, and leaves the copy on disk.
func (k *Keeper) keep(p config.Published, fresh bool) {
	k.mu.Lock()
	k.now, k.lapsed, k.trouble = p, "", nil
	if fresh {
		k.begun = time.Now()
	}
	k.mu.Unlock()
	text, err := p.Encode()
	if err == nil {
		err = durable.WriteFile(filepath.Join(k.o.Dir, config.PublishedFile), text, 0o600)
	}
	if err != nil {
		k.fail(fmt.Errorf("version %d is in force, and its copy could not be written: after a restart the one before is, until the store can be read: %w", p.Number, err))
	}
}

// fail notes trouble, and tells it once.
func (k *Keeper) fail(err error) {
	k.mu.Lock()
	known := k.trouble != nil && k.trouble.Error() == err.Error()
	k.trouble = err
	k.mu.Unlock()
	if !known {
		k.o.Log.Error("policy versions", "error", err)
	}
}

// Confirm says that a version may stay. ErrMoved: it is not in force. ErrNone: nobody has to confirm it.
func (k *Keeper) Confirm(ctx context.Context, number int64) error {
	k.busy.Lock()
	defer k.busy.Unlock()
	store := k.o.Store
	head, err := store.Head(ctx)
	if err != nil {
		return err
	}
	if head.Number != number {
		return ErrMoved
	}
	if head.Back == 0 {
		return ErrNone
	}
	if _, err := store.Change(ctx, Change{Expect: head}); err != nil {
		return err
	}
	return k.follow(ctx)
}

// Rollback publishes the text of an earlier version again; number 0 is the one before that in force.
func (k *Keeper) Rollback(ctx context.Context, number int64, p Proposal) (*Result, error) {
	store := k.o.Store
	if number == 0 {
		var err error
		if number, err = before(ctx, store, p.Expect); err != nil {
			return nil, err
		}
	}
	v, err := store.Version(ctx, number)
	if err != nil {
		return nil, err
	}
	p.Text, p.Kind, p.Of, p.Undid = v.Text, Rollback, number, p.Expect
	return k.Publish(ctx, p)
}

// before is the version in front of one. Of one that went back it is what is in front of what it went back to.
func before(ctx context.Context, store Store, number int64) (int64, error) {
	for range 100 {
		if number <= 1 {
			break
		}
		v, err := store.Version(ctx, number)
		if err != nil {
			return 0, err
		}
		if v.Of == 0 {
			_, err := store.Version(ctx, number-1)
			if errors.Is(err, ErrNone) {
				break
			}
			return number - 1, err
		}
		number = v.Of
	}
	return 0, ErrSame
}
