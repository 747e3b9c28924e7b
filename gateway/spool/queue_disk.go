package spool

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// disk is what the queue does to its folder. Tests put another in its place, which records what was flushed, or fails.
type disk interface {
	// create makes a new file that only we may read; it fails where there is one.
	create(name string) (diskFile, error)
	rename(from, to string) error
	remove(name string) error
	// mkdir makes a folder; one that is there is no error.
	mkdir(name string) error
	// syncDir flushes the names of a folder.
	syncDir(name string) error
}

// diskFile is a file that is being written.
type diskFile interface {
	io.Writer
	// sync flushes what was written, and the size.
	sync() error
	Close() error
}

// realDisk is the file system.
type realDisk struct{}

type realFile struct{ *os.File }

func (realDisk) create(name string) (diskFile, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return realFile{f}, nil
}

func (f realFile) sync() error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}

func (realDisk) rename(from, to string) error { return os.Rename(from, to) }
func (realDisk) remove(name string) error     { return os.Remove(name) }

func (realDisk) mkdir(name string) error {
	if err := os.Mkdir(name, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

func (realDisk) syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// noRoom reports an error that says that the disk is full, and nothing of its health.
func noRoom(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

// sick reports an error after which nothing that the disk says is worth a promise.
func sick(err error) bool {
	return errors.Is(err, unix.EIO) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.EUCLEAN) || errors.Is(err, unix.ENXIO)
}

// remove removes a file that may not be there.
func remove(d disk, name string) error {
	if err := d.remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// vacancy is what a file system has left.
type vacancy struct {
	octets int64
	inodes int64 // -1 where it does not count them (btrfs)
}

func roomOf(dir string) (vacancy, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return vacancy{}, err
	}
	r := vacancy{octets: int64(fs.Bavail) * fs.Bsize, inodes: -1}
	if fs.Files > 0 {
		r.inodes = int64(fs.Ffree)
	}
	return r, nil
}

// folders are those below the queue's folder.
type folders struct{ dir string }

func (f folders) tmp() string     { return filepath.Join(f.dir, "tmp") }
func (f folders) queue() string   { return filepath.Join(f.dir, "q") }
func (f folders) corrupt() string { return filepath.Join(f.dir, "corrupt") }
