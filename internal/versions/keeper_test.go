package versions

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/internal/config"
)

// TestPublish shows the way of a version: built, stored, put in force, and only then copied; that the first one takes over what
// was in force; and that the same text again does nothing.
func TestPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		w := newWorld(t, m)
		defer w.end()
		s := new(steps)
		m.steps, w.daemon.steps = s, s
		r := w.publish(t, "one\n", 0)
		w.is(t, 2, "one\n")
		if got := strings.Join(s.all, " "); got != "prepare store install" {
			t.Errorf("steps: %s", got)
		}
		if r.Version.Number != 2 || r.Version.Author != "anna" || r.Unchanged || len(r.Warnings) != 1 {
			t.Errorf("%+v", r)
		}
		first, err := w.store.Version(context.Background(), 1)
		if err != nil || string(first.Text) != "file\n" || first.Kind != Takeover {
			t.Errorf("taken over: %+v %v", first, err)
		}
		if r := w.publish(t, "one\n", 0); !r.Unchanged || r.Version.Number != 2 || len(m.all) != 2 {
			t.Errorf("the same: %+v", r)
		}
		w.publish(t, "two\n", 0)
		w.is(t, 3, "two\n")
		if w.events() != "publish 2, publish 3" {
			t.Errorf("%s", w.events())
		}
	})
}

// TestPublishRefused shows that what is wrong, what another node changed meanwhile, and a store that is away change nothing.
func TestPublishRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		w := newWorld(t, m)
		defer w.end()
		w.publish(t, "one\n", 0)
		w.refuse = "bad"
		ctx := context.Background()
		propose := func(text string, expect int64) error {
			_, err := w.Publish(ctx, Proposal{Text: []byte(text), Expect: expect, Kind: Publish})
			w.is(t, 2, "one\n")
			return err
		}
		if err := propose("bad\n", 2); err == nil {
			t.Error("a bad document was taken")
		} else if p, ok := errors.AsType[config.Problems](err); !ok || p[0].Line != 1 {
			t.Errorf("%v", err)
		}
		if err := propose("two\n", 1); err != ErrMoved {
			t.Errorf("%v", err)
		}
		m.failing = "store"
		if err := propose("two\n", 2); err != errAway {
			t.Errorf("%v", err)
		}
		m.failing = ""
		w.store.cut(true)
		if err := propose("two\n", 2); err != errAway {
			t.Errorf("%v", err)
		}
		w.store.cut(false)
		fresh := newWorld(t, newMemory())
		defer fresh.end()
		fresh.file = nil
		if _, err := fresh.Publish(ctx, Proposal{Text: []byte("x"), Confirm: time.Minute, Kind: Publish}); err != ErrSame {
			t.Errorf("there is nothing to go back to: %v", err)
		}
		fresh.publish(t, "x", 0)
		fresh.is(t, 1, "x")
	})
}

// TestFollow shows that another node follows when it is told, after a quarter of a minute when it is not, and after a start; and
// that a version which it cannot use is told and leaves the one before.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		a, b := newWorld(t, m), newWorld(t, m)
		defer a.end()
		defer func() { b.end() }()
		a.publish(t, "one\n", 0)
		b.is(t, 2, "one\n")
		m.deaf = true
		a.publish(t, "two\n", 0)
		b.is(t, 2, "one\n")
		time.Sleep(lookEvery)
		b.is(t, 3, "two\n")
		b.end()
		a.publish(t, "three\n", 0)
		b.start(t)
		b.is(t, 4, "three\n")
		b.refuse = "four"
		a.publish(t, "four\n", 0)
		time.Sleep(lookEvery)
		b.is(t, 4, "three\n")
		if err := b.Health(); err == nil || !strings.Contains(err.Error(), "version 5, which anna published, cannot be used in this node") {
			t.Errorf("%v", err)
		}
		b.daemon.mu.Lock()
		b.refuse = ""
		b.daemon.mu.Unlock()
		time.Sleep(lookEvery)
		b.is(t, 5, "four\n")
		if err := b.Health(); err != nil {
			t.Error(err)
		}
	})
}

// TestStartWithoutStore shows that a node starts with what was published last while the store is away, and follows once it is
// back.
func TestStartWithoutStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		a, b := newWorld(t, m), newWorld(t, m)
		defer a.end()
		defer func() { b.end() }()
		a.publish(t, "one\n", 0)
		b.is(t, 2, "one\n")
		b.end()
		b.store.cut(true)
		a.publish(t, "two\n", 0)
		b.start(t)
		time.Sleep(time.Hour)
		b.is(t, 2, "one\n")
		if b.Looked() || !a.Looked() {
			t.Errorf("looked: %v without a store, %v with one", b.Looked(), a.Looked())
		}
		b.store.cut(false)
		time.Sleep(lookEvery)
		b.is(t, 3, "two\n")
		if !b.Looked() {
			t.Error("not looked")
		}
	})
}

// TestConfirm shows that a version which nobody confirms goes on time, on all nodes, as a new version, and that one that is
// confirmed stays, whoever has confirmed it.
func TestConfirm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		a, b := newWorld(t, m), newWorld(t, m)
		defer a.end()
		defer b.end()
		ctx := context.Background()
		a.publish(t, "one\n", 0)
		a.publish(t, "two\n", time.Minute)
		time.Sleep(59 * time.Second)
		a.is(t, 3, "two\n")
		time.Sleep(2 * time.Second)
		a.is(t, 4, "one\n")
		b.is(t, 4, "one\n")
		undo, err := a.store.Version(ctx, 4)
		if err != nil || undo.Kind != Undo || undo.Of != 2 || undo.Undid != 3 || undo.Comment != "version 3 was undone: nobody confirmed it in time" {
			t.Errorf("%+v %v", undo, err)
		}
		a.publish(t, "three\n", time.Minute)
		b.is(t, 5, "three\n")
		if err := b.Confirm(ctx, 4); err != ErrMoved {
			t.Errorf("another: %v", err)
		}
		if err := b.Confirm(ctx, 5); err != nil {
			t.Error(err)
		}
		if err := b.Confirm(ctx, 5); err != ErrNone {
			t.Errorf("twice: %v", err)
		}
		time.Sleep(time.Hour)
		a.is(t, 5, "three\n")
		b.is(t, 5, "three\n")
		if len(m.all) != 5 {
			t.Errorf("%d versions", len(m.all))
		}
	})
}

// TestConfirmWithoutStore shows that a version which nobody confirms goes on time where the store is away too, also where the
// process starts anew meanwhile, and that the store is told later; but that one which was confirmed elsewhere comes again.
func TestConfirmWithoutStore(t *testing.T) {
	for _, confirmed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory()
			a, b := newWorld(t, m), newWorld(t, m)
			defer a.end()
			defer func() { b.end() }()
			a.publish(t, "one\n", 0)
			a.publish(t, "two\n", time.Minute)
			b.is(t, 3, "two\n")
			b.store.cut(true)
			if confirmed {
				if err := a.Confirm(context.Background(), 3); err != nil {
					t.Fatal(err)
				}
			} else {
				a.store.cut(true)
			}
			time.Sleep(61 * time.Second)
			b.is(t, 2, "one\n")
			b.end()
			b.start(t)
			b.is(t, 2, "one\n")
			time.Sleep(time.Hour)
			b.is(t, 2, "one\n")
			b.store.cut(false)
			time.Sleep(lookEvery)
			if confirmed {
				b.is(t, 3, "two\n")
				return
			}
			b.is(t, 4, "one\n")
			a.store.cut(false)
			time.Sleep(lookEvery)
			a.is(t, 4, "one\n")
			if len(m.all) != 4 {
				t.Errorf("%d versions", len(m.all))
			}
		})
	}
}

// TestRollback shows where one goes back to, step by step.
func TestRollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		w := newWorld(t, m)
		defer w.end()
		ctx := context.Background()
		w.publish(t, "one\n", 0)
		w.publish(t, "two\n", 0)
		back := func(number int64) error {
			now, _ := w.InForce()
			_, err := w.Rollback(ctx, number, Proposal{Expect: now, Author: "anna"})
			return err
		}
		if err := back(0); err != nil {
			t.Fatal(err)
		}
		w.is(t, 4, "one\n")
		if err := back(0); err != nil {
			t.Fatal(err)
		}
		w.is(t, 5, "file\n")
		if err := back(0); err != ErrSame {
			t.Errorf("before the first: %v", err)
		}
		if err := back(3); err != nil {
			t.Fatal(err)
		}
		w.is(t, 6, "two\n")
		if err := back(99); err != ErrNone {
			t.Errorf("%v", err)
		}
		if v, _ := w.store.Version(ctx, 6); v.Kind != Rollback || v.Of != 3 || v.Undid != 5 {
			t.Errorf("%+v", v)
		}
	})
}

// TestLostStore shows that what is in force stays where the store was lost, and that the next version takes it over, with a
// number that was not used.
func TestLostStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		w := newWorld(t, m)
		defer w.end()
		w.publish(t, "one\n", 0)
		m.mu.Lock()
		m.head, m.all = Head{}, nil
		m.mu.Unlock()
		time.Sleep(time.Hour)
		w.is(t, 2, "one\n")
		w.publish(t, "two\n", 0)
		w.is(t, 4, "two\n")
		if v, err := w.store.Version(context.Background(), 3); err != nil || string(v.Text) != "one\n" {
			t.Errorf("%+v %v", v, err)
		}
	})
}

// TestCopyFails shows that a version is in force where its copy cannot be written, that it is told, and that the copy is made up
// for.
func TestCopyFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory())
		defer w.end()
		w.publish(t, "one\n", 0)
		taken := filepath.Join(w.dir, config.PublishedFile+".new")
		if err := os.Mkdir(taken, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(taken, "x"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		w.publish(t, "two\n", 0)
		if err := w.Health(); w.text() != "two\n" || err == nil || !strings.Contains(err.Error(), "its copy could not be written") {
			t.Errorf("%q %v", w.text(), err)
		}
		if err := os.RemoveAll(taken); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookEvery)
		w.is(t, 3, "two\n")
		if err := w.Health(); err != nil {
			t.Error(err)
		}
	})
}
