package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Times of Files.
const (
	lookEvery = 5 * time.Second
	// halfWritten is how long a pair may not fit together, while whoever renews it writes one file after the other.
	halfWritten = 2 * time.Minute
	askEvery    = 30 * time.Second // whether a key that is held back may be shown now
)

// Files shows the certificates of files in a Set, and reads them again when they change: a new pair is checked before it is
// shown, and the old one is shown for as long as that is needed. Its fields are set before Open.
type Files struct {
	Set   *Set
	Pairs []Pair
	Keep  string // the folder for a pair that is still shown while the files hold another one, for a restart meanwhile
	// Usable tells whether a certificate with a new key may be shown, and if not, why. It is told all that would be shown, the
	// certificate of the server first. It may ask others, and take its time. nil: always.
	Usable func(chain []*x509.Certificate) (bool, string)
	// Tell is told what becomes of files. nil: nobody.
	Tell func(Change)

	looking sync.Mutex // one look at a time
	mu      sync.Mutex // of what follows
	files   []*file
	untold  []Change
	once    sync.Once
	soon    chan struct{} // a look is wanted now
}

// What became of a pair of files.
type What string

// What can become of it.
const (
	Replaced What = "replaced" // the new certificate is shown
	Held     What = "held"     // the new one is good, and its key may not be shown yet: the old one is
	Failed   What = "failed"   // the new one cannot be used: the old one is shown
)

// Change is told when it happens, once.
type Change struct {
	Source string
	What   What
	Leaf   *tls.Certificate // shown by now
	Next   *tls.Certificate // of Held
	Why    string           // of Held; of Replaced where the old one had to go
	Err    error            // of Failed
	Notes  []string         // of Replaced: those of Pair.Read
}

// FileState is how a pair of files is.
type FileState struct {
	Pair   Pair
	Source string // in the Set
	Shown  *tls.Certificate
	Notes  []string         // of Pair.Read
	Next   *tls.Certificate // good, and not shown yet; nil without
	Why    string           // its key is held back
	Held   time.Time        // since when
	Bad    error            // why what the files hold now cannot be used; nil while it can, and while it may be half written
	Since  time.Time        // of Bad
}

// file is one pair.
type file struct {
	FileState
	taken  stamp            // of the files when they were read and could be used
	before stamp            // at the look before
	unfit  time.Time        // since when what they hold cannot be used
	asked  time.Time        // when it was, whether the key of Next may be shown
	kept   *tls.Certificate // that Remember wrote
}

// FileSource is the name in the Set of a pair.
func FileSource(certificate string) string { return "file:" + certificate }

// Open reads all pairs and shows them, or none. A pair that was still shown when the process before ended is shown again,
// until the key of the new one may be.
func (f *Files) Open() error {
	show, err := f.Reread()
	if err != nil {
		return err
	}
	show()
	return nil
}

// Reread reads all pairs now, whether they have changed or not. show puts them in force, but for those whose key may not be
// shown yet. With an error nothing is to be changed.
func (f *Files) Reread() (show func(), err error) {
	var list []*file
	var problems []error
	now := time.Now()
	shown := f.State()
	for i, p := range f.Pairs {
		n := &file{FileState: FileState{Pair: p, Source: FileSource(p.Certificate)}, taken: stampOf(p)}
		if n.Next, n.Notes, err = p.Read(); err == nil && shown != nil {
			err = worse(p, shown[i].Shown, n.Next, now)
		}
		if err != nil {
			problems = append(problems, err)
		}
		list = append(list, n)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return func() { f.put(list, now); f.tell() }, nil
}

// put takes what was read in place of what is known.
func (f *Files) put(list []*file, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.files == nil {
		f.sweep()
	}
	for i, n := range list {
		n.before = n.taken
		switch {
		case f.files != nil:
			n.Shown = f.files[i].Shown
			if old := f.files[i]; old.Next != nil && same(old.Next, n.Next) {
				n.Why, n.Held, n.asked = old.Why, old.Held, old.asked
			}
		default:
			if n.Shown = f.recall(n.Pair, now); n.Shown == nil {
				n.Shown = n.Next
			}
			f.Set.Put(n.Source, n.Shown)
		}
		if same(n.Shown, n.Next) {
			n.Next = nil
			f.forget(n.Pair)
		}
	}
	f.files = list
	for _, n := range list {
		if n.Next != nil && (f.Usable == nil || SameKey(n.Next.Leaf.PublicKey, n.Shown.Leaf.PublicKey)) {
			f.show(n, "")
		}
	}
	select {
	case f.wake() <- struct{}{}:
	default:
	}
}

// Run looks at the files again and again, until ctx is done.
func (f *Files) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake():
		case <-tick.C:
		}
		f.look(time.Now())
	}
}

// Again asks anew, and soon, whether the keys that are held back may be shown.
func (f *Files) Again() {
	f.mu.Lock()
	for _, n := range f.files {
		n.asked = time.Time{}
	}
	f.mu.Unlock()
	select {
	case f.wake() <- struct{}{}:
	default:
	}
}

func (f *Files) wake() chan struct{} {
	f.once.Do(func() { f.soon = make(chan struct{}, 1) })
	return f.soon
}

// State tells how each pair is.
func (f *Files) State() (out []FileState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.files {
		out = append(out, n.FileState)
	}
	return out
}

// look reads the pairs that have changed, and shows what may be shown.
func (f *Files) look(now time.Time) {
	f.looking.Lock()
	defer f.looking.Unlock()
	f.mu.Lock()
	list := f.files
	f.mu.Unlock()
	for _, n := range list {
		f.lookAt(n, now)
		f.offer(n, now)
		f.tell()
	}
}

// lookAt reads a pair whose files have changed, once they have stood still from one look to the next.
func (f *Files) lookAt(n *file, now time.Time) {
	at := stampOf(n.Pair)
	f.mu.Lock()
	still, known := at == n.before, at == n.taken
	n.before = at
	f.mu.Unlock()
	if known || !still {
		if known {
			f.mend(n)
		}
		return
	}
	c, notes, err := n.Pair.Read()
	if err == nil && stampOf(n.Pair) != at {
		return // it is being written
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		err = worse(n.Pair, n.Shown, c, now)
	}
	if !slices.Contains(f.files, n) {
		return // read anew by a reload
	}
	if err != nil {
		f.fail(n, err, now)
		return
	}
	n.taken, n.Notes = at, notes
	n.unfit, n.Bad = time.Time{}, nil
	n.Next, n.Why, n.Held, n.asked = c, "", time.Time{}, time.Time{}
	if same(n.Shown, c) {
		n.Next = nil
		f.forget(n.Pair)
		n.kept = nil
	}
}

// worse refuses a certificate that is no good now in place of one that is.
func worse(p Pair, shown, next *tls.Certificate, now time.Time) error {
	dates := Dates(next.Leaf, now)
	if dates == "" || shown == nil || Dates(shown.Leaf, now) != "" {
		return nil
	}
	return fmt.Errorf("certificate %s: %s, and the one that is shown is good", p.Certificate, dates)
}

// mend forgets a failure of files that are again what they were.
func (f *Files) mend(n *file) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n.unfit, n.Bad = time.Time{}, nil
}

// fail remembers that a pair cannot be used, and tells it once that cannot be because one file is written after the other.
func (f *Files) fail(n *file, err error, now time.Time) {
	if n.unfit.IsZero() {
		n.unfit = now
	}
	if now.Sub(n.unfit) < halfWritten {
		return
	}
	first := n.Bad == nil
	n.Bad, n.Since = err, n.unfit
	if first {
		f.untold = append(f.untold, Change{Source: n.Source, What: Failed, Leaf: n.Shown, Err: err})
	}
}

// offer shows the next certificate of a pair if its key may be shown, or if the old one is no good any more.
func (f *Files) offer(n *file, now time.Time) {
	f.mu.Lock()
	next, shown, wait := n.Next, n.Shown, now.Sub(n.asked) < askEvery
	f.mu.Unlock()
	if next == nil {
		return
	}
	why := ""
	if dates := Dates(shown.Leaf, now); dates != "" {
		why = "the one before " + dates
	}
	if why == "" && f.Usable != nil && !SameKey(next.Leaf.PublicKey, shown.Leaf.PublicKey) {
		if wait {
			return
		}
		ok, reason := f.Usable(parsed(next))
		f.mu.Lock()
		n.asked = now
		if !ok && slices.Contains(f.files, n) {
			f.hold(n, reason, now)
		}
		f.mu.Unlock()
		if !ok {
			return
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if n.Next == next && slices.Contains(f.files, n) {
		f.show(n, why)
	}
}

// hold keeps showing the old pair.
func (f *Files) hold(n *file, why string, now time.Time) {
	n.Why = why
	if !n.Held.IsZero() {
		return
	}
	n.Held = now
	if err := f.remember(n); err != nil {
		n.Why += "; " + err.Error()
	}
	f.untold = append(f.untold, Change{Source: n.Source, What: Held, Leaf: n.Shown, Next: n.Next, Why: n.Why})
}

// show puts the next certificate of a pair in the place of the old one.
func (f *Files) show(n *file, why string) {
	n.Shown, n.Next, n.Why, n.Held = n.Next, nil, "", time.Time{}
	f.Set.Put(n.Source, n.Shown)
	f.forget(n.Pair)
	n.kept = nil
	f.untold = append(f.untold, Change{Source: n.Source, What: Replaced, Leaf: n.Shown, Why: why, Notes: n.Notes})
}

// tell tells what became of files, without the lock: who is told may ask.
func (f *Files) tell() {
	f.mu.Lock()
	list := f.untold
	f.untold = nil
	f.mu.Unlock()
	for _, c := range list {
		if f.Tell != nil {
			f.Tell(c)
		}
	}
}

func same(a, b *tls.Certificate) bool {
	if len(a.Certificate) != len(b.Certificate) {
		return false
	}
	for i := range a.Certificate {
		if string(a.Certificate[i]) != string(b.Certificate[i]) {
			return false
		}
	}
	return true
}
