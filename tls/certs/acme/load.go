package acme

import (
	"errors"
	"io/fs"
	"time"

	"gatepost/tls/certs"
)

// Load reads what is kept, makes the keys that are missing, and shows the certificates that are there, without asking
// anybody. An entry whose keys cannot be read or kept gets no new certificate until a person has looked: its status says why, and
// what is whole is shown on. Another key in place of one that is damaged could be one that no TLSA record knows.
func (m *Manager) Load() {
	m.wake = make(chan struct{}, 1)
	if m.get == nil {
		m.get = m.Authority.order
	}
	sweep(m.Dir)
	for i := range m.Entries {
		k := &kept{Entry: &m.Entries[i], pairs: map[KeyType]*held{}}
		m.kept = append(m.kept, k)
		if err := k.load(m.Dir); err != nil {
			k.broken = true
			k.Error, k.ErrorAt = words(err), time.Now()
			m.Log.Error("acme: no certificate before somebody has looked", "name", k.Name(), "error", k.Error)
		}
		m.show(k)
	}
}

// load reads what is kept of an entry.
func (k *kept) load(dir string) (err error) {
	if k.dir, err = entryFolder(dir, k.Entry); err != nil {
		return err
	}
	sweep(k.dir)
	k.memory = readMemory(k.dir)
	for _, t := range k.Keys.each() {
		var bad error
		if k.pairs[t], bad = loadHeld(k.dir, t); bad != nil && err == nil {
			err = bad
		}
	}
	return err
}

// loadHeld reads both keys of a kind, and makes those that are missing. A next key that is the current one is what a crash
// leaves between its use and the making of another. With an error the current one is there, if it could be read.
func loadHeld(dir string, t KeyType) (h *held, err error) {
	h = new(held)
	for _, x := range []struct {
		name string
		at   **pair
	}{{currentFile(dir, t), &h.current}, {nextFile(dir, t), &h.next}} {
		*x.at, err = readPair(x.name)
		switch {
		case err == nil && (x.at == &h.current || !certs.SameKey(h.next.key.Public(), h.current.key.Public())):
			continue
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return h, err
		}
		*x.at = nil
		made, err := makePair(x.name, t)
		if err != nil {
			return h, err
		}
		*x.at = made
	}
	return h, nil
}

func makePair(name string, t KeyType) (*pair, error) {
	key, err := newKey(t)
	if err != nil {
		return nil, err
	}
	p := &pair{key: key}
	return p, writePair(name, p)
}
