package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"gatepost/gateway"
	"gatepost/internal/durable"
)

// prepare makes the folders, and empties what is not promised.
func (q *Queue) prepare() error {
	if err := os.MkdirAll(q.opts.Dir, 0o700); err != nil {
		return err
	}
	for _, dir := range []string{q.dirs.tmp(), q.dirs.queue(), q.dirs.corrupt()} {
		if err := q.disk.Mkdir(dir); err != nil {
			return err
		}
	}
	// The names of folders that are there are flushed too: a crash may have come before that was done.
	for _, dir := range []string{q.dirs.queue(), q.dirs.dir} {
		if err := q.disk.SyncDir(dir); err != nil {
			q.latch("flush of the folders", err)
		}
	}
	files, err := os.ReadDir(q.dirs.tmp())
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := q.disk.Remove(filepath.Join(q.dirs.tmp(), f.Name())); err != nil {
			q.log.Warn("spool: tmp is not emptied", "file", f.Name(), "error", err)
		}
	}
	return nil
}

// load makes the index from the files. It reads their beginnings only.
func (q *Queue) load() error {
	folders, err := os.ReadDir(q.dirs.queue())
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	work := make(chan os.DirEntry)
	errs := make(chan error, len(folders))
	for range 4 * runtime.GOMAXPROCS(0) { // they mostly wait for the disk
		wg.Go(func() {
			buf := make([]byte, firstRead) // for all of them: the start leaves little to collect
			for f := range work {
				if err := q.loadFolder(f.Name(), buf); err != nil {
					errs <- err
				}
			}
		})
	}
	for _, f := range folders {
		if f.IsDir() {
			work <- f
		}
	}
	close(work)
	wg.Wait()
	close(errs)
	return <-errs
}

func (q *Queue) loadFolder(base string, buf []byte) error {
	dir := filepath.Join(q.dirs.queue(), base)
	q.folderMu.Lock()
	q.made[dir] = true
	q.folderMu.Unlock()
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	names, err := d.Readdirnames(-1)
	d.Close()
	if err != nil {
		return err
	}
	states := make(map[string]bool)
	for _, name := range names {
		if base, ok := strings.CutSuffix(name, ".st"); ok {
			states[base] = true
		}
	}
	for _, name := range names {
		base, ok := strings.CutSuffix(name, ".msg")
		if !ok {
			continue
		}
		id, err := gateway.ParseID(base)
		if err != nil || id.String() != base || q.folder(id) != dir {
			q.setAside(filepath.Join(dir, name), name, "its name is not that of a message of this folder")
			continue
		}
		q.loadMessage(id, states[base], buf)
		delete(states, base)
	}
	// A state without its message is what is left of one that was delivered.
	for base := range states {
		_ = durable.Remove(q.disk, filepath.Join(dir, base+".st"))
	}
	return nil
}

// loadMessage takes one message in. One that cannot be read now is in the queue all the same: it is promised.
func (q *Queue) loadMessage(id gateway.ID, hasState bool, buf []byte) {
	name := q.name(id, ".msg")
	var m *stored
	f, err := os.Open(name)
	if err == nil {
		m, err = readHead(f, id, buf)
		f.Close()
	}
	var broken *damage
	switch {
	case errors.As(err, &broken):
		q.setAside(name, id.String()+".msg", broken.why)
		return
	case err != nil:
		q.log.Error("spool: a message cannot be read; it is tried again", "id", id.String(), "error", err)
		q.mu.Lock()
		q.index.add(&entry{id: id, lane: q.index.lane(""), since: id.Time().UnixMilli(), said: gateway.CleanText(err.Error(), 200)},
			Waiting, q.now())
		q.mu.Unlock()
		return
	}
	s := new(state)
	if hasState {
		s = q.readState(id, len(m.Rcpts))
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.newEntry(m.envelope, s)
	q.index.add(e, resting(s), q.now())
}

// readState reads a state, and sets one aside that is damaged.
func (q *Queue) readState(id gateway.ID, rcpts int) *state {
	name := q.name(id, ".st")
	s, err := readState(name, rcpts)
	var broken *damage
	switch {
	case errors.As(err, &broken):
		q.setAside(name, id.String()+".st", broken.why)
	case err != nil:
		q.log.Error("spool: a state cannot be read; the message may be delivered a second time", "id", id.String(), "error", err)
	default:
		return s
	}
	return new(state)
}

// resting is what a message does while nobody is at work on it.
func resting(s *state) State {
	switch {
	case s.Held:
		return Held
	case s.Dead:
		return Dead
	}
	return Waiting
}

// newEntry makes what is kept of a message in memory. It is called with the lock held.
func (q *Queue) newEntry(env *envelope, s *state) *entry {
	e := &entry{id: env.ID, size: env.Size, rcpts: counted(len(env.Rcpts))}
	e.who, e.cut = whoOf(env)
	e.since = env.Custody.Arrived.UnixMilli()
	route := env.Route
	if s.Route != "" {
		route = s.Route
	}
	e.lane = q.index.lane(route)
	e.follow(s)
	return e
}

// follow takes over what a state says.
func (e *entry) follow(s *state) {
	if !s.Since.IsZero() {
		e.since = s.Since.UnixMilli()
	}
	e.next, e.attempts, e.fault = 0, counted(s.Attempts), s.Fault
	if !s.Next.IsZero() {
		e.next = s.Next.UnixMilli()
	}
	e.left = counted(s.count(int(e.rcpts), Pending) + s.count(int(e.rcpts), Failed))
	if e.said != s.Said {
		if e.said = s.Said; s.Said == e.lane.lastSaid {
			e.said = e.lane.lastSaid
		}
		e.lane.lastSaid = e.said
	}
}

// isDamaged tells a file that was set aside from what lies beside it.
func isDamaged(name string) bool {
	return !strings.HasSuffix(name, whyExt) && !strings.HasSuffix(name, ".msg.st")
}

// whyExt is the end of the name of the file that says why another was set aside.
const whyExt = ".why"

// setAside moves a file to where nothing is sent from, beside one that says why.
func (q *Queue) setAside(path, name, why string) {
	to := filepath.Join(q.dirs.corrupt(), name)
	for i := 1; ; i++ {
		if _, err := os.Lstat(to); err != nil {
			break
		}
		to = filepath.Join(q.dirs.corrupt(), fmt.Sprintf("%s.%d", name, i))
	}
	err := q.disk.Rename(path, to)
	if err == nil {
		err = q.disk.SyncDir(q.dirs.corrupt())
	}
	if f, e := q.disk.Create(to + whyExt); e == nil {
		fmt.Fprintf(f, "%s\n%s\nwas %s\n", time.Now().UTC().Format(time.RFC3339), why, path)
		_ = f.Close()
	}
	if err != nil {
		q.mu.Lock()
		q.unmoved++
		q.mu.Unlock()
	}
	q.log.Error("spool: a damaged file was set aside", "file", to, "why", why, "error", err)
	id, _ := gateway.ParseID(strings.TrimSuffix(strings.TrimSuffix(name, ".msg"), ".st"))
	q.tell(&Change{What: "damaged", ID: id, Said: gateway.CleanText(why, 300)})
}
