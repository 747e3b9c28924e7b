package quarantine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

// teacher notes what it is to teach.
type teacher struct {
	mu    sync.Mutex
	off   bool
	err   error         // of all engines, or, half, of the second one
	half  bool          // the first learns, and the second fails
	block chan struct{} // nil: it answers at once
	got   []string
	asked atomic.Int32
}

func (h *teacher) Learns() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.off
}

func (h *teacher) Teach(ctx context.Context, spam bool, m io.Reader, size int64, know []string) ([]string, string, error) {
	text, err := io.ReadAll(m)
	if err != nil || int64(len(text)) != size {
		return nil, "", fmt.Errorf("%d octets of %d, %w", len(text), size, err)
	}
	h.mu.Lock()
	block, fault, half := h.block, h.err, h.half
	h.asked.Add(1)
	h.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return nil, "", ctx.Err()
		}
	}
	if fault != nil && !half || slices.Contains(know, "one") && fault != nil {
		return nil, "", fault
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got = append(h.got, wordOf(spam)+" "+strings.TrimSpace(string(text[strings.Index(string(text), "\r\n\r\n"):])))
	if half {
		return []string{"one"}, "", fault
	}
	return []string{"one", "two"}, "learned", nil
}

// set has it do something else from now on.
func (h *teacher) set(do func()) {
	h.mu.Lock()
	do()
	h.mu.Unlock()
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
		h.set(func() { h.off = true })
		step("", report(w.keep(t, "off", gateway.SpamScore, "a@example.org"), true))

		w.reopen(t)
		if l, err := w.Look(t.Context(), kept, "me", 0); err != nil || l.Lesson == nil || !l.Lesson.Done || l.Lesson.As != "spam" || l.Lesson.Said != "learned" {
			t.Errorf("after a start: %+v, %v", l, err)
		}
	})
}

// lessonOf is what is noted of a message's lesson.
func (w *world) lessonOf(t *testing.T, id gateway.ID) *Lesson {
	t.Helper()
	l, err := w.Look(t.Context(), id, "me", 0)
	if err != nil {
		t.Fatal(err)
	}
	if l.Lesson == nil {
		return new(Lesson)
	}
	return l.Lesson
}

// TestTeachWaits shows that no release waits for engines that hang or fail, that what they should learn waits for them, ever
// longer, that they are spared, and that all is learned once they are back.
func TestTeachWaits(t *testing.T) {
	school(t, func(t *testing.T, w *world, h *teacher) {
		h.set(func() { h.block = make(chan struct{}) })
		hung := w.keep(t, "hung", gateway.SpamScore, "a@example.org")
		if res, err := w.Release(t.Context(), &Release{ID: hung}); err != nil || !res[0].Done {
			t.Fatalf("%+v, %v", res, err)
		}
		if l := w.lessonOf(t, hung); !l.Due || l.Tries != 0 || l.As != "ham" {
			t.Errorf("while it hangs: %+v", l)
		}
		time.Sleep(lessonTime)
		settled()
		if l := w.lessonOf(t, hung); !l.Due || l.Tries != 1 || !strings.Contains(l.Said, "deadline exceeded") {
			t.Errorf("it hung: %+v", l)
		}
		h.set(func() { close(h.block); h.block, h.err = nil, errors.New("away") })
		h.asked.Store(0)
		var ids []gateway.ID
		for range 20 {
			ids = append(ids, w.keep(t, "x", gateway.SpamScore, "a@example.org"))
			if told, err := w.Report(t.Context(), ids[len(ids)-1], true, "me"); err != nil || told != "noted; the engines will be told" {
				t.Fatalf("%q, %v", told, err)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := h.asked.Load(); n < faultsInRow || n > 10 {
			t.Errorf("in a minute they were asked %d times", n)
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		before := h.asked.Load()
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := h.asked.Load() - before; n < 3 || n > 5 {
			t.Errorf("in an hour they were asked %d times", n)
		}
		if n := w.Counts(); n[Unlearned] != 0 || n[Learned] != 0 || w.Status(t.Context()).Lessons != 21 {
			t.Errorf("%v, %+v", n, w.Status(t.Context()))
		}
		h.set(func() { h.err = nil })
		time.Sleep(pauseAtMost + restAtMost)
		settled()
		for _, id := range append(ids, hung) {
			if l := w.lessonOf(t, id); !l.Done || l.Due {
				t.Errorf("%+v", l)
			}
		}
		if n := w.Counts(); n[Learned] != 21 || w.Status(t.Context()).Lessons != 0 {
			t.Errorf("%v", n)
		}
	})
}

// TestTeachGivesUp shows which lessons are over without an engine that learned, and that each is counted.
func TestTeachGivesUp(t *testing.T) {
	school(t, func(t *testing.T, w *world, h *teacher) {
		report := func(text string, spam bool) gateway.ID {
			id := w.keep(t, text, gateway.SpamScore, "a@example.org")
			if _, err := w.Report(t.Context(), id, spam, "me"); err != nil {
				t.Fatal(err)
			}
			settled()
			return id
		}
		found := ""
		w.opts.Scan = func(context.Context, io.Reader, int64) (string, error) { return found, nil }
		w.Vault.opts.Scan = w.opts.Scan
		lost := 0
		over := func(id gateway.ID, word string) {
			t.Helper()
			if l := w.lessonOf(t, id); l.Due || l.Done || !strings.Contains(l.Said, word) {
				t.Errorf("%+v, want %q", l, word)
			}
			if lost++; w.Counts()[Unlearned] != lost {
				t.Errorf("%s: %d are counted as lost, want %d", word, w.Counts()[Unlearned], lost)
			}
		}
		h.set(func() { h.err = fmt.Errorf("%w: too large", ErrUnfit) })
		for range 2 * faultsInRow {
			over(report("unfit", true), "nothing to learn from: too large")
		}
		h.set(func() { h.err = nil })
		if l := w.lessonOf(t, report("next", true)); !l.Done {
			t.Errorf("what is unfit is no fault of the engines: %+v", l)
		}
		found = "Win.Virus"
		over(report("virus", false), "malware was found in it: Win.Virus")
		if l := w.lessonOf(t, report("virus", true)); !l.Done {
			t.Errorf("as spam: %+v", l)
		}
		found = ""
		h.set(func() { h.err, h.half = errors.New("away"), true })
		half := report("half", true)
		h.set(func() { h.off = true })
		time.Sleep(time.Minute)
		settled()
		over(half, "policy no longer wants it")
		h.set(func() { h.off = false })
		old := report("old", true)
		time.Sleep(lessonAge + pauseAtMost + restAtMost)
		settled()
		over(old, "away")
		if l := w.lessonOf(t, old); !strings.HasPrefix(l.Said, "given up after ") || fmt.Sprint(l.Know) != "[one]" || strings.Count(h.taught(), "old") != 1 {
			t.Errorf("%+v, taught %s", l, h.taught())
		}
		gone := report("gone", true)
		if err := w.Delete(t.Context(), gone, nil, "me"); err != nil {
			t.Fatal(err)
		}
		if lost++; w.Counts()[Unlearned] != lost || w.Status(t.Context()).Lessons != 0 {
			t.Errorf("erased: %v", w.Counts())
		}
		time.Sleep(pauseAtMost)
		if w.Counts()[Unlearned] != lost {
			t.Errorf("erased: %v", w.Counts())
		}
	})
}

// TestTeachMind shows that a lesson that is given while its person changes his mind does not stand for what he says then, and
// that one whose message is erased meanwhile is told.
func TestTeachMind(t *testing.T) {
	school(t, func(t *testing.T, w *world, h *teacher) {
		report := func(id gateway.ID, spam bool) {
			if _, err := w.Report(t.Context(), id, spam, "me"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		hold := make(chan struct{})
		h.set(func() { h.block = hold })
		id := w.keep(t, "x", gateway.SpamScore, "a@example.org")
		report(id, true)
		h.set(func() { h.block = nil })
		report(id, false)
		close(hold)
		settled()
		if l := w.lessonOf(t, id); !l.Done || l.As != "ham" || h.taught() != "spam x,ham x" {
			t.Errorf("%+v, taught %s", l, h.taught())
		}
		hold = make(chan struct{})
		h.set(func() { h.block = hold })
		id = w.keep(t, "y", gateway.SpamScore, "a@example.org")
		report(id, true)
		if err := w.Delete(t.Context(), id, nil, "me"); err != nil {
			t.Fatal(err)
		}
		close(hold)
		settled()
		if n := w.Counts(); n[Learned] != 2 || n[Unlearned] != 0 || w.Status(t.Context()).Lessons != 0 {
			t.Errorf("%v", n)
		}
	})
}

// TestTeachRestarts shows that what waits is taught after a start, once, also where a release was cut off behind the next hop's
// 250, and that what was learned is not taught again.
func TestTeachRestarts(t *testing.T) {
	for _, lost := range []bool{false, true} { // the index, too
		w := newWorld(t)
		h := new(teacher)
		w.opts.Teacher, w.opts.Done = h, func(_ string, keys []string) []bool { return slices.Repeat([]bool{true}, len(keys)) }
		w.reopen(t)
		released := w.keep(t, "released", gateway.SpamScore, "a@example.org")
		if _, err := w.Release(t.Context(), &Release{ID: released}); err != nil {
			t.Fatal(err)
		}
		cut := w.keep(t, "cut", gateway.SpamScore, "a@example.org")
		m, err := w.message(t.Context(), cut, false)
		if err != nil {
			t.Fatal(err)
		}
		m.state.Out = &outward{By: "me", Rcpts: []int{0}, Ham: true, Legs: []leg{{Route: "r", Keys: []string{"k"}, Rcpts: []int{0}}}}
		m.state.Rcpts[0].State = Releasing
		if err := m.save("releasing"); err != nil {
			t.Fatal(err)
		}
		m.Close()
		for range 2 {
			if lost {
				w.index.rows = nil
			}
			w.reopen(t)
			w.Tend(t.Context())
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				w.Learn(ctx)
			}()
			for w.Status(t.Context()).Lessons > 0 {
				time.Sleep(time.Millisecond)
			}
			cancel()
			<-done
		}
		if got := strings.Split(h.taught(), ","); len(got) != 2 || !slices.Contains(got, "ham released") || !slices.Contains(got, "ham cut") {
			t.Errorf("index lost %t: taught %s", lost, got)
		}
	}
}

// TestTeachBounded shows that a list that is full is told, and hinders no release.
func TestTeachBounded(t *testing.T) {
	w := newWorld(t)
	w.opts.Teacher = new(teacher)
	w.reopen(t) // and nobody teaches
	for i := range lessonsAtMost {
		w.lessons.add(gateway.ID(i+1), time.Now())
	}
	id := w.keep(t, "x", gateway.SpamScore, "a@example.org")
	if told, err := w.Report(t.Context(), id, true, "me"); err != nil || !strings.Contains(told, "not learned: too many") {
		t.Errorf("%q, %v", told, err)
	}
	full := w.keep(t, "y", gateway.SpamScore, "a@example.org")
	if res, err := w.Release(t.Context(), &Release{ID: full}); err != nil || !res[0].Done {
		t.Errorf("%+v, %v", res, err)
	}
	if got := w.Counts(); got[Unlearned] != 2 || got[Learned] != 0 || w.Status(t.Context()).Lessons != lessonsAtMost {
		t.Errorf("%v", got)
	}
	if l := w.lessonOf(t, full); l.Due || l.Said != "too many messages wait to be learned" {
		t.Errorf("%+v", l)
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
