package archive

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/ulikunitz/xz/lzma"

	"gatepost/internal/unpack"
)

const (
	sevenZipMagic = "7z\xbc\xaf\x27\x1c"
	sevenHeadSize = 32
	sevenHeaderAt = 16 << 20 // octets of a header that are read

	maxCoders  = 32
	maxStreams = 32
)

// The properties of a 7z header (7zFormat.txt).
const (
	k7End, k7Header, k7Archive, k7Additional, k7Main, k7Files = 0, 1, 2, 3, 4, 5
	k7Pack, k7Unpack, k7SubStreams, k7Size, k7CRC, k7Folder   = 6, 7, 8, 9, 10, 11
	k7CodersSize, k7NumStreams, k7EmptyStream, k7EmptyFile    = 12, 13, 14, 15
	k7Names, k7Attributes, k7Encoded                          = 17, 21, 23
)

var errSeven = errors.New("the header is broken")

// sevenHeader is the header of a 7z as it is read here, before the library reads it again: it takes each count for its word and
// allocates that much.
type sevenHeader struct {
	plain   []byte // the header, unpacked
	folders []sevenFolder
	packed  []int64 // sizes of the packed streams
	start   int64   // of them, behind the first 32 octets
	files   []sevenFile
	streams int // files with content
}

type sevenFolder struct {
	coders  []sevenCoder
	in, out int
	sizes   []int64
	packs   int
	files   int
}

type sevenCoder struct {
	id         string
	properties []byte
	out        int
}

type sevenFile struct {
	name   string
	empty  bool // without content
	folder bool
	attr   int64
}

// The methods that matter here.
const (
	sevenCopy  = "\x00"
	sevenLZMA  = "\x03\x01\x01"
	sevenLZMA2 = "\x21"
	sevenPPMd  = "\x03\x04\x01"
	sevenZstd  = "\x04\xf7\x11\x01"
	sevenAES   = "\x06\xf1\x07\x01"
)

func (f *sevenFolder) encrypted() bool {
	for _, c := range f.coders {
		if len(c.id) >= 2 && c.id[:2] == "\x06\xf1" {
			return true
		}
	}
	return false
}

// memory is what the dictionaries of a folder take together; an error where one is out of range or they are too large.
func (f *sevenFolder) memory() error {
	total := int64(0)
	for i, c := range f.coders {
		size := f.sizes[min(i, len(f.sizes)-1)]
		need := int64(0)
		switch {
		case c.id == sevenLZMA2 && len(c.properties) == 1:
			n, err := dictionaryOf(c.properties[0], size)
			if err != nil {
				return err
			}
			need = int64(n)
		case c.id == sevenLZMA && len(c.properties) == 5:
			need = min(u32(c.properties[1:]), size)
		case c.id == sevenPPMd && len(c.properties) == 5:
			need = u32(c.properties[1:])
		}
		if total += need; need > maxDictionary || total > 2*maxDictionary {
			return fmt.Errorf("dictionaries of %d octets: %w", total, unpack.ErrTooBig)
		}
	}
	return nil
}

// seven reads the parts of a header. After a failure it reads zeros, and says so at the end.
type seven struct {
	b   []byte
	bad bool
}

func (s *seven) fail() { s.b, s.bad = nil, true }

func (s *seven) octet() byte {
	if len(s.b) == 0 {
		s.fail()
		return 0
	}
	c := s.b[0]
	s.b = s.b[1:]
	return c
}

func (s *seven) take(n int) []byte {
	if n < 0 || n > len(s.b) {
		s.fail()
		return nil
	}
	out := s.b[:n]
	s.b = s.b[n:]
	return out
}

// number reads a number of one to nine octets.
func (s *seven) number() int64 {
	first := s.octet()
	var v uint64
	for i, mask := 0, byte(0x80); i < 8; i, mask = i+1, mask>>1 {
		if first&mask == 0 {
			v |= uint64(first&(mask-1)) << (8 * i)
			break
		}
		v |= uint64(s.octet()) << (8 * i)
	}
	if v > 1<<62 {
		s.fail()
		return 0
	}
	return int64(v)
}

// count reads a number of things of which each takes at least a bit of what is left, or of what limits them otherwise.
func (s *seven) count(most int) int {
	n := s.number()
	if n > int64(most) {
		s.fail()
		return 0
	}
	return int(n)
}

// defined reads which of n have a value, and skips that many values of a size.
func (s *seven) digests(n int) {
	k := n
	if s.octet() == 0 {
		k = 0
		for _, c := range s.take((n + 7) / 8) {
			for ; c != 0; c &= c - 1 {
				k++
			}
		}
	}
	s.take(4 * min(k, n))
}

func (s *seven) folder() (f sevenFolder) {
	for range s.count(maxCoders) {
		flags := s.octet()
		c := sevenCoder{id: string(s.take(int(flags & 15)))}
		in := 1
		c.out = 1
		if flags&0x10 != 0 {
			in, c.out = s.count(maxStreams), s.count(maxStreams)
		}
		if flags&0x20 != 0 {
			c.properties = s.take(s.count(len(s.b)))
		}
		if flags&0x80 != 0 || c.out != 1 {
			s.fail()
		}
		f.in, f.out = f.in+in, f.out+c.out
		f.coders = append(f.coders, c)
	}
	if f.out == 0 || f.in < f.out || f.in > maxStreams {
		s.fail()
		return f
	}
	for range f.out - 1 {
		if s.count(f.in - 1); s.count(f.out-1) < 0 {
			s.fail()
		}
	}
	f.packs = f.in - (f.out - 1)
	if f.packs > 1 {
		for range f.packs {
			s.count(f.in - 1)
		}
	}
	return f
}

var errSevenNames = errors.New("the names are encrypted")

// readSeven reads the header of a 7z that starts at b. all is how many files it has, of which at most so many are listed.
func readSeven(b []byte, most int) (h *sevenHeader, all int, end int64, err error) {
	if len(b) < sevenHeadSize {
		return nil, 0, 0, errCut
	}
	at, size := u64(b[12:]), u64(b[20:])
	if at > uint64(len(b)-sevenHeadSize) || size > uint64(len(b)-sevenHeadSize)-at {
		return nil, 0, 0, errCut
	}
	end = sevenHeadSize + int64(at+size)
	plain := b[sevenHeadSize+at:][:size]
	for range 4 {
		if len(plain) == 0 {
			return &sevenHeader{}, 0, end, nil // an empty archive
		}
		if plain[0] != k7Encoded {
			break
		}
		if plain, err = unpackSevenHeader(b, plain); err != nil {
			return nil, 0, end, err
		}
	}
	s := &seven{b: plain}
	h = &sevenHeader{plain: plain}
	if s.octet() != k7Header {
		return nil, 0, end, errSeven
	}
	id := s.octet()
	if id == k7Main {
		h.streamsInfo(s)
		id = s.octet()
	}
	if id == k7Files {
		all = h.filesInfo(s, most)
		id = s.octet()
	}
	content := 0
	for i := range h.folders {
		content += h.folders[i].files
	}
	if s.bad || id != k7End || all <= most && content != h.streams {
		return nil, 0, end, errSeven
	}
	return h, all, end, nil
}

// unpackSevenHeader unpacks a header that is packed like a file.
func unpackSevenHeader(b, packed []byte) ([]byte, error) {
	s := &seven{b: packed[1:]}
	h := &sevenHeader{}
	h.streamsInfo(s)
	if s.bad || len(h.folders) != 1 {
		return nil, errSeven
	}
	f := &h.folders[0]
	if f.encrypted() {
		return nil, errSevenNames
	}
	if len(f.coders) != 1 || len(h.packed) != 1 || h.start > int64(len(b)-sevenHeadSize) || h.packed[0] > int64(len(b)-sevenHeadSize)-h.start {
		return nil, errSeven
	}
	size := f.sizes[0]
	if size > sevenHeaderAt {
		return nil, fmt.Errorf("a header of %d octets: %w", size, unpack.ErrTooBig)
	}
	in := b[sevenHeadSize+h.start:][:h.packed[0]]
	r, err := sevenDecoder(f.coders[0].id, f.coders[0].properties, size, in)
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(r, size))
	if err == nil && int64(len(out)) != size {
		err = errCut
	}
	return out, err
}

// sevenDecoder decodes the methods that headers are packed with.
func sevenDecoder(id string, properties []byte, size int64, in []byte) (io.Reader, error) {
	switch {
	case id == sevenCopy:
		return bytes.NewReader(in), nil
	case id == sevenLZMA && len(properties) == 5:
		return newLZMA(properties, size, in)
	case id == sevenLZMA2 && len(properties) == 1:
		n, err := dictionaryOf(properties[0], size)
		if err != nil {
			return nil, err
		}
		return lzma.Reader2Config{DictCap: n}.NewReader2(bytes.NewReader(in))
	}
	return nil, errSeven
}

// startHeader is the first 32 octets of an archive whose content takes so many octets, with a header behind it.
func startHeader(content int64, header []byte) []byte {
	h := append([]byte(sevenZipMagic), 0, 4, 0, 0, 0, 0)
	for _, v := range []uint64{uint64(content), uint64(len(header))} {
		for i := range 8 {
			h = append(h, byte(v>>(8*i)))
		}
	}
	sum := func(v uint32) []byte { return []byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)} }
	h = append(h, sum(crc32.ChecksumIEEE(header))...)
	copy(h[8:], sum(crc32.ChecksumIEEE(h[12:])))
	return h
}
