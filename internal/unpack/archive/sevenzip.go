package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/bodgit/sevenzip"
	"github.com/ulikunitz/xz/lzma"

	"gatepost/internal/unpack"
)

func matchSevenZip(head []byte, _ unpack.Content) bool {
	return bytes.HasPrefix(head, []byte(sevenZipMagic))
}

// matchProgramWith matches a program with an archive behind it, in its first MiB, as those that unpack themselves have.
func matchProgramWith(magic string) func([]byte, unpack.Content) bool {
	return func(head []byte, c unpack.Content) bool {
		if !bytes.HasPrefix(head, []byte("MZ")) && !bytes.HasPrefix(head, []byte("\x7fELF")) {
			return false
		}
		return bytes.Contains(c.Bytes()[:min(c.Size(), 1<<20)], []byte(magic))
	}
}

// registerDecoders puts decoders in the place of those of the library that allocate whatever a file asks for.
func registerDecoders() {
	sevenzip.RegisterDecompressor([]byte(sevenLZMA), func(p []byte, size uint64, in []io.ReadCloser) (io.ReadCloser, error) {
		if len(in) != 1 || len(p) != 5 || size > 1<<62 {
			return nil, errSeven
		}
		dictionary := min(u32(p[1:]), int64(size))
		if dictionary > maxDictionary {
			return nil, fmt.Errorf("a dictionary of %d octets: %w", dictionary, unpack.ErrTooBig)
		}
		h := []byte{p[0], byte(dictionary), byte(dictionary >> 8), byte(dictionary >> 16), byte(dictionary >> 24)}
		for i := range 8 {
			h = append(h, byte(size>>(8*i)))
		}
		r, err := lzma.ReaderConfig{DictCap: maxDictionary}.NewReader(io.MultiReader(bytes.NewReader(h), in[0]))
		return decoder{r, in[0]}, err
	})
	sevenzip.RegisterDecompressor([]byte(sevenLZMA2), func(p []byte, size uint64, in []io.ReadCloser) (io.ReadCloser, error) {
		if len(in) != 1 || len(p) != 1 || size > 1<<62 {
			return nil, errSeven
		}
		n, err := dictionaryOf(p[0], int64(size))
		if err != nil {
			return nil, err
		}
		r, err := lzma.Reader2Config{DictCap: n}.NewReader2(in[0])
		return decoder{r, in[0]}, err
	})
	sevenzip.RegisterDecompressor([]byte(sevenZstd), func(_ []byte, _ uint64, in []io.ReadCloser) (io.ReadCloser, error) {
		if len(in) != 1 {
			return nil, errSeven
		}
		r, err := newZstd(in[0])
		return decoder{r, in[0]}, err
	})
}

type decoder struct {
	io.Reader
	io.Closer
}

// openSevenZip lists a 7z by its header as it is read here, and has the library unpack what that header says.
func openSevenZip(l *lister, c unpack.Content) error {
	b := c.Bytes()
	start := max(0, bytes.Index(b[:min(len(b), 1<<20)], []byte(sevenZipMagic)))
	b = b[start:]
	room := l.w.Room()
	h, all, end, err := readSeven(b, room+1)
	switch {
	case errors.Is(err, errSevenNames):
		l.sign(unpack.Encrypted, "names")
		return nil
	case errors.Is(err, unpack.ErrTooBig):
		return l.w.Over(unpack.TooBig, l.at)
	case err != nil:
		return err
	}
	if n := int64(len(b)) - end; n > 0 {
		l.sign(unpack.Trailing, fmt.Sprintf("%d octets behind the 7z", n))
	}
	var files []*sevenzip.File
	if all <= room && all*len(h.folders) <= 1<<28 {
		err = guard(func() (err error) {
			files, err = openLibrary(b, h)
			return err
		})
		if err == nil && len(files) != len(h.files) {
			err = errSeven
		}
	}
	if err != nil {
		files = nil
	}
	if e := l.sevenFiles(h, files); e != nil {
		return e
	}
	return err
}

// openLibrary has the library read the header that was checked, and nothing else.
func openLibrary(b []byte, h *sevenHeader) ([]*sevenzip.File, error) {
	if len(h.files) == 0 {
		return nil, nil
	}
	content := int64(0)
	for _, n := range h.packed {
		content += n
	}
	if h.start > int64(len(b)) || content < 0 || h.start+content > int64(len(b)-sevenHeadSize) {
		return nil, errCut
	}
	content += h.start
	head := startHeader(content, h.plain)
	r := io.NewSectionReader(pieces{head, b[sevenHeadSize : sevenHeadSize+content], h.plain}, 0, int64(len(head)+len(h.plain))+content)
	z, err := sevenzip.NewReader(r, r.Size())
	if err != nil {
		return nil, err
	}
	return z.File, nil
}

// pieces are read as if they were one.
type pieces [][]byte

func (p pieces) ReadAt(b []byte, at int64) (int, error) {
	n := 0
	for _, piece := range p {
		if at >= int64(len(piece)) {
			at -= int64(len(piece))
			continue
		}
		n += copy(b[n:], piece[at:])
		if n == len(b) {
			return n, nil
		}
		at = 0
	}
	return n, io.EOF
}

// sevenFiles enters the files of a 7z. files are those of the library, in the same order; none where it cannot read them.
func (l *lister) sevenFiles(h *sevenHeader, files []*sevenzip.File) error {
	folder, left := 0, 0
	if len(h.folders) > 0 {
		left = h.folders[0].files
	}
	broken := map[int]bool{}
	big := false
	for i := range h.files {
		f := &h.files[i]
		e := unpack.Entry{Name: f.name, Size: 0, Folder: f.folder}
		if f.empty {
			var none io.Reader
			if !f.folder {
				none = bytes.NewReader(nil)
			}
			if err := l.enter(e, none); err != nil {
				return err
			}
			continue
		}
		for left == 0 && folder+1 < len(h.folders) {
			folder++
			left = h.folders[folder].files
		}
		left--
		e.Size = -1
		r := &sevenReader{broken: broken, folder: folder}
		switch {
		case folder >= len(h.folders):
			e.Signs = append(e.Signs, sign(unpack.Broken, "no content"))
		case h.folders[folder].encrypted():
			e.Signs = append(e.Signs, sign(unpack.Encrypted, "entries"))
		case errors.Is(h.folders[folder].memory(), unpack.ErrTooBig):
			big = true
		case files != nil:
			r.file = files[i]
			e.Size = int64(files[i].UncompressedSize & (1<<62 - 1))
			if len(h.folders) == len(h.packed) && h.folders[folder].files == 1 {
				e.Packed = h.packed[folder]
			}
		}
		if err := l.sevenFile(f, e, r); err != nil {
			return err
		}
	}
	if big {
		return l.w.Over(unpack.TooBig, l.at)
	}
	return nil
}

// sevenFile enters one file.
func (l *lister) sevenFile(f *sevenFile, e unpack.Entry, r *sevenReader) error {
	if r.file == nil {
		return l.enter(e, nil)
	}
	defer r.close()
	var content io.Reader = r
	if f.attr&0x8000 != 0 && f.attr>>16&0xf000 == 0xa000 { // a link, whose content is what it points to
		target, _ := io.ReadAll(io.LimitReader(&calm{r: r}, longName))
		e.Signs = append(e.Signs, points(path.Dir(plain(f.name)), string(target))...)
		content = io.MultiReader(bytes.NewReader(target), r)
	}
	return l.enter(e, content)
}

// sevenReader reads a file of the library. Where a folder fails, the rest of it fails at once: the library would unpack it anew
// for each of its files.
type sevenReader struct {
	file   *sevenzip.File
	broken map[int]bool
	folder int
	rc     io.ReadCloser
	r      io.Reader
}

func (s *sevenReader) Read(p []byte) (n int, err error) {
	if s.broken[s.folder] {
		return 0, errors.New("what is before it is broken")
	}
	failed := true
	defer func() {
		if failed {
			s.broken[s.folder] = true
		}
	}()
	if s.rc == nil {
		if s.rc, err = s.file.Open(); err != nil {
			return 0, err
		}
		s.r = s.rc
		if s.file.CRC32 != 0 {
			s.r = &checked{r: s.rc, crc: s.file.CRC32, size: int64(s.file.UncompressedSize)}
		}
	}
	n, err = s.r.Read(p)
	failed = err != nil && err != io.EOF
	return n, err
}

func (s *sevenReader) close() {
	if s.rc != nil {
		_ = guard(s.rc.Close)
	}
}
