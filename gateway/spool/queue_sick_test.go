package spool

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"gatepost/gateway"
	"gatepost/internal/durable"
)

// TestSickDisk lets each step of the way into the queue fail, in each way: the sender is told the truth, nothing that was
// refused is ever sent, and what a failed flush may have lost shuts the queue until a person has looked.
func TestSickDisk(t *testing.T) {
	cases := []struct {
		step  string
		err   error
		latch bool
		room  bool
	}{
		{"create", unix.EIO, true, false}, {"create", unix.ENOSPC, false, true}, {"create", unix.EMFILE, false, false}, {"create", unix.EROFS, true, false},
		{"write", unix.EIO, true, false}, {"write", unix.ENOSPC, false, true}, {"write", unix.EDQUOT, false, true},
		{"sync", unix.EIO, true, false}, {"sync", unix.ENOSPC, false, true}, {"sync", unix.EINVAL, true, false},
		{"mkdir", unix.EIO, true, false}, {"mkdir", unix.ENOSPC, false, true},
		{"rename", unix.EIO, true, false}, {"rename", unix.ENOSPC, false, true}, {"rename", unix.EACCES, true, false},
		{"dirsync", unix.EIO, true, false}, {"dirsync", unix.ENOSPC, true, false},
	}
	for _, c := range cases {
		t.Run(c.step+" "+c.err.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{unflushed: unflushed{durable.Real{}}, root: memoryDir(t)}
				w := newWorld(t, func(o *QueueOptions) { o.Dir, o.disk = r.root, r })
				before := w.put(gateway.Custody{})
				armed := true
				r.fail = func(_ int, o op) error {
					// The flush that is to fail is that of the folder of the message, not of its parent.
					if armed && o.kind == c.step && (c.step != "dirsync" || strings.HasPrefix(o.name, "q/")) {
						return c.err
					}
					return nil
				}
				id := w.ids.Next() + 77<<20 // another folder
				err := w.Put(t.Context(), mail(id, "inside", "bob@our.example"), gateway.Custody{})
				if !errors.Is(err, c.err) || errors.Is(err, ErrNoRoom) != c.room {
					t.Errorf("Put: %v", err)
				}
				armed = false
				if takes := w.Takes(1) == ""; takes == c.latch || (w.Totals().Latched != "") != c.latch {
					t.Errorf("takes more: %v; %+v", takes, w.Totals())
				}
				if err := w.Put(t.Context(), mail(w.ids.Next(), "inside", "bob@our.example"), gateway.Custody{}); errors.Is(err, ErrLatched) != c.latch {
					t.Errorf("the next one: %v", err)
				}
				if c.latch && !strings.Contains(w.words(0), "latched") {
					t.Errorf("told: %s", w.words(0))
				}
				if left := must(os.ReadDir(w.dirs.tmp())); len(left) > 0 {
					t.Errorf("left in tmp: %v", left)
				}
				// What is in it goes out all the same; what was refused does not, not after a restart either.
				stop := w.run()
				time.Sleep(time.Minute)
				stop()
				w.reopen()
				stop = w.run()
				time.Sleep(time.Minute)
				stop()
				for _, got := range w.has() {
					if got.id == id {
						t.Error("what was refused was sent")
					}
				}
				if got := w.has(); got[0].id != before {
					t.Errorf("delivered: %v", got)
				}
				if w.Takes(1) != "" {
					t.Error("it is shut after a restart, on a disk that works")
				}
			})
		})
	}
}

// TestUnlatch: the queue stays shut while its disk cannot flush, also over a restart, and opens by a person's word once it can.
func TestUnlatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{unflushed: unflushed{durable.Real{}}, root: memoryDir(t)}
		w := newWorld(t, func(o *QueueOptions) { o.Dir, o.disk = r.root, r })
		before := w.put(gateway.Custody{})
		r.fail = func(_ int, o op) error {
			if o.kind == "sync" {
				return unix.EIO
			}
			return nil
		}
		if err := w.Put(t.Context(), mail(w.ids.Next(), "inside", "bob@our.example"), gateway.Custody{}); !errors.Is(err, unix.EIO) {
			t.Errorf("Put: %v", err)
		}
		if err := w.Unlatch(); err == nil || w.Takes(1) == "" {
			t.Errorf("opened on a sick disk: %v", err)
		}
		w.reopen()
		if w.Takes(1) == "" || w.left()[before] != "waiting" {
			t.Errorf("after a restart: %v", w.left())
		}
		r.fail = nil
		if err := w.Unlatch(); err != nil || w.Takes(1) != "" {
			t.Errorf("not opened on a disk that works: %v", err)
		}
		w.put(gateway.Custody{})
	})
}

// TestUnsaved: while states cannot be written nobody gets a message twice, and when the file of a message cannot be removed
// it is not sent again either.
func TestUnsaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{unflushed: unflushed{durable.Real{}}, root: memoryDir(t)}
		w := newWorld(t, func(o *QueueOptions) { o.Dir, o.disk = r.root, r })
		id := w.put(gateway.Custody{}, "a@our.example", "b@our.example")
		later := true
		w.answer = func(d *gateway.Delivery, _ string) gateway.Relayed {
			a := gateway.Relayed{Result: gateway.Delivered, At: gateway.AtDot, Reply: reply(250)}
			if later {
				a.Result, a.Rcpts = gateway.MixedByHop, []gateway.Reply{reply(250), reply(451)}
			}
			return a
		}
		r.fail = func(_ int, o op) error {
			if strings.HasSuffix(o.name, ".st") || o.kind == "remove" && strings.HasPrefix(o.name, "q/") {
				return unix.EIO
			}
			return nil
		}
		stop := w.run()
		time.Sleep(30 * time.Second)
		w.hop.mu.Lock()
		later = false
		w.hop.mu.Unlock()
		time.Sleep(3 * time.Hour)
		if got := w.left()[id]; got != "waiting" {
			t.Errorf("it is %q", got)
		}
		r.mu.Lock()
		r.fail = nil
		r.mu.Unlock()
		time.Sleep(2 * time.Minute)
		stop()
		if got := w.words(id); got != "queued a b; deferred b; delivered a; delivered b" || len(w.left()) > 0 || len(w.has()) != 2 {
			t.Errorf("told: %s; %d deliveries; left %v", got, len(w.has()), w.left())
		}
	})
}

// TestDamaged changes files in every way that a disk may: none is sent, none is dropped in silence, and the others go.
func TestDamaged(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	flip := func(b []byte) []byte { b[rng.IntN(len(b))] ^= 1 << rng.IntN(8); return b }
	cases := map[string]func([]byte) []byte{
		"empty":       func([]byte) []byte { return nil },
		"cut":         func(b []byte) []byte { return b[:rng.IntN(len(b))] },
		"zeros":       func(b []byte) []byte { clear(b[rng.IntN(len(b)-1):]); return b },
		"longer":      func(b []byte) []byte { return append(b, "END\n"...) },
		"one bit":     flip,
		"two bits":    func(b []byte) []byte { i := rng.IntN(len(b) - 1); b[i] ^= 1; b[i+1] ^= 0x80; return b },
		"a swap":      func(b []byte) []byte { i := len(b) - 90; b[i], b[i+7] = b[i+7], b[i]+1; return b },
		"of another":  func(b []byte) []byte { return []byte(strings.Replace(string(b), `"id":"0`, `"id":"1`, 1)) },
		"not for us":  func([]byte) []byte { return []byte("From: a@b\r\n\r\nhello\r\n") },
		"no envelope": func([]byte) []byte { return []byte(magic + strings.Repeat("x", 20000)) },
	}
	for name, damage := range cases {
		for range 20 {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				whole, bad := w.put(gateway.Custody{}), w.put(gateway.Custody{})
				file := w.name(bad, ".msg")
				text := must(os.ReadFile(file))
				if err := os.WriteFile(file, damage(text), 0o600); err != nil {
					t.Fatal(err)
				}
				if rng.IntN(2) == 0 {
					w.reopen() // it is found at the start, or when it is its turn
				}
				stop := w.run()
				time.Sleep(time.Minute)
				stop()
				if got := w.has(); len(got) != 1 || got[0].id != whole {
					t.Errorf("%s: delivered %v", name, got)
				}
				d := must(w.Damaged())
				if len(d) != 1 || d[0].Why == "" || filepath.Base(d[0].File) != bad.String()+".msg" || w.Totals().Damaged != 1 || w.words(bad) != "queued bob; damaged" {
					t.Errorf("%s: set aside %+v; told %s", name, d, w.words(bad))
				}
				if len(w.left()) != 0 {
					t.Errorf("%s: left %v", name, w.left())
				}
				w.reopen()
				if n := w.Totals().Damaged; n != 1 {
					t.Errorf("%s: a restart counts %d", name, n)
				}
			})
		}
	}
}

// TestFilesTakenAway: a message whose file a person removed is told, and the queue goes on; one whose whole folder is away
// goes once it is back.
func TestFilesTakenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		gone, back := w.put(gateway.Custody{}), w.put(gateway.Custody{})
		for w.folder(back) == w.folder(gone) {
			back = w.put(gateway.Custody{})
		}
		if err := os.Remove(w.name(gone, ".msg")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(w.folder(back), w.folder(back)+".away"); err != nil {
			t.Fatal(err)
		}
		stop := w.run()
		time.Sleep(30 * time.Second)
		if w.words(gone) != "queued bob; damaged" || w.left()[gone] != "" || w.left()[back] != "waiting" {
			t.Errorf("told %s; left %v", w.words(gone), w.left())
		}
		if err := os.Rename(w.folder(back)+".away", w.folder(back)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		stop()
		if len(w.left()) != 0 || w.words(back) != "queued bob; delivered bob" {
			t.Errorf("told %s; left %v", w.words(back), w.left())
		}
	})
}

// TestDamagedState: a state that is damaged is told and set aside, one that was cut off by a power cut is as none, and in
// both cases the message is delivered.
func TestDamagedState(t *testing.T) {
	cases := map[string]struct {
		text string
		told bool
	}{
		"empty": {"", false}, "zeros": {strings.Repeat("\x00", 500), false}, "cut": {string(must((&state{Attempts: 3}).encode())[:60]), false},
		"garbage":    {strings.Repeat("hello ", 20), true},
		"wrong sum":  {strings.Replace(string(must((&state{Attempts: 3}).encode())), ":3", ":4", 1), true},
		"of another": {string(must((&state{Rcpts: make([]mark, 7)}).encode())), true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				id := w.put(gateway.Custody{})
				if err := os.WriteFile(w.name(id, ".st"), []byte(c.text), 0o600); err != nil {
					t.Fatal(err)
				}
				w.reopen()
				stop := w.run()
				time.Sleep(time.Minute)
				stop()
				if len(w.has()) != 1 || len(must(w.Damaged())) == 1 != c.told {
					t.Errorf("%d delivered, damaged: %v", len(w.has()), must(w.Damaged()))
				}
			})
		})
	}
}

// TestStrangers: files that are not the queue's own harm nothing.
func TestStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		id := w.put(gateway.Custody{})
		dir := w.folder(id)
		for _, name := range []string{"hello.msg", "note.txt", "0VHNC-ZB000-0012.st", strings.ToLower(id.String()) + ".msg"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("hello"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_ = os.Mkdir(filepath.Join(dir, w.ids.Next().String()+".msg"), 0o700)
		_ = os.WriteFile(filepath.Join(w.dirs.tmp(), "left"), nil, 0o600)
		_ = os.Mkdir(filepath.Join(w.dirs.queue(), "lost+found"), 0o700)
		w.reopen()
		if got := w.left(); len(got) != 1 || got[id] != "waiting" || len(must(w.Damaged())) != 3 || len(must(os.ReadDir(w.dirs.tmp()))) != 0 {
			t.Errorf("%v; set aside %v", got, must(w.Damaged()))
		}
	})
}

// TestPutRefuses what is no message, and keeps nothing of it.
func TestPutRefuses(t *testing.T) {
	w := newWorld(t, func(o *QueueOptions) { o.MaxBytes, o.MaxMessages = 1000, 3 })
	ended, end := context.WithCancel(t.Context())
	end()
	cases := map[string]struct {
		change func(d *gateway.Delivery)
		ctx    context.Context
		err    error
	}{
		"short": {change: func(d *gateway.Delivery) { d.Content.Size++ }},
		"long":  {change: func(d *gateway.Delivery) { d.Content.Size-- }},
		"unreadable": {change: func(d *gateway.Delivery) {
			d.Content.Parts = append(d.Content.Parts, io.NewSectionReader(nil, 0, 0), broken{})
		}, err: io.ErrUnexpectedEOF},
		"no recipient":  {change: func(d *gateway.Delivery) { d.Rcpts = nil }},
		"no route":      {change: func(d *gateway.Delivery) { d.Route = "" }},
		"no id":         {change: func(d *gateway.Delivery) { d.ID = 0 }},
		"injection":     {change: func(d *gateway.Delivery) { d.Rcpts[0].Address.Text = "a@b>\r\nDATA" }},
		"invalid UTF-8": {change: func(d *gateway.Delivery) { d.From.Text = "\xff@b" }},
		"too big":       {change: func(d *gateway.Delivery) { d.Content.Size = 2000 }, err: ErrNoRoom},
		"late":          {ctx: ended, err: context.Canceled},
	}
	for name, c := range cases {
		d := mail(w.ids.Next(), "inside", "bob@our.example")
		if c.change != nil {
			c.change(d)
		}
		if c.ctx == nil {
			c.ctx = t.Context()
		}
		if err := w.Put(c.ctx, d, gateway.Custody{}); err == nil || c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left := must(os.ReadDir(w.dirs.tmp())); len(left) > 0 || len(w.left()) > 0 || len(w.coming) > 0 || w.Takes(10) != "" {
		t.Errorf("left %v, %v, %v", left, w.left(), w.coming)
	}
	id := w.put(gateway.Custody{})
	if err := w.Put(t.Context(), mail(id, "inside", "bob@our.example"), gateway.Custody{}); !errors.Is(err, ErrTwice) {
		t.Errorf("twice: %v", err)
	}
	w.put(gateway.Custody{})
	w.put(gateway.Custody{})
	if w.Takes(10) != gateway.NoStorage {
		t.Error("it takes a fourth of three")
	}
	full := newWorld(t, func(o *QueueOptions) { o.Reserve = 1 << 60 })
	if err := full.Put(t.Context(), mail(id, "inside", "bob@our.example"), gateway.Custody{}); !errors.Is(err, ErrNoRoom) || full.Takes(10) != gateway.NoStorage || !full.Totals().Full {
		t.Errorf("below the reserve: %v", err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// hung is a disk whose flushes end when they are let.
type hung struct {
	unflushed
	let chan struct{}
}

type hungFile struct {
	diskFile
	let chan struct{}
}

func (h hung) Create(name string) (diskFile, error) {
	f, err := h.unflushed.Create(name)
	if strings.HasSuffix(name, ".msg") {
		return hungFile{f, h.let}, err
	}
	return f, err
}

func (f hungFile) Sync() error { <-f.let; return nil }

// TestHungDisk: a sender does not wait for ever for a disk that hangs; what it was told was not taken is not sent later,
// and nothing more is taken meanwhile.
func TestHungDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hung{unflushed{durable.Real{}}, make(chan struct{})}
		w := newWorld(t, func(o *QueueOptions) { o.disk = h })
		stop := w.run()
		ctx, end := context.WithTimeout(t.Context(), time.Minute)
		defer end()
		id := w.ids.Next()
		if err := w.Put(ctx, mail(id, "inside", "bob@our.example"), gateway.Custody{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Put: %v", err)
		}
		if w.Takes(1) != gateway.NoStorage {
			t.Error("it takes more")
		}
		close(h.let)
		time.Sleep(time.Minute)
		if w.Takes(1) != "" || len(w.left()) != 0 {
			t.Errorf("after that: %v", w.left())
		}
		w.put(gateway.Custody{})
		time.Sleep(time.Minute)
		stop()
		if got := w.has(); len(got) != 1 || got[0].id == id {
			t.Errorf("delivered: %v", got)
		}
		if files, _ := os.ReadDir(w.folder(id)); len(files) != 0 {
			t.Errorf("left: %v", files)
		}
	})
}
