package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Folder is one in which the gateway keeps something.
type Folder struct {
	What    string // "state", "spool", "bodies"
	Path    string
	Reserve int64  // octets that must stay free
	Key     string // that names it
	Secret  bool   // others must not look into it
	Durable bool   // what lies there was promised to senders
}

// fewInodes is the share of free inodes under which files soon cannot be made.
const fewInodes = 0.05

// disk looks at each folder.
func (w *World) disk(_ context.Context, r *Report) {
	for i := range w.Folders {
		f := &w.Folders[i]
		p, about := r.at(i), f.What+" "+f.Path
		info, err := os.Stat(f.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			p.ok("disk.folder", about, "is made at the first start")
			continue
		case errors.Is(err, fs.ErrPermission):
			p.unknown("disk.folder", about, "may not be looked at", "run gatepost doctor as root, or as the user of the daemon")
			continue
		case err != nil:
			p.fail("disk.folder", about, err.Error(), w.has(f.Key))
			continue
		case !info.IsDir():
			p.fail("disk.folder", about, "is no folder", w.has(f.Key))
			continue
		case f.Secret && info.Mode().Perm()&0o007 != 0:
			p.warn("disk.folder", about, fmt.Sprintf("everybody on this host may look into it (mode %04o): keys and mail lie there", info.Mode().Perm()), "chmod 700 "+f.Path)
		default:
			p.ok("disk.folder", about, fmt.Sprintf("mode %04o", info.Mode().Perm()))
		}
		w.room(p, f, about)
		w.fsync(p, f, about)
	}
}

// room looks at free octets and inodes.
func (w *World) room(p part, f *Folder, about string) {
	free, inodes, share, err := w.Statfs(f.Path)
	fix := "df -h " + f.Path + "; du -xh --max-depth=2 " + f.Path + " | sort -h | tail; or " + w.key(f.Key, "a folder on a bigger disk")
	switch {
	case err != nil:
		p.unknown("disk.space", about, err.Error())
		return
	case free < f.Reserve:
		p.fail("disk.space", about, fmt.Sprintf("%d MiB are free, less than the %d that must stay: mail is deferred", free>>20, f.Reserve>>20), fix)
	case free < 2*f.Reserve:
		p.warn("disk.space", about, fmt.Sprintf("%d MiB are free, and from %d on mail is deferred", free>>20, f.Reserve>>20), fix)
	default:
		p.ok("disk.space", about, fmt.Sprintf("%d MiB are free", free>>20))
	}
	switch {
	case inodes && share < fewInodes:
		p.warn("disk.inodes", about, fmt.Sprintf("%.1f %% of the inodes are free", 100*share), "df -i "+f.Path+"; remove small files, or "+w.key(f.Key, "a folder on another file system"))
	case inodes:
		p.ok("disk.inodes", about, fmt.Sprintf("%.0f %% are free", 100*share))
	}
}

// Statfs tells how many octets of a file system are free for everybody, whether it counts inodes, and the share that is free.
func Statfs(path string) (free int64, inodes bool, share float64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, false, 0, fmt.Errorf("statfs: %w", err)
	}
	if s.Files > 0 {
		share = float64(s.Ffree) / float64(s.Files)
	}
	return int64(s.Bavail) * s.Bsize, s.Files > 0, share, nil
}

// fsync writes a file without a name and waits until it is on disk: what the spool promises rests on it.
func (w *World) fsync(p part, f *Folder, about string) {
	if !f.Durable {
		return
	}
	const id = "disk.fsync"
	switch err := writeAndSync(f.Path); {
	case err == nil:
		p.ok(id, about, "a file can be written and is on disk")
	case errors.Is(err, fs.ErrPermission):
		p.unknown(id, about, "may not be written", "run gatepost doctor as root, or as the user of the daemon")
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EISDIR):
		p.unknown(id, about, "this file system has no files without a name: "+err.Error())
	default:
		p.fail(id, about, "nothing can be written: "+err.Error(), "dmesg | tail -50; mount | grep "+filepath.Dir(f.Path))
	}
}

func writeAndSync(dir string) error {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), dir)
	defer file.Close()
	if _, err := file.WriteString("gatepost doctor\n"); err != nil {
		return err
	}
	return file.Sync()
}
