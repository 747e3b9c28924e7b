package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// running is a log that runs, in a folder of its own, and what stops it.
func running(t *testing.T, s Store) (*Log, func()) {
	t.Helper()
	return runningIn(t, s, t.TempDir(), slog.New(slog.DiscardHandler))
}

func runningIn(t *testing.T, s Store, dir string, log *slog.Logger) (*Log, func()) {
	t.Helper()
	l := New(s, "mx1", dir, log)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); l.Run(ctx) }()
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			cancel()
			<-ended
		}
	}
	t.Cleanup(stop)
	return l, stop
}

// TestOnce shows that what is noted is in the store, once and in its order, when noting returns; that nothing is left in the file;
// and that the node remembers the head.
func TestOnce(t *testing.T) {
	m, dir := &memory{}, t.TempDir()
	l, stop := runningIn(t, m, dir, slog.New(slog.DiscardHandler))
	for i := range 3 {
		e := Entry{Actor: "anna", Operation: "o", Object: fmt.Sprint(i)}
		for range 2 { // told twice by its own name
			e.Source = "s" + e.Object
			if !l.Note(t.Context(), e) {
				t.Error("not kept")
			}
		}
	}
	stop()
	if got := m.objects(); got != "0 1 2" || m.rows[0].Node != "mx1" || m.rows[0].Time.IsZero() {
		t.Errorf("%s %+v", got, m.rows[0])
	}
	if !l.Note(t.Context(), entry("late")) {
		t.Error("what is noted behind the end is not kept")
	}
	seen, err := l.Seen()
	if err != nil || len(seen) != 1 || seen[0].Number != 3 || seen[0].Hash != m.rows[2].Hash {
		t.Errorf("%v %v", seen, err)
	}
	_, stop = runningIn(t, m, dir, slog.New(slog.DiscardHandler)) // the next start
	stop()
	if info, err := os.Stat(filepath.Join(dir, waitingFile)); err != nil || info.Size() != 0 || m.objects() != "0 1 2 late" {
		t.Errorf("%v %v %s", info, err, m.objects())
	}
}

// TestAwayStore shows that noting returns at once while the store is known to fail, and in a second while it hangs; that a store
// which fails is tried now and then however much is noted; that all comes to it once it works, in its order; and that health
// tells.
func TestAwayStore(t *testing.T) {
	for name, broken := range map[string]*memory{"fails": {fail: errors.New("no")}, "hangs": {hang: true}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				l, stop := runningIn(t, broken, dir, slog.New(slog.DiscardHandler))
				var want []string
				begin := time.Now()
				for i := range 200 {
					before := time.Now()
					if kept := l.Note(t.Context(), entry(fmt.Sprint(i))); !kept && name == "fails" {
						t.Error("not kept")
					}
					if took := time.Since(before); took > noteWait || name == "fails" && took > 0 {
						t.Fatalf("entry %d took %s", i, took)
					}
					want = append(want, fmt.Sprint(i))
					time.Sleep(300 * time.Millisecond)
				}
				ok, says := l.Health()
				broken.mu.Lock()
				attempts := broken.attempts
				broken.hang, broken.fail = false, nil
				broken.mu.Unlock()
				if waiting, lost := l.Counts(); ok || waiting != 200 || lost != 0 || !strings.Contains(says, "200 entries wait") {
					t.Errorf("%v %s", ok, says)
				}
				if most := 8 + int(time.Since(begin)/againMost); attempts > most || attempts < 2 {
					t.Errorf("%d attempts in %s", attempts, time.Since(begin))
				}
				time.Sleep(againMost + appendTime)
				synctest.Wait()
				if ok, says := l.Health(); !ok || broken.objects() != strings.Join(want, " ") {
					t.Errorf("%s: %s", says, broken.objects())
				}
				stop()
			})
		})
	}
}

// TestFull shows that the queue is bounded, that what finds no room is counted and told to the daemon's log, and that nobody waits
// longer than a second.
func TestFull(t *testing.T) {
	var told bytes.Buffer
	l := New(&memory{}, "mx1", t.TempDir(), slog.New(slog.NewTextHandler(&told, nil))) // and does not run
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range maxQueue + 3 {
		l.Note(gone, entry(fmt.Sprintf("object-%d", i)))
	}
	if waiting, lost := l.Counts(); waiting != maxQueue || lost != 3 || strings.Count(told.String(), "object-") != 3 {
		t.Errorf("%d wait, %d are lost, %s", waiting, lost, told.String())
	}
	if ok, _ := l.Health(); ok {
		t.Error("that is well")
	}
}

// TestNoFile shows that entries go to the store where the file cannot be written, and to the daemon's log where neither takes them.
func TestNoFile(t *testing.T) {
	var told bytes.Buffer
	m := &memory{}
	l, stop := runningIn(t, m, filepath.Join(t.TempDir(), "none"), slog.New(slog.NewTextHandler(&told, nil)))
	if !l.Note(t.Context(), entry("direct")) || m.objects() != "direct" {
		t.Error("it is not in the store")
	}
	m.mu.Lock()
	m.fail = errors.New("no")
	m.mu.Unlock()
	if l.Note(t.Context(), entry("nowhere")) {
		t.Error("it was kept")
	}
	stop()
	if _, lost := l.Counts(); lost != 1 || !strings.Contains(told.String(), "nowhere") {
		t.Errorf("%d %s", lost, told.String())
	}
}

// TestFileDamaged shows that what a crash or a hand left in the file costs that line and nothing else: a torn end, a line that is too
// long, one that is no entry.
func TestFileDamaged(t *testing.T) {
	a, b, c := entry("a"), entry("b"), entry("c")
	line := func(e *Entry) string { return text(e) + "\n" }
	for name, tt := range map[string]struct {
		file string
		want string
		bad  int
	}{
		"whole":     {line(&a) + line(&b), "a b later", 0},
		"torn":      {line(&a) + line(&b)[:40], "a later", 0},
		"torn only": {line(&a)[:40], "later", 0},
		"garbage":   {line(&a) + "no entry\n" + line(&b), "a b later", 1},
		"long":      {line(&a) + strings.Repeat("x", 3*maxLine) + "\n" + line(&b) + line(&c), "a b c later", 1},
		"empty":     {"\n" + line(&a) + "{}\n", "a later", 2},
		"twice":     {line(&a) + line(&a) + line(&b), "a b later", 0},
		"zeros":     {strings.Repeat("\x00", 4096) + line(&a) + line(&b), "b later", 1},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, waitingFile), []byte(tt.file), 0o600); err != nil {
			t.Fatal(err)
		}
		var told bytes.Buffer
		m := &memory{}
		l, stop := runningIn(t, m, dir, slog.New(slog.NewTextHandler(&told, nil)))
		l.Note(t.Context(), entry("later"))
		stop()
		if got := m.objects(); got != tt.want || strings.Count(told.String(), "is no entry") != tt.bad {
			t.Errorf("%s: %s, want %s; %s", name, got, tt.want, told.String())
		}
	}
}

// FuzzOutbox: whatever the file holds, it is gone through to its end, and what is put there later is found.
func FuzzOutbox(f *testing.F) {
	e := entry("a")
	f.Add([]byte(text(&e)+"\n"+"{\n"), uint8(3))
	f.Add([]byte("\n\n\x00"), uint8(1))
	f.Add([]byte(`{"source":"x","time":"2026-11-27T08:00:00Z"}`+"\n"), uint8(0))
	f.Fuzz(func(t *testing.T, file []byte, most uint8) {
		name := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(name, file, 0o600); err != nil {
			t.Fatal(err)
		}
		o := &outbox{name: name}
		last := note{entry("last"), nil}
		if err := o.put([]note{last}); err != nil {
			t.Fatal(err)
		}
		var got []Entry
		for {
			entries, end, lines, _, err := o.next(int(most) + 1)
			if err != nil {
				t.Fatal(err)
			}
			if lines == 0 {
				break
			}
			got = append(got, entries...)
			if err := o.done(end, lines); err != nil {
				t.Fatal(err)
			}
		}
		if len(got) == 0 || got[len(got)-1].Digest() != last.Digest() || o.waiting() != 0 || len(got) > bytes.Count(file, []byte{'\n'})+1 {
			t.Errorf("%d entries, %d wait", len(got), o.waiting())
		}
	})
}
