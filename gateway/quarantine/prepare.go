package quarantine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"gatepost/gateway"
	"gatepost/internal/durable"
)

// entry is a message that is in the vault and that nobody sees yet.
type entry struct {
	id      gateway.ID
	same    []string // of its recipients
	row     *Row
	message string
	keys    []string
	holders int // transactions that may still show it
	// shown and gone are its two ends, with the vault's lock held.
	shown, gone bool
	showing     chan struct{} // one at a time
}

// Prepare stores a message durably and invisibly; see gateway.Vault. What is in the vault for some of the recipients from an
// earlier attempt of the sender is stored for the others only.
func (v *Vault) Prepare(ctx context.Context, k *gateway.Keeping) (gateway.Kept, error) {
	if err := v.shut(); err != nil {
		return nil, err
	}
	out := &kept{v: v}
	rcpts, keys, err := v.missing(ctx, k, out)
	if err != nil || len(rcpts) == 0 {
		return out, err
	}
	e, err := v.store(ctx, k, rcpts, keys)
	if err != nil {
		out.Drop()
		return nil, fmt.Errorf("quarantine: %w", err)
	}
	out.held = append(out.held, e)
	return out, nil
}

// missing are the recipients whose copy is not in the vault yet, each once. Those that others have are held in out.
func (v *Vault) missing(ctx context.Context, k *gateway.Keeping, out *kept) (rcpts []gateway.Recipient, keys []string, err error) {
	var names []string
	for i := range k.Rcpts {
		key := k.Rcpts[i].Address.Key()
		if i < len(k.Keys) {
			key = k.Keys[i]
		}
		if slices.Contains(keys, key) {
			continue
		}
		rcpts, keys = append(rcpts, k.Rcpts[i]), append(keys, key)
		if name := same(k.Message, key); name != "" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return rcpts, keys, nil
	}
	have := map[string]bool{}
	v.mu.Lock()
	for _, e := range v.pending {
		if slices.ContainsFunc(e.same, func(s string) bool { return slices.Contains(names, s) }) {
			e.holders++
			out.held = append(out.held, e)
			for _, s := range e.same {
				have[s] = true
			}
		}
	}
	v.mu.Unlock()
	rows, err := v.opts.Index.Same(ctx, names)
	if err != nil { // a second copy is better than none
		v.log.Error("quarantine: index", "error", err)
	}
	for i := range rows {
		for j := range rows[i].Rcpts {
			have[rows[i].Rcpts[j].Same] = true
		}
	}
	for i := len(keys) - 1; i >= 0; i-- {
		if have[same(k.Message, keys[i])] {
			rcpts, keys = slices.Delete(rcpts, i, i+1), slices.Delete(keys, i, i+1)
		}
	}
	return rcpts, keys, nil
}

// store writes a message and makes it last.
func (v *Vault) store(ctx context.Context, k *gateway.Keeping, rcpts []gateway.Recipient, keys []string) (*entry, error) {
	m, err := newMeta(k, rcpts, keys)
	if err != nil {
		return nil, err
	}
	if err := v.makeRoom(ctx, m.Size); err != nil {
		return nil, err
	}
	dir, tmp := v.folder(m.ID), v.name(m.ID, extTmp)
	if err := v.makeFolder(dir); err != nil {
		return nil, v.failed("folder", err)
	}
	f, err := v.disk.Create(tmp)
	if err != nil {
		return nil, v.failedSoftly("create", err)
	}
	v.at("create")
	w, err := v.writer()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	size, key, err := w.write(ctx, f, v.opts.Keys, m, gateway.Reader(k.Envelope.Body))
	v.writers.Put(w)
	if err != nil {
		_ = f.Close()
		_ = durable.Remove(v.disk, tmp)
		if d := (durable.DiskError{}); errors.As(err, &d) {
			return nil, v.failedSoftly("write", d.Err)
		}
		return nil, err
	}
	v.at("write")
	s := new(state)
	s.marks(len(m.Rcpts))
	p := &coming{v: v, file: f, e: newEntry(m, row(m, s, key, size)), ended: make(chan struct{})}
	p.e.holders = 1
	go p.flush() // it cannot be interrupted, and whoever waits for a reply can
	select {
	case <-p.ended:
	case <-ctx.Done():
		if p.leave() {
			return nil, fmt.Errorf("flush: %w", context.Cause(ctx))
		}
		<-p.ended
	}
	return p.e, p.err
}

func newEntry(m *Meta, r *Row) *entry {
	e := &entry{id: m.ID, row: r, message: m.Message, keys: m.Keys, showing: make(chan struct{}, 1)}
	for i := range r.Rcpts {
		if s := r.Rcpts[i].Same; s != "" {
			e.same = append(e.same, s)
		}
	}
	return e
}

// failedSoftly judges an error of the disk before anything was flushed.
func (v *Vault) failedSoftly(step string, err error) error {
	if durable.Sick(err) || durable.NoRoom(err) {
		return v.failed(step, err)
	}
	return fmt.Errorf("%s: %w", step, err)
}

// coming is a message on its way into the vault.
type coming struct {
	v     *Vault
	file  durable.File
	e     *entry
	ended chan struct{}
	err   error

	// With the vault's lock held:
	left, settled bool // nobody waits any longer; it ended
}

func (p *coming) flush() {
	defer close(p.ended)
	v := p.v
	p.err = p.settle()
	v.mu.Lock()
	p.settled = true
	left := p.left
	if p.err == nil && !left {
		v.pending[p.e.id] = p.e
		v.octets.Add(p.e.row.Stored)
		v.files.Add(1)
	}
	v.mu.Unlock()
	if left {
		v.stuck.Add(-1)
		if p.err == nil {
			_ = durable.Remove(v.disk, v.name(p.e.id, extPending))
		}
	}
}

// leave says that nobody waits any more; false when it ended already.
func (p *coming) leave() bool {
	p.v.mu.Lock()
	defer p.v.mu.Unlock()
	if p.settled {
		return false
	}
	p.left = true
	p.v.stuck.Add(1)
	return true
}

// settle flushes the file, gives it its name, and flushes the name.
func (p *coming) settle() error {
	v, tmp, name := p.v, p.v.name(p.e.id, extTmp), p.v.name(p.e.id, extPending)
	err := p.file.Sync()
	if closed := p.file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		_ = durable.Remove(v.disk, tmp)
		return v.failed("flush", err)
	}
	v.at("sync")
	if err := v.disk.Rename(tmp, name); err != nil {
		_ = durable.Remove(v.disk, tmp)
		v.forgetFolder(p.e.id)
		return v.failed("rename", err)
	}
	v.at("rename")
	if err := v.disk.SyncDir(v.folder(p.e.id)); err != nil {
		_ = durable.Remove(v.disk, name)
		return v.failed("flush of the folder", err)
	}
	v.at("dirsync")
	return nil
}

// forgetFolder has a folder made anew, which somebody may have taken away.
func (v *Vault) forgetFolder(id gateway.ID) {
	v.folderMu.Lock()
	delete(v.made, v.folder(id))
	v.folderMu.Unlock()
}

// kept is a gateway.Kept: what a transaction holds of the vault.
type kept struct {
	v    *Vault
	held []*entry
}

// Publish shows the message. What was shown before stays as it is.
func (k *kept) Publish() error {
	var errs []error
	for _, e := range k.held {
		errs = append(errs, k.v.show(e))
	}
	k.letGo()
	return errors.Join(errs...)
}

// Drop lets go of the message; the last transaction that held it has it removed, where none showed it.
func (k *kept) Drop() {
	for _, e := range k.letGo() {
		k.v.garbage(e)
	}
}

// letGo returns what nobody holds any more.
func (k *kept) letGo() (free []*entry) {
	k.v.mu.Lock()
	defer k.v.mu.Unlock()
	for _, e := range k.held {
		if e.holders--; e.holders == 0 {
			free = append(free, e)
		}
	}
	k.held = nil
	return free
}

// show gives a message the name by which it is in quarantine.
func (v *Vault) show(e *entry) error {
	e.showing <- struct{}{}
	defer func() { <-e.showing }()
	v.mu.Lock()
	shown, gone := e.shown, e.gone
	v.mu.Unlock()
	switch {
	case shown:
		return nil
	case gone:
		return fmt.Errorf("quarantine: %v is gone", e.id)
	}
	v.at("publish")
	if err := v.disk.Rename(v.name(e.id, extPending), v.name(e.id, ext)); err != nil && !v.named(e.id, err) {
		return fmt.Errorf("quarantine: %w", v.failed("rename", err))
	}
	v.at("published")
	if err := v.disk.SyncDir(v.folder(e.id)); err != nil {
		return fmt.Errorf("quarantine: %w", v.failed("flush of the folder", err))
	}
	v.at("publishsync")
	v.put(e.row)
	v.mu.Lock() // only now: a retry finds it in one of the two
	e.shown = true
	delete(v.pending, e.id)
	v.mu.Unlock()
	v.tell(&Change{What: Stored, ID: e.id, From: e.row.From, Rcpts: addresses(e.row), Class: e.row.Class, Octets: e.row.Stored,
		Said: string(e.row.Reason), Next: v.until(e.row)})
	return nil
}

// named reports whether a message has its name already, and only the flush of that failed the last time.
func (v *Vault) named(id gateway.ID, err error) bool {
	if !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	_, err = os.Stat(v.name(id, ext))
	return err == nil
}

func addresses(r *Row) (out []string) {
	for i := range r.Rcpts {
		out = append(out, r.Rcpts[i].Address)
	}
	return out
}

// indexTime bounds one step of the index.
const indexTime = 30 * time.Second

// put tells the index of a message. What it cannot take is told to it again by Run: the file is what counts.
func (v *Vault) put(r *Row) {
	ctx, cancel := context.WithTimeout(context.Background(), indexTime)
	defer cancel()
	if err := v.opts.Index.Put(ctx, r); err != nil {
		v.log.Error("quarantine: index", "id", r.ID.String(), "error", err)
		v.mu.Lock()
		v.unknown = append(v.unknown, r.ID)
		v.mu.Unlock()
	}
}

// garbage removes a message that nobody was promised.
func (v *Vault) garbage(e *entry) {
	e.showing <- struct{}{}
	defer func() { <-e.showing }()
	v.mu.Lock()
	over := e.shown || e.gone || e.holders > 0
	if !over {
		e.gone = true
		delete(v.pending, e.id)
	}
	v.mu.Unlock()
	if over {
		return
	}
	err := durable.Remove(v.disk, v.name(e.id, extPending))
	if err == nil {
		err = durable.Remove(v.disk, v.name(e.id, ext)) // where the flush of that name failed
	}
	if err != nil {
		v.log.Warn("quarantine: what nobody was promised stays", "id", e.id.String(), "error", err)
		return
	}
	v.octets.Add(-e.row.Stored)
	v.files.Add(-1)
}
