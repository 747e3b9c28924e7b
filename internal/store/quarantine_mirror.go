package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/quarantine"
)

// How the mirror goes about it.
const (
	mirrorMost  = 10_000                 // messages that wait to be told of, beyond which all are compared
	mirrorBatch = 100                    // messages that one transaction tells of
	mirrorTime  = 30 * time.Second       // that one transaction may take
	mirrorAgain = time.Second            // until a server that failed is tried again
	mirrorPause = 100 * time.Millisecond // in which changes gather, so that a burst of mail has few transactions beside it
	mirrorLook  = 10 * time.Second       // until a server that is told nothing is looked at
	mirrorEnd   = 2 * time.Second        // that the end waits for it
	mirrorAsk   = 5 * time.Second        // that who lists waits for what others keep
)

// Mirror is the index of a vault, in the node's own file, and tells a shared one what changes, behind it: no caller waits for that one,
// or fails with it. What waits are only the numbers of messages, and it is read from the file when it is told; so the last word counts,
// in whatever order they come. After a failure, where too many wait, and at the start, all of the node's are compared.
type Mirror struct {
	quarantine.Index // of the node itself, which answers

	shared *SharedQuarantine
	log    *slog.Logger
	bell   chan struct{}

	mu      sync.Mutex
	changed map[gateway.ID]bool
	all     bool // compare
	busy    bool
	trouble error
	over    int64 // how often too many waited
	told    int64 // messages
}

// errNotYet is the trouble of a mirror that has not spoken to its server.
var errNotYet = errors.New("it was not asked yet")

// NewMirror makes one. Run tells.
func NewMirror(own quarantine.Index, shared *SharedQuarantine, log *slog.Logger) *Mirror {
	return &Mirror{Index: own, shared: shared, log: log, bell: make(chan struct{}, 1), changed: map[gateway.ID]bool{}, all: true, trouble: errNotYet}
}

// Put implements quarantine.Index.
func (m *Mirror) Put(ctx context.Context, r *quarantine.Row) error {
	err := m.Index.Put(ctx, r)
	m.note(r.ID)
	return err
}

// Delete implements quarantine.Index.
func (m *Mirror) Delete(ctx context.Context, ids []gateway.ID) error {
	err := m.Index.Delete(ctx, ids)
	m.note(ids...)
	return err
}

func (m *Mirror) note(ids ...gateway.ID) {
	m.mu.Lock()
	for _, id := range ids {
		if m.changed[id] = true; len(m.changed) > mirrorMost {
			clear(m.changed)
			m.all = true
			m.over++
		}
	}
	m.mu.Unlock()
	select {
	case m.bell <- struct{}{}:
	default: // it was rung
	}
}

// Run tells the shared index until ctx is done, and then, for a moment, what still waits.
func (m *Mirror) Run(ctx context.Context) {
	for {
		wait := mirrorLook
		if m.turn(ctx) != nil {
			wait = mirrorAgain
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), mirrorEnd)
			defer cancel()
			if m.waits() && m.Trouble() == nil {
				_ = m.turn(last) // else the next start tells it
			}
			return
		case <-time.After(wait):
		case <-m.heard(wait):
			select {
			case <-ctx.Done():
			case <-time.After(mirrorPause):
			}
		}
	}
}

// heard is the bell, unless a failure is to be waited out.
func (m *Mirror) heard(wait time.Duration) <-chan struct{} {
	if wait == mirrorAgain {
		return nil
	}
	return m.bell
}

// turn tells all that waits.
func (m *Mirror) turn(ctx context.Context) error {
	all := m.begin()
	defer m.end()
	var err error
	step := func(do func(ctx context.Context) error) {
		if err == nil {
			ctx, cancel := context.WithTimeout(ctx, mirrorTime)
			defer cancel()
			err = do(ctx)
		}
	}
	step(m.shared.Ready)
	if all {
		var ids []gateway.ID
		step(func(ctx context.Context) (err error) { ids, err = m.differ(ctx); return err })
		for len(ids) > 0 && err == nil {
			some := ids[:min(len(ids), mirrorBatch)]
			ids = ids[len(some):]
			step(func(ctx context.Context) error { return m.tell(ctx, some) })
		}
	}
	for err == nil {
		some := m.take()
		if len(some) == 0 {
			break
		}
		step(func(ctx context.Context) error { return m.tell(ctx, some) })
	}
	if ctx.Err() == nil {
		m.became(err)
	} else if err != nil {
		m.again()
	}
	return err
}

// begin says whether all are to be compared: then what waits is in that.
func (m *Mirror) begin() (all bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.busy = true
	if all = m.all; all {
		clear(m.changed)
		m.all = false
	}
	return all
}

func (m *Mirror) end() {
	m.mu.Lock()
	m.busy = false
	m.mu.Unlock()
}

func (m *Mirror) again() {
	m.mu.Lock()
	m.all = true
	m.mu.Unlock()
}

// take is some of what waits.
func (m *Mirror) take() (some []gateway.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.changed {
		delete(m.changed, id)
		if some = append(some, id); len(some) == mirrorBatch {
			break
		}
	}
	return some
}

// became notes how a turn ended. After a failure all are compared: nobody knows what the server has.
func (m *Mirror) became(err error) {
	m.mu.Lock()
	was := m.trouble
	m.trouble = err
	if err != nil {
		m.all = true
	}
	m.mu.Unlock()
	switch {
	case err != nil && (was == nil || errors.Is(was, errNotYet)):
		m.log.Warn("quarantine: the index that nodes share cannot be used; mail goes on, and lists show what this node keeps", "error", err)
	case err == nil && was != nil && !errors.Is(was, errNotYet):
		m.log.Info("quarantine: the index that nodes share can be used again")
	}
}

// differ returns the node's messages that the two know differently, or of which only one knows.
func (m *Mirror) differ(ctx context.Context) (ids []gateway.ID, err error) {
	type known struct{ seq, stored int64 }
	own := map[gateway.ID]known{}
	if err := m.Index.Known(ctx, func(id gateway.ID, seq, stored int64) { own[id] = known{seq, stored} }); err != nil {
		return nil, err
	}
	err = m.shared.Known(ctx, func(id gateway.ID, seq, stored int64) {
		if own[id] != (known{seq, stored}) {
			ids = append(ids, id)
		}
		delete(own, id)
	})
	for id := range own {
		ids = append(ids, id)
	}
	return ids, err
}

// tell has the shared index know of some messages what the node's knows.
func (m *Mirror) tell(ctx context.Context, ids []gateway.ID) error {
	rows, err := m.Index.Find(ctx, &quarantine.Filter{IDs: ids, Limit: len(ids)})
	if err != nil {
		return err
	}
	gone := map[gateway.ID]bool{}
	for _, id := range ids {
		gone[id] = true
	}
	for i := range rows {
		delete(gone, rows[i].ID)
	}
	if err := m.shared.put(ctx, rows); err != nil {
		return err
	}
	lost := make([]gateway.ID, 0, len(gone))
	for id := range gone {
		lost = append(lost, id)
	}
	if len(lost) > 0 {
		err = m.shared.Delete(ctx, lost)
	}
	m.mu.Lock()
	m.told += int64(len(ids))
	m.mu.Unlock()
	return err
}

func (m *Mirror) waits() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all || m.busy || len(m.changed) > 0
}

// Trouble is why the shared index does not know what this node keeps; nil where it does, or will in a moment.
func (m *Mirror) Trouble() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.trouble
}

// Stats are how many messages wait to be told of, how many were told, and how often too many waited.
func (m *Mirror) Stats() (waiting int, told, over int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.changed), m.told, m.over
}

// Settle waits until the shared index knows what changed before; its error says why it does not.
func (m *Mirror) Settle(ctx context.Context) error {
	for m.waits() {
		select {
		case <-ctx.Done():
			if err := m.Trouble(); err != nil {
				return fmt.Errorf("the index of the quarantine that nodes share does not answer: %w", err)
			}
			return fmt.Errorf("the index of the quarantine that nodes share was not told in time: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// Others returns what a filter picks of the messages that other nodes keep, the newest first. Where the server failed just now, it is
// not asked, so that nobody waits in vain.
func (m *Mirror) Others(ctx context.Context, f *quarantine.Filter) ([]quarantine.Row, error) {
	if err := m.Trouble(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, mirrorAsk)
	defer cancel()
	return m.shared.Others(ctx, f)
}
