package quarantine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/durable"
)

// knownRow is what the index said of a message at the start.
type knownRow struct{ seq, stored int64 }

// load looks at what lies in the folder: what was being written goes, what nobody sees waits for its sender, and what the index
// does not know as it is, it is told of. Index rows without a file are forgotten.
func (v *Vault) load(ctx context.Context) error {
	known := make(map[gateway.ID]knownRow)
	err := v.opts.Index.Known(ctx, func(id gateway.ID, seq, stored int64) { known[id] = knownRow{seq, stored} })
	if err != nil {
		return err
	}
	err = v.walk(func(id gateway.ID, kind string, size int64) error {
		switch kind {
		case extTmp:
			if err := durable.Remove(v.disk, v.name(id, extTmp)); err != nil {
				v.log.Warn("quarantine: what was being written stays", "id", id.String(), "error", err)
			}
			return nil
		case extPending:
			v.loadPending(id, size)
		case ext:
			row, there := known[id]
			delete(known, id)
			if !there || row.stored != size || v.touched(id, row.seq) {
				v.unknown = append(v.unknown, id)
			}
		}
		v.octets.Add(size)
		v.files.Add(1)
		return nil
	})
	if err != nil {
		return err
	}
	lost := make([]gateway.ID, 0, len(known))
	for id := range known {
		lost = append(lost, id)
	}
	if len(lost) > 0 {
		v.log.Warn("quarantine: the index knew of messages whose files are not there", "messages", len(lost))
		return v.opts.Index.Delete(ctx, lost)
	}
	return nil
}

// touched reports whether a message has a state that the index may not know of: it does not know the sequence of that
// without reading it.
func (v *Vault) touched(id gateway.ID, seq int64) bool {
	_, err := os.Stat(v.name(id, extState))
	if errors.Is(err, fs.ErrNotExist) {
		return seq != 0
	}
	s, err := openFile(v.name(id, ext), id, v.opts.Keys)
	if err != nil {
		return true
	}
	defer s.Close()
	st, err := readState(v.name(id, extState), s.aead, id, len(s.Rcpts))
	if err == nil && st.Lesson != nil && st.Lesson.Due {
		v.lessons.add(id, time.Time{})
	}
	return err != nil || st.Seq != seq || st.Out != nil
}

// loadPending takes in a message that a crash left: its sender comes again, or the ledger knows that the rest was delivered.
func (v *Vault) loadPending(id gateway.ID, size int64) {
	s, err := openFile(v.name(id, extPending), id, v.opts.Keys)
	if err != nil {
		v.log.Error("quarantine: a message that nobody sees yet cannot be read; it stays where it is", "id", id.String(), "error", err)
		return
	}
	defer s.Close()
	st := new(state)
	st.marks(len(s.Rcpts))
	v.pending[id] = newEntry(s.Meta, row(s.Meta, st, s.head.Key, size))
}

// Empty reports whether no message lies in a folder of a vault, or there is none.
func Empty(dir string) (bool, error) {
	v := &Vault{opts: Options{Dir: dir}}
	some := errors.New("some")
	err := v.walk(func(gateway.ID, string, int64) error { return some })
	switch {
	case errors.Is(err, some):
		return false, nil
	case err == nil || errors.Is(err, fs.ErrNotExist):
		return true, nil
	}
	return false, fmt.Errorf("quarantine: %w", err)
}

// walk tells of each file of a message. Folders and files that are none of ours are left alone.
func (v *Vault) walk(each func(id gateway.ID, kind string, size int64) error) error {
	err := filepath.WalkDir(v.opts.Dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return nil
		}
		text, kind, ok := strings.Cut(d.Name(), ".")
		id, err := gateway.ParseID(text)
		if !ok || err != nil || filepath.Dir(name) != v.folder(id) {
			return nil
		}
		if kind = "." + kind; kind != ext && kind != extPending && kind != extTmp {
			return nil // a state, or what somebody put there
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return each(id, kind, info.Size())
	})
	return err
}

// hurt notes a message that cannot be read, and tells of it once.
func (v *Vault) hurt(id gateway.ID, err error) {
	if !Damaged(err) && !errors.Is(err, ErrNoKey) {
		return // the disk may let it be read another time
	}
	why := gateway.CleanText(err.Error(), 300)
	v.mu.Lock()
	first := v.damaged[id] == ""
	v.damaged[id] = why
	v.mu.Unlock()
	if !first {
		return
	}
	v.tell(&Change{What: Broken, ID: id, Said: why})
	ctx, cancel := context.WithTimeout(context.Background(), indexTime)
	defer cancel()
	r := v.hurtRow(id)
	if rows, err := v.opts.Index.Find(ctx, &Filter{IDs: []gateway.ID{id}}); err == nil && len(rows) == 1 {
		r = &rows[0]
	}
	r.Damaged, r.Seq = why, -1 // so that the next start looks again
	v.put(r)
}

// reindex tells the index of what it does not know. A release that was cut off is looked into.
func (v *Vault) reindex(ctx context.Context) {
	v.mu.Lock()
	all := v.unknown
	v.unknown = nil
	v.mu.Unlock()
	for i, id := range all {
		if ctx.Err() != nil {
			v.mu.Lock()
			v.unknown = append(v.unknown, all[i:]...)
			v.mu.Unlock()
			return
		}
		v.reindexOne(ctx, id)
	}
	if len(all) > 0 {
		v.log.Info("quarantine: the index was told of messages", "messages", len(all))
	}
}

func (v *Vault) reindexOne(ctx context.Context, id gateway.ID) {
	free, err := v.lease(id)
	if err != nil {
		v.mu.Lock()
		v.unknown = append(v.unknown, id)
		v.mu.Unlock()
		return
	}
	defer free()
	m, err := v.message(ctx, id, false)
	switch {
	case errors.Is(err, ErrNone):
		return
	case err != nil:
		v.hurt(id, err)
		v.log.Error("quarantine: a message cannot be read", "id", id.String(), "error", err)
		return
	}
	defer m.Close()
	if m.state.Out != nil {
		if err := v.settleOut(m); err != nil {
			v.log.Error("quarantine: a release that was cut off", "id", id.String(), "error", err)
			v.mu.Lock()
			v.unknown = append(v.unknown, id)
			v.mu.Unlock()
			return
		}
	}
	m.wanted()
	v.mu.Lock()
	delete(v.damaged, id)
	v.mu.Unlock()
	v.put(m.row())
}

// hurtRow is what the index can know of a message that cannot be read.
func (v *Vault) hurtRow(id gateway.ID) *Row {
	r := &Row{ID: id, Arrived: id.Time().UTC(), Class: Malware}
	if info, err := os.Stat(v.name(id, ext)); err == nil {
		r.Stored = info.Size()
	}
	return r
}
