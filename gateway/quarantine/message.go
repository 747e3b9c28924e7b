package quarantine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/durable"
)

// message is one in the vault that was opened, with what became of it.
type message struct {
	*stored
	v     *Vault
	state *state
}

// lease gives a message to one caller at a time. Who only notes something is waited for.
func (v *Vault) lease(id gateway.ID) (free func(), err error) {
	if free, err = v.tryLease(id); err == nil {
		return free, nil
	}
	v.noting.Lock()
	defer v.noting.Unlock()
	return v.tryLease(id)
}

func (v *Vault) tryLease(id gateway.ID) (free func(), err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.leases[id] {
		return nil, ErrBusy
	}
	v.leases[id] = true
	return func() {
		v.mu.Lock()
		delete(v.leases, id)
		v.mu.Unlock()
	}, nil
}

// message opens one that people see. With whole it proves first that all of the file is what was written: nothing of it is
// shown or sent before.
func (v *Vault) message(ctx context.Context, id gateway.ID, whole bool) (*message, error) {
	s, err := openFile(v.name(id, ext), id, v.opts.Keys)
	switch {
	case errors.Is(err, errErased): // a crash came before its file went
		if _, err := v.erase(id); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%v is %w", id, ErrNone)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%v is %w", id, ErrNone)
	}
	if err != nil {
		v.hurt(id, err)
		return nil, fmt.Errorf("quarantine: %v: %w", id, err)
	}
	m := &message{stored: s, v: v}
	if whole {
		err = s.verify(ctx)
	}
	if err == nil {
		m.state, err = readState(v.name(id, extState), s.aead, id, len(s.Rcpts))
	}
	if err != nil {
		s.Close()
		v.hurt(id, err)
		return nil, fmt.Errorf("quarantine: %v: %w", id, err)
	}
	return m, nil
}

func (m *message) id() gateway.ID { return m.stored.head.ID }

func (m *message) row() *Row { return row(m.Meta, m.state, m.stored.head.Key, m.stored.size) }

// body is the message as it came in.
func (m *message) body() (io.ReadCloser, error) {
	_, r, err := m.stored.open()
	if err != nil {
		return nil, err
	}
	return readCloser{r, r.Close}, nil
}

type readCloser struct {
	io.Reader
	close func()
}

func (r readCloser) Close() error { r.close(); return nil }

// save writes what became of a message, makes it last, and tells the index.
func (m *message) save(step string) error {
	v, id := m.v, m.id()
	m.state.Seq++
	text, err := stateText(m.state, m.aead, id)
	if err != nil {
		return err
	}
	tmp, name := v.name(id, extState+extHalf), v.name(id, extState)
	if err := durable.Remove(v.disk, tmp); err != nil {
		return v.failedSoftly("state", err)
	}
	f, err := v.disk.Create(tmp)
	if err != nil {
		return v.failedSoftly("state", err)
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = v.disk.Rename(tmp, name)
	}
	if err == nil {
		err = v.disk.SyncDir(v.folder(id))
	}
	if err != nil {
		return v.failed("state", err)
	}
	v.at(step)
	v.put(m.row())
	return nil
}

// erase removes a message so that nobody can read it again: the index forgets it, its own key is overwritten where it lies,
// then its files go. A copy of the disk that was made before still needs the key of the installation. What a crash leaves
// half done is done at the next start.
func (v *Vault) erase(id gateway.ID) (octets int64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), indexTime)
	defer cancel()
	if err := v.opts.Index.Delete(ctx, []gateway.ID{id}); err != nil {
		return 0, fmt.Errorf("quarantine: index: %w", err)
	}
	v.at("forget")
	name := v.name(id, ext)
	info, err := os.Stat(name)
	if err == nil {
		octets = info.Size()
		if err := v.blot(name); err != nil {
			v.log.Warn("quarantine: the key of a message could not be overwritten", "id", id.String(), "error", err)
		}
		v.at("blot")
		if err := v.disk.Remove(name); err != nil {
			return 0, fmt.Errorf("quarantine: %w", v.failedSoftly("remove", err))
		}
		v.octets.Add(-octets)
		v.files.Add(-1)
	}
	v.at("unlink")
	for _, beside := range [...]string{extState, extState + extHalf} {
		if err := durable.Remove(v.disk, v.name(id, beside)); err != nil {
			return octets, fmt.Errorf("quarantine: %w", v.failedSoftly("remove", err))
		}
	}
	if err := v.disk.SyncDir(v.folder(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return octets, fmt.Errorf("quarantine: %w", v.failed("flush of the folder", err))
	}
	v.mu.Lock()
	delete(v.damaged, id)
	v.mu.Unlock()
	v.removeFolder(id)
	if v.lessons.erased(id) {
		v.told(id, "", Spam, &Lesson{As: "nothing", Said: "the message was erased before the engines were told"})
	}
	return octets, nil
}

// blot overwrites the wrapped key of a message.
func (v *Vault) blot(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	text := make([]byte, maxHead)
	n, err := f.ReadAt(text, 0)
	if err != nil && err != io.EOF {
		return err
	}
	h, end, err := parseHead(text[:n])
	if err != nil {
		return err
	}
	at := strings.LastIndex(string(text[:end]), h.Wrapped)
	if at < 0 || h.Wrapped == "" {
		return errors.New("no key in it")
	}
	if _, err := f.WriteAt([]byte(strings.Repeat(erased, len(h.Wrapped))), int64(at)); err != nil {
		return err
	}
	return f.Sync()
}

// emptyFor is how long ago a day was, at least, whose folder goes once it is empty: nothing comes into it any more.
const emptyFor = 48 * time.Hour

// removeFolder removes the folder of a day once it is empty, and those above.
func (v *Vault) removeFolder(id gateway.ID) {
	dir := v.folder(id)
	if time.Since(id.Time()) < emptyFor || os.Remove(dir) != nil {
		return
	}
	v.forgetFolder(id)
	if month := filepath.Dir(dir); os.Remove(month) == nil {
		_ = os.Remove(filepath.Dir(month)) // of a year that may have others
	}
}
