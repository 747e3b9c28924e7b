package archive

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"

	"gatepost/internal/unpack"
)

const xzMagic = "\xfd7zXZ\x00"

// xzReader unpacks .xz (The .xz File Format, version 1.2.1): streams of blocks one behind the other. The container is read here,
// since the library takes whatever dictionary a block asks for; its decoder of LZMA2 does the rest.
type xzReader struct {
	b     []byte
	at    int
	open  bool // in a stream
	check byte
	ended bool // no more streams
	err   error

	src   *bytes.Reader // of the block
	block io.Reader
	sum   hash.Hash
	left  int64 // octets of the block that are promised; -1: not told
}

func (x *xzReader) Read(p []byte) (int, error) {
	for x.err == nil {
		if x.block == nil {
			x.err = x.next()
			continue
		}
		n, err := x.block.Read(p)
		x.sum.Write(p[:n])
		if x.left >= 0 {
			if x.left -= int64(n); x.left < 0 {
				x.err = errors.New("a block is longer than it says")
				return n, x.err
			}
		}
		if err == io.EOF {
			err = x.endBlock()
		}
		x.err = err
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, x.err
}

// next starts a stream or a block, or ends all.
func (x *xzReader) next() error {
	rest := x.b[x.at:]
	if !x.open {
		padding := 0
		for padding < len(rest) && rest[padding] == 0 {
			padding++
		}
		x.at += padding
		rest = rest[padding:]
		if !bytes.HasPrefix(rest, []byte(xzMagic)) {
			x.ended = true
			return io.EOF
		}
		if len(rest) < 12 {
			return errCut
		}
		x.open, x.check = true, rest[7]&15
		x.at += 12
		return nil
	}
	if len(rest) == 0 {
		return errCut
	}
	if rest[0] == 0 {
		return x.index(rest)
	}
	return x.startBlock(rest)
}

func (x *xzReader) startBlock(rest []byte) error {
	n := (int(rest[0]) + 1) * 4
	if len(rest) < n {
		return errCut
	}
	if int64(crc32.ChecksumIEEE(rest[:n-4])) != u32(rest[n-4:]) {
		return errors.New("the header of a block is broken")
	}
	h, flags := rest[2:n-4], rest[1]
	size := int64(-1)
	for bit := byte(0x40); bit != 0; bit <<= 1 { // the packed size, and the size
		if flags&bit == 0 {
			continue
		}
		v, k := vli(h)
		if k == 0 {
			return errors.New("the header of a block is broken")
		}
		h, size = h[k:], v
		if bit == 0x40 {
			size = -1
		}
	}
	if flags&3 != 0 || len(h) < 3 || h[0] != 0x21 || h[1] != 1 {
		return errors.New("a filter other than LZMA2 cannot be unpacked")
	}
	dictionary, err := dictionaryOf(h[2], size)
	if err != nil {
		return err
	}
	x.at += n
	x.src, x.left = bytes.NewReader(x.b[x.at:]), size
	x.block, err = lzma.Reader2Config{DictCap: dictionary}.NewReader2(x.src)
	switch x.check {
	case 1:
		x.sum = crc32.NewIEEE()
	case 4:
		x.sum = crc64.New(crc64.MakeTable(crc64.ECMA))
	case 10:
		x.sum = sha256.New()
	default:
		x.sum = noSum{}
	}
	return err
}

// dictionaryOf is the dictionary that LZMA2 needs for content of a size (-1: not known), by its property: no more than the
// content, since nothing farther back can be meant.
func dictionaryOf(property byte, size int64) (int, error) {
	if property > 40 {
		return 0, errors.New("the dictionary is out of range")
	}
	n := int64(2|property&1) << (property/2 + 11)
	if size >= 0 {
		n = min(n, max(size, lzma.MinDictCap))
	}
	if n > maxDictionary {
		return 0, fmt.Errorf("a dictionary of %d octets: %w", n, unpack.ErrTooBig)
	}
	return int(n), nil
}

func (x *xzReader) endBlock() error {
	if x.left > 0 {
		return errors.New("a block is shorter than it says")
	}
	n := int(x.src.Size()) - x.src.Len()
	x.at += n + (4-n%4)%4
	size := [16]int{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[x.check]
	if x.at+size > len(x.b) {
		return errCut
	}
	told := x.b[x.at : x.at+size]
	have := x.sum.Sum(nil)
	if x.check == 1 || x.check == 4 { // these are little-endian
		for i, j := 0, len(have)-1; i < j; i, j = i+1, j-1 {
			have[i], have[j] = have[j], have[i]
		}
	}
	x.at += size
	x.block, x.src = nil, nil
	if len(have) == size && !bytes.Equal(have, told) {
		return errors.New("the checksum of a block is wrong")
	}
	return nil
}

// index skips the index and the footer of a stream.
func (x *xzReader) index(rest []byte) error {
	at := 1
	records, k := vli(rest[at:])
	if k == 0 || records < 0 || records > int64(len(rest)) {
		return errors.New("the index is broken")
	}
	at += k
	for range 2 * records {
		if at > len(rest) {
			return errCut
		}
		_, k := vli(rest[at:])
		if k == 0 {
			return errors.New("the index is broken")
		}
		at += k
	}
	at += (4-at%4)%4 + 4 + 12
	if at > len(rest) {
		return errCut
	}
	x.at += at
	x.open = false
	return nil
}

// vli reads a number of variable length, and says how long it is; 0 where it is none.
func vli(b []byte) (int64, int) {
	var v int64
	for i := 0; i < len(b) && i < 9; i++ {
		v |= int64(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
}

// noSum is a check that is not known.
type noSum struct{}

func (noSum) Write(p []byte) (int, error) { return len(p), nil }
func (noSum) Sum(b []byte) []byte         { return b }
func (noSum) Reset()                      {}
func (noSum) Size() int                   { return 0 }
func (noSum) BlockSize() int              { return 1 }
