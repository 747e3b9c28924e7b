package durable

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Disk is what a store of files does to its folders. Tests put another in its place, which records what was flushed, or fails.
type Disk interface {
	// Create makes a new file that only we may read; it fails where there is one.
	Create(name string) (File, error)
	Rename(from, to string) error
	Remove(name string) error
	// Mkdir makes a folder; one that is there is no error.
	Mkdir(name string) error
	// SyncDir flushes the names of a folder.
	SyncDir(name string) error
}

// File is a file that is being written.
type File interface {
	io.Writer
	// Sync flushes what was written, and the size.
	Sync() error
	Close() error
}

// Real is the file system.
type Real struct{}

type realFile struct{ *os.File }

// Create makes a new file.
func (Real) Create(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return realFile{f}, nil
}

func (f realFile) Sync() error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}

// Rename is that of the file system.
func (Real) Rename(from, to string) error { return os.Rename(from, to) }

// Remove is that of the file system.
func (Real) Remove(name string) error { return os.Remove(name) }

// Mkdir makes a folder that only we may enter.
func (Real) Mkdir(name string) error {
	if err := os.Mkdir(name, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// SyncDir flushes the names of a folder.
func (Real) SyncDir(name string) error { return SyncFolder(name) }

// NoRoom reports an error that says that the disk is full, and nothing of its health.
func NoRoom(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

// Sick reports an error after which nothing that the disk says is worth a promise.
func Sick(err error) bool {
	return errors.Is(err, unix.EIO) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.EUCLEAN) || errors.Is(err, unix.ENXIO)
}

// Remove removes a file that may not be there, of a Disk or of another that removes files.
func Remove(from interface{ Remove(name string) error }, name string) error {
	if err := from.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Vacancy is what a file system has left.
type Vacancy struct {
	Octets int64
	Inodes int64 // -1 where it does not count them (btrfs)
}

// RoomOf asks the file system of a folder what it has left.
func RoomOf(dir string) (Vacancy, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return Vacancy{}, err
	}
	r := Vacancy{Octets: int64(fs.Bavail) * fs.Bsize, Inodes: -1}
	if fs.Files > 0 {
		r.Inodes = int64(fs.Ffree)
	}
	return r, nil
}
