package store

import (
	"context"
	"maps"
	"os"
	"slices"
	"time"

	"gatepost/gateway"
)

// maxOpen is how many day files are open at once: today's, yesterday's for what began before midnight, one for clocks.
const maxOpen = 3

// writer is the goroutine of a Log.
type writer struct {
	l       *Log
	open    map[day]*dayFile
	failing bool
}

// run gathers at most batchRows events, or what comes within batchWait of the first, and writes them as one.
func (w *writer) run() {
	defer close(w.l.done)
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	wait := time.NewTimer(time.Hour)
	defer wait.Stop()
	var pending []item
	for {
		select {
		case it := <-w.l.queue:
			if len(pending) == 0 {
				wait.Reset(batchWait)
			}
			pending = append(pending, it)
			if len(pending) < batchRows && it.barrier == nil {
				continue
			}
		case <-wait.C:
		case now := <-minute.C:
			w.tick(now)
		case <-w.l.stop:
			w.finish(pending)
			return
		}
		w.commit(pending)
		clear(pending)
		pending = pending[:0]
	}
}

// finish writes what is left and closes the files.
func (w *writer) finish(pending []item) {
	for more := true; more; {
		select {
		case it := <-w.l.queue:
			pending = append(pending, it)
			if len(pending) == batchRows {
				w.commit(pending)
				pending = pending[:0]
			}
		default:
			more = false
		}
	}
	w.commit(pending)
	for d := range w.open {
		w.close(d)
	}
}

// commit writes items to the files of their days, and opens the barriers among them.
func (w *writer) commit(items []item) {
	now := time.Now()
	batches := make(map[day]*batch)
	of := func(d day) *batch {
		if batches[d] == nil {
			batches[d] = new(batch)
		}
		return batches[d]
	}
	for _, it := range items {
		w.l.held.Add(-it.weight)
		switch {
		case it.event != nil:
			b := of(fileDay(it.event.Record.ID, now))
			b.events = append(b.events, it.event)
		case it.barrier == nil:
			b := of(dayOf(time.Unix(it.early.minute*60, 0)))
			b.early = append(b.early, it.early)
		}
	}
	for _, d := range slices.Sorted(maps.Keys(batches)) {
		w.write(d, batches[d])
	}
	for _, it := range items {
		if it.barrier != nil {
			close(it.barrier)
		}
	}
}

// fileDay is the day in whose file an event is: that of its id, so that a reference leads to one file; today's, when a
// clock went so wrong that retention would take the file at once or never.
func fileDay(id gateway.ID, now time.Time) day {
	d, today := dayOf(id.Time()), dayOf(now)
	if d < today.add(-2) || d > today.add(1) {
		return today
	}
	return d
}

// write stores one day's batch. A damaged file is set aside and the batch goes into a fresh one; any other error costs the
// batch, which is counted.
func (w *writer) write(d day, b *batch) {
	ctx := context.Background()
	var bad int
	var err error
	for try := 0; try < 2; try++ {
		var f *dayFile
		if f, err = w.file(ctx, d); err == nil {
			if bad, err = f.write(ctx, b); err == nil {
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
		w.l.failed.Add(int64(len(b.events)))
		w.fail("log: cannot write: " + err.Error())
		return
	}
	w.l.failed.Add(int64(bad))
	w.l.written.Add(int64(len(b.events) - bad))
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
		return f, nil
	}
	if len(w.open) >= maxOpen {
		oldest := slices.MinFunc(slices.Collect(maps.Values(w.open)), func(a, b *dayFile) int { return a.used.Compare(b.used) })
		w.close(oldest.day)
	}
	f, err := openDay(ctx, w.l.o.Dir, d, w.l.o.pragmas...)
	if err != nil {
		return nil, err
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

// tick does what is due each minute: it closes days that are over, notices files that were taken away, and keeps the
// bounds of age and size.
func (w *writer) tick(now time.Time) {
	today := dayOf(now)
	for d, f := range maps.Clone(w.open) {
		if _, err := os.Lstat(f.path); err != nil || d < today.add(-1) {
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
