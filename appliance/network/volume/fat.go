package volume

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"unicode/utf16"
)

// fat is a file system of FAT12, FAT16 or FAT32.
type fat struct {
	from     io.ReaderAt
	kind     int   // 12, 16 or 32
	table    int64 // where the first table is, in octets
	data     int64 // where cluster 2 is
	cluster  int64 // octets of one
	clusters int64
}

// openFAT reads the boot sector and the top folder.
func openFAT(from io.ReaderAt) (*system, error) {
	b, err := octets(from, 0, 512)
	if err != nil || b[510] != 0x55 || b[511] != 0xaa {
		return nil, noVolume{}
	}
	short := func(at int) int64 { return int64(binary.LittleEndian.Uint16(b[at:])) }
	long := func(at int) int64 { return int64(binary.LittleEndian.Uint32(b[at:])) }
	sector, perCluster, reserved, tables, entries := short(11), int64(b[13]), short(14), int64(b[16]), short(17)
	total, perTable := short(19), short(22)
	if total == 0 {
		total = long(32)
	}
	if perTable == 0 {
		perTable = long(36)
	}
	if sector < 512 || sector > 4096 || sector&(sector-1) != 0 || perCluster == 0 || perCluster&(perCluster-1) != 0 || reserved == 0 || tables == 0 || perTable == 0 {
		return nil, noVolume{}
	}
	top := (reserved + tables*perTable) * sector
	room := (entries*32 + sector - 1) / sector * sector
	f := &fat{from: from, table: reserved * sector, data: top + room, cluster: perCluster * sector}
	f.clusters = (total*sector - f.data) / f.cluster
	out := new(system)
	var folder []byte
	switch {
	case f.clusters < 1:
		return nil, noVolume{}
	case f.clusters < 4085:
		f.kind = 12
	case f.clusters < 65525:
		f.kind = 16
	default:
		f.kind = 32
	}
	if f.kind == 32 {
		out.label = string(b[71:82])
		folder, err = f.chain(long(44), maxFolder, false)
	} else {
		out.label = string(b[43:54])
		folder, err = octets(from, top, min(room, maxFolder))
	}
	if err != nil {
		return nil, err
	}
	f.folder(out, folder)
	return out, nil
}

// folder reads entries: short names, and the long ones that stand in front of them, last part first.
func (f *fat) folder(out *system, b []byte) {
	const volumeID, directory, longName = 0x08, 0x10, 0x0f
	var long []uint16
	for ; len(b) >= 32 && b[0] != 0 && len(out.files) < maxEntries; b = b[32:] {
		e := b[:32]
		switch kind := e[11]; {
		case e[0] == 0xe5: // deleted
			long = nil
			continue
		case kind&0x3f == longName:
			if e[0]&0x40 != 0 {
				long = nil
			}
			if len(long) < 260 {
				long = append(longPart(e), long...)
			}
			continue
		case kind&volumeID != 0:
			out.label = string(e[:11])
		case kind&directory == 0:
			name := strings.TrimRight(string(e[:8]), " ")
			if ext := strings.TrimRight(string(e[8:11]), " "); ext != "" {
				name += "." + ext
			}
			if long != nil {
				name = string(utf16.Decode(long))
			}
			first := int64(binary.LittleEndian.Uint16(e[20:]))<<16 | int64(binary.LittleEndian.Uint16(e[26:]))
			size := int64(binary.LittleEndian.Uint32(e[28:]))
			out.files = append(out.files, file{name: name, size: size, read: func() ([]byte, error) {
				if size == 0 {
					return []byte{}, nil
				}
				return f.chain(first, size, true)
			}})
		}
		long = nil
	}
}

// longPart are the characters of one entry of a long name.
func longPart(e []byte) (out []uint16) {
	for _, span := range [][2]int{{1, 11}, {14, 26}, {28, 32}} {
		for at := span[0]; at < span[1]; at += 2 {
			u := binary.LittleEndian.Uint16(e[at:])
			if u == 0 || u == 0xffff {
				return out
			}
			out = append(out, u)
		}
	}
	return out
}

// chain reads the clusters of a file from its first on, up to size octets. whole: fewer are an error.
func (f *fat) chain(first, size int64, whole bool) (out []byte, err error) {
	for c := first; int64(len(out)) < size; {
		if c < 2 || c >= f.clusters+2 {
			break
		}
		b, err := octets(f.from, f.data+(c-2)*f.cluster, min(f.cluster, size-int64(len(out))))
		if err != nil {
			return nil, err
		}
		out = append(out, b...)
		if c, err = f.next(c); err != nil {
			return nil, err
		}
	}
	if whole && int64(len(out)) < size {
		return nil, errors.New("its clusters end before it does")
	}
	return out, nil
}

// next is the cluster behind one; what is no cluster ends the chain.
func (f *fat) next(c int64) (int64, error) {
	at, width := f.table+c*4, int64(4)
	switch f.kind {
	case 12:
		at, width = f.table+c*3/2, 2
	case 16:
		at, width = f.table+c*2, 2
	}
	b, err := octets(f.from, at, width)
	switch {
	case err != nil:
		return 0, err
	case f.kind == 32:
		return int64(binary.LittleEndian.Uint32(b) & 0x0fffffff), nil
	}
	n := int64(binary.LittleEndian.Uint16(b))
	if f.kind == 12 {
		if c%2 == 1 {
			n >>= 4
		}
		n &= 0xfff
	}
	return n, nil
}
