package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// maxOpen is how many day files are open at once: today's, yesterday's for what began before midnight, one for clocks.
const maxOpen = 3

// writer is the goroutine of a Log that writes.
type writer struct {
	l       *Log
	open    map[day]*dayFile
	packer  packer
	failing bool
}

// run writes until the Log is closed.
func (w *writer) run() {
	w.l.work(w.write, w.tick)
	for d := range w.open {
		w.close(d)
	}
}

// drain writes the batches that wait, and reports whether another gathers.
func (w *writer) drain(all bool) (more bool) { return w.l.drain(all, w.write) }

// work writes each batch that is full, and what has come within batchWait of the first, until the Log is closed and nothing waits.
func (l *Log) work(write func(*batch), tick func(time.Time)) {
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	wait := time.NewTimer(time.Hour)
	defer wait.Stop()
	waiting := false
	for {
		all := false
		select {
		case <-l.wake:
		case <-wait.C:
			all, waiting = true, false
		case now := <-minute.C:
			tick(now)
		case <-l.ctx.Done():
			l.drain(true, write)
			return
		}
		if l.drain(all, write) && !waiting {
			wait.Reset(batchWait)
			waiting = true
		}
	}
}

// drain gives the batches that wait to write, and reports whether another gathers.
func (l *Log) drain(all bool, write func(*batch)) (more bool) {
	for {
		b, more := l.next(all)
		switch {
		case b == nil:
			return more
		case b.barrier != nil:
			close(b.barrier)
			continue
		}
		l.asked.Store(time.Now().Unix())
		if l.o.stall != nil {
			l.o.stall()
		}
		write(b)
		l.asked.Store(0)
		l.release(b)
	}
}

// write stores one day's batch. A damaged file is set aside and the batch goes into a fresh one; any other error costs the
// batch, which is counted.
func (w *writer) write(b *batch) {
	ctx, d := context.Background(), b.day
	var err error
	for try := 0; try < 2; try++ {
		var f *dayFile
		if f, err = w.file(ctx, d); err == nil {
			if err = f.write(ctx, b, &w.packer); err == nil {
				break
			}
		}
		w.close(d)
		if !isDamage(err) {
			break
		}
		w.aside(d, err)
	}
	if err != nil {
		w.l.failed.Add(int64(b.events))
		w.fail("log: cannot write: " + err.Error())
		return
	}
	w.l.written.Add(int64(b.events))
	if f := w.open[d]; f != nil {
		if err := f.loose.sift(ctx, f.db); err != nil {
			w.l.o.Log.Warn("some blocks of the message log have no sieve; a search reads them", "file", f.path, "error", err)
		}
	}
	if w.failing {
		w.failing = false
		w.l.trouble.Store(nil)
		w.l.o.Log.Info("the message log is written again", "failed", w.l.failed.Load())
	}
}

// fail notes trouble and reports it once.
func (w *writer) fail(text string) {
	w.l.trouble.Store(&text)
	if !w.failing {
		w.failing = true
		w.l.o.Log.Error("the message log cannot be written; mail goes on, events are lost", "error", text)
	}
}

// aside moves a damaged file out of the way.
func (w *writer) aside(d day, why error) {
	to, err := setAside(d.path(w.l.o.Dir))
	if err != nil {
		w.l.o.Log.Error("a damaged log file cannot be set aside", "file", d.path(w.l.o.Dir), "error", err)
		return
	}
	w.l.damaged.Add(1)
	w.l.o.Log.Error("a log file is damaged and was set aside", "file", to, "error", why)
}

// file returns the open file of a day.
func (w *writer) file(ctx context.Context, d day) (*dayFile, error) {
	if f := w.open[d]; f != nil {
		if f.there() {
			return f, nil
		}
		w.close(d) // somebody took it away: what is written there is seen by nobody
	}
	if len(w.open) >= maxOpen {
		oldest := slices.MinFunc(slices.Collect(maps.Values(w.open)), func(a, b *dayFile) int { return a.used.Compare(b.used) })
		w.close(oldest.day)
	}
	f, err := openDay(ctx, w.l.o.Dir, d, w.l.prefix, w.l.o.pragmas...)
	if err != nil {
		return nil, err
	}
	f.loose.maker.octets = w.l.o.span
	if err := f.loose.find(ctx, f.db); err != nil {
		return nil, errors.Join(err, f.close(false))
	}
	w.open[d] = f
	return f, nil
}

func (w *writer) close(d day) {
	if f := w.open[d]; f != nil {
		delete(w.open, d)
		if err := f.close(d < dayOf(time.Now()).add(-1)); err != nil {
			w.l.o.Log.Warn("a log file did not close well", "file", f.path, "error", err)
		}
	}
}

// tick does what is due each minute: it closes days that are over and keeps the bounds of age and size.
func (w *writer) tick(now time.Time) {
	today := dayOf(now)
	for d := range maps.Clone(w.open) {
		if d < today.add(-1) {
			w.close(d)
		}
	}
	files, err := list(w.l.o.Dir)
	if err != nil {
		w.l.o.Log.Error("the log folder cannot be read", "error", err)
		return
	}
	var total int64
	for _, f := range files {
		total += f.bytes
	}
	kept := len(files)
	for _, f := range files {
		old := f.day < today.add(1-w.l.o.Days)
		if !old && (total <= w.l.o.MaxBytes || f.day >= today && !f.aside) {
			continue
		}
		if !f.aside {
			w.close(f.day)
		}
		if err := remove(f.path); err != nil {
			w.l.o.Log.Error("an old log file cannot be removed", "file", f.path, "error", err)
			continue
		}
		total -= f.bytes
		kept--
		w.l.o.Log.Info("a log file was removed", "file", f.path, "for", map[bool]string{true: "age", false: "size"}[old])
	}
	w.l.files.Store(int64(kept))
	w.l.bytes.Store(total)
	w.l.full.Store(total > w.l.o.MaxBytes)
}
