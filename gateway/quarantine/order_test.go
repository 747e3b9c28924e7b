package quarantine

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"gatepost/gateway"
	"gatepost/internal/durable"
)

// recorder is a disk that remembers in which order things were done to it; a step may fail.
type recorder struct {
	durable.Real
	mu   sync.Mutex
	ops  []string
	fail int // which step fails, from 1; 0: none
}

func (r *recorder) did(op, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	base := filepath.Base(name)
	if _, kind, ok := strings.Cut(base, "."); ok {
		base = "." + kind
	} else if op != "probe" {
		base = ""
	}
	if text := strings.TrimSpace(op + " " + base); len(r.ops) == 0 || op != "write" || r.ops[len(r.ops)-1] != text {
		r.ops = append(r.ops, text)
		if len(r.ops) == r.fail {
			return syscall.EIO
		}
	}
	return nil
}

type recordedFile struct {
	durable.File
	r    *recorder
	name string
}

func (r *recorder) Create(name string) (durable.File, error) {
	if err := r.did("create", name); err != nil {
		return nil, err
	}
	f, err := r.Real.Create(name)
	if err != nil {
		return nil, err
	}
	return recordedFile{f, r, name}, nil
}

func (f recordedFile) Write(p []byte) (int, error) {
	if err := f.r.did("write", f.name); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f recordedFile) Sync() error { return f.r.did("sync", f.name) }

func (r *recorder) Rename(from, to string) error {
	if err := r.did("rename", to); err != nil {
		return err
	}
	return r.Real.Rename(from, to)
}

func (r *recorder) Mkdir(name string) error {
	if err := r.did("mkdir", name); err != nil {
		return err
	}
	return r.Real.Mkdir(name)
}

func (r *recorder) SyncDir(name string) error { return r.did("dirsync", name) }

// begin forgets what was done until now.
func (r *recorder) begin(fail int) {
	r.mu.Lock()
	r.ops, r.fail = nil, fail
	r.mu.Unlock()
}

func (r *recorder) end() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ops)
}

// TestOrder shows that nothing is promised before it is flushed, its name too: what a power cut takes away is what nobody was
// told of. A release is noted before the first octet goes out, and its end as soon as it is known.
func TestOrder(t *testing.T) {
	w := newWorld(t)
	r := new(recorder)
	w.opts.disk = r
	w.opts.NextHop = func() gateway.NextHop { _ = r.did("relay", "x"); return &w.hop }
	w.reopen(t)
	same := func(what string, want ...string) {
		t.Helper()
		if got := r.end(); !slices.Equal(got, want) {
			t.Errorf("%s: %v\nwant %v", what, got, want)
		}
		r.begin(0)
	}
	r.begin(0)
	k := keeping(w.ids.Next(), "x", gateway.SpamScore, "a@example.org")
	kept, err := w.Prepare(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	same("prepared", "mkdir", "dirsync", "mkdir", "dirsync", "mkdir", "dirsync",
		"create .gpq.tmp", "write .gpq.tmp", "sync .gpq.tmp", "rename .gpq.pending", "dirsync")
	if err := kept.Publish(); err != nil {
		t.Fatal(err)
	}
	same("published", "rename .gpq", "dirsync")
	if _, err := w.Release(t.Context(), &Release{ID: k.Envelope.ID}); err != nil {
		t.Fatal(err)
	}
	saved := []string{"create .state.tmp", "write .state.tmp", "sync .state.tmp", "rename .state", "dirsync"}
	same("released", slices.Concat(saved, []string{"relay"}, saved)...)
}

// TestSickDisk lets each step of keeping a message fail: it is not taken, or not shown, the sender is told to come again, the
// vault is shut once a flush or rename failed, and after the disk was mended the retry is kept, once.
func TestSickDisk(t *testing.T) {
	for fail := 1; ; fail++ {
		w := newWorld(t)
		r := new(recorder)
		w.opts.disk = r
		w.reopen(t)
		w.keep(t, "makes the folder", gateway.SpamScore, "a@example.org")
		r.begin(fail)
		prepare := func() error {
			kept, err := w.Prepare(t.Context(), keeping(w.ids.Next(), "x", gateway.SpamScore, "a@example.org"))
			if err != nil {
				return err
			}
			return kept.Publish()
		}
		err := prepare()
		if done := len(r.end()); done < fail {
			if err != nil {
				t.Error(err)
			}
			if fail < 7 {
				t.Errorf("only %d steps", fail)
			}
			return
		}
		step := r.end()[fail-1]
		if err == nil {
			t.Errorf("%s failed, and the message was taken", step)
		}
		if err := prepare(); !errors.Is(err, ErrLatched) {
			t.Errorf("after %s failed: %v", step, err)
		}
		if s := w.Status(t.Context()); s.Latched == "" || !strings.Contains(w.whats(), "latched") {
			t.Errorf("after %s failed: %+v, %s", step, s, w.whats())
		}
		r.begin(0)
		if err := w.Unlatch(); err != nil {
			t.Error(err)
		}
		if err := prepare(); err != nil {
			t.Errorf("after %s was mended: %v", step, err)
		}
		w.reopen(t)
		w.Tend(t.Context())
		if rows, err := w.Find(t.Context(), &Filter{}); err != nil || len(rows) != 2 {
			t.Errorf("after %s: %d messages, %v, %v", step, len(rows), err, w.files(t))
		}
	}
}
