package bypasses

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"gatepost/gateway"
	"gatepost/internal/alarm"
	"gatepost/internal/api"
)

// Bounds of what may be left out.
const (
	Longest   = 24 * time.Hour
	shortest  = time.Minute
	maxFile   = 1 << 20
	maxReason = 300
	look      = time.Second // between looks at what is over
)

// Kind is the kind of alarms about bypasses, whose object is the check.
const Kind = "bypass"

// Book is what is left out. It is safe for concurrent use.
type Book struct {
	File string // where it is kept
	// Write puts the file in place at once, whole (durable.WriteFile).
	Write func(name string, text []byte, mode fs.FileMode) error
	Gate  *gateway.Bypasses
	Alarm *alarm.Book
	Log   *slog.Logger
	// Ended is told of each that ended by itself, so that it is audited; nil: nobody is.
	Ended func(ctx context.Context, x api.Bypass)

	mu  sync.Mutex
	all map[string]api.Bypass
}

// Load puts in force what was kept and is not over. A file that cannot be read is told, and nothing is left out.
func (b *Book) Load() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = map[string]api.Bypass{}
	defer b.apply()
	text, err := readFile(b.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var list []api.Bypass
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		return fmt.Errorf("bypasses of before: %w", err)
	}
	now := time.Now()
	for _, x := range list {
		x.Check, x.By, x.Reason = gateway.CleanText(x.Check, 80), gateway.CleanText(x.By, 120), gateway.CleanText(x.Reason, maxReason)
		if now.Before(x.Until) && !x.Until.After(now.Add(Longest)) { // a clock that was wrong makes none longer
			b.all[x.Check] = x
		}
	}
	return nil
}

func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s has %d octets, and is no file of ours", name, info.Size())
	}
	return os.ReadFile(name)
}

// apply puts in force what the book has, and raises and ends the alarms; who calls it holds the lock.
func (b *Book) apply() {
	until := map[string]time.Time{}
	for name, x := range b.all {
		until[name] = x.Until
		b.Alarm.Raise(alarm.Report{Kind: Kind, Object: name, Severity: alarm.Warning, Text: words(&x), Do: "gatepost bypass end " + name + ", once what it was for is mended"})
	}
	b.Gate.Set(until)
	b.Alarm.Sweep(Kind, slices.Collect(maps.Keys(until)))
}

func words(x *api.Bypass) string {
	what := "check " + x.Check + " is left out"
	if x.Check == gateway.ScoringCheck {
		what = "points decide nothing"
	}
	return fmt.Sprintf("%s until %s, by %s: %s", what, x.Until.Format("2006-01-02 15:04:05 -0700"), x.By, x.Reason)
}

// save keeps what the book will have; who calls it holds the lock.
func (b *Book) save(all map[string]api.Bypass) error {
	list := make([]api.Bypass, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[name])
	}
	text, err := json.MarshalIndent(list, "", " ")
	if err != nil {
		return err
	}
	return b.Write(b.File, append(text, '\n'), 0o600)
}

// Start leaves a check out. It is kept before it is in force, so that none outlives a restart unseen. before is what was, where
// there was one.
func (b *Book) Start(x api.Bypass) (before *api.Bypass, err error) {
	x.By, x.Reason = gateway.CleanText(x.By, 120), gateway.CleanText(x.Reason, maxReason)
	b.mu.Lock()
	defer b.mu.Unlock()
	if old, ok := b.all[x.Check]; ok {
		before = &old
	}
	next := maps.Clone(b.all)
	if next == nil {
		next = map[string]api.Bypass{}
	}
	next[x.Check] = x
	if err := b.save(next); err != nil {
		return before, fmt.Errorf("it could not be kept, and is not in force: %w", err)
	}
	b.all = next
	b.apply()
	return before, nil
}

// End ends one, at once; ok is false where there is none. An error says that it ended, and that a restart before its time brings it back.
func (b *Book) End(check string) (before api.Bypass, ok bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if before, ok = b.all[check]; !ok {
		return before, false, nil
	}
	b.all = maps.Clone(b.all)
	delete(b.all, check)
	b.apply()
	if err := b.save(b.all); err != nil {
		return before, true, fmt.Errorf("it ended, but a restart before %s would bring it back: %w", before.Until.Format(time.TimeOnly), err)
	}
	return before, true, nil
}

// List returns what is left out, by name.
func (b *Book) List() []api.Bypass {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := []api.Bypass{}
	for _, name := range slices.Sorted(maps.Keys(b.all)) {
		out = append(out, b.all[name])
	}
	return out
}

// Run ends what is over, until ctx is done.
func (b *Book) Run(ctx context.Context) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			over := b.expire(now)
			if b.Ended == nil {
				continue
			}
			for _, x := range over {
				b.Ended(ctx, x)
			}
		}
	}
}

// expire forgets what is over, and returns it. Nothing of it is in force any more; that it stays in the file is no harm.
func (b *Book) expire(now time.Time) (over []api.Bypass) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := maps.Clone(b.all)
	for _, name := range slices.Sorted(maps.Keys(b.all)) {
		if x := b.all[name]; !now.Before(x.Until) {
			over = append(over, x)
			delete(next, name)
		}
	}
	if len(over) == 0 {
		return nil
	}
	b.all = next
	b.apply()
	if err := b.save(next); err != nil {
		b.Log.Error("bypasses that are over stay in the file", "error", err)
	}
	return over
}
