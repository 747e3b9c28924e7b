package update

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"gatepost/internal/durable"
)

// disk is what an update does to disks. Tests put one in its place whose power is cut.
type disk interface {
	// List is the names in a folder.
	List(dir string) ([]string, error)
	// Size is that of a file or a block device, in octets.
	Size(name string) (int64, error)
	// Room is how many octets the file system of a folder has left.
	Room(dir string) (int64, error)
	// Open reads a file or device as it is on the disk, and not what memory holds of it.
	Open(name string) (io.ReadCloser, error)
	// Create makes a file, or makes one that is there empty.
	Create(name string) (durable.File, error)
	// Device writes to a file or device that is there, from its beginning, and leaves what is behind.
	Device(name string) (durable.File, error)
	Rename(from, to string) error
	Remove(name string) error
	Mkdir(name string) error
	// Sync flushes the whole file system of a folder: FAT has no journal.
	Sync(dir string) error
	// Lock keeps other processes out; it is taken already where the error is errBusy.
	Lock(name string) (io.Closer, error)
}

var errBusy = errors.New("another update is under way")

type realDisk struct{ durable.Real }

func (realDisk) List(dir string) (names []string, err error) {
	all, err := os.ReadDir(dir)
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names, err
}

// Size asks where the end is: the size of a block device is not in its inode.
func (realDisk) Size(name string) (int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	n, err := f.Seek(0, io.SeekEnd)
	return n, errors.Join(err, f.Close())
}

func (realDisk) Room(dir string) (int64, error) {
	v, err := durable.RoomOf(dir)
	return v.Octets, err
}

func (realDisk) Open(name string) (io.ReadCloser, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	// What was flushed is forgotten by this; what was not stays, and is no error: it is compared all the same.
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil && !errors.Is(err, unix.ESPIPE) {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (realDisk) Create(name string) (durable.File, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
}

func (realDisk) Device(name string) (durable.File, error) { return os.OpenFile(name, os.O_WRONLY, 0) }

func (realDisk) Sync(dir string) error { return durable.SyncAll(dir) }

func (realDisk) Lock(name string) (io.Closer, error) {
	f, err := durable.Lock(name)
	if errors.Is(err, durable.ErrLocked) {
		return nil, errBusy
	}
	return f, err
}
