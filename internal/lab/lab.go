// Package lab makes a small mail world on this machine for tests and demos: real
// clamd, spamd and Postfix with private state, the gatepost daemon itself, and
// fakes that misbehave where a real part cannot be made to.
//
// Everything listens on 127.0.0.1 at ports that nothing else uses, keeps its
// state in a folder that the caller names, and ends when it is stopped or when
// the process that started it ends. The package never touches a service of the
// system, reads no configuration of it, and sends nothing to another machine.
// It knows nothing of testing; the helpers for tests are in labtest.
package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// startTimeout bounds the start of one part. spamd compiles its rules first,
// which takes seconds on an idle machine and many more on a busy one.
const startTimeout = 90 * time.Second

// maxSocketPath is the longest path of a unix socket that Linux takes, without
// the ending zero.
const maxSocketPath = 107

// NewDir makes an empty folder with a short name, so that the unix sockets in
// it stay within the 107 bytes that Linux allows, and which other users can
// enter, because the scanners do not run as root. The caller removes it.
func NewDir() (string, error) {
	return newDir(os.TempDir())
}

func newDir(base string) (string, error) {
	if len(base) > 40 {
		base = "/tmp"
	}
	dir, err := os.MkdirTemp(base, "gp")
	if err != nil {
		return "", fmt.Errorf("lab folder: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", fmt.Errorf("lab folder: %w", err)
	}
	return dir, nil
}

// NewRoomyDir is NewDir where a file system has so many octets left: that of the temporary folder, which may be small
// since it lies in memory, else that of /var/tmp.
func NewRoomyDir(room int64) (string, error) {
	var least error
	for _, base := range []string{os.TempDir(), "/var/tmp"} {
		var s syscall.Statfs_t
		if err := syscall.Statfs(base, &s); err != nil {
			least = errors.Join(least, fmt.Errorf("lab folder: %s: %w", base, err))
			continue
		}
		if left := int64(s.Bavail) * s.Bsize; left < room {
			least = errors.Join(least, fmt.Errorf("lab folder: %s has %d MB left, and %d MB are needed", base, left>>20, room>>20))
			continue
		}
		return newDir(base)
	}
	return "", least
}

// program finds a program of the system by name, also where a user's PATH does
// not look. Its error names the Debian package to install.
func program(name, debian string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("program %s: not found; install Debian's package %s (scripts/install does)", name, debian)
}

// owner is the user that a part runs as and that owns its state.
type owner struct {
	uid, gid int
	cred     *syscall.Credential // nil: our own
}

// ownerNamed is the first of the named users that exists, when we are root and
// can become it; otherwise it is ourselves.
func ownerNamed(names ...string) (owner, error) {
	if os.Geteuid() != 0 {
		return owner{uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 != nil || err2 != nil {
			return owner{}, fmt.Errorf("user %s: odd ids %s and %s", name, u.Uid, u.Gid)
		}
		cred := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return owner{uid: int(uid), gid: int(gid), cred: cred}, nil
	}
	return owner{}, fmt.Errorf("users %q: none exists", names)
}

// makeDirs makes folders that belong to the owner.
func (o owner) makeDirs(dirs ...string) error {
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("lab folder: %w", err)
		}
		if err := os.Chown(dir, o.uid, o.gid); err != nil {
			return fmt.Errorf("lab folder: %w", err)
		}
	}
	return nil
}

// poll asks again and again, until ask says true, its error, or ctx's end.
func poll(ctx context.Context, ask func() (bool, error)) error {
	wait := 5 * time.Millisecond
	for {
		if ok, err := ask(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, 100*time.Millisecond)
	}
}
