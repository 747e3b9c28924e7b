package ledger

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// How the file is kept.
const (
	syncEvery  = time.Second            // what a loss of power may forget
	sweepEvery = time.Minute            //
	mostWait   = 250 * time.Millisecond // of a message for those that write before it: the file is a help, never a condition
	slack      = 1 << 15                // records, 1 MiB, that may be in the file for nothing before it is written anew
)

// file is where deliveries are written. Whoever writes or changes it has its turn.
type file struct {
	name    string
	turn    chan struct{} // of one place
	f       *os.File
	at      int64 // where the next record goes: one that was not written whole is written over
	records int
	dirty   bool
	behind  bool   // what could not be written is missing in it
	spare   []byte // a buffer to swap with Ledger.pending

	fault atomic.Pointer[string] // why it cannot be written; nil while it can
}

// note adds a record to what is written next. The ledger's lock is held.
func (l *Ledger) note(k Key, at uint32, kind byte) {
	if l.file == nil {
		return
	}
	l.pending = appendRecord(l.pending, k, at, kind)
	if l.copied {
		l.tail = appendRecord(l.tail, k, at, kind)
	}
}

// flush writes what is pending, of this message and of others that came meanwhile. It waits, not for long, for those that
// write before it, which may write its records as well.
func (l *Ledger) flush() {
	f := l.file
	if f == nil {
		return
	}
	select {
	case f.turn <- struct{}{}:
	default:
		late := time.NewTimer(mostWait)
		defer late.Stop()
		select {
		case f.turn <- struct{}{}:
		case <-late.C:
			l.faults.Add(1)
			return
		}
	}
	defer f.yield()
	l.mu.Lock()
	b := l.pending
	l.pending = f.spare[:0]
	l.mu.Unlock()
	f.spare = b
	l.write(b)
}

func (f *file) yield() { <-f.turn }

// write appends records. It is called with the turn.
func (l *Ledger) write(b []byte) {
	f := l.file
	if len(b) == 0 || f.f == nil {
		return
	}
	if _, err := f.f.WriteAt(b, f.at); err != nil {
		f.behind = true
		l.failed("write", err)
		return
	}
	f.at += int64(len(b))
	f.records += len(b) / recordSize
	f.dirty = true
}

// failed tells of the file once, and goes on without it until it works again.
func (l *Ledger) failed(what string, err error) {
	l.faults.Add(1)
	text := what + ": " + err.Error()
	if before := l.file.fault.Swap(&text); before == nil {
		l.log.Error("ledger: what is delivered cannot be written down; after a crash, retries become second copies", "file", l.file.name, "error", text)
	}
}

// Health reports whether deliveries can be written down, and how many are remembered.
func (l *Ledger) Health() (bool, string) {
	if l.file != nil {
		if fault := l.file.fault.Load(); fault != nil {
			return false, *fault
		}
	}
	return true, fmt.Sprintf("%d deliveries remembered", l.Stats().Entries)
}

// Run writes to the disk what was written, forgets what is over and writes the file anew when most of it is of no use any
// more, until ctx is done.
func (l *Ledger) Run(ctx context.Context) {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	swept := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-l.later:
			l.share(ctx, e)
		case now := <-tick.C:
			if now.Sub(swept) >= sweepEvery {
				swept = now
				l.mu.Lock()
				l.known.sweep(seconds(now))
				l.mu.Unlock()
			}
			l.tend()
		}
	}
}

// mostShared is how much goes to Shared at once.
const mostShared = 64

// share tells Shared what is known after replies, all that waits in one round trip.
func (l *Ledger) share(ctx context.Context, first Entry) {
	all := append(make([]Entry, 0, mostShared), first)
	for len(all) < mostShared {
		select {
		case e := <-l.later:
			all = append(all, e)
			continue
		default:
		}
		break
	}
	if err := l.shared.Keep(ctx, all); err != nil {
		l.faults.Add(1)
	}
}

// tend is one look at the file.
func (l *Ledger) tend() {
	if l.file == nil {
		return
	}
	l.flush()
	l.sync()
	l.mu.Lock()
	live := l.known.len()
	l.mu.Unlock()
	if l.file.wanting(live) {
		if err := l.renew(); err != nil {
			l.failed("write anew", err)
		}
	}
}

// wanting reports whether the file is to be written anew: most of it is of no use, or it lacks what could not be written.
func (f *file) wanting(live int) bool {
	f.turn <- struct{}{}
	defer f.yield()
	return f.f == nil || f.behind || f.records > 2*live+slack
}

// sync brings what was written to the disk. Nobody waits for it: others write meanwhile.
func (l *Ledger) sync() {
	f := l.file
	f.turn <- struct{}{}
	file, dirty := f.f, f.dirty
	f.dirty = false
	f.yield()
	if !dirty || file == nil {
		return
	}
	if err := dataSync(file); err != nil {
		l.failed("sync", err)
	}
}

// Close writes the rest. Nothing may be claimed any more.
func (l *Ledger) Close() error {
	if l.file == nil {
		return nil
	}
	l.flush()
	l.sync()
	l.file.turn <- struct{}{}
	defer l.file.yield()
	if l.file.f == nil {
		return nil
	}
	err := l.file.f.Close()
	l.file.f = nil
	return err
}

// open reads the file and begins it anew with what still counts, so that no damage stays in it.
func (l *Ledger) open(name string) *file {
	l.file = &file{name: name, turn: make(chan struct{}, 1)}
	if err := l.read(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.faults.Add(1)
		l.log.Warn("ledger: the file begins anew; retries of what was delivered before become second copies", "file", name, "error", err)
	}
	if err := l.renew(); err != nil {
		l.failed("open", err)
	}
	return l.file
}

// errForeign says that a file is none of ours, or was written under another key.
var errForeign = errors.New("its beginning is not that of a ledger under this key")

// read takes in what a file holds. Records that are damaged are left out.
func (l *Ledger) read(name string) error {
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	damaged, err := l.take(bufio.NewReaderSize(in, 256<<10), time.Now())
	if damaged > 0 {
		l.faults.Add(1)
		l.log.Warn("ledger: some of the file is damaged and was left out", "file", name, "records", damaged)
	}
	return err
}

// take reads records until the end, and says how many are damaged; an end that was cut off counts as one.
func (l *Ledger) take(in io.Reader, now time.Time) (damaged int, err error) {
	l.told = make(map[Key]struct{})
	var b [recordSize]byte
	if _, err := io.ReadFull(in, b[:]); err != nil || !isHeader(b[:], l.mark()) {
		if err == nil || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			err = errForeign
		}
		return 0, err
	}
	oldest, youngest := seconds(now.Add(-Unheard)), seconds(now.Add(clockTrouble))
	for range mostFileWords {
		switch _, err := io.ReadFull(in, b[:]); {
		case errors.Is(err, io.EOF):
			return damaged, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return damaged + 1, nil
		case err != nil:
			return damaged, err
		}
		r, ok := readRecord(b[:])
		if ok && r.at < youngest {
			l.last = max(l.last, r.at)
		}
		switch {
		case !ok:
			damaged++
		case r.kind == heard:
			l.known.remove(r.key)
			l.told[r.key] = struct{}{}
		case r.at > oldest && r.at < youngest:
			l.known.put(r.key, r.at, r.at+uint32(Unheard/time.Second)) // whether its sender heard of it is not known
		}
	}
	return damaged, nil
}

// mark tells files under one key from those under another.
func (l *Ledger) mark() []byte {
	mac := l.hashes.Get().(hash.Hash)
	defer l.hashes.Put(mac)
	k := new(claim).hash(mac, []byte("ledger"), "file")
	return k[:]
}

// renew writes the file anew with what still counts. Deliveries go on meanwhile, into the old one and into the tail of the
// new one.
func (l *Ledger) renew() error {
	f := l.file
	l.mu.Lock()
	b := appendHeader(make([]byte, 0, recordSize*(l.known.len()+1)), l.mark())
	for i := l.known.first; i != none; i = l.known.slots[i].next {
		s := &l.known.slots[i]
		b = appendRecord(b, s.key, s.at, delivery)
	}
	l.copied, l.tail = true, nil
	l.mu.Unlock()
	fresh, err := writeFile(f.name+".new", b)
	f.turn <- struct{}{}
	defer f.yield()
	l.mu.Lock()
	tail, written := l.tail, len(l.pending) // what is pending is in the tail as well
	l.copied, l.tail = false, nil
	l.mu.Unlock()
	if err != nil {
		return err
	}
	if _, err = fresh.WriteAt(tail, int64(len(b))); err == nil {
		err = dataSync(fresh)
	}
	if err == nil {
		err = os.Rename(f.name+".new", f.name)
	}
	if err != nil {
		fresh.Close()
		return err
	}
	if f.f != nil {
		f.f.Close()
	}
	l.mu.Lock()
	l.pending = append(l.pending[:0], l.pending[written:]...)
	l.mu.Unlock()
	f.f, f.at = fresh, int64(len(b)+len(tail))
	f.records, f.dirty, f.behind = int(f.at/recordSize)-1, false, false
	f.fault.Store(nil)
	return syncFolder(filepath.Dir(f.name))
}

func writeFile(name string, b []byte) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(b); err == nil {
		err = dataSync(f)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// dataSync brings what is in a file to the disk, with its length (fdatasync).
func dataSync(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.Fdatasync(int(fd)) })
	return errors.Join(err, failed)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
