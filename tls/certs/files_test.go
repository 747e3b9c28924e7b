package certs

import (
	"context"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// watched is Files at work, in a bubble of time.
type watched struct {
	*Files
	mu   sync.Mutex
	told []string // what became of files, in a word
	last Change
	end  func()
}

// watch begins to watch pairs, until the bubble's test ends.
func watch(t *testing.T, set *Set, keep string, usable func([]*x509.Certificate) (bool, string), pairs ...Pair) *watched {
	t.Helper()
	w := &watched{}
	w.Files = &Files{Set: set, Keep: keep, Pairs: pairs, Usable: usable, Tell: func(c Change) {
		w.State() // whoever is told may ask
		w.mu.Lock()
		defer w.mu.Unlock()
		w.told, w.last = append(w.told, string(c.What)), c
	}}
	if err := w.Open(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	w.end = func() { cancel(); <-done }
	t.Cleanup(w.end)
	return w
}

// after lets time pass and wants to find this certificate shown, and these things told since the last time.
func (w *watched) after(t *testing.T, pass time.Duration, shown *made, told ...string) {
	t.Helper()
	time.Sleep(pass)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if all := w.Set.All(); len(all) != 1 || !all[0].Certificate.Leaf.Equal(shown.Certificate) {
		t.Errorf("after %s another certificate is shown: %d, %s", pass, len(all), all[0].Certificate.Leaf.Subject)
	}
	if !slices.Equal(w.told, told) {
		t.Errorf("after %s told were %q, want %q", pass, w.told, told)
	}
	w.told = nil
}

func named(t *testing.T, subject string) *made {
	t.Helper()
	return issue(t, wish{subject: subject, names: []string{"mx.example.org"}})
}

// TestFilesAreReadAgain shows what becomes of changes, good ones and bad ones, in the order in which they happen to files.
func TestFilesAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := named(t, "a"), named(t, "b"), named(t, "c")
		p := pairIn(t, t.TempDir(), chainPEM(a), keyPEM(t, a.key))
		w := watch(t, &Set{}, "", nil, p)
		w.after(t, time.Hour, a)

		// Renewed, one file after the other.
		writeTo(t, p.Certificate, chainPEM(b))
		w.after(t, time.Minute, a)
		writeTo(t, p.Key, keyPEM(t, b.key))
		w.after(t, 11*time.Second, b, "replaced")

		// A pair that does not fit is told after a while, once, and the old one stays.
		writeTo(t, p.Key, keyPEM(t, c.key))
		w.after(t, time.Minute, b)
		w.after(t, 2*time.Minute, b, "failed")
		w.after(t, time.Hour, b)
		if s := w.State()[0]; s.Bad == nil || !strings.Contains(s.Bad.Error(), "none of it is that of the key") || time.Since(s.Since) < time.Hour {
			t.Errorf("bad is %v since %s", s.Bad, s.Since)
		}
		writeTo(t, p.Certificate, chainPEM(c))
		w.after(t, 11*time.Second, c, "replaced")
		if s := w.State()[0]; s.Bad != nil {
			t.Errorf("still bad: %v", s.Bad)
		}

		// Taken away, and brought back as it was.
		if err := os.Rename(p.Key, p.Key+".away"); err != nil {
			t.Fatal(err)
		}
		w.after(t, 3*time.Minute, c, "failed")
		if err := os.Rename(p.Key+".away", p.Key); err != nil {
			t.Fatal(err)
		}
		w.after(t, 11*time.Second, c)
		if s := w.State()[0]; s.Bad != nil {
			t.Errorf("still bad: %v", s.Bad)
		}

		// One that is no good yet, or no more, does not take the place of one that is.
		gone := issue(t, wish{subject: "gone", names: []string{"mx.example.org"}, after: -time.Minute})
		writeTo(t, p.Certificate, chainPEM(gone))
		writeTo(t, p.Key, keyPEM(t, gone.key))
		w.after(t, 3*time.Minute, c, "failed")
		if s := w.State()[0]; s.Bad == nil || !strings.Contains(s.Bad.Error(), "expired on ") {
			t.Errorf("bad is %v", s.Bad)
		}
	})
}

// TestFilesBehindLinks shows that a link which is led elsewhere is a change, as certbot and secrets of Kubernetes do it.
func TestFilesBehindLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		a, b := named(t, "a"), named(t, "b")
		for name, m := range map[string]*made{"1": a, "2": b} {
			if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
				t.Fatal(err)
			}
			pairIn(t, filepath.Join(dir, name), chainPEM(m), keyPEM(t, m.key))
		}
		link := func(to string) {
			if err := os.Symlink(to, filepath.Join(dir, "link")); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(dir, "link"), filepath.Join(dir, "live")); err != nil {
				t.Fatal(err)
			}
		}
		link("1")
		w := watch(t, &Set{}, "", nil, Pair{filepath.Join(dir, "live/crt.pem"), filepath.Join(dir, "live/key.pem")})
		w.after(t, time.Hour, a)
		link("2")
		w.after(t, 11*time.Second, b, "replaced")
	})
}

// TestNewKeyIsHeldBack shows that a new key waits until it may be shown, over a restart too, and that one key is asked for
// and one certificate with the old key is not.
func TestNewKeyIsHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		may, asked := false, 0
		usable := func(chain []*x509.Certificate) (bool, string) {
			mu.Lock()
			defer mu.Unlock()
			asked++
			if !slices.Equal(chain[0].DNSNames, []string{"mx.example.org"}) {
				t.Errorf("asked about %v", chain[0].DNSNames)
			}
			return may, "its TLSA record is not there"
		}
		keep := t.TempDir()
		old := named(t, "old")
		again := issue(t, wish{subject: "again", names: []string{"mx.example.org"}, key: old.key})
		next := named(t, "next")
		p := pairIn(t, t.TempDir(), chainPEM(old), keyPEM(t, old.key))
		w := watch(t, &Set{}, keep, usable, p)
		writeTo(t, p.Certificate, chainPEM(again))
		w.after(t, 11*time.Second, again, "replaced")
		if asked != 0 {
			t.Error("asked about the key that is shown")
		}
		writeTo(t, p.Certificate, chainPEM(next))
		writeTo(t, p.Key, keyPEM(t, next.key))
		w.after(t, 11*time.Second, again, "held")
		w.after(t, time.Hour, again)
		if asked < 60 || asked > 130 {
			t.Errorf("asked %d times in an hour", asked)
		}
		s := w.State()[0]
		if s.Next == nil || s.Why != "its TLSA record is not there" || time.Since(s.Held) < time.Hour {
			t.Errorf("held is %v since %s: %q", s.Next != nil, s.Held, s.Why)
		}
		kept, _ := filepath.Glob(filepath.Join(keep, "*"))
		if info, err := os.Stat(kept[0]); len(kept) != 1 || err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("kept are %q, %v", kept, info.Mode())
		}

		// A reload shows it no sooner, and a restart goes on with the old one.
		show, err := w.Reread()
		if err != nil {
			t.Fatal(err)
		}
		show()
		w.after(t, time.Minute, again)
		w.end() // two would write the same files
		for _, name := range []string{"shown-0123456789abcdef.pem", "shown-0123456789abcdef.pem.new", "tlsa.json"} {
			writeTo(t, filepath.Join(keep, name), []byte("of a pair that is not named any more"))
		}
		after := watch(t, &Set{}, keep, usable, p)
		synctest.Wait() // its first look writes what it keeps anew
		if left, _ := filepath.Glob(filepath.Join(keep, "*")); len(left) != 2 || left[0] != kept[0] {
			t.Errorf("after a start there are %q", left)
		}
		os.Remove(filepath.Join(keep, "tlsa.json"))
		after.after(t, time.Minute, again, "held")
		mu.Lock()
		may = true
		mu.Unlock()
		after.after(t, 31*time.Second, next, "replaced")
		if kept, _ := filepath.Glob(filepath.Join(keep, "*")); len(kept) != 0 {
			t.Errorf("still kept: %q", kept)
		}
	})
}

// TestHeldBackUntilTheOldExpires shows that a certificate which is no good is worse than a key that nobody has published.
func TestHeldBackUntilTheOldExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := issue(t, wish{subject: "old", names: []string{"mx.example.org"}, after: time.Hour})
		next := named(t, "next")
		p := pairIn(t, t.TempDir(), chainPEM(old), keyPEM(t, old.key))
		w := watch(t, &Set{}, t.TempDir(), func([]*x509.Certificate) (bool, string) { return false, "no" }, p)
		writeTo(t, p.Certificate, chainPEM(next))
		writeTo(t, p.Key, keyPEM(t, next.key))
		w.after(t, 59*time.Minute, old, "held")
		w.after(t, 2*time.Minute, next, "replaced")
		if !strings.Contains(w.last.Why, "the one before expired on") {
			t.Errorf("told was %q", w.last.Why)
		}
	})
}

// TestReread shows that a reload takes all files or none, at once.
func TestReread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := named(t, "a"), named(t, "b"), named(t, "c")
		first, second := pairIn(t, t.TempDir(), chainPEM(a), keyPEM(t, a.key)), pairIn(t, t.TempDir(), chainPEM(b), keyPEM(t, b.key))
		var set Set
		f := &Files{Set: &set, Pairs: []Pair{first, second}}
		if err := f.Open(); err != nil {
			t.Fatal(err)
		}
		shown := func(want ...*made) {
			t.Helper()
			all := set.All()
			for i, m := range want {
				if !all[i].Certificate.Leaf.Equal(m.Certificate) {
					t.Errorf("%d is %s, want %s", i, all[i].Certificate.Leaf.Subject, m.Subject)
				}
			}
		}
		writeTo(t, first.Certificate, chainPEM(c))
		writeTo(t, first.Key, keyPEM(t, c.key))
		writeTo(t, second.Key, []byte("nothing"))
		if _, err := f.Reread(); err == nil || !strings.Contains(err.Error(), second.Key) {
			t.Errorf("error %v", err)
		}
		shown(a, b)
		writeTo(t, second.Key, keyPEM(t, b.key))
		show, err := f.Reread()
		if err != nil {
			t.Fatal(err)
		}
		shown(a, b)
		show()
		shown(c, b)
		gone := issue(t, wish{subject: "gone", after: -time.Minute})
		writeTo(t, first.Certificate, chainPEM(gone))
		writeTo(t, first.Key, keyPEM(t, gone.key))
		if _, err := f.Reread(); err == nil || !strings.Contains(err.Error(), "expired on") {
			t.Errorf("one that has expired: %v", err)
		}
	})
}

// TestOpenTakesWhatThereIs shows that a start does not fail for a date: mail is taken, and an alarm says the rest.
func TestOpenTakesWhatThereIs(t *testing.T) {
	gone := issue(t, wish{subject: "gone", after: -time.Minute})
	var set Set
	f := &Files{Set: &set, Pairs: []Pair{pairIn(t, t.TempDir(), chainPEM(gone), keyPEM(t, gone.key))}}
	if err := f.Open(); err != nil || len(set.All()) != 1 {
		t.Errorf("%v, %d are shown", err, len(set.All()))
	}
	bad := &Files{Set: &Set{}, Pairs: []Pair{pairIn(t, t.TempDir(), nil, nil)}}
	if err := bad.Open(); err == nil {
		t.Error("no error without a certificate")
	}
}

// TestRememberedPairOutlivesOtherFiles: a pair that others rely on is shown by a start that finds other files, until their key
// may be shown; one that nobody relies on is not kept.
func TestRememberedPairOutlivesOtherFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keep := t.TempDir()
		old, next := named(t, "old"), named(t, "next")
		p := pairIn(t, t.TempDir(), chainPEM(old), keyPEM(t, old.key))
		copies := func() int {
			kept, _ := filepath.Glob(filepath.Join(keep, "*"))
			return len(kept)
		}
		w := watch(t, &Set{}, keep, func([]*x509.Certificate) (bool, string) { return false, "no" }, p)
		of := func(subject string) func(*x509.Certificate) bool {
			return func(leaf *x509.Certificate) bool { return leaf.Subject.CommonName == subject }
		}
		w.Remember(of("old"))
		w.Remember(of("old"))
		if copies() != 1 {
			t.Errorf("%d copies", copies())
		}
		w.Remember(of("nobody"))
		if copies() != 0 {
			t.Errorf("%d copies that nobody wants", copies())
		}
		w.Remember(of("old"))
		writeTo(t, p.Certificate, chainPEM(next)) // and the daemon is gone before it sees that
		writeTo(t, p.Key, keyPEM(t, next.key))
		var may atomic.Bool
		after := watch(t, &Set{}, keep, func([]*x509.Certificate) (bool, string) { return may.Load(), "no" }, p)
		after.after(t, time.Hour, old, "held")
		may.Store(true)
		after.Again()
		after.after(t, time.Second, next, "replaced")
		after.Remember(of("next"))
		again := watch(t, &Set{}, keep, nil, p)
		again.after(t, time.Minute, next)
	})
}
