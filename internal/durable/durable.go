// Package durable writes small files so that they are whole, old or new, whenever the process or the power goes.
//
// It knows nothing of what is in them, and reads none.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Half is what the name of a file ends in until it is whole. After a crash one may be left, which the next write replaces.
const Half = ".new"

// WriteFile puts a file in place at once, with its text and its name on disk when it returns. With an error the old one stands.
// One file is written by one caller at a time.
func WriteFile(name string, text []byte, mode fs.FileMode) error {
	return Write(name, mode, func(f *os.File) error {
		_, err := f.Write(text)
		return err
	})
}

// Write is WriteFile of what fill writes to the new file. What fill changes of it besides, its owner and mode, it has before it has its name.
func Write(name string, mode fs.FileMode, fill func(f *os.File) error) error {
	f, err := os.OpenFile(name+Half, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	err = errors.Join(fill(f), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(name+Half, name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(name+Half))
	}
	return SyncFolder(filepath.Dir(name))
}

// SyncFolder makes what was renamed or removed in a folder last.
func SyncFolder(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// SyncAll flushes the whole file system of a folder: one call for many files, and for file systems without a journal.
func SyncAll(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(d.Fd())), d.Close())
}
