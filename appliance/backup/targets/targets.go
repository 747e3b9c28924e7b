// Package targets brings backups to where they are kept: a folder of this machine, one of another machine by SFTP, or a bucket by S3, and removes the
// oldest there.
//
// A backup has its name at a target once it is whole there and, where the target can say so, on its disk. What a broken transfer left is removed by the next.
// The package opens no backup and reads no configuration. SFTP is draft-ietf-secsh-filexfer-02 over RFC 4251 to 4254; S3
// has no standard but Amazon's documents.
package targets

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"gatepost/appliance/backup"
)

// half is what a name at a target ends in until the backup is whole there.
const half = ".part"

// Place is a target that is open.
type Place interface {
	// Put brings a file there under a name, whole or not at all. It replaces one of the same name.
	Put(ctx context.Context, name string, from io.Reader, size int64) error
	// Names are those of the files there that begin so, with half behind the name of what is not whole.
	Names(begin string) ([]string, error)
	// Remove removes one of them.
	Remove(name string) error
	Close() error
}

// Opener opens a target. Whoever opens it closes it.
type Opener func(ctx context.Context) (Place, error)

// Bring brings the file of a backup, named as backup.FileName does, to a target, and then removes those of the same host that are older than the
// newest keep of them. What cannot be removed is an error, with the new one there.
func Bring(ctx context.Context, open Opener, file, name string, keep int) (err error) {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	to, err := open(ctx)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	host, _, ok := backup.ParseName(name)
	if !ok {
		return fmt.Errorf("target: %q is no name of a backup", name)
	}
	if err := to.Put(ctx, name, f, info.Size()); err != nil {
		return fmt.Errorf("target: %w", err)
	}
	if err := thin(to, host, keep); err != nil {
		return fmt.Errorf("target: the backup is there; older ones cannot be removed: %w", err)
	}
	return nil
}

// thin removes the oldest backups of a host beyond the newest, and what broken transfers of it left.
func thin(to Place, host string, keep int) error {
	all, err := to.Names(backup.FilesOf(host))
	if err != nil {
		return err
	}
	type aged struct {
		name string
		at   time.Time
	}
	var ours []aged
	for _, name := range all {
		whole, broken := strings.CutSuffix(name, half)
		of, at, ok := backup.ParseName(whole)
		switch {
		case !ok || of != host:
		case broken:
			if err := to.Remove(name); err != nil {
				return err
			}
		default:
			ours = append(ours, aged{name, at})
		}
	}
	slices.SortFunc(ours, func(a, b aged) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(b.name, a.name)) })
	for _, x := range ours[min(len(ours), max(keep, 1)):] {
		if err := to.Remove(x.name); err != nil {
			return err
		}
	}
	return nil
}

// reader ends with the context.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
