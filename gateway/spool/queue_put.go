package spool

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gatepost/gateway"
	"gatepost/internal/durable"
)

// roomTime is how long what the file system said of its room is believed.
const roomTime = time.Second

// Takes is why no message of that many octets would be taken now; "" when one would be.
func (q *Queue) Takes(size int64) gateway.Reason {
	if q.stuck.Load() > 0 || q.refuses(size) != nil || q.roomFor(size) != nil {
		return gateway.NoStorage
	}
	return ""
}

// refuses is why the queue itself would not take a message.
func (q *Queue) refuses(size int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	coming := int64(0)
	for _, n := range q.coming {
		coming += n
	}
	switch {
	case q.latched != nil:
		return fmt.Errorf("%w: %w", ErrLatched, q.latched)
	case len(q.index.all)+len(q.coming) >= orElse(q.opts.MaxMessages, 1_000_000):
		return fmt.Errorf("spool: %w", ErrNoRoom)
	case q.opts.MaxBytes > 0 && q.index.octets+coming+size > q.opts.MaxBytes:
		return fmt.Errorf("spool: %w", ErrNoRoom)
	}
	return nil
}

// roomFor is why the file system has no room.
func (q *Queue) roomFor(size int64) error {
	q.roomMu.Lock()
	defer q.roomMu.Unlock()
	if now := q.now(); !q.roomOK || now.Sub(q.roomAt) >= roomTime || now.Before(q.roomAt) {
		r, err := durable.RoomOf(q.opts.Dir)
		if err != nil {
			return fmt.Errorf("spool: %w", err)
		}
		q.room, q.roomAt, q.roomOK = r, now, true
	}
	if q.room.Octets-size < max(orElse(q.opts.Reserve, 1<<30), 3*size) ||
		q.room.Inodes >= 0 && q.room.Inodes < orElse(q.opts.ReserveInodes, 10_000) {
		return fmt.Errorf("spool: %w", ErrNoRoom)
	}
	return nil
}

// Put keeps a message: when it returns nil, the message, its name and its folder are flushed to the disk. An error means
// that it was not taken; where a disk that fails leaves a trace of it, it is not sent from here.
func (q *Queue) Put(ctx context.Context, d *gateway.Delivery, c gateway.Custody) error {
	env, err := newEnvelope(d, c)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	size := d.Content.Size
	if err := q.refuses(size); err != nil {
		return err
	}
	if err := q.roomFor(size); err != nil {
		return err
	}
	if err := q.reserve(d.ID, size); err != nil {
		return err
	}
	p := &coming{q: q, env: env, tmp: filepath.Join(q.dirs.tmp(), d.ID.String()+".msg"), ended: make(chan struct{})}
	if err := p.write(ctx, &d.Content); err != nil {
		q.release(d.ID)
		return fmt.Errorf("spool: %w", err)
	}
	// A flush cannot be interrupted, and whoever waits for a reply can.
	go p.flush()
	select {
	case <-p.ended:
	case <-ctx.Done():
		if p.leave() {
			return fmt.Errorf("spool: flush: %w", context.Cause(ctx))
		}
		<-p.ended
	}
	if p.err != nil {
		return fmt.Errorf("spool: %w", p.err)
	}
	return nil
}

func (q *Queue) reserve(id gateway.ID, size int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, there := q.coming[id]; there || q.index.all[id] != nil {
		return ErrTwice
	}
	q.coming[id] = size
	return nil
}

func (q *Queue) release(id gateway.ID) {
	q.mu.Lock()
	delete(q.coming, id)
	q.mu.Unlock()
}

// coming is a message on its way into the queue.
type coming struct {
	q     *Queue
	env   *envelope
	tmp   string
	file  diskFile
	ended chan struct{}
	err   error

	// With the queue's lock held:
	left    bool // whoever put it waits no longer, and was told that it was not taken
	settled bool // it is in the queue, or it failed
}

// write writes the file; what it wrote is gone when it fails.
func (p *coming) write(ctx context.Context, c *gateway.Content) error {
	q := p.q
	f, err := q.disk.Create(p.tmp)
	if err != nil {
		return p.failed("create", err)
	}
	out := q.outs.Get().(*bufio.Writer)
	err = writeMessage(ctx, f, p.env, c, out)
	q.outs.Put(out)
	if err == nil {
		p.file = f
		return nil
	}
	_ = f.Close()
	_ = durable.Remove(q.disk, p.tmp)
	if d := (durable.DiskError{}); errors.As(err, &d) {
		return p.failed("write", d.Err)
	}
	return err
}

// failed judges an error of the disk before anything was flushed.
func (p *coming) failed(step string, err error) error {
	switch {
	case durable.NoRoom(err):
		return fmt.Errorf("%s: %w: %w", step, ErrNoRoom, err)
	case durable.Sick(err):
		p.q.latch(step, err)
	}
	return fmt.Errorf("%s: %w", step, err)
}

// flush makes what was written last, and takes it into the queue.
func (p *coming) flush() {
	defer close(p.ended)
	q := p.q
	p.err = p.settle()
	q.mu.Lock()
	delete(q.coming, p.env.ID)
	left, ok := p.left, p.err == nil
	p.settled = true
	if ok && !left {
		q.index.add(q.newEntry(p.env, new(state)), Waiting, q.now())
	}
	q.mu.Unlock()
	if left {
		q.stuck.Add(-1)
		if ok {
			q.takeBack(p.env.ID)
		}
		return
	}
	if ok {
		q.nudge()
		q.tell(&Change{What: "queued", ID: p.env.ID, Route: p.env.Route, From: p.env.From.Text, Size: p.env.Size,
			Arrived: p.env.Custody.Arrived, Said: p.env.Custody.Why, Rcpts: fates(p.env, nil, nil)})
	}
}

// leave says that nobody waits any more; false when the message is in the queue already, or failed.
func (p *coming) leave() bool {
	p.q.mu.Lock()
	defer p.q.mu.Unlock()
	if p.settled {
		return false
	}
	p.left = true
	p.q.stuck.Add(1)
	return true
}

// settle flushes the file, gives it its name, and flushes the name.
func (p *coming) settle() error {
	q := p.q
	err := p.file.Sync()
	if closed := p.file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		_ = durable.Remove(q.disk, p.tmp)
		if durable.NoRoom(err) {
			return fmt.Errorf("flush: %w: %w", ErrNoRoom, err)
		}
		q.latch("flush", err)
		return fmt.Errorf("flush: %w", err)
	}
	name := q.name(p.env.ID, ".msg")
	if err = q.makeFolder(q.folder(p.env.ID)); err == nil {
		err = q.disk.Rename(p.tmp, name)
	}
	if err != nil {
		_ = durable.Remove(q.disk, p.tmp)
		if durable.NoRoom(err) {
			return fmt.Errorf("rename: %w: %w", ErrNoRoom, err)
		}
		if errors.Is(err, os.ErrNotExist) { // somebody took the folder away
			q.folderMu.Lock()
			delete(q.made, q.folder(p.env.ID))
			q.folderMu.Unlock()
		}
		q.latch("rename", err)
		return fmt.Errorf("rename: %w", err)
	}
	if err := q.disk.SyncDir(q.folder(p.env.ID)); err != nil {
		q.latch("flush of the folder", err)
		q.takeBack(p.env.ID)
		return fmt.Errorf("flush of the folder: %w", err)
	}
	return nil
}

// takeBack removes a file that has its name, and was not promised.
func (q *Queue) takeBack(id gateway.ID) {
	name := q.name(id, ".msg")
	err := durable.Remove(q.disk, name)
	if err != nil {
		err = q.disk.Rename(name, filepath.Join(q.dirs.corrupt(), id.String()+".untaken"))
	}
	if err != nil {
		q.log.Error("spool: a message that was not taken stays; it may be delivered after a restart, a second time",
			"id", id.String(), "error", err)
	}
}
