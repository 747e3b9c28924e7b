package backup

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gatepost/internal/durable"
)

// FileName is what a backup of a host is called that was begun at a time: gatepost-HOST-20261127T161500Z.age.
func FileName(host string, at time.Time) string {
	host = strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' {
			return r
		}
		return '-'
	}, strings.ToLower(host))
	return namePrefix + cmp.Or(host, "host") + "-" + at.UTC().Format(nameTime) + nameSuffix
}

const (
	namePrefix = "gatepost-"
	nameTime   = "20060102T150405Z"
	nameSuffix = ".age"
)

// FilesOf is what the names of all backups of a host begin with, as ParseName tells it.
func FilesOf(host string) string { return namePrefix + host + "-" }

// ParseName reads a name that FileName made.
func ParseName(name string) (host string, at time.Time, ok bool) {
	rest, ok := strings.CutPrefix(name, namePrefix)
	rest, tail := strings.CutSuffix(rest, nameSuffix)
	i := strings.LastIndexByte(rest, '-')
	if !ok || !tail || i < 1 {
		return "", time.Time{}, false
	}
	at, err := time.Parse(nameTime, rest[i+1:])
	return rest[:i], at, err == nil
}

// Create writes a backup to a file of that name, which must not be there. The file is there when it is whole and on disk, or not at all:
// with an error nothing stays behind.
func Create(ctx context.Context, p *Plan, to Lock, name string) (*Manifest, error) {
	if _, err := os.Lstat(name); err == nil {
		return nil, fmt.Errorf("backup: %s is there already: name another file", name)
	}
	half := name + durable.Half
	if err := durable.Remove(durable.Real{}, half); err != nil { // what a crash left
		return nil, fmt.Errorf("backup: %w", err)
	}
	f, err := os.OpenFile(half, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	m, err := Write(ctx, p, to, f)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = unix.Renameat2(unix.AT_FDCWD, half, unix.AT_FDCWD, name, unix.RENAME_NOREPLACE)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // the file system cannot say so
			err = os.Rename(half, name)
		}
	}
	if err == nil {
		err = durable.SyncFolder(filepath.Dir(name))
	}
	if err == nil {
		return m, nil
	}
	if durable.NoRoom(err) {
		err = fmt.Errorf("backup: %s: no room is left there; nothing stays of it: make room, or name another target (%w)", filepath.Dir(name), err)
	}
	return nil, errors.Join(err, durable.Remove(durable.Real{}, half))
}

// Write writes a backup. Snapshots of databases lie, one at a time, in a folder of the state folder that is gone when it returns.
func Write(ctx context.Context, p *Plan, to Lock, w io.Writer) (*Manifest, error) {
	all, left, err := p.sources()
	if err != nil {
		return nil, err
	}
	one, err := alone(p.State)
	if err != nil {
		return nil, err
	}
	defer one.Close()
	if err := sweep(p.State, scratchPrefix); err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	scratch, err := os.MkdirTemp(p.State, scratchPrefix)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	defer os.RemoveAll(scratch)
	sealed, err := to.seal(w)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	packed, err := gzip.NewWriterLevel(sealed, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	out := &packer{plan: p, scratch: scratch, tar: tar.NewWriter(packed)}
	out.manifest = Manifest{Head: Head{Form: form, Version: p.Version, Host: p.Host, Time: time.Now().UTC().Truncate(time.Second)},
		With: p.With, Members: []Member{}, Left: append(left, p.Elsewhere...)}
	if err := out.all(ctx, all); err != nil {
		return nil, err
	}
	if err := errors.Join(out.tar.Close(), packed.Close(), sealed.Close()); err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	return &out.manifest, nil
}

// alone waits for nobody: one backup is made at a time. The lock goes with the file.
func alone(state string) (*os.File, error) {
	name := filepath.Join(state, ".making-backup")
	f, err := durable.Lock(name)
	if errors.Is(err, durable.ErrLocked) {
		return nil, ErrBusy
	}
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	if err := Give(name, state); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// scratchPrefix begins the name of the folder for snapshots.
const scratchPrefix = ".backup-"

// sweep removes what a crash left of folders that begin so.
func sweep(dir, prefix string) error {
	old, err := filepath.Glob(filepath.Join(dir, prefix+"*"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.RemoveAll(name); err != nil {
			return err
		}
	}
	return nil
}

// packer writes members.
type packer struct {
	plan     *Plan
	scratch  string
	tar      *tar.Writer
	manifest Manifest
}

func (o *packer) all(ctx context.Context, all []source) error {
	if err := o.text(headName, &o.manifest.Head); err != nil {
		return err
	}
	for i := range all {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("backup: %w", err)
		}
		s := &all[i]
		err := o.member(ctx, s)
		if errors.Is(err, fs.ErrNotExist) { // it went since it was listed
			continue
		}
		if err != nil && s.may && (errors.Is(err, fs.ErrPermission) || errors.Is(err, errBig)) {
			o.manifest.Left = append(o.manifest.Left, s.member+": "+reason(err))
			continue
		}
		if err != nil {
			return fmt.Errorf("backup: %s: %w", s.member, err)
		}
	}
	return o.text(manifestName, &o.manifest)
}

// text writes a member of our own.
func (o *packer) text(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := o.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(data)), Mode: 0o600, ModTime: o.manifest.Time}); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if _, err := o.tar.Write(data); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

var errBig = errors.New("it has more than 64 MiB")

// inMemory is up to which size a file is read before its header is written, so that one that shrinks meanwhile is no trouble.
const inMemory = 1 << 20

func (o *packer) member(ctx context.Context, s *source) error {
	path, m := s.path, Member{Name: s.member}
	if s.data {
		path = filepath.Join(o.scratch, "snapshot.db")
		if _, err := os.Lstat(s.path); err != nil {
			return err
		}
		schema, err := o.plan.Snapshot(ctx, s.path, path)
		if err != nil {
			return err
		}
		defer os.Remove(path)
		m.Schema = schema
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if s.may && info.Size() > maxBeside {
		return errBig
	}
	var from io.Reader = f
	if m.Size = info.Size(); m.Size <= inMemory {
		data, err := io.ReadAll(io.LimitReader(f, inMemory))
		if err != nil {
			return err
		}
		from, m.Size = bytes.NewReader(data), int64(len(data))
	}
	m.Mode = info.Mode().Perm()
	if err := o.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: m.Name, Size: m.Size, Mode: int64(m.Mode), ModTime: info.ModTime(), Format: tar.FormatPAX}); err != nil {
		return err
	}
	sum := sha256.New()
	if n, err := io.CopyN(io.MultiWriter(o.tar, sum), from, m.Size); err != nil {
		return fmt.Errorf("after %d of %d octets: %w", n, m.Size, err)
	}
	m.SHA256 = hex.EncodeToString(sum.Sum(nil))
	o.manifest.Members = append(o.manifest.Members, m)
	return nil
}
