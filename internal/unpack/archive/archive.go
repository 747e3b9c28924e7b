// Package archive opens archives and packed files for internal/unpack: each entry's name is counted, each content is looked
// into within the limits of the walk, and nothing is ever written to a disk. It runs in the process of unpack.Serve.
//
// What tools disagree about is what attackers use: an archive is therefore read in every way that a tool may read it (a ZIP by
// its directory and by its local headers, an ISO by both of its trees), and where two readings differ both are told. No
// password is ever tried, nothing is repaired, and no dictionary larger than maxDictionary is allocated.
package archive

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"

	"gatepost/internal/unpack"
)

// maxDictionary is the largest dictionary or window of a packer, in octets, that is allocated: what xz -9 and 7z ask for.
const maxDictionary = 64 << 20

// Formats are the formats of this package, in the order in which they are to be asked: those of one subject (office documents,
// which are ZIP too) come before them.
func Formats() []unpack.Format {
	registerDecoders()
	return []unpack.Format{
		format{"zip", matchZip, openZip},
		format{"7z", matchSevenZip, openSevenZip},
		format{"rar", matchRar, openRar},
		format{"gzip", magic("\x1f\x8b"), openGzip},
		format{"bzip2", matchBzip2, openBzip2},
		format{"xz", magic(xzMagic), openXZ},
		format{"zstd", matchZstd, openZstd},
		format{"lzip", magic("LZIP\x01"), openLzip},
		format{"cab", magic("MSCF\x00\x00\x00\x00"), openCab},
		format{"iso", matchISO, openISO},
		format{"tar", matchTar, openTar},
		format{"ar", magic("!<arch>\n"), openAr},
		format{"cpio", matchCpio, openCpio},
		format{"rpm", magic("\xed\xab\xee\xdb"), openRPM},
		format{"archive", matchForeign, openForeign},
		behind{format{"zip", matchZipBehind, openZip}},
		behind{format{"zip", matchZip, openUnlisted}},
		behind{format{"7z", matchProgramWith(sevenZipMagic), openSevenZip}},
		behind{format{"rar", matchProgramWith(rarMagic), openRar}},
	}
}

// format is a unpack.Format.
type format struct {
	name  string
	match func(head []byte, c unpack.Content) bool
	open  func(l *lister, c unpack.Content) error
}

func (f format) Name() string                             { return f.name }
func (f format) Match(head []byte, c unpack.Content) bool { return f.match(head, c) }
func (f format) Open(w *unpack.Walk, at int, c unpack.Content) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its reader gave up: %v", p)
		}
	}()
	switch f.name {
	case "rar", "zstd", "lzip", "ar", "cpio", "rpm": // ClamAV opens none of these, and RAR only with a reader that is not free
		w.Unscanned(at)
	}
	return f.open(&lister{w: w, at: at, seed: maphash.MakeSeed(), seen: map[uint64]bool{}}, c)
}

// behind is a format that may lie behind another.
type behind struct{ format }

func (behind) Behind() {}

// magic matches content by its first octets.
func magic(m string) func([]byte, unpack.Content) bool {
	return func(head []byte, _ unpack.Content) bool { return len(head) >= len(m) && string(head[:len(m)]) == m }
}

// lister enters what an archive holds.
type lister struct {
	w    *unpack.Walk
	at   int
	unix bool // names as Unix has them: a colon is a letter, and one name may come twice
	seed maphash.Seed
	seen map[uint64]bool // hashes of the names
}

// sign adds a sign to the archive.
func (l *lister) sign(k unpack.Kind, text string) { l.w.Sign(l.at, k, text) }

// name is how the archive itself is called.
func (l *lister) name() string { return l.w.Object(l.at).Name }

// enter looks at an entry. r is nil where its content cannot be had.
func (l *lister) enter(e unpack.Entry, r io.Reader) error {
	e.Signs = append(e.Signs, tricks(e.Name, l.unix)...)
	for _, other := range e.Names {
		e.Signs = append(e.Signs, tricks(other, l.unix)...)
	}
	if !e.Folder && !l.unix {
		h := maphash.String(l.seed, plain(e.Name))
		if l.seen[h] {
			l.sign(unpack.NameTwice, e.Name)
		}
		l.seen[h] = true
	}
	if len(e.Signs) > 16 {
		e.Signs = e.Signs[:16]
	}
	if r == nil {
		return l.w.Enter(l.at, e, nil)
	}
	return l.w.Enter(l.at, e, &calm{r: r})
}

// calm turns a panic of a reader into an error, for the decoders of others.
type calm struct {
	r   io.Reader
	err error
}

func (c *calm) Read(p []byte) (n int, err error) {
	if c.err != nil {
		return 0, c.err
	}
	defer func() {
		if p := recover(); p != nil {
			n, c.err = 0, fmt.Errorf("its decoder gave up: %v", p)
			err = c.err
		}
	}()
	return c.r.Read(p)
}

// guard turns a panic into an error, for the parsers of others.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its reader gave up: %v", p)
		}
	}()
	return f()
}

// errCut says that an archive ends too early.
var errCut = errors.New("it is cut off")

func sign(k unpack.Kind, text string) unpack.Sign {
	return unpack.Sign{Kind: k, Text: unpack.Clean(text)}
}

// u16, u32 and u64 read little-endian numbers; who calls has made sure that they are there.
func u16(b []byte) int    { return int(b[0]) | int(b[1])<<8 }
func u32(b []byte) int64  { return int64(u16(b)) | int64(u16(b[2:]))<<16 }
func u64(b []byte) uint64 { return uint64(u32(b)) | uint64(u32(b[4:]))<<32 }
