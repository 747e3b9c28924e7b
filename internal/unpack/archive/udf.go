package archive

import (
	"strings"
	"unicode/utf16"
)

// udf reads the tree of UDF (ECMA-167, OSTA UDF 1.02 to 2.01): one partition, without the tables of rewritable discs.
type udf struct {
	isoTree
	start   int64 // of the partition
	records int   // read so far; none is worth more than the walk has room for
}

// The tags of descriptors (ECMA-167 parts 3 and 4).
const (
	udfAnchor, udfPartition, udfVolume, udfEnd           = 2, 5, 6, 8
	udfFileSet, udfName, udfFile, udfFileLong, udfSector = 256, 257, 261, 266, 2048
)

// readUDF reads the tree of UDF of an image. What it cannot read is told as broken.
func readUDF(b []byte, most int) *isoTree {
	u := &udf{isoTree: isoTree{b: b, most: most, seen: map[int64]bool{}}, start: -1}
	u.read()
	return &u.isoTree
}

// at returns what is at a place, n octets; nil where there is less.
func (u *udf) at(p, n int64) []byte {
	if p < 0 || n < 0 || p > int64(len(u.b)) || n > int64(len(u.b))-p {
		return nil
	}
	return u.b[p : p+n]
}

func (u *udf) read() {
	a := u.at(256*udfSector, 512)
	if a == nil || u16(a) != udfAnchor {
		u.broken = "UDF without its anchor"
		return
	}
	n, from := u32(a[16:]), u32(a[20:])
	set := int64(-1)
	for i := range min(n/udfSector, 64) {
		d := u.at((from+i)*udfSector, udfSector)
		if d == nil {
			break
		}
		switch u16(d) {
		case udfPartition:
			u.start = u32(d[188:]) * udfSector
		case udfVolume:
			if u32(d[212:]) != udfSector || u32(d[268:]) != 1 || d[440] != 1 {
				u.broken = "UDF of a kind that cannot be read"
				return
			}
			set = u32(d[252:])
		}
		if u16(d) == udfEnd {
			break
		}
	}
	if u.start < 0 || set < 0 {
		u.broken = "UDF without a volume"
		return
	}
	d := u.at(u.start+set*udfSector, 512)
	if d == nil || u16(d) != udfFileSet {
		u.broken = "UDF without a file set"
		return
	}
	u.dir("", u32(d[404:]), 0)
}

// entry reads the entry of a file: its type, and where its content is.
func (u *udf) entry(block int64) (kind byte, spans []span, ok bool) {
	p := u.start + block*udfSector
	d := u.at(p, udfSector)
	if d == nil {
		return 0, nil, false
	}
	head := int64(176)
	switch u16(d) {
	case udfFile:
	case udfFileLong:
		head = 216
	default:
		return 0, nil, false
	}
	left := int64(u64(d[56:]))
	ea, n := u32(d[head-8:]), u32(d[head-4:])
	if left < 0 || ea > udfSector || n > udfSector || head+ea+n > udfSector {
		return 0, nil, false
	}
	ads, step := d[head+ea:head+ea+n], 8
	switch u16(d[34:]) & 7 {
	case 0:
	case 1:
		step = 16
	case 3: // the content is in the entry
		return d[27], []span{{p + head + ea, min(n, left)}}, true
	default:
		return 0, nil, false
	}
	for ; len(ads) >= step && left > 0; ads = ads[step:] {
		size := u32(ads)
		if size>>30 != 0 { // not recorded: a hole, or more descriptors elsewhere
			return d[27], spans, false
		}
		size = min(size, left)
		if size == 0 {
			break
		}
		spans = append(spans, span{u.start + u32(ads[4:])*udfSector, size})
		left -= size
	}
	return d[27], spans, true
}

// dir reads a folder, and those below.
func (u *udf) dir(name string, block int64, depth int) {
	if u.seen[block] || depth > isoDeep {
		u.broken = "UDF with a folder that holds itself"
		return
	}
	u.seen[block] = true
	_, spans, ok := u.entry(block)
	if !ok {
		u.broken = "UDF with a folder that cannot be read"
	}
	var b []byte
	for _, s := range spans {
		if len(b) > 16<<20 {
			u.broken = "UDF with a folder that is too large"
			return
		}
		b = append(b, u.at(s.at, s.n)...)
	}
	for len(b) >= 40 && len(u.files) < u.most && u.records < 2*u.most {
		u.records++
		id, iu := int(b[19]), u16(b[36:])
		n := (38 + id + iu + 3) &^ 3
		if u16(b) != udfName || n > len(b) {
			u.broken = "UDF with a folder that is broken"
			return
		}
		flags, at := b[18], u32(b[24:])
		raw := b[38+iu : 38+iu+id]
		b = b[n:]
		if flags&(4|8) != 0 { // deleted, or the folder above
			continue
		}
		f := isoFile{name: udfText(raw), folder: flags&2 != 0}
		if name != "" {
			f.name = name + "/" + f.name
		}
		if !f.folder {
			if _, f.spans, ok = u.entry(at); !ok {
				u.broken = "UDF with a file that cannot be read"
			}
		}
		u.files = append(u.files, f)
		if f.folder {
			u.dir(f.name, at, depth+1)
		}
	}
}

// udfText decodes a name: an octet that says how wide its letters are, and these.
func udfText(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	var u []uint16
	switch b[0] {
	case 8, 254:
		for _, c := range b[1:] {
			u = append(u, uint16(c))
		}
	case 16, 255:
		for i := 1; i+1 < len(b); i += 2 {
			u = append(u, uint16(b[i])<<8|uint16(b[i+1]))
		}
	default:
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return string(utf16.Decode(u))
}
