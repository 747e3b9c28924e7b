package archive

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz/lzma"

	"gatepost/internal/unpack"
)

// openGzip opens a gzip file (RFC 1952): all its members are one content, as gunzip writes it.
func openGzip(l *lister, c unpack.Content) error {
	b := c.Bytes()
	outer := inner(l.name(), ".gz", ".tgz=.tar", ".svgz=.svg", ".z", ".gzip")
	g := &gzipReader{src: bytes.NewReader(b)}
	if err := g.next(); err != nil {
		return err
	}
	e := unpack.Entry{Name: outer, Packed: int64(len(b)), Size: -1}
	if told := g.z.Name; told != "" {
		e.Name = told
		if outer != l.name() {
			e.Names = []string{outer}
		}
		if a, z := path.Ext(outer), path.Ext(told); !strings.EqualFold(a, z) && a != "" && z != "" && outer != l.name() {
			l.sign(unpack.NameTwice, "by its own name "+outer+", by the name in it "+told)
		}
	}
	if err := l.enter(e, g); err != nil {
		return err
	}
	if rest := bytes.Trim(b[len(b)-g.src.Len():], "\x00"); g.done && len(rest) > 0 {
		l.sign(unpack.Trailing, fmt.Sprintf("%d octets behind the last member", len(rest)))
	}
	return nil
}

// gzipReader reads members as long as there are any; what is behind them is left where it lies.
type gzipReader struct {
	src  *bytes.Reader
	z    *gzip.Reader
	done bool
}

// next starts a member.
func (g *gzipReader) next() (err error) {
	if g.z == nil {
		g.z, err = gzip.NewReader(g.src)
	} else {
		err = g.z.Reset(g.src)
	}
	if err != nil {
		return err
	}
	g.z.Multistream(false)
	return nil
}

func (g *gzipReader) Read(p []byte) (int, error) {
	if g.done {
		return 0, io.EOF
	}
	for {
		n, err := g.z.Read(p)
		if err != io.EOF {
			return n, err
		}
		var m [2]byte
		if k, _ := g.src.ReadAt(m[:], g.src.Size()-int64(g.src.Len())); k < 2 || m != [2]byte{0x1f, 0x8b} {
			g.done = true
			return n, io.EOF
		}
		if err := g.next(); err != nil || n > 0 {
			return n, err
		}
	}
}

func matchBzip2(head []byte, _ unpack.Content) bool {
	return len(head) > 9 && string(head[:3]) == "BZh" && head[3] >= '1' && head[3] <= '9' && (string(head[4:8]) == "1AY&" || string(head[4:8]) == "\x17rE8")
}

func openBzip2(l *lister, c unpack.Content) error {
	e := unpack.Entry{Name: inner(l.name(), ".bz2", ".bz", ".tbz2=.tar", ".tbz=.tar", ".tb2=.tar"), Packed: c.Size(), Size: -1}
	return l.enter(e, bzip2.NewReader(bytes.NewReader(c.Bytes())))
}

func openXZ(l *lister, c unpack.Content) error {
	x := &xzReader{b: c.Bytes()}
	if err := l.enter(unpack.Entry{Name: inner(l.name(), ".xz", ".txz=.tar"), Packed: c.Size(), Size: -1}, x); err != nil {
		return err
	}
	if n := len(x.b) - x.at; x.ended && n > 0 {
		l.sign(unpack.Trailing, fmt.Sprintf("%d octets behind the last stream", n))
	}
	return nil
}

// matchZstd matches a frame of zstd, or frames to be skipped before one (RFC 8878 section 3.1).
func matchZstd(_ []byte, c unpack.Content) bool {
	b := c.Bytes()
	for range 8 {
		switch {
		case len(b) < 8:
			return false
		case u32(b) == 0xfd2fb528:
			return true
		case u32(b)&^0xf != 0x184d2a50 || u32(b[4:]) > int64(len(b)-8):
			return false
		}
		b = b[8+u32(b[4:]):]
	}
	return false
}

func openZstd(l *lister, c unpack.Content) error {
	z, err := newZstd(bytes.NewReader(c.Bytes()))
	if err != nil {
		return err
	}
	return l.enter(unpack.Entry{Name: inner(l.name(), ".zst", ".tzst=.tar", ".zstd"), Packed: c.Size(), Size: -1}, z)
}

// zstdReader says of a window that is too large that it is.
type zstdReader struct{ d *zstd.Decoder }

// newZstd is a decoder of zstd that starts no goroutines.
func newZstd(r io.Reader) (io.Reader, error) {
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxDictionary))
	if err != nil {
		return nil, tooBig(err)
	}
	return zstdReader{d}, nil
}

func (z zstdReader) Read(p []byte) (int, error) {
	n, err := z.d.Read(p)
	return n, tooBig(err)
}

func tooBig(err error) error {
	if errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		return fmt.Errorf("%w: %w", unpack.ErrTooBig, err)
	}
	return err
}

// openLzip opens members of lzip: LZMA with fixed properties, a mark at its end, and 20 octets behind.
func openLzip(l *lister, c unpack.Content) error {
	r := &lzipReader{src: bufio.NewReader(bytes.NewReader(c.Bytes()))}
	return l.enter(unpack.Entry{Name: inner(l.name(), ".lz", ".tlz=.tar"), Packed: c.Size(), Size: -1}, r)
}

type lzipReader struct {
	src *bufio.Reader
	z   io.Reader
}

func (r *lzipReader) Read(p []byte) (int, error) {
	for {
		if r.z == nil {
			h, err := r.src.Peek(6)
			if err != nil || string(h[:4]) != "LZIP" {
				return 0, io.EOF
			}
			size := int64(1) << (h[5] & 31)
			size -= size / 16 * int64(h[5]>>5)
			if size > maxDictionary {
				return 0, fmt.Errorf("a dictionary of %d octets: %w", size, unpack.ErrTooBig)
			}
			_, _ = r.src.Discard(6)
			head := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32([]byte{0x5d}, uint32(size)), 1<<64-1)
			r.z, err = lzma.ReaderConfig{DictCap: maxDictionary}.NewReader(&prefixed{head, r.src})
			if err != nil {
				return 0, err
			}
		}
		n, err := r.z.Read(p)
		if err != io.EOF {
			return n, err
		}
		r.z = nil
		if _, err := r.src.Discard(20); err != nil {
			return n, errCut
		}
		if n > 0 {
			return n, nil
		}
	}
}

// prefixed reads some octets and then the rest, and octet by octet without reading ahead.
type prefixed struct {
	head []byte
	*bufio.Reader
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.head) > 0 {
		n := copy(b, p.head)
		p.head = p.head[n:]
		return n, nil
	}
	return p.Reader.Read(b)
}

func (p *prefixed) ReadByte() (byte, error) {
	if len(p.head) > 0 {
		c := p.head[0]
		p.head = p.head[1:]
		return c, nil
	}
	return p.Reader.ReadByte()
}
