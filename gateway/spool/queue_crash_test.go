package spool

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	"gatepost/internal/durable"
)

// memoryDir is a folder for files that nobody flushes: in memory where the machine has a file system there.
func memoryDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "gatepost-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// recorder is a disk that remembers what was done to it, so that it can be made anew as a power cut at any moment would
// leave it: what was not flushed may be there, or not, or in part. fail, if set, lets a step fail.
type recorder struct {
	unflushed
	root string

	mu    sync.Mutex
	ops   []op
	inode int
	fail  func(n int, o op) error
}

// op is one step: of the disk, or what the world was told.
type op struct {
	kind  string // create write sync rename remove mkdir dirsync; acked relay took noticed held deleting deleted
	name  string // below root
	to    string
	inode int
	data  []byte
	id    gateway.ID
	rcpts []string
}

type recordedFile struct {
	diskFile
	r     *recorder
	inode int
}

// did remembers a step, or says that it fails.
func (r *recorder) did(o op) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		if err := r.fail(len(r.ops), o); err != nil {
			return err
		}
	}
	r.ops = append(r.ops, o)
	return nil
}

// rel is a name below the root; "." is the root.
func (r *recorder) rel(name string) string {
	if name == r.root {
		return "."
	}
	return strings.TrimPrefix(name, r.root+"/")
}

func (r *recorder) Create(name string) (diskFile, error) {
	r.mu.Lock()
	r.inode++
	n := r.inode
	r.mu.Unlock()
	f, err := r.unflushed.Create(name)
	if err != nil {
		return nil, err
	}
	if err := r.did(op{kind: "create", name: r.rel(name), inode: n}); err != nil {
		f.Close()
		os.Remove(name)
		return nil, err
	}
	return &recordedFile{f, r, n}, nil
}

func (f *recordedFile) Write(p []byte) (int, error) {
	if err := f.r.did(op{kind: "write", inode: f.inode, data: bytes.Clone(p)}); err != nil {
		return 0, err
	}
	return f.diskFile.Write(p)
}

func (f *recordedFile) Sync() error { return f.r.did(op{kind: "sync", inode: f.inode}) }

func (r *recorder) Rename(from, to string) error {
	if err := r.did(op{kind: "rename", name: r.rel(from), to: r.rel(to)}); err != nil {
		return err
	}
	return r.unflushed.Rename(from, to)
}

func (r *recorder) Remove(name string) error {
	if _, err := os.Lstat(name); err != nil {
		return err
	}
	if err := r.did(op{kind: "remove", name: r.rel(name)}); err != nil {
		return err
	}
	return r.unflushed.Remove(name)
}

func (r *recorder) Mkdir(name string) error {
	if err := r.did(op{kind: "mkdir", name: r.rel(name)}); err != nil {
		return err
	}
	return r.unflushed.Mkdir(name)
}

func (r *recorder) SyncDir(name string) error { return r.did(op{kind: "dirsync", name: r.rel(name)}) }

// cut is what a power cut spares: of what was not flushed nothing, everything, or what chance picks.
type cut uint8

const (
	nothing cut = iota
	everything
	byChance
	cuts
)

// after makes the folder that a power cut after these steps leaves.
func after(t *testing.T, ops []op, spared cut, rng *rand.Rand, dir string) {
	t.Helper()
	type file struct {
		data   []byte
		synced int
	}
	type change struct {
		in    string // the folder whose names it changes
		apply func()
	}
	inodes := map[int]*file{}
	now, durable := map[string]*file{}, map[string]*file{}
	folders := map[string]bool{}
	var pending []change
	later := func(name string, apply func()) {
		pending = append(pending, change{filepath.Dir(name), apply})
	}
	for _, o := range ops {
		switch o.kind {
		case "create":
			f := &file{}
			inodes[o.inode], now[o.name] = f, f
			later(o.name, func() { durable[o.name] = f })
		case "write":
			inodes[o.inode].data = append(inodes[o.inode].data, o.data...)
		case "sync":
			inodes[o.inode].synced = len(inodes[o.inode].data)
		case "rename":
			f := now[o.name]
			delete(now, o.name)
			now[o.to] = f
			later(o.to, func() { delete(durable, o.name); durable[o.to] = f })
		case "remove":
			f := now[o.name]
			delete(now, o.name)
			later(o.name, func() {
				if durable[o.name] == f {
					delete(durable, o.name)
				}
			})
		case "mkdir":
			later(o.name, func() { folders[o.name] = true })
		case "dirsync":
			rest := pending[:0:0]
			for _, c := range pending {
				if c.in == o.name {
					c.apply()
				} else {
					rest = append(rest, c)
				}
			}
			pending = rest
		}
	}
	for _, c := range pending {
		if spared == everything || spared == byChance && rng.IntN(2) == 0 {
			c.apply()
		}
	}
	for d := range folders {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, f := range durable {
		data := f.data
		if spared == nothing {
			data = data[:f.synced]
		} else if spared == byChance && len(data) > f.synced {
			keep := f.synced + rng.IntN(len(data)-f.synced+1)
			data = append(bytes.Clone(data[:keep]), make([]byte, rng.IntN(len(data)-keep+1))...)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// stories is how many lives TestPowerCut looks at; scripts/soak asks for more.
var stories = flag.Uint64("stories", 1, "lives of a queue in which the power is cut after each step")

// story lets a queue live for a while beside a next hop that answers by chance, and returns all that happened.
func story(t *testing.T, seed uint64) (ops []op, texts map[gateway.ID]string) {
	rng := rand.New(rand.NewPCG(seed, 7))
	texts = map[gateway.ID]string{}
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{unflushed: unflushed{durable.Real{}}, root: memoryDir(t)}
		var w *world
		var mu sync.Mutex
		w = newWorld(t, func(o *QueueOptions) {
			o.Dir, o.disk = r.root, r
			o.PerRoute = 3
			o.Notice = func(ctx context.Context, f *Failure) error {
				id := w.ids.Next()
				d := mail(id, "notices", f.From.Text)
				d.From = gateway.Address{}
				mu.Lock()
				texts[id] = textOf(d)
				mu.Unlock()
				if err := w.Put(ctx, d, gateway.Custody{}); err != nil {
					return err
				}
				told := op{kind: "noticed", id: f.ID}
				for i := range f.Rcpts {
					told.rcpts = append(told.rcpts, f.Rcpts[i].Address.Text)
				}
				_ = r.did(told)
				return r.did(op{kind: "acked", id: id, rcpts: []string{f.From.Text}})
			}
		})
		w.answer = func(d *gateway.Delivery, _ string) gateway.Relayed {
			mu.Lock()
			defer mu.Unlock()
			var to []string
			for i := range d.Rcpts {
				to = append(to, d.Rcpts[i].Address.Text)
			}
			_ = r.did(op{kind: "relay", id: d.ID, rcpts: to})
			a := gateway.Relayed{At: gateway.AtDot, Reply: reply(451), NextHop: "hop:25"}
			switch n := rng.IntN(10); {
			case n < 4:
				a.Result = gateway.Delivered
			case n < 5:
				a.At = gateway.AtDial
			case n < 6:
				a.Result = gateway.OutcomeUnknown
			case n < 7:
				a.Result, a.Reply = gateway.RefusedByHop, reply(550)
			default:
				a.Result = gateway.MixedByHop
				if n == 9 {
					a.At = gateway.AtRcpt
				}
				for range d.Rcpts {
					a.Rcpts = append(a.Rcpts, reply([]int{250, 250, 451, 452, 550}[rng.IntN(5)]))
				}
			}
			var took []string
			for i := range to {
				if a.TookFor(i) {
					took = append(took, to[i])
				}
			}
			if len(took) > 0 {
				_ = r.did(op{kind: "took", id: d.ID, rcpts: took})
			}
			return a
		}
		stop := w.run()
		for n := range 12 {
			id := w.ids.Next()
			to := []string{"a@our.example", "b@our.example", "c@our.example"}[:1+n%3]
			d := mail(id, []string{"inside", "other"}[n%2], to...)
			mu.Lock()
			texts[id] = textOf(d)
			mu.Unlock()
			if err := w.Put(t.Context(), d, gateway.Custody{Notify: n%4 < 2}); err != nil {
				t.Error(err)
			}
			_ = r.did(op{kind: "acked", id: id, rcpts: to})
			if n%5 == 1 || n%6 == 4 {
				verb, kind := Hold, "held"
				if n%6 == 4 {
					verb, kind = Delete, "deleted"
					_ = r.did(op{kind: "deleting", id: id})
				}
				_ = w.Do(t.Context(), &Filter{IDs: []gateway.ID{id}}, Action{Verb: verb}, func(_ *Listed, err error) error {
					if err == nil {
						_ = r.did(op{kind: kind, id: id})
					}
					return nil
				})
			}
			time.Sleep(20 * time.Second)
		}
		time.Sleep(time.Hour)
		stop()
		ops = r.ops
	})
	return ops, texts
}

// textOf reads a message, and lets it be read once more.
func textOf(d *gateway.Delivery) string {
	var b strings.Builder
	for _, p := range d.Content.Parts {
		r := p.(*strings.Reader)
		_, _ = r.WriteTo(&b)
		_, _ = r.Seek(0, 0)
	}
	return b.String()
}

// promised is what must be true after a crash, by what the world was told before it.
type promised struct {
	owed    map[gateway.ID]bool            // messages that were taken, and not delivered to all, nor their end told
	done    map[gateway.ID]map[string]bool // recipients that a later relay of the message, which is still there, no longer had
	held    map[gateway.ID]bool
	deleted map[gateway.ID]bool
}

func promisedBy(ops []op) promised {
	p := promised{map[gateway.ID]bool{}, map[gateway.ID]map[string]bool{}, map[gateway.ID]bool{}, map[gateway.ID]bool{}}
	acked, took, told := map[gateway.ID][]string{}, map[gateway.ID]map[string]bool{}, map[gateway.ID]map[string]bool{}
	removed, deleting := map[string]bool{}, map[gateway.ID]bool{}
	note := func(in map[gateway.ID]map[string]bool, o op) {
		if in[o.id] == nil {
			in[o.id] = map[string]bool{}
		}
		for _, to := range o.rcpts {
			in[o.id][to] = true
		}
	}
	for _, o := range ops {
		switch o.kind {
		case "acked":
			acked[o.id] = o.rcpts
		case "relay":
			for to := range took[o.id] {
				note(p.done, op{id: o.id, rcpts: []string{to}})
			}
		case "took":
			note(took, o)
		case "noticed":
			note(told, o)
		case "remove":
			removed[filepath.Base(o.name)] = true
		case "held":
			p.held[o.id] = true
		case "deleting":
			deleting[o.id] = true
		case "deleted":
			p.deleted[o.id] = true
		}
	}
	for id, rcpts := range acked {
		p.owed[id] = !deleting[id] && slices.ContainsFunc(rcpts, func(to string) bool { return !took[id][to] && !told[id][to] })
		if removed[id.String()+".msg"] {
			delete(p.done, id) // the state may go before the message, and then all of it comes once more
		}
	}
	return p
}

// TestPowerCut cuts the power after every step of some lives, three times each: whatever of the unflushed is spared, no
// message that was taken is lost before it was delivered or its end was told, none that is there is another than was
// taken, no recipient comes back after the queue went on without it, and what a person did stays done.
func TestPowerCut(t *testing.T) {
	steps, lost := 0, 0
	for seed := range *stories {
		ops, texts := story(t, seed)
		rng := rand.New(rand.NewPCG(seed, 8))
		if len(ops) < 150 {
			t.Fatalf("the story has %d steps", len(ops))
		}
		root := memoryDir(t)
		for n := range len(ops) + 1 {
			if n > 0 && ops[n-1].kind == "write" && rng.IntN(3) > 0 {
				continue
			}
			for spared := range cuts {
				steps++
				dir := filepath.Join(root, fmt.Sprint(seed, n, spared))
				after(t, ops[:n], spared, rng, dir)
				if !holds(t, dir, promisedBy(ops[:n]), texts, fmt.Sprintf("story %d, %d steps, spared %d", seed, n, spared)) {
					if lost++; lost > 5 {
						t.Fatal("and so on")
					}
				}
				os.RemoveAll(dir)
			}
		}
	}
	t.Logf("%d power cuts", steps)
}

// holds opens what a crash left.
func holds(t *testing.T, dir string, p promised, texts map[gateway.ID]string, when string) bool {
	ok := true
	wrong := func(form string, args ...any) {
		t.Errorf(when+": "+form, args...)
		ok = false
	}
	h := &hop{}
	q, err := OpenQueue(QueueOptions{Dir: dir, Reserve: 1, ReserveInodes: 1, NextHop: func() gateway.NextHop { return h }, disk: unflushed{durable.Real{}}})
	if err != nil {
		wrong("%v", err)
		return false
	}
	if d := must(q.Damaged()); len(d) > 0 {
		wrong("damaged: %v", d)
	}
	there := map[gateway.ID]*Shown{}
	for _, l := range must(q.List(&Filter{})) {
		m, err := openMessage(q.name(l.ID, ".msg"), l.ID)
		if err != nil {
			wrong("%v: %v", l.ID, err)
			continue
		}
		seen, err := m.verify(t.Context(), make([]byte, copyBuffer))
		text, _ := readAll(m.content(&seen))
		m.file.Close()
		if err != nil || text != texts[l.ID] {
			wrong("%v is not what was taken: %v", l.ID, err)
		}
		there[l.ID] = must(q.Show(l.ID))
	}
	for id, owed := range p.owed {
		s := there[id]
		if s == nil {
			if owed {
				wrong("%v is lost", id)
			}
			continue
		}
		for _, r := range s.Rcpts {
			if p.done[id][r.Address] && r.End == Pending {
				wrong("%v comes back to %s", id, r.Address)
			}
		}
		if p.held[id] && s.State != Held {
			wrong("%v was held, and is %v", id, s.State)
		}
	}
	for id := range p.deleted {
		if there[id] != nil {
			wrong("%v was deleted, and is there", id)
		}
	}
	return ok
}

func readAll(c gateway.Content) (string, error) {
	var b bytes.Buffer
	for _, p := range c.Parts {
		if _, err := b.ReadFrom(p); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}
