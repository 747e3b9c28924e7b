package targets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gatepost/internal/durable"
)

// Directory opens a folder of this machine. One that is not there is an error: its disk may not be mounted.
func Directory(dir string) Opener {
	return func(context.Context) (Place, error) {
		info, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is not there: is its disk mounted?", dir)
		}
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("%s is no folder", dir)
		}
		return directory(dir), nil
	}
}

type directory string

func (d directory) Close() error { return nil }

func (d directory) Put(ctx context.Context, name string, from io.Reader, size int64) error {
	to := filepath.Join(string(d), name)
	if err := durable.Remove(durable.Real{}, to+half); err != nil {
		return err
	}
	f, err := os.OpenFile(to+half, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, reader{ctx, from})
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(to+half, to)
	}
	if err == nil {
		return durable.SyncFolder(string(d))
	}
	if durable.NoRoom(err) {
		err = fmt.Errorf("no room is left there: %w", err)
	}
	return errors.Join(err, durable.Remove(durable.Real{}, to+half))
}

func (d directory) Names(begin string) (out []string, err error) {
	all, err := os.ReadDir(string(d))
	for _, e := range all {
		if strings.HasPrefix(e.Name(), begin) {
			out = append(out, e.Name())
		}
	}
	return out, err
}

func (d directory) Remove(name string) error { return os.Remove(filepath.Join(string(d), name)) }
