package backup

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"slices"
)

// Known says which migrations of a member this program knows, by the member's name; nil: it has none that matter.
type Known func(member string) []int

// Verify reads a backup from its beginning to its end: that the key opens it, that nothing was changed or cut off, that each member is as the
// manifest says, and that none is of a schema that this program does not know. Nothing is written.
func Verify(ctx context.Context, r io.Reader, key Key, known Known) (*Manifest, error) {
	return walk(ctx, r, key, known, func(*tar.Header) (io.WriteCloser, error) { return nil, nil })
}

// walk reads a backup, and gives each member to where take says; nil: nowhere.
func walk(ctx context.Context, r io.Reader, key Key, known Known, take func(*tar.Header) (io.WriteCloser, error)) (*Manifest, error) {
	open, err := key.open(bufio.NewReaderSize(r, 1<<16))
	if err != nil {
		return nil, err
	}
	packed, err := gzip.NewReader(open)
	if err != nil {
		return nil, wrong(err)
	}
	in := &unpacker{ctx: ctx, tar: tar.NewReader(packed), take: take, found: map[string]found{}}
	m, err := in.all()
	if err != nil {
		return nil, err
	}
	// What is behind the archive belongs to the file as well: age tells its end only when it is read.
	if n, err := io.Copy(io.Discard, packed); err != nil || n > 1<<20 {
		return nil, wrong(errors.Join(err, errors.New("something is behind its end")))
	}
	if n, err := io.Copy(io.Discard, open); err != nil || n > 0 {
		return nil, wrong(errors.Join(err, errors.New("something is behind its end")))
	}
	if err := in.compare(m); err != nil {
		return nil, err
	}
	return m, newer(m, known)
}

// newer refuses a database with a migration that we do not know.
func newer(m *Manifest, known Known) error {
	for i := range m.Members {
		x := &m.Members[i]
		ours := known(x.Name)
		for _, n := range x.Schema {
			if !slices.Contains(ours, n) {
				return fmt.Errorf("%w (%s; %s has migration %d, which this program does not know): restore it with that version or a later one", ErrNewer, text(m.Version), text(x.Name), n)
			}
		}
	}
	return nil
}

// found is what was read of a member.
type found struct {
	size int64
	sum  [sha256.Size]byte
}

type unpacker struct {
	ctx   context.Context
	tar   *tar.Reader
	take  func(*tar.Header) (io.WriteCloser, error)
	found map[string]found
}

// all reads up to the manifest, which is last.
func (u *unpacker) all() (*Manifest, error) {
	head := new(Head)
	if err := u.text(headName, maxHead, head); err != nil {
		return nil, err
	}
	if head.Form > form {
		return nil, fmt.Errorf("%w: %s", ErrNewer, text(head.Version))
	}
	for {
		if err := u.ctx.Err(); err != nil {
			return nil, fmt.Errorf("backup: %w", err)
		}
		h, err := u.tar.Next()
		if err != nil {
			return nil, wrong(err) // the end too: the manifest comes first
		}
		if h.Name == manifestName {
			m := new(Manifest)
			if err := u.decode(h, maxManifest, m); err != nil {
				return nil, err
			}
			if _, err := u.tar.Next(); err != io.EOF {
				return nil, wrong(errors.Join(err, errors.New("something is behind the manifest")))
			}
			if m.Version != head.Version || m.Host != head.Host || !m.Time.Equal(head.Time) {
				return nil, wrong(errors.New("its head and its manifest are of two backups"))
			}
			return m, m.check()
		}
		if err := u.member(h); err != nil {
			return nil, err
		}
	}
}

func (u *unpacker) member(h *tar.Header) (err error) {
	if _, twice := u.found[h.Name]; twice || h.Typeflag != tar.TypeReg || !fit(h.Name) || len(u.found) >= maxMembers {
		return wrong(fmt.Errorf("%q is no member that can be in it", text(h.Name)))
	}
	sum := sha256.New()
	to, err := u.take(h)
	if err != nil {
		return err
	}
	n, err := u.copy(to, sum)
	if err != nil {
		return err
	}
	u.found[h.Name] = found{n, [sha256.Size]byte(sum.Sum(nil))}
	return nil
}

// copy reads a member to a file, if there is one, and tells what is wrong with the backup from what is wrong with the disk.
func (u *unpacker) copy(to io.WriteCloser, sum hash.Hash) (n int64, err error) {
	if to == nil {
		if n, err = io.Copy(sum, u.tar); err != nil {
			err = wrong(err)
		}
		return n, err
	}
	in := &watched{r: u.tar}
	n, err = io.Copy(io.MultiWriter(to, sum), in)
	if err = errors.Join(err, to.Close()); err == nil {
		return n, nil
	}
	if in.err != nil {
		return n, wrong(err)
	}
	return n, fmt.Errorf("backup: %w", err)
}

// watched remembers that reading failed, and not writing.
type watched struct {
	r   io.Reader
	err error
}

func (s *watched) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// text reads a member of our own that must be next.
func (u *unpacker) text(name string, most int64, into any) error {
	h, err := u.tar.Next()
	if err != nil {
		return wrong(err)
	}
	if h.Name != name {
		return wrong(fmt.Errorf("it begins with %q", text(h.Name)))
	}
	return u.decode(h, most, into)
}

func (u *unpacker) decode(h *tar.Header, most int64, into any) error {
	if h.Typeflag != tar.TypeReg || h.Size > most {
		return wrong(fmt.Errorf("%s has %d octets", h.Name, h.Size))
	}
	data, err := io.ReadAll(u.tar)
	if err != nil {
		return wrong(err)
	}
	return read(data, into)
}

// compare holds what was read against the manifest.
func (u *unpacker) compare(m *Manifest) error {
	if len(u.found) != len(m.Members) {
		return wrong(fmt.Errorf("it has %d files, and its manifest names %d", len(u.found), len(m.Members)))
	}
	for i := range m.Members {
		x := &m.Members[i]
		if f, ok := u.found[x.Name]; !ok || f.size != x.Size || hex.EncodeToString(f.sum[:]) != x.SHA256 {
			return wrong(fmt.Errorf("%s is not what the manifest says", text(x.Name)))
		}
	}
	return nil
}

// wrong wraps what is wrong with a backup itself. A reader that failed by itself is not the backup's fault.
func wrong(err error) error {
	if err == nil || errors.Is(err, ErrNoBackup) {
		return err
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("backup: %w", e)
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w: %w", ErrNoBackup, err)
}
