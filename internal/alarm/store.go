package alarm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
)

// Store keeps alarms over a restart. Its methods end soon after their context, and may be slow or fail: the Book goes on without.
// storetest has what all of them must do.
type Store interface {
	// Load returns all that are kept, in any order.
	Load(ctx context.Context) ([]Alarm, error)
	// Save keeps alarms, in the place of those with the same ID: all of them or none.
	Save(ctx context.Context, list []Alarm) error
	// Remove forgets alarms; one that is not there is no error.
	Remove(ctx context.Context, ids []string) error
}

// maxFile is how large the file of alarms may be that is read: a thousand of them are less.
const maxFile = 16 << 20

// File is a Store in one file, for a node without another. The zero value, without a name, keeps them in memory only.
type File struct {
	Name string
	// Write puts the file in place at once, whole (durable.WriteFile).
	Write func(name string, text []byte, mode fs.FileMode) error

	mu     sync.Mutex
	loaded bool
	kept   map[string]Alarm
}

// Load is that of Store.
func (f *File) Load(context.Context) ([]Alarm, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.load(); err != nil {
		return nil, err
	}
	out := make([]Alarm, 0, len(f.kept))
	for _, id := range slices.Sorted(maps.Keys(f.kept)) {
		a := f.kept[id]
		out = append(out, a.clone())
	}
	return out, nil
}

func (f *File) load() error {
	if f.loaded {
		return nil
	}
	kept := map[string]Alarm{}
	if f.Name != "" {
		var list []Alarm
		info, err := os.Stat(f.Name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case info.Size() > maxFile:
			return fmt.Errorf("%s has %d octets, and is no file of ours", f.Name, info.Size())
		default:
			text, err := os.ReadFile(f.Name)
			if err == nil {
				err = json.Unmarshal(text, &list)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
		}
		for _, a := range list {
			kept[a.ID] = a
		}
	}
	f.kept, f.loaded = kept, true
	return nil
}

// Save is that of Store. A file that cannot be read is not written over.
func (f *File) Save(_ context.Context, list []Alarm) error {
	return f.change(func(kept map[string]Alarm) {
		for i := range list {
			kept[list[i].ID] = list[i].clone()
		}
	})
}

// Remove is that of Store.
func (f *File) Remove(_ context.Context, ids []string) error {
	return f.change(func(kept map[string]Alarm) {
		for _, id := range ids {
			delete(kept, id)
		}
	})
}

// change writes what becomes of the alarms, and only then holds it for true.
func (f *File) change(do func(map[string]Alarm)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.load(); err != nil {
		return err
	}
	next := maps.Clone(f.kept)
	do(next)
	if f.Name != "" {
		list := make([]Alarm, 0, len(next))
		for _, id := range slices.Sorted(maps.Keys(next)) {
			list = append(list, next[id])
		}
		text, err := json.MarshalIndent(list, "", " ")
		if err == nil {
			err = f.Write(f.Name, append(text, '\n'), 0o600)
		}
		if err != nil {
			return err
		}
	}
	f.kept = next
	return nil
}
