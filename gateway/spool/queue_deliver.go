package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gatepost/gateway"
	"gatepost/internal/durable"
)

// outcome is what came of the work on a message.
type outcome struct {
	gone     bool             // it is no longer in the queue
	finished bool             // nothing is left of it but files that could not be removed
	relayed  *gateway.Relayed // the last relay
	state    *state           // nil: it could not even be opened
	env      *envelope        // with the state
	next     time.Time        // without a state
	said     string
}

// longRelay bounds one relay: no next hop takes as long.
const longRelay = gateway.Listen + 3*time.Minute

// work is a message that is open, and its state.
type work struct {
	*stored
	q     *Queue
	e     *entry
	state *state
	seen  lines
}

// deliver tries a message that is due.
func (q *Queue) deliver(ctx context.Context, hop gateway.NextHop, j *job) outcome {
	if j.finished {
		return q.removed(j.entry, nil)
	}
	w, out := q.open(ctx, j.entry)
	if w == nil {
		return out
	}
	defer w.file.Close()
	out.env = w.envelope
	if j.lane.name == "" { // it could not be read before; its route decides when it goes
		out.state = w.state
		return out
	}
	if !j.over && w.state.count(len(w.Rcpts), Pending) > 0 {
		out.relayed = w.try(ctx, hop)
	}
	// What could not be reached says nothing about the message: time is over then only for a route that is long away.
	if out.relayed == nil || !out.relayed.Unreached() {
		w.expire()
	}
	return w.conclude(ctx, out)
}

// open opens a message, proves it, and reads its state. Where it cannot, it returns what came of it.
func (q *Queue) open(ctx context.Context, e *entry) (*work, outcome) {
	name := q.name(e.id, ".msg")
	m, err := openMessage(name, e.id)
	var seen lines
	if err == nil {
		buf := q.buffers.Get().(*[]byte)
		seen, err = m.verify(ctx, *buf)
		q.buffers.Put(buf)
		if err != nil {
			m.file.Close()
		}
	}
	var broken *damage
	switch {
	case err == nil:
		return &work{stored: m, q: q, e: e, state: q.stateOf(e.id, len(m.Rcpts)), seen: seen}, outcome{}
	case errors.As(err, &broken):
		q.setAside(name, e.id.String()+".msg", broken.why)
		_ = q.disk.Rename(q.name(e.id, ".st"), filepath.Join(q.dirs.corrupt(), e.id.String()+".msg.st")) // where there is one
		return nil, outcome{gone: true}
	case errors.Is(err, os.ErrNotExist) && exists(q.folder(e.id)):
		// Somebody took it away. Where the folder is gone as well, the disk is, and may come back.
		q.log.Error("spool: the file of a message is gone", "id", e.id.String(), "file", name)
		q.tell(&Change{What: "damaged", ID: e.id, Said: "its file is gone"})
		return nil, outcome{gone: true}
	}
	if ctx.Err() == nil {
		q.log.Error("spool: a message cannot be read; it is tried again", "id", e.id.String(), "error", err)
	}
	q.mu.Lock()
	next := q.now().Add(q.tuning.after(int(e.attempts) + 1))
	q.mu.Unlock()
	return nil, outcome{next: next, said: gateway.CleanText(err.Error(), 200)}
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// stateOf is what is known of a message.
func (q *Queue) stateOf(id gateway.ID, rcpts int) *state {
	q.mu.Lock()
	s := q.unsaved[id]
	q.mu.Unlock()
	if s != nil {
		return s
	}
	return q.readState(id, rcpts)
}

// conclude ends the work on a message whose marks may have changed: what is known is written down, failures are told, and
// what nobody waits for any more is removed.
func (w *work) conclude(ctx context.Context, out outcome) outcome {
	s, n := w.state, len(w.Rcpts)
	out.state = s
	if s.count(n, Failed) > 0 {
		w.q.save(w.ID, s) // first, so that a crash cannot make them pending again
		w.answer(ctx)
	}
	switch {
	case s.count(n, Pending) > 0 || s.count(n, Failed) > 0:
	case s.count(n, DeadEnd) > 0:
		s.Dead, s.Next = true, time.Time{}
		if now := w.q.now().UTC().Round(0); now.Sub(w.since()) > 10*24*time.Hour {
			s.Since = now // it was held for long: as a dead letter it is kept from now on
		}
	default:
		gone := w.q.removed(w.e, s)
		gone.relayed = out.relayed
		return gone
	}
	if s.Attempts > 0 || s.matters() {
		w.q.save(w.ID, s)
	}
	return out
}

// removed removes the files of a message that nobody waits for. The removal is not flushed: a power cut may bring the
// message back, and it is delivered twice. s is nil where it was known before.
func (q *Queue) removed(e *entry, s *state) outcome {
	err := durable.Remove(q.disk, q.name(e.id, ".msg"))
	if err == nil {
		err = durable.Remove(q.disk, q.name(e.id, ".st"))
		if err == nil {
			return outcome{gone: true}
		}
		q.log.Warn("spool: a state is left behind", "id", e.id.String(), "error", err)
		return outcome{gone: true} // it goes at the next start
	}
	q.log.Error("spool: a message that is done with cannot be removed; it is not sent again", "id", e.id.String(), "error", err)
	if s != nil {
		q.save(e.id, s)
	}
	return outcome{finished: true, next: q.now().Add(time.Minute), said: gateway.CleanText("remove: "+err.Error(), 200)}
}

// save writes a state to where it lies. One that matters is flushed before it takes its name, and its name with it. What
// cannot be written is kept in memory, and counts more than what lies there.
func (q *Queue) save(id gateway.ID, s *state) {
	err := q.writeState(id, s)
	q.mu.Lock()
	defer q.mu.Unlock()
	if err == nil {
		delete(q.unsaved, id)
		return
	}
	q.unsaved[id] = s
	q.log.Error("spool: a state cannot be written; after a crash the message may be delivered a second time", "id", id.String(), "error", err)
}

func (q *Queue) writeState(id gateway.ID, s *state) error {
	text, err := s.encode()
	if err != nil {
		return err
	}
	tmp := filepath.Join(q.dirs.tmp(), id.String()+".st")
	f, err := q.disk.Create(tmp)
	if errors.Is(err, os.ErrExist) { // of a write that failed
		if err = durable.Remove(q.disk, tmp); err == nil {
			f, err = q.disk.Create(tmp)
		}
	}
	if err != nil {
		return err
	}
	step := "write"
	if _, err = f.Write(text); err == nil && s.matters() {
		step, err = "flush", f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		step, err = "rename", q.disk.Rename(tmp, q.name(id, ".st"))
	}
	if err == nil && s.matters() {
		step, err = "flush of the folder", q.disk.SyncDir(q.folder(id))
	}
	if err != nil {
		_ = durable.Remove(q.disk, tmp)
		if step != "write" && !durable.NoRoom(err) || durable.Sick(err) {
			q.latch(step+" of a state", err)
		}
		return fmt.Errorf("%s: %w", step, err)
	}
	return nil
}
