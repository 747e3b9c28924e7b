package archive

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
)

// part is an entry of a ZIP that a test puts together, with all that can be wrong with one.
type part struct {
	name    string
	local   string // its name before the content, where it is another
	content string
	method  int // 0 and 8 are packed; another is stored as it is and called that
	inLocal int // the method before the content, where it is another
	flags   int
	mode    int    // of Unix
	extra   string // extra field in the directory
	before  string // extra field before the content
	raw     []byte // packed content, where it is made otherwise
	size    int    // that it claims; 0: what it has
	noDir   bool   // not in the directory
	sameAs  int    // 1 and on: shares the local header of the part so many before it
	badSum  bool
}

func put(b *bytes.Buffer, v ...any) {
	for _, v := range v {
		switch v := v.(type) {
		case string:
			b.WriteString(v)
		case []byte:
			b.Write(v)
		default:
			_ = binary.Write(b, binary.LittleEndian, v)
		}
	}
}

func deflated(content []byte) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	_, _ = w.Write(content)
	_ = w.Close()
	return b.Bytes()
}

// zipOf puts a ZIP together.
func zipOf(parts ...part) []byte {
	var b, dir bytes.Buffer
	at := make([]int, len(parts))
	listed := 0
	for i, p := range parts {
		packed := p.raw
		if packed == nil {
			packed = []byte(p.content)
			if p.method == 8 {
				packed = deflated(packed)
			}
		}
		if p.local == "" {
			p.local = p.name
		}
		method := p.method
		if p.inLocal != 0 {
			method = p.inLocal
		}
		if p.size == 0 {
			p.size = len(p.content)
		}
		sum := crc32.ChecksumIEEE([]byte(p.content))
		if p.badSum {
			sum++
		}
		at[i] = b.Len()
		if p.sameAs > 0 {
			at[i] = at[i-p.sameAs]
		} else {
			flags := p.flags
			sizes := [3]uint32{sum, uint32(len(packed)), uint32(p.size)}
			if flags&8 != 0 {
				sizes = [3]uint32{}
			}
			put(&b, zipLocal, uint16(20), uint16(flags), uint16(method), uint32(0), sizes[0], sizes[1], sizes[2], uint16(len(p.local)), uint16(len(p.before)), p.local, p.before, packed)
			if flags&8 != 0 {
				put(&b, zipData, sum, uint32(len(packed)), uint32(p.size))
			}
		}
		if p.noDir {
			continue
		}
		listed++
		put(&dir, zipCentral, uint16(3<<8|20), uint16(20), uint16(p.flags), uint16(p.method), uint32(0), sum, uint32(len(packed)), uint32(p.size),
			uint16(len(p.name)), uint16(len(p.extra)), uint16(0), uint16(0), uint16(0), uint32(p.mode)<<16, uint32(at[i]), p.name, p.extra)
	}
	start := b.Len()
	b.Write(dir.Bytes())
	put(&b, zipEnd, uint32(0), uint16(listed), uint16(listed), uint32(dir.Len()), uint32(start), uint16(0))
	return b.Bytes()
}

// zip64Of puts a ZIP together whose sizes and places are told in the fields of zip64.
func zip64Of(name, content string) []byte {
	var b bytes.Buffer
	sum, n := crc32.ChecksumIEEE([]byte(content)), uint64(len(content))
	const full = ^uint32(0)
	put(&b, zipLocal, uint16(45), uint16(0), uint16(0), uint32(0), sum, full, full, uint16(len(name)), uint16(20), name, uint16(1), uint16(16), n, n, content)
	start := uint64(b.Len())
	put(&b, zipCentral, uint16(3<<8|45), uint16(45), uint16(0), uint16(0), uint32(0), sum, full, full, uint16(len(name)), uint16(28), uint16(0), uint16(0), uint16(0),
		uint32(0), full, name, uint16(1), uint16(24), n, n, uint64(0))
	size, end := uint64(b.Len())-start, uint64(b.Len())
	put(&b, zipEnd64, uint64(44), uint16(45), uint16(45), uint32(0), uint32(0), uint64(1), uint64(1), size, start)
	put(&b, zipLocate64, uint32(0), end, uint32(1))
	put(&b, zipEnd, uint32(0), uint16(0xffff), uint16(0xffff), full, full, uint16(0))
	return b.Bytes()
}
