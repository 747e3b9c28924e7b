package archive

import (
	"bytes"
	"fmt"
	"sort"
	"strings"

	"gatepost/internal/unpack"
)

// The records of a ZIP (APPNOTE.TXT section 4.3).
const (
	zipLocal    = "PK\x03\x04"
	zipCentral  = "PK\x01\x02"
	zipEnd      = "PK\x05\x06"
	zipEnd64    = "PK\x06\x06"
	zipLocate64 = "PK\x06\x07"
	zipData     = "PK\x07\x08"
	zipSecret   = "PK\x06\x08" // archive decryption header: the central directory is encrypted

	zipEndSize     = 22
	zipLocalSize   = 30
	zipCentralSize = 46
)

// member is an entry of a ZIP, as one of its two places tells it.
type member struct {
	name    string
	unicode string   // the name in the Unicode path extra field, where it is another
	others  []string // names that readers show who heed less, or read the other place
	flags   int
	method  int
	crc     int64
	packed  int64 // -1: not known
	size    int64 // -1: not known
	header  int64 // where its local header is
	data    int64 // where its content is; -1: there is no local header
	mode    int   // of Unix; 0: not told
	aes     bool
	central bool
}

func (m *member) folder() bool { return strings.HasSuffix(plain(m.name), "/") }

// zipFile is what was found out about a ZIP.
type zipFile struct {
	members []member
	before  int64 // octets before the first header
	behind  int64 // octets behind the end
	signs   []unpack.Sign
}

func (z *zipFile) sign(k unpack.Kind, text string) { z.signs = append(z.signs, sign(k, text)) }

// readZip reads the directory of a ZIP, and the local headers beside it, at most so many entries.
func readZip(b []byte, most int) *zipFile {
	z := &zipFile{}
	byHeader := map[int64]int{}
	end, base, ok := z.findEnd(b)
	if ok {
		z.readCentral(b, end, base, most)
		for i := range z.members {
			byHeader[z.members[i].header] = i
		}
		z.behind = z.tail(b, end)
	} else {
		z.sign(unpack.Broken, "zip: no central directory")
	}
	z.compare(b, most)
	z.scan(b, byHeader, most)
	z.overlaps()
	return z
}

// findEnd finds the end record, and by how much the offsets of the file are off, as they are behind something else.
func (z *zipFile) findEnd(b []byte) (end int, base int64, ok bool) {
	from := max(0, len(b)-zipEndSize-1<<16-1<<12) // a comment, and a little that was added
	best := -1
	for at := len(b); best < 0; {
		i := bytes.LastIndex(b[from:at], []byte(zipEnd))
		if i < 0 {
			return 0, 0, false
		}
		at = from + i
		if at+zipEndSize <= len(b) && z.central(b, at) {
			best = at
		}
	}
	d := directory(b, best)
	return best, d.at - d.offset, true
}

// central reports whether a directory ends at an end record, or nothing is in it and nothing should be.
func (z *zipFile) central(b []byte, end int) bool {
	d := directory(b, end)
	return d.entries == 0 && d.size == 0 || d.at >= 0 && d.at+4 <= int64(len(b)) && (string(b[d.at:d.at+4]) == zipCentral || d.secret)
}

// place says where the central directory is.
type place struct {
	entries, size, offset int64
	at                    int64 // in the file
	secret                bool
}

// directory reads an end record, with that of zip64 where there is one.
func directory(b []byte, end int) place {
	e := b[end:]
	d := place{entries: int64(u16(e[10:])), size: u32(e[12:]), offset: u32(e[16:])}
	limit := int64(end)
	if l := end - 20; l >= 0 && string(b[l:l+4]) == zipLocate64 {
		for _, at := range []int64{int64(u64(b[l+8:])), int64(l) - 56} {
			if at < 0 || at+56 > int64(l) || string(b[at:at+4]) != zipEnd64 {
				continue
			}
			d.entries, d.size, d.offset, limit = int64(u64(b[at+32:])), int64(u64(b[at+40:])), int64(u64(b[at+48:])), at
			break
		}
	}
	if d.entries < 0 || d.size < 0 || d.offset < 0 || d.size > limit {
		d.at = -1
		return d
	}
	d.at = limit - d.size
	if at := d.offset; at+4 <= int64(len(b)) && d.at+4 <= int64(len(b)) && string(b[d.at:d.at+4]) != zipCentral && string(b[at:at+4]) == zipCentral {
		d.at = at // the size is wrong, the offset is not
	}
	if i := bytes.LastIndex(b[max(0, d.at-64<<10):d.at], []byte(zipSecret)); i >= 0 && string(b[d.at:min(int64(len(b)), d.at+4)]) != zipCentral {
		d.secret = true
	}
	return d
}

// readCentral reads the central directory.
func (z *zipFile) readCentral(b []byte, end int, base int64, most int) {
	d := directory(b, end)
	if d.secret {
		z.sign(unpack.Encrypted, "names")
		return
	}
	at := d.at
	for n := 0; at >= 0 && at+zipCentralSize <= int64(len(b)) && string(b[at:at+4]) == zipCentral && n < most; n++ {
		h := b[at:]
		name, extra, comment := u16(h[28:]), u16(h[30:]), u16(h[32:])
		next := at + zipCentralSize + int64(name+extra+comment)
		if next > int64(len(b)) {
			z.sign(unpack.Broken, "zip: the central directory is cut off")
			return
		}
		m := member{flags: u16(h[8:]), method: u16(h[10:]), crc: u32(h[16:]), packed: u32(h[20:]), size: u32(h[24:]), header: u32(h[42:]), central: true}
		if maker := h[5]; maker == 3 || maker == 19 {
			m.mode = int(u32(h[38:]) >> 16)
		}
		x := h[zipCentralSize+name : zipCentralSize+name+extra]
		m.extras(h[zipCentralSize:zipCentralSize+name], x, true)
		m.header += base
		if m.flags&(1<<13) != 0 {
			z.sign(unpack.Encrypted, "names")
		}
		z.members = append(z.members, m)
		at = next
	}
	if int64(len(z.members)) != d.entries && len(z.members) < most && int64(len(z.members))&0xffff != d.entries {
		z.sign(unpack.Broken, fmt.Sprintf("zip: %d entries are promised and %d are there", d.entries, len(z.members)))
	}
}

// extras takes a name, and what the extra fields say: sizes over 4 GiB, a name in UTF-8, AES.
func (m *member) extras(name, x []byte, central bool) {
	if m.flags&(1<<11) != 0 {
		m.name = strings.ToValidUTF8(string(name), "\uFFFD")
	} else {
		m.name = dosName(name)
	}
	for len(x) >= 4 {
		id, n := u16(x), u16(x[2:])
		if n > len(x)-4 {
			return
		}
		f := x[4 : 4+n]
		switch {
		case id == 1: // zip64: only what does not fit its place, in this order
			wide := []*int64{&m.size, &m.packed}
			if central {
				wide = append(wide, &m.header)
			}
			for _, p := range wide {
				if *p == 1<<32-1 && len(f) >= 8 {
					*p, f = int64(u64(f)&(1<<62-1)), f[8:]
				}
			}
		case id == 0x7075 && n > 5 && f[0] == 1:
			switch u := strings.ToValidUTF8(string(f[5:]), "\uFFFD"); {
			case u == m.name:
			case int64(crc32Of(name)) == u32(f[1:]):
				m.unicode = u
			case len(m.others) < unpack.MaxNames/4: // it is of another name, says APPNOTE, which not all compare
				m.others = append(m.others, u)
			}
		case id == 0x9901:
			m.aes = true
			if n >= 7 {
				m.method = u16(f[5:])
			}
		}
		x = x[4+n:]
	}
}

// tail counts what is behind the end record and its comment and is not just padding.
func (z *zipFile) tail(b []byte, end int) int64 {
	at := end + zipEndSize + u16(b[end+20:])
	if at >= len(b) || len(bytes.Trim(b[at:], "\x00\r\n \x1a")) == 0 {
		return 0
	}
	return int64(len(b) - at)
}

// local reads a local header. A member that it names has no content where the header is cut.
func local(b []byte, at int64) (m member, ok bool) {
	if at < 0 || at+zipLocalSize > int64(len(b)) || string(b[at:at+4]) != zipLocal {
		return m, false
	}
	h := b[at:]
	name, extra := u16(h[26:]), u16(h[28:])
	m = member{flags: u16(h[6:]), method: u16(h[8:]), crc: u32(h[14:]), packed: u32(h[18:]), size: u32(h[22:]), header: at,
		data: at + zipLocalSize + int64(name+extra)}
	if m.data > int64(len(b)) {
		return m, false
	}
	m.extras(h[zipLocalSize:zipLocalSize+name], h[zipLocalSize+name:zipLocalSize+name+extra], false)
	if m.flags&8 != 0 && m.packed == 0 { // told behind the content
		m.packed, m.size, m.crc = -1, -1, -1
	}
	return m, true
}

// compare holds each entry of the directory against its local header, and adds what that tells otherwise as an entry more.
func (z *zipFile) compare(b []byte, most int) {
	for i := range z.members {
		m := &z.members[i]
		l, ok := local(b, m.header)
		if !ok {
			m.data = -1
			z.sign(unpack.Broken, "zip: no local header of "+m.name)
			continue
		}
		m.data = l.data
		method := m.method != l.method && m.flags&(1<<13) == 0
		if l.name == m.name && !method {
			if m.others = append(m.others, l.others...); l.unicode != m.unicode && l.unicode != "" {
				m.others = append(m.others, l.unicode)
			}
			continue
		}
		if l.name != m.name && m.flags&(1<<13) == 0 {
			z.sign(unpack.NameTwice, "in the directory "+m.name+", before the content "+l.name)
		}
		if method {
			z.sign(unpack.Broken, fmt.Sprintf("zip: %s has method %d in the directory and %d before the content", m.name, m.method, l.method))
		}
		if l.packed < 0 {
			l.packed, l.size, l.crc = m.packed, m.size, m.crc
		}
		if len(z.members) < most {
			z.members = append(z.members, l)
		}
	}
}

// scan follows the local headers from the first, as tools do that do not trust the directory or cannot seek, and adds those that
// the directory does not name. What lies within the content of an entry is not taken for one.
func (z *zipFile) scan(b []byte, known map[int64]int, most int) {
	first := int64(-1)
	for at := int64(0); at < int64(len(b)) && len(z.members) < most; {
		i := bytes.Index(b[at:], []byte(zipLocal))
		if i < 0 {
			break
		}
		at += int64(i)
		l, ok := local(b, at)
		if !ok || !plausible(&l) {
			at += 4
			continue
		}
		if first < 0 {
			first = at
		}
		if k, is := known[at]; is {
			l.packed = z.members[k].packed
		} else {
			if len(known) > 0 {
				z.sign(unpack.NameTwice, "not in the directory: "+l.name)
			}
			if l.packed < 0 {
				l.packed = l.described(b)
			}
			z.members = append(z.members, l)
		}
		at = l.data + max(0, min(l.packed, int64(len(b))-l.data))
	}
	if first > 4 || first == 4 && string(b[:4]) != "PK00" && string(b[:4]) != zipData {
		z.before = first
	}
}

// described finds how long a content is whose length is told behind it: the first data descriptor that tells this length, else
// up to the next header.
func (m *member) described(b []byte) int64 {
	rest := b[m.data:]
	for at := 0; ; {
		i := bytes.Index(rest[at:], []byte(zipData))
		if i < 0 {
			break
		}
		at += i
		if at+16 <= len(rest) && u32(rest[at+8:]) == int64(at) {
			m.crc, m.size = u32(rest[at+4:]), u32(rest[at+12:])
			return int64(at)
		}
		at += 4
	}
	n := len(rest)
	for _, s := range []string{zipLocal, zipCentral, zipEnd} {
		if i := bytes.Index(rest[:n], []byte(s)); i >= 0 {
			n = i
		}
	}
	return int64(n)
}

// plausible reports whether four octets that look like a local header are one.
func plausible(m *member) bool {
	return m.name != "" && (m.method <= 20 || m.method >= 93 && m.method <= 99) && m.flags>>14 == 0
}

// overlaps tells of entries that share their content: nothing but a bomb does that.
func (z *zipFile) overlaps() {
	var spans []*member
	for i := range z.members {
		if m := &z.members[i]; m.central && m.data >= 0 && m.packed > 0 {
			spans = append(spans, m)
		}
	}
	sort.SliceStable(spans, func(i, j int) bool { return spans[i].header < spans[j].header })
	for i := 1; i < len(spans); i++ {
		if last := spans[i-1]; spans[i].header < last.data+last.packed {
			z.sign(unpack.Broken, "zip: entries share their content: "+spans[i].name)
			return
		}
	}
}
