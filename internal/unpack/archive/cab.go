package archive

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"sort"
	"strings"

	"gatepost/internal/unpack"
)

// cabFolder is content of a cabinet that is packed as one: blocks of at most 32 KiB (MS-CAB).
type cabFolder struct {
	b       []byte // the cabinet
	start   int64
	blocks  int
	method  int
	reserve int64 // octets of each block's header that nobody reads

	at    int64
	left  int
	pos   int64  // octets that were read
	out   []byte // what is left of a block
	past  []byte // the last 32 KiB, which MSZIP goes on from
	inflt io.ReadCloser
	err   error
}

type cabFile struct {
	name         string
	size, offset int64
	folder       int
}

// openCab opens a cabinet.
func openCab(l *lister, c unpack.Content) error {
	b := c.Bytes()
	folders, files, err := readCab(b, l.w.Room()+1)
	if err != nil && len(files) == 0 {
		return err
	}
	sort.SliceStable(files, func(i, j int) bool {
		a, z := files[i], files[j]
		return a.folder < z.folder || a.folder == z.folder && a.offset < z.offset
	})
	if n := u32(b[8:]); n < int64(len(b)) && len(bytes.Trim(b[n:], "\x00")) > 0 {
		l.sign(unpack.Trailing, "octets behind the cabinet")
	}
	for i := range files {
		f := &files[i]
		e := unpack.Entry{Name: f.name, Size: f.size}
		switch {
		case f.folder >= len(folders):
			e.Signs = append(e.Signs, sign(unpack.Broken, "a part of it is in another cabinet"))
		case folders[f.folder].method > 1:
			e.Signs = append(e.Signs, sign(unpack.Broken, map[int]string{2: "method Quantum", 3: "method LZX"}[folders[f.folder].method]+" cannot be unpacked"))
		}
		var r io.Reader
		if e.Signs == nil {
			folder := &folders[f.folder]
			if f.offset < folder.pos {
				l.sign(unpack.Broken, "files share their content: "+f.name)
			}
			if r, err = folder.file(l.w, f); err != nil {
				return err
			}
		}
		if err := l.enter(e, r); err != nil {
			return err
		}
	}
	return err
}

// readCab reads the lists of a cabinet, of files at most so many.
func readCab(b []byte, most int) (folders []cabFolder, files []cabFile, err error) {
	if len(b) < 36 {
		return nil, nil, errCut
	}
	n, flags, at := u16(b[26:]), u16(b[30:]), 36
	header, folder, data := 0, 0, 0
	if flags&4 != 0 {
		if len(b) < 40 {
			return nil, nil, errCut
		}
		header, folder, data = u16(b[36:]), int(b[38]), int(b[39])
		at = 40 + header
	}
	for bit := 1; bit <= 2; bit++ {
		for range 2 * (flags >> (bit - 1) & 1) { // the names of another cabinet and of its disk
			i := -1
			if at < len(b) {
				i = bytes.IndexByte(b[at:], 0)
			}
			if i < 0 {
				return nil, nil, errCut
			}
			at += i + 1
		}
	}
	for range n {
		if at+8+folder > len(b) {
			return nil, nil, errCut
		}
		f := cabFolder{b: b, start: u32(b[at:]), blocks: u16(b[at+4:]), method: u16(b[at+6:]) & 15, reserve: int64(data)}
		f.at, f.left = f.start, f.blocks
		folders = append(folders, f)
		at += 8 + folder
	}
	p := u32(b[16:])
	for i := 0; i < u16(b[28:]) && i < most; i++ {
		if p+17 > int64(len(b)) {
			return folders, files, errCut
		}
		h := b[p:]
		name := h[16:min(len(h), 16+4*longName)]
		end := bytes.IndexByte(name, 0)
		if end < 0 {
			return folders, files, errCut
		}
		f := cabFile{size: u32(h), offset: u32(h[4:]), folder: u16(h[8:])}
		if u16(h[14:])&0x80 != 0 {
			f.name = strings.ToValidUTF8(string(name[:end]), "\uFFFD")
		} else {
			f.name = dosName(name[:end])
		}
		files = append(files, f)
		p += 16 + int64(end) + 1
	}
	return folders, files, nil
}

// file goes to where a file starts, and reads as long as it is.
func (f *cabFolder) file(w *unpack.Walk, file *cabFile) (io.Reader, error) {
	if file.offset < f.pos {
		f.at, f.left, f.pos, f.out, f.past, f.err = f.start, f.blocks, 0, nil, nil, nil
	}
	var skip [4096]byte
	for f.pos < file.offset && f.err == nil {
		if err := w.Check(); err != nil {
			return nil, err
		}
		_, _ = f.Read(skip[:min(int64(len(skip)), file.offset-f.pos)])
	}
	return &exactly{io.LimitReader(f, file.size), file.size}, nil
}

// exactly fails where there is less than promised.
type exactly struct {
	r    io.Reader
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.left -= int64(n)
	if err == io.EOF && e.left > 0 {
		err = errCut
	}
	return n, err
}

func (f *cabFolder) Read(p []byte) (int, error) {
	for len(f.out) == 0 {
		if f.err != nil {
			return 0, f.err
		}
		f.err = f.block()
	}
	n := copy(p, f.out)
	f.out = f.out[n:]
	f.pos += int64(n)
	return n, nil
}

// block unpacks the next block.
func (f *cabFolder) block() error {
	if f.left == 0 {
		return io.EOF
	}
	f.left--
	if f.at < 0 || f.at+8+f.reserve > int64(len(f.b)) {
		return errCut
	}
	h := f.b[f.at:]
	packed, size := int64(u16(h[4:])), u16(h[6:])
	h = h[8+f.reserve:]
	if packed > int64(len(h)) {
		return errCut
	}
	f.at += 8 + f.reserve + packed
	h = h[:packed]
	if f.method == 0 {
		f.out = h
		return nil
	}
	if len(h) < 2 || string(h[:2]) != "CK" {
		return errors.New("a block of MSZIP is broken")
	}
	src := bytes.NewReader(h[2:])
	if f.inflt == nil {
		f.inflt = flate.NewReaderDict(src, f.past)
	} else if err := f.inflt.(flate.Resetter).Reset(src, f.past); err != nil {
		return err
	}
	out := make([]byte, 0, 32<<10)
	for len(out) < size && len(out) < cap(out) {
		n, err := f.inflt.Read(out[len(out):min(size, cap(out))])
		out = out[:len(out)+n]
		if err != nil {
			break
		}
	}
	if len(out) != size {
		return errors.New("a block of MSZIP is broken")
	}
	all := append(f.past[:len(f.past):len(f.past)], out...)
	f.out, f.past = out, all[max(0, len(all)-32<<10):]
	return nil
}
