package archive

import (
	"bytes"
	"compress/bzip2"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"

	"github.com/ulikunitz/xz/lzma"

	"gatepost/internal/unpack"
)

func crc32Of(b []byte) uint32 { return crc32.ChecksumIEEE(b) }

// matchZip matches a ZIP that starts as one: with an entry, the mark of a spanned one, or the end of an empty one.
func matchZip(head []byte, _ unpack.Content) bool {
	return bytes.HasPrefix(head, []byte(zipLocal)) || bytes.HasPrefix(head, []byte(zipEnd)) || bytes.HasPrefix(head, []byte("PK00"+zipLocal)) ||
		bytes.HasPrefix(head, []byte(zipData+zipLocal))
}

// matchZipBehind matches a ZIP behind something else: a program, a picture, anything but what holds files as they are, where the
// end of a ZIP is that of one of them.
func matchZipBehind(head []byte, c unpack.Content) bool {
	if matchZip(head, c) || matchTar(head, c) || matchISO(head, c) || matchCpio(head, c) || bytes.HasPrefix(head, []byte("!<arch>")) || bytes.HasPrefix(head, []byte("\xd0\xcf\x11\xe0")) {
		return false
	}
	b := c.Bytes()
	z := &zipFile{}
	end, _, ok := z.findEnd(b)
	return ok && directory(b, end).entries > 0 && (z.tail(b, end) == 0 || !bytes.HasPrefix(head, []byte("%PDF")))
}

func openZip(l *lister, c unpack.Content) error {
	b := c.Bytes()
	z := readZip(b, l.w.Room()+1)
	for _, s := range z.signs {
		l.sign(s.Kind, s.Text)
	}
	if z.before > 0 {
		l.sign(unpack.Trailing, fmt.Sprintf("%d octets before the ZIP", z.before))
	}
	if z.behind > 0 {
		l.sign(unpack.Trailing, fmt.Sprintf("%d octets behind the ZIP", z.behind))
	}
	if z.odd() {
		l.w.Unscanned(l.at)
	}
	if len(z.members) == 0 && z.before == 0 && len(z.signs) > 0 {
		return nil // it is told already
	}
	for i := range z.members {
		if err := l.member(b, &z.members[i]); err != nil {
			return err
		}
	}
	return nil
}

// openUnlisted looks at what is told twice in a ZIP that was opened by the names of its directory only, as a document is.
func openUnlisted(l *lister, c unpack.Content) error {
	if l.w.Object(l.at).Format == "zip" {
		return nil
	}
	b := c.Bytes()
	z := readZip(b, l.w.Room()+1)
	for _, s := range z.signs {
		if s.Kind == unpack.NameTwice {
			l.sign(s.Kind, s.Text)
		}
	}
	for i := range z.members {
		if m := &z.members[i]; !m.central || m.unicode != "" || len(m.others) > 0 {
			if err := l.member(b, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// odd reports whether other readers may see other entries, or cannot unpack one.
func (z *zipFile) odd() bool {
	for i := range z.members {
		switch z.members[i].method {
		case 0, 8, 9, 12:
		default:
			return true
		}
	}
	return z.before > 0 || z.behind > 0 || len(z.signs) > 0
}

// member enters one entry of a ZIP.
func (l *lister) member(b []byte, m *member) error {
	e := unpack.Entry{Name: m.name, Packed: max(0, m.packed), Size: m.size, Folder: m.folder()}
	if m.unicode != "" {
		l.sign(unpack.NameTwice, m.name+", in Unicode "+m.unicode)
		e.Name = m.unicode
	}
	e.Names = append(m.others, m.name)
	var r io.Reader
	switch {
	case m.flags&1 != 0 || m.aes:
		e.Signs = append(e.Signs, sign(unpack.Encrypted, "entries"))
	case m.data < 0:
	case e.Folder && m.size <= 0:
	default:
		var err error
		if r, err = m.open(b); err != nil {
			if errors.Is(err, unpack.ErrTooBig) {
				r = failed{err}
			} else {
				e.Signs = append(e.Signs, sign(unpack.Broken, err.Error()))
			}
		}
	}
	if m.mode&0xf000 == 0xa000 && r != nil {
		target, _ := io.ReadAll(io.LimitReader(r, longName))
		e.Signs = append(e.Signs, points(path.Dir(plain(m.name)), string(target))...)
		r = bytes.NewReader(target)
	}
	return l.enter(e, r)
}

// failed is a reader that fails.
type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }

// open unpacks the content of an entry, and sees that it is what the directory says.
func (m *member) open(b []byte) (io.Reader, error) {
	rest := b[m.data:]
	if m.packed >= 0 {
		rest = rest[:min(m.packed, int64(len(rest)))]
	}
	r, err := m.decoder(rest)
	if err != nil {
		return nil, err
	}
	if m.packed > int64(len(rest)) {
		r = io.MultiReader(r, failed{errCut})
	}
	if m.crc < 0 {
		return r, nil
	}
	return &checked{r: r, crc: uint32(m.crc), size: m.size}, nil
}

// decoder is the method of an entry (APPNOTE.TXT section 4.4.5).
func (m *member) decoder(b []byte) (io.Reader, error) {
	switch m.method {
	case 0:
		return bytes.NewReader(b), nil
	case 8:
		return flate.NewReader(bytes.NewReader(b)), nil
	case 12:
		return bzip2.NewReader(bytes.NewReader(b)), nil
	case 14:
		if len(b) < 9 || u16(b[2:]) != 5 {
			return nil, errors.New("lzma: no properties")
		}
		size := m.size
		if m.flags&2 != 0 {
			size = -1 // it has a mark at its end
		}
		return newLZMA(b[4:9], size, b[9:])
	case 93:
		return newZstd(bytes.NewReader(b))
	case 95:
		return &xzReader{b: b}, nil
	}
	return nil, fmt.Errorf("method %d cannot be unpacked", m.method)
}

// newLZMA is a decoder of LZMA with five octets of properties apart. size is -1 where a mark ends it. A dictionary larger than
// the content is as good as one of its size, which keeps a small file from asking for much.
func newLZMA(properties []byte, size int64, b []byte) (io.Reader, error) {
	dictionary := u32(properties[1:])
	if size >= 0 {
		dictionary = min(dictionary, size)
	}
	if dictionary > maxDictionary {
		return nil, fmt.Errorf("a dictionary of %d octets: %w", dictionary, unpack.ErrTooBig)
	}
	h := []byte{properties[0]}
	h = binary.LittleEndian.AppendUint32(h, uint32(dictionary))
	h = binary.LittleEndian.AppendUint64(h, uint64(size))
	return lzma.ReaderConfig{DictCap: maxDictionary}.NewReader(io.MultiReader(bytes.NewReader(h), bytes.NewReader(b)))
}

// checked compares content with its checksum and its size when it ends.
type checked struct {
	r    io.Reader
	crc  uint32
	size int64 // -1: not known
	have uint32
	n    int64
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.have = crc32.Update(c.have, crc32.IEEETable, p[:n])
	c.n += int64(n)
	if err == io.EOF {
		switch {
		case c.have != c.crc:
			err = errors.New("the checksum is wrong")
		case c.size >= 0 && c.n != c.size:
			err = fmt.Errorf("%d octets are promised and %d are there", c.size, c.n)
		}
	}
	return n, err
}
