package ownlist

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"gatepost/internal/durable"
)

// How long it takes until a store that did not answer is asked again: ever longer.
const (
	again  = time.Second
	longer = 15 * time.Second
)

// maxCopy bounds the copy on disk.
const maxCopy = 256 << 20

// Book holds what is in force.
type Book struct {
	store Store
	file  string // the copy; "" for none
	log   *slog.Logger
	now   atomic.Pointer[Lists]
	rev   int64 // of now; -1 while it is of the copy
}

// NewBook makes a book of a store, and begins with the copy on disk. One that is missing or damaged is no fault: the store
// will tell.
func NewBook(s Store, file string, log *slog.Logger) *Book {
	b := &Book{store: s, file: file, log: log, rev: -1}
	b.now.Store(NewLists(b.readCopy()))
	return b
}

func (b *Book) readCopy() (all []Entry) {
	info, err := os.Stat(b.file)
	if err == nil && info.Size() > maxCopy {
		err = errors.New("it is too large")
	}
	if err == nil {
		var text []byte
		if text, err = os.ReadFile(b.file); err == nil {
			err = json.Unmarshal(text, &all)
		}
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			b.log.Warn("the copy of users' own lists cannot be read; they count once control data answer", "file", b.file, "error", err)
		}
		return nil
	}
	return all
}

// Lists are those in force.
func (b *Book) Lists() *Lists { return b.now.Load() }

// Run follows the store until the context is done. While the store does not answer, what is in force stays.
func (b *Book) Run(ctx context.Context) {
	changed := b.store.Watch(ctx)
	wait := again
	for {
		var after <-chan time.Time
		if err := b.Load(ctx); err == nil {
			wait = again
		} else {
			after = time.After(wait)
			wait = min(2*wait, longer)
		}
		select {
		case <-ctx.Done():
			return
		case <-after:
		case <-changed:
		}
	}
}

// Load reads what is new. It is for Run, and for whoever has just changed something and runs beside nobody else.
func (b *Book) Load(ctx context.Context) error {
	rev, err := b.store.Revision(ctx)
	if err != nil || rev == b.rev {
		return err
	}
	all, rev, err := b.store.All(ctx)
	if err != nil {
		return err
	}
	b.now.Store(NewLists(all))
	b.rev = rev
	if b.file == "" {
		return nil
	}
	text, err := json.Marshal(all)
	if err == nil {
		err = durable.WriteFile(b.file, text, 0o600)
	}
	if err != nil {
		b.log.Warn("the copy of users' own lists could not be written", "file", b.file, "error", err)
	}
	return nil
}
