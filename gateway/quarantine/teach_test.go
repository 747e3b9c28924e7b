package quarantine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

// teacher notes what it is to teach.
type teacher struct {
	off   bool
	err   error
	block chan struct{} // nil: it answers at once

	mu  sync.Mutex
	got []string
}

func (h *teacher) Learns() bool { return !h.off }

func (h *teacher) Teach(ctx context.Context, spam bool, m io.Reader, size int64) (string, error) {
	text, err := io.ReadAll(m)
	if err != nil || int64(len(text)) != size {
		return "", fmt.Errorf("%d octets of %d, %w", len(text), size, err)
	}
	if h.block != nil {
		select {
		case <-h.block:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got = append(h.got, wordOf(spam)+" "+strings.TrimSpace(string(text[strings.Index(string(text), "\r\n\r\n"):])))
	return "learned", h.err
}

func (h *teacher) taught() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.got, ",")
}

// school is a vault whose lessons are taught until the test ends, within a bubble of time.
func school(t *testing.T, test func(t *testing.T, w *world, h *teacher)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := new(teacher)
		w := newWorld(t)
		w.opts.Teacher = h
		w.reopen(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.Learn(ctx)
		}()
		test(t, w, h)
		cancel()
		<-done
	})
}

// settled waits until lessons are noted: one that ends while its person still holds the message is noted a little later.
func settled() {
	time.Sleep(2 * noteEvery)
	synctest.Wait()
}

// TestTeach shows what engines are taught, that each message is taught once, and that what a person says outweighs what he did.
func TestTeach(t *testing.T) {
	school(t, func(t *testing.T, w *world, h *teacher) {
		step := func(want string, do func() error) {
			t.Helper()
			before := h.taught()
			if err := do(); err != nil {
				t.Fatal(err)
			}
			settled()
			if got := strings.TrimPrefix(strings.TrimPrefix(h.taught(), before), ","); got != want {
				t.Errorf("taught %q, want %q", got, want)
			}
		}
		report := func(id gateway.ID, spam bool) func() error {
			return func() error { _, err := w.Report(t.Context(), id, spam, "me"); return err }
		}
		release := func(r *Release) func() error {
			return func() error { _, err := w.Release(t.Context(), r); return err }
		}
		kept := w.keep(t, "kept", gateway.SpamScore, "a@example.org", "b@example.org")
		step("ham kept", release(&Release{ID: kept, Rcpts: []string{"a@example.org"}, User: true}))
		step("", release(&Release{ID: kept}))
		step("", report(kept, false))
		step("spam kept", report(kept, true)) // he changed his mind
		step("", report(kept, true))
		said := w.keep(t, "said", gateway.SpamScore, "a@example.org")
		step("spam said", report(said, true))
		step("", release(&Release{ID: said}))
		other := address("help@example.org")
		elsewhere := w.keep(t, "elsewhere", gateway.SpamScore, "a@example.org")
		step("", release(&Release{ID: elsewhere, To: &other}))
		step("", release(&Release{ID: elsewhere, Force: true})) // nobody looked through it
		step("", release(&Release{ID: w.keep(t, "virus", gateway.MalwareFound, "a@example.org")}))
		step("", release(&Release{ID: w.keep(t, "file", gateway.AttachmentType, "a@example.org")}))
		virus := w.keep(t, "virus", gateway.MalwareFound, "a@example.org")
		step("", report(virus, true))
		step("", report(virus, false))
		h.off = true
		step("", report(w.keep(t, "off", gateway.SpamScore, "a@example.org"), true))

		w.reopen(t)
		if l, err := w.Look(t.Context(), kept, "me", 0); err != nil || l.Lesson == nil || !l.Lesson.Done || l.Lesson.As != "spam" || l.Lesson.Said != "learned" {
			t.Errorf("after a start: %+v, %v", l, err)
		}
	})
}

// TestTeachFails shows that nobody waits for engines that do not answer, that failures are told and end in a rest, and that what
// is unfit is no failure.
func TestTeachFails(t *testing.T) {
	school(t, func(t *testing.T, w *world, h *teacher) {
		h.block = make(chan struct{})
		look := func(id gateway.ID) *Lesson {
			t.Helper()
			l, err := w.Look(t.Context(), id, "me", 0)
			if err != nil {
				t.Fatal(err)
			}
			return l.Lesson
		}
		fails := func(word string) {
			t.Helper()
			id := w.keep(t, "x", gateway.SpamScore, "a@example.org")
			if res, err := w.Release(t.Context(), &Release{ID: id}); err != nil || !res[0].Done {
				t.Fatalf("%+v, %v", res, err)
			}
			time.Sleep(lessonTime)
			settled()
			if l := look(id); l == nil || l.Done || l.As != "ham" || !strings.Contains(l.Said, word) {
				t.Errorf("%+v, want %q", l, word)
			}
		}
		fails("deadline exceeded") // it hangs, and the release came about at once
		close(h.block)
		for range faultsInRow {
			h.err = ErrUnfit
			fails("nothing to learn from")
		}
		h.err = errors.New("away")
		ids := []gateway.ID{}
		for range faultsInRow + 1 {
			ids = append(ids, w.keep(t, "x", gateway.SpamScore, "a@example.org"))
			if told, err := w.Report(t.Context(), ids[len(ids)-1], true, "me"); err != nil || told != "noted; the engines will be told" {
				t.Fatalf("%q, %v", told, err)
			}
			settled()
		}
		asked := len(h.got)
		if l := look(ids[faultsInRow-1]); l == nil || l.Said != "away" {
			t.Errorf("%+v", l)
		}
		if l := look(ids[faultsInRow]); l == nil || l.Done || !strings.Contains(l.Said, "rest until") {
			t.Errorf("%+v", l)
		}
		time.Sleep(restAfter)
		h.err = nil
		if _, err := w.Report(t.Context(), ids[0], true, "me"); err != nil {
			t.Fatal(err)
		}
		settled()
		if l := look(ids[0]); l == nil || !l.Done || len(h.got) != asked+1 {
			t.Errorf("after the rest: %+v, %d of %d", l, len(h.got), asked)
		}
		if n := w.Counts()[Unlearned]; n != 2*faultsInRow+2 {
			t.Errorf("%d failures were counted", n)
		}
	})
}

// TestTeachBounded shows that a queue that is full is told, and hinders no release.
func TestTeachBounded(t *testing.T) {
	w := newWorld(t)
	w.opts.Teacher = new(teacher)
	w.reopen(t) // and nobody teaches
	id := w.keep(t, "x", gateway.SpamScore, "a@example.org")
	for range lessonsAtMost {
		if told, err := w.Report(t.Context(), id, true, "me"); err != nil || told != "noted; the engines will be told" {
			t.Fatalf("%q, %v", told, err)
		}
	}
	if told, err := w.Report(t.Context(), id, true, "me"); err != nil || !strings.Contains(told, "not learned: too many") {
		t.Errorf("%q, %v", told, err)
	}
	full := w.keep(t, "y", gateway.SpamScore, "a@example.org")
	if res, err := w.Release(t.Context(), &Release{ID: full}); err != nil || !res[0].Done {
		t.Errorf("%+v, %v", res, err)
	}
	if got := w.Counts(); got[Unlearned] != 2 || got[Learned] != 0 {
		t.Errorf("%v", got)
	}
}

// TestTeachLease shows that who notes a lesson waits for who works on the message, and that people wait for who notes.
func TestTeachLease(t *testing.T) {
	school(t, func(t *testing.T, w *world, h *teacher) {
		id := w.keep(t, "x", gateway.SpamScore, "a@example.org")
		if _, err := w.Report(t.Context(), id, true, "me"); err != nil {
			t.Fatal(err)
		}
		free, err := w.lease(id)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * noteEvery)
		if _, err := w.lease(id); !errors.Is(err, ErrBusy) {
			t.Errorf("a second caller: %v", err)
		}
		free()
		time.Sleep(2 * noteEvery)
		settled()
		if l, err := w.Look(t.Context(), id, "me", 0); err != nil || l.Lesson == nil || !l.Lesson.Done {
			t.Errorf("%+v, %v", l, err)
		}
	})
}
