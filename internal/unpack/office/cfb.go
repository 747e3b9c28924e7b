package office

import (
	"bytes"
	"errors"
	"strings"
)

// cfb is a compound file: storages and streams in one file, as a FAT file system has folders and files. [MS-CFB].
//
// The reader is tolerant as Office is (a last sector that is cut, chains that end early), and bounded: each chain is followed
// over as many sectors as the file has, all tables together are smaller than the file, and all streams that are read are
// counted against a multiple of its size, since a thousand entries may name one chain.
type cfb struct {
	all     []byte
	size    int // of a sector
	fat     []uint32
	mini    []uint32 // the FAT of the mini stream
	small   []byte   // the mini stream
	entries []cfbEntry
	left    int64 // octets that may still be read
}

type cfbEntry struct {
	name               string
	kind               byte // 1 storage, 2 stream, 5 root
	left, right, child uint32
	class              []byte
	start              uint32
	length             int64
	parent             int // -1: of the root, and of what hangs nowhere
	children           []int
}

const (
	cfbStorage, cfbStream, cfbRoot = 1, 2, 5
	cfbNone                        = 0xFFFFFFFA // and above: no sector
	cfbEntries                     = 1 << 16
)

// cfbMagic begins a compound file.
const cfbMagic = "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"

var (
	errCFB     = errors.New("a table of the compound file cannot be read")
	errCFBMuch = errors.New("streams share sectors and are more than the file")
)

func openCFB(all []byte) (*cfb, error) {
	if len(all) < 512 || string(all[:8]) != cfbMagic {
		return nil, errors.New("no compound file")
	}
	f := &cfb{all: all, left: 8*int64(len(all)) + 1<<20}
	switch u16(all, 30) {
	case 9:
		f.size = 512
	case 12:
		f.size = 4096
	default:
		return nil, errors.New("an odd size of sector")
	}
	f.readFAT()
	if len(f.fat) == 0 {
		return nil, errCFB
	}
	dir := f.chain(u32(all, 48), f.fat)
	if len(dir) == 0 {
		return nil, errCFB
	}
	f.readDirectory(dir)
	if len(f.entries) == 0 {
		return nil, errCFB
	}
	f.readMini()
	f.hang()
	return f, nil
}

// sectors is how many the file can have.
func (f *cfb) sectors() int { return (len(f.all)-1)/f.size + 1 }

func (f *cfb) sector(n uint32) []byte {
	if n >= cfbNone || int64(n)+1 > int64(f.sectors()) {
		return nil
	}
	return cut(f.all, (int(n)+1)*f.size, f.size)
}

func (f *cfb) readFAT() {
	add := func(n uint32) bool {
		s := f.sector(n)
		for i := 0; i+4 <= len(s); i += 4 {
			f.fat = append(f.fat, u32(s, i))
		}
		return len(f.fat) < f.sectors() // what is beyond names no sector
	}
	for i := 76; i < 512; i += 4 {
		if n := u32(f.all, i); n < cfbNone && !add(n) {
			return
		}
	}
	next := u32(f.all, 68)
	for range f.sectors() {
		s := f.sector(next)
		if len(s) < f.size {
			return
		}
		for i := 0; i < f.size-4; i += 4 {
			if n := u32(s, i); n < cfbNone && !add(n) {
				return
			}
		}
		next = u32(s, f.size-4)
	}
}

// chain lists the sectors of a chain.
func (f *cfb) chain(start uint32, table []uint32) []uint32 {
	var out []uint32
	for n := start; n < cfbNone && int(n) < len(table) && len(out) <= len(table); n = table[n] {
		out = append(out, n)
	}
	return out
}

func (f *cfb) readDirectory(dir []uint32) {
	for _, n := range dir {
		s := f.sector(n)
		for i := 0; i+128 <= len(s) && len(f.entries) < cfbEntries; i += 128 {
			b := s[i : i+128]
			e := cfbEntry{name: wide(b[:min(64, max(0, u16(b, 64)))]), kind: b[66], left: u32(b, 68), right: u32(b, 72), child: u32(b, 76), class: b[80:96], start: u32(b, 116),
				length: int64(u32(b, 120)), parent: -1}
			if f.size == 4096 {
				e.length |= int64(u32(b, 124)&0x7fffffff) << 32
			}
			f.entries = append(f.entries, e)
		}
	}
}

func (f *cfb) readMini() {
	for _, n := range f.chain(u32(f.all, 60), f.fat) {
		s := f.sector(n)
		for i := 0; i+4 <= len(s); i += 4 {
			f.mini = append(f.mini, u32(s, i))
		}
	}
	for _, n := range f.chain(f.entries[0].start, f.fat) {
		f.small = append(f.small, f.sector(n)...)
		if len(f.small) > len(f.all) {
			return
		}
	}
}

// hang gives each entry its storage. The tree of siblings is walked without recursion and each entry once, so that neither
// depth nor cycles cost anything.
func (f *cfb) hang() {
	seen := make([]bool, len(f.entries))
	seen[0] = true
	type todo struct {
		at     uint32
		parent int
	}
	stack := []todo{{f.entries[0].child, 0}}
	for len(stack) > 0 {
		t := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if int64(t.at) >= int64(len(f.entries)) || seen[t.at] {
			continue
		}
		seen[t.at] = true
		e := &f.entries[t.at]
		e.parent = t.parent
		f.entries[t.parent].children = append(f.entries[t.parent].children, int(t.at))
		stack = append(stack, todo{e.right, t.parent}, todo{e.left, t.parent})
		if e.kind != cfbStream {
			stack = append(stack, todo{e.child, int(t.at)})
		}
	}
}

// find returns the entry of a storage that has a name, in any case of letters; -1: none.
func (f *cfb) find(storage int, name string) int {
	for _, c := range f.entries[storage].children {
		if strings.EqualFold(f.entries[c].name, name) {
			return c
		}
	}
	return -1
}

// read returns what a stream holds, as far as it is there.
func (f *cfb) read(at int) ([]byte, error) {
	if at < 0 || at >= len(f.entries) || f.entries[at].kind != cfbStream {
		return nil, nil
	}
	e := &f.entries[at]
	want := min(e.length, int64(len(f.all)))
	if f.left -= want + 64; f.left < 0 {
		return nil, errCFBMuch
	}
	var out bytes.Buffer
	if e.length < 4096 {
		n := e.start
		for range len(f.mini) {
			if n >= cfbNone || int(n) >= len(f.mini) || int64(out.Len()) >= want {
				break
			}
			out.Write(cut(f.small, int(n)*64, 64))
			n = f.mini[n]
		}
	} else {
		out.Grow(int(want))
		n := e.start
		for range f.sectors() + 1 {
			if n >= cfbNone || int(n) >= len(f.fat) || int64(out.Len()) >= want {
				break
			}
			out.Write(f.sector(n))
			n = f.fat[n]
		}
	}
	return out.Bytes()[:min(int64(out.Len()), want)], nil
}

// stream reads a stream of a storage by its name; nil where there is none.
func (f *cfb) stream(storage int, name string) []byte {
	b, _ := f.read(f.find(storage, name))
	return b
}
