package archive

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"gatepost/internal/unpack"
)

// quine is a ZIP that holds itself, as Russ Cox builds one ("Zip Files All The Way Down", 2010): a program of two words, literal and
// repeat, of 5 octets each, that writes itself, what is before it and what is behind it. Its checksum, which lies in it four times,
// is the solution of 32 equations over two values, since a CRC is linear.
func quine() []byte {
	const around = 253 // octets before and behind the program: with a word they are 258, the longest that deflate repeats at once
	const name = "r.zip"
	literal := func(n int) []byte { return []byte{0, byte(n), byte(n >> 8), ^byte(n), ^byte(n >> 8)} }
	var word bits
	word.put(1<<1, 3) // 258 octets from 258 before, in a block of fixed codes, and an empty block to fill 5 octets
	word.code(0xc5, 8)
	word.code(16, 5)
	word.put(258-257, 7)
	word.code(0, 7)
	word.put(1<<1, 3)
	word.code(0, 7)
	repeat258 := word.octets()
	word = bits{}
	word.put(1<<1, 3) // 20 octets from 20 before, as ten twice
	for range 2 {
		word.code(264-256, 7)
		word.code(8, 5)
		word.put(20-17, 3)
	}
	word.code(0, 7)
	repeat20 := word.octets()

	build := func(sum uint32, fill byte) []byte {
		size := 0 // the second time around all lengths are known
		var out []byte
		for range 2 {
			packed := uint32(size - 2*around + 2)
			var p, s bytes.Buffer
			filler := func(n int) []byte {
				return append([]byte{0xfe, 0xca, byte(n - 4), byte((n - 4) >> 8)}, bytes.Repeat([]byte{fill}, n-4)...)
			}
			put(&p, zipLocal, uint16(20), uint16(0), uint16(8), uint32(0), sum, packed, uint32(size), uint16(len(name)), uint16(around-30-len(name)), name, filler(around-30-len(name)))
			extra := around - 2 - 46 - 22 - len(name)
			put(&s, "\x03\x00", zipCentral, uint16(20), uint16(20), uint16(0), uint16(8), uint32(0), sum, packed, uint32(size), uint16(len(name)), uint16(extra), uint16(0),
				uint16(0), uint16(0), uint32(0), uint32(0), name, filler(extra))
			put(&s, zipEnd, uint32(0), uint16(1), uint16(1), uint32(46+len(name)+extra), uint32(size-around+2), uint16(0))
			l258, l0, l5, l20 := literal(258), literal(0), literal(5), literal(20)
			out = bytes.Join([][]byte{p.Bytes(), l258, p.Bytes(), l258, repeat258, l5, repeat258, l5, l5, l20, repeat258, l5, l5, l20, repeat20, l20, repeat20, l20, repeat20, l20, repeat20,
				l20, repeat20, l0, l0, l258, repeat20, l0, l0, l258, repeat258, s.Bytes(), repeat258, s.Bytes()}, nil)
			size = len(out)
		}
		return out
	}
	for fill := range 256 {
		base := crc32.ChecksumIEEE(build(0, byte(fill)))
		var rows [32]uint64 // row i: which bits of the sum, and at bit 32 the constant, make bit i of (checksum xor sum)
		for bit := range 32 {
			c := crc32.ChecksumIEEE(build(1<<bit, byte(fill))) ^ base ^ 1<<bit
			for i := range 32 {
				rows[i] |= uint64(c>>i&1) << bit
			}
		}
		for i := range 32 {
			rows[i] |= uint64(base>>i&1) << 32
		}
		if sum, ok := solve(rows[:]); ok {
			return build(sum, byte(fill))
		}
	}
	return nil
}

// solve solves equations over two values, 32 of 32, whose constants are in bit 32.
func solve(rows []uint64) (uint32, bool) {
	for bit := range 32 {
		pivot := -1
		for i := bit; i < 32; i++ {
			if rows[i]>>bit&1 == 1 {
				pivot = i
				break
			}
		}
		if pivot < 0 {
			return 0, false
		}
		rows[bit], rows[pivot] = rows[pivot], rows[bit]
		for i := range rows {
			if i != bit && rows[i]>>bit&1 == 1 {
				rows[i] ^= rows[bit]
			}
		}
	}
	var out uint32
	for bit := range 32 {
		out |= uint32(rows[bit]>>32&1) << bit
	}
	return out, true
}

// bits writes as deflate does: the first bit is the lowest.
type bits struct {
	v uint64
	n int
}

func (b *bits) put(v uint64, n int) { b.v |= v << b.n; b.n += n }

// code writes a Huffman code, whose first bit is its highest.
func (b *bits) code(v uint64, n int) {
	for i := n - 1; i >= 0; i-- {
		b.put(v>>i&1, 1)
	}
}

func (b *bits) octets() []byte {
	if b.n != 40 {
		panic("a word has 40 bits")
	}
	return binary.LittleEndian.AppendUint64(nil, b.v)[:5]
}

// TestQuine: the ZIP that holds itself does, which is what the bomb of TestBombs relies on.
func TestQuine(t *testing.T) {
	r := walkOf(t, "r.zip", quine(), plenty())
	if len(r.Objects) < 3 || r.Objects[1].SHA256 != r.Objects[0].SHA256 || len(r.Objects[0].Signs) > 0 || r.Limit != unpack.TooDeep {
		t.Errorf("%s", text(r))
	}
}
