package office

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"unicode/utf16"
)

// node is a storage or a stream of a compound file that a test writes.
type node struct {
	name  string
	class string // CLSID as people write it
	data  []byte // of a stream
	in    []node // of a storage
	dir   bool
}

func stream(name string, data []byte) node { return node{name: name, data: data} }
func storage(name string, in ...node) node { return node{name: name, in: in, dir: true} }
func le16(n int) []byte                    { return binary.LittleEndian.AppendUint16(nil, uint16(n)) }
func le32(n int) []byte                    { return binary.LittleEndian.AppendUint32(nil, uint32(n)) }
func cat(parts ...any) []byte {
	var out []byte
	for _, p := range parts {
		switch p := p.(type) {
		case []byte:
			out = append(out, p...)
		case string:
			out = append(out, p...)
		case byte:
			out = append(out, p)
		}
	}
	return out
}

func utf16le(s string) []byte {
	var b []byte
	for _, c := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, c)
	}
	return b
}

func clsid(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != 16 {
		return make([]byte, 16)
	}
	b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7] = b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6]
	return b
}

// writeCFB writes a compound file of version 3. Siblings hang to the right of each other, which readers take.
func writeCFB(root node) []byte {
	type flat struct {
		node
		right, child int
		start, size  int
	}
	entries := []flat{{node: root, right: -1, child: -1}}
	var add func(parent int, in []node)
	add = func(parent int, in []node) {
		last := -1
		for _, n := range in {
			i := len(entries)
			entries = append(entries, flat{node: n, right: -1, child: -1})
			if last < 0 {
				entries[parent].child = i
			} else {
				entries[last].right = i
			}
			last = i
			add(i, n.in)
		}
	}
	add(0, root.in)
	var body []byte
	var fat []uint32
	chain := func(data []byte) int {
		if len(data) == 0 {
			return -2
		}
		start := len(fat)
		for len(data) > 0 {
			sector := make([]byte, 512)
			n := copy(sector, data)
			data = data[n:]
			body = append(body, sector...)
			fat = append(fat, uint32(len(fat)+1))
		}
		fat[len(fat)-1] = 0xFFFFFFFE
		return start
	}
	var mini []byte
	var miniFAT []uint32
	for i := range entries {
		e := &entries[i]
		if e.dir || i == 0 {
			continue
		}
		if e.size = len(e.data); e.size >= 4096 {
			e.start = chain(e.data)
			continue
		}
		e.start = len(miniFAT)
		for at := 0; at < len(e.data); at += 64 {
			block := make([]byte, 64)
			copy(block, e.data[at:])
			mini = append(mini, block...)
			miniFAT = append(miniFAT, uint32(len(miniFAT)+1))
		}
		if e.size > 0 {
			miniFAT[len(miniFAT)-1] = 0xFFFFFFFE
		} else {
			e.start = -2
		}
	}
	entries[0].start, entries[0].size = chain(mini), len(mini)
	var table []byte
	for _, n := range miniFAT {
		table = append(table, le32(int(n))...)
	}
	for len(table)%512 != 0 {
		table = append(table, 0xff)
	}
	miniAt, miniSectors := chain(table), len(table)/512
	var dir []byte
	for i, e := range entries {
		name := e.name
		kind := byte(2)
		if e.dir {
			kind = 1
		}
		if i == 0 {
			kind, name = 5, "Root Entry"
		}
		b := make([]byte, 128)
		copy(b[:64], utf16le(name))
		binary.LittleEndian.PutUint16(b[64:], uint16(2*len(utf16.Encode([]rune(name)))+2))
		b[66], b[67] = kind, 1
		copy(b[68:], cat(le32(-1), le32(e.right), le32(e.child)))
		copy(b[80:], clsid(e.class))
		copy(b[116:], cat(le32(e.start), le32(e.size)))
		dir = append(dir, b...)
	}
	dirAt := chain(dir)
	fatSectors, difSectors := 1, 0
	for (len(fat)+fatSectors+difSectors+127)/128 > fatSectors {
		fatSectors++
		difSectors = max(0, (fatSectors-109+126)/127)
	}
	fatAt := len(fat)
	for range fatSectors {
		fat = append(fat, 0xFFFFFFFD)
	}
	difAt := -2
	if difSectors > 0 {
		difAt = len(fat)
	}
	for range difSectors {
		fat = append(fat, 0xFFFFFFFC)
	}
	for len(fat) < fatSectors*128 {
		fat = append(fat, 0xFFFFFFFF)
	}
	for _, n := range fat {
		body = append(body, le32(int(n))...)
	}
	for i := range difSectors { // sectors that list what the header has no room for
		for j := range 127 {
			n := -1
			if k := 109 + 127*i + j; k < fatSectors {
				n = fatAt + k
			}
			body = append(body, le32(n)...)
		}
		next := -2
		if i+1 < difSectors {
			next = difAt + i + 1
		}
		body = append(body, le32(next)...)
	}
	head := make([]byte, 512)
	copy(head, cfbMagic)
	copy(head[24:], cat(le16(0x3e), le16(3), le16(0xfffe), le16(9), le16(6)))
	copy(head[44:], cat(le32(fatSectors), le32(dirAt), le32(0), le32(4096), le32(miniAt), le32(miniSectors), le32(difAt), le32(difSectors)))
	for i := range 109 {
		n := -1
		if i < fatSectors {
			n = fatAt + i
		}
		copy(head[76+4*i:], le32(n))
	}
	return append(head, body...)
}

// compress is the other way of vbaUnpack: [MS-OVBA] 2.4.1.3.6, by looking at every place.
func compress(text []byte) []byte {
	out := []byte{1}
	for len(text) > 0 {
		n := min(4096, len(text))
		chunk := compressChunk(text[:n])
		out = append(out, le16(0xB000|len(chunk)-1)...)
		out = append(out, chunk...)
		text = text[n:]
	}
	return out
}

func compressChunk(b []byte) []byte {
	var out []byte
	for at := 0; at < len(b); {
		flag := len(out)
		out = append(out, 0)
		for bit := 0; bit < 8 && at < len(b); bit++ {
			width := 4
			for 1<<width < at {
				width++
			}
			most, length, back := 0xffff>>width+3, 0, 0
			for d := 1; d <= at; d++ {
				n := 0
				for n < most && at+n < len(b) && b[at+n] == b[at+n-d] {
					n++
				}
				if n > length {
					length, back = n, d
				}
			}
			if length < 3 {
				out = append(out, b[at])
				at++
				continue
			}
			out[flag] |= 1 << bit
			out = append(out, le16((back-1)<<(16-width)|(length-3))...)
			at += length
		}
	}
	return out
}
