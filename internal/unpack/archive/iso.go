package archive

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf16"

	"gatepost/internal/unpack"
)

const (
	isoSector = 2048
	isoStart  = 16 * isoSector // of the volume descriptors (ECMA-119 section 6.7.1)
	isoDeep   = 64             // levels of folders that are followed
)

func matchISO(_ []byte, c unpack.Content) bool {
	b := c.Bytes()
	return len(b) >= isoStart+isoSector && (string(b[isoStart+1:isoStart+6]) == "CD001" || string(b[isoStart+1:isoStart+6]) == "BEA01")
}

// isoFile is a file or a folder of an image.
type isoFile struct {
	name   string
	folder bool
	spans  []span
	link   string   // target of a symbolic link
	others []string // names that systems show who do not know the one of it
}

// span is a piece of the image.
type span struct{ at, n int64 }

// isoTree is one of the trees of an image: the primary with the names of Rock Ridge where it has them, Joliet, UDF.
type isoTree struct {
	b      []byte
	joliet bool
	block  int64
	skip   int // octets before the fields of Rock Ridge
	most   int
	files  []isoFile
	seen   map[int64]bool // folders, by their place
	broken string
}

// openISO opens an image of a disc: each of its trees, since systems differ in which they show. What is in one tree only is told.
func openISO(l *lister, c unpack.Content) error {
	b := c.Bytes()
	var trees []*isoTree
	udf := false
	for at := int64(isoStart); at+isoSector <= int64(len(b)) && at < isoStart+64*isoSector; at += isoSector {
		d := b[at : at+isoSector]
		id := string(d[1:6])
		udf = udf || id == "NSR02" || id == "NSR03"
		if id == "CD001" && (d[0] == 1 || d[0] == 2) {
			escape := string(d[88:91])
			t := &isoTree{b: b, block: int64(u16(d[128:])), most: l.w.Room() + 1, seen: map[int64]bool{}}
			t.joliet = d[0] == 2 && (escape == "%/@" || escape == "%/C" || escape == "%/E")
			if d[0] == 2 && !t.joliet {
				continue
			}
			if t.block == 0 {
				t.block = isoSector
			}
			t.root(d[156:190])
			trees = append(trees, t)
		}
	}
	if udf {
		t := readUDF(b, l.w.Room()+1)
		trees = append(trees, t)
	}
	if len(trees) == 0 {
		return errors.New("no volume")
	}
	return l.trees(trees)
}

// trees enters the files of the last tree, which is what systems show first, and what others have besides.
func (l *lister) trees(trees []*isoTree) error {
	have := map[span]*isoFile{} // files of the trees before, by where the content is
	var show []*isoFile
	for i := len(trees) - 1; i >= 0; i-- {
		t, first, here := trees[i], i == len(trees)-1, map[span]*isoFile{}
		if t.broken != "" {
			l.sign(unpack.Broken, "iso: "+t.broken)
		}
		for k := range t.files {
			f := &t.files[k]
			if !first && (f.folder || f.link != "" || f.size() == 0) {
				continue
			}
			if !f.folder && f.size() > 0 {
				place := span{f.spans[0].at, f.size()}
				other := have[place]
				switch {
				case other != nil && slices.Equal(other.spans, f.spans):
					if !sameExtension(other.name, f.name) {
						l.sign(unpack.NameTwice, "in one tree "+other.name+", in another "+f.name)
					}
					if names := append(f.others, f.name); len(other.others)+len(names) <= unpack.MaxNames {
						other.others = append(other.others, names...)
						continue
					}
				case !first:
					l.sign(unpack.NameTwice, "in one tree of the image only: "+f.name)
				}
				here[place] = f
			}
			show = append(show, f)
		}
		maps.Copy(have, here)
	}
	for _, f := range show {
		if err := l.isoFile(trees[0].b, f); err != nil {
			return err
		}
	}
	return nil
}

func (f *isoFile) size() (n int64) {
	for _, s := range f.spans {
		n += s.n
	}
	return n
}

// sameExtension reports whether two names have one extension, of which one may be cut to three letters.
func sameExtension(a, b string) bool {
	a, b = strings.ToLower(path.Ext(a)), strings.ToLower(path.Ext(b))
	return a == b || len(a) == 4 && strings.HasPrefix(b, a) || len(b) == 4 && strings.HasPrefix(a, b)
}

func (l *lister) isoFile(b []byte, f *isoFile) error {
	e := unpack.Entry{Name: f.name, Folder: f.folder, Names: f.others}
	if f.link != "" {
		e.Signs = points(path.Dir(f.name), f.link)
		return l.enter(e, nil)
	}
	if f.folder {
		return l.enter(e, nil)
	}
	var pieces []io.Reader
	for _, s := range f.spans {
		e.Size += s.n
		if s.at < 0 || s.at > int64(len(b)) || s.n > int64(len(b))-s.at {
			pieces = append(pieces, bytes.NewReader(b[max(0, min(s.at, int64(len(b)))):]), failed{errCut})
			break
		}
		pieces = append(pieces, bytes.NewReader(b[s.at:s.at+s.n]))
	}
	e.Packed = e.Size
	return l.enter(e, io.MultiReader(pieces...))
}

// root reads the tree below the record of its root.
func (t *isoTree) root(r []byte) {
	at, n := u32(r[2:])*t.block, u32(r[10:])
	t.skip = 0
	if at >= 0 && at+34 <= int64(len(t.b)) && !t.joliet { // SP says where the fields of Rock Ridge start (SUSP section 5.3)
		if rec := t.b[at:]; int(rec[0]) > 41 && len(rec) > 41 && string(rec[34:36]) == "SP" {
			t.skip = int(rec[40])
		}
	}
	t.folder("", at, n, 0)
}

// folder reads the records of a folder, and those below.
func (t *isoTree) folder(name string, at, n int64, depth int) {
	if t.seen[at] || depth > isoDeep {
		t.broken = "a folder that holds itself"
		return
	}
	t.seen[at] = true
	if at < 0 || at > int64(len(t.b)) || n > int64(len(t.b))-at {
		t.broken = "a folder is cut off"
		n = max(0, int64(len(t.b))-at)
		at = max(0, min(at, int64(len(t.b))))
	}
	b := t.b[at : at+n]
	more := false // the next record goes on with the file of the last
	for p := 0; p+34 <= len(b) && len(t.files) < t.most; {
		size := int(b[p])
		if size == 0 { // records do not cross sectors
			p = (p/isoSector + 1) * isoSector
			continue
		}
		if size < 34 || p+size > len(b) || 33+int(b[p+32]) > size {
			t.broken = "a folder is broken"
			return
		}
		more = t.record(name, b[p:p+size], depth, more)
		p += size
	}
}

// record reads a record (ECMA-119 section 9.1), and says whether the next goes on with the same file.
func (t *isoTree) record(parent string, r []byte, depth int, more bool) bool {
	id := r[33 : 33+int(r[32])]
	if len(id) == 1 && id[0] <= 1 { // the folder itself, and the one above
		return false
	}
	s := span{(u32(r[2:]) + int64(r[1])) * t.block, u32(r[10:])}
	flags := r[25]
	if more && len(t.files) > 0 {
		f := &t.files[len(t.files)-1]
		if len(f.spans) < 1024 {
			f.spans = append(f.spans, s)
		}
		return flags&0x80 != 0
	}
	f := isoFile{folder: flags&2 != 0}
	if t.joliet {
		var u []uint16
		for i := 0; i+1 < len(id); i += 2 {
			u = append(u, uint16(id[i])<<8|uint16(id[i+1]))
		}
		f.name = string(utf16.Decode(u))
	} else {
		f.name = dosName(id)
	}
	if i := strings.LastIndexByte(f.name, ';'); i > 0 {
		f.name = f.name[:i]
	}
	if n := strings.TrimSuffix(f.name, "."); n != "" && !strings.HasSuffix(n, ".") { // "NAME." is a name without an extension
		f.name = n
	}
	if !t.joliet {
		t.rockRidge(&f, r[min(len(r), 33+len(id)+(len(id)+1)%2+t.skip):])
	}
	if parent != "" {
		f.name = parent + "/" + f.name
	}
	if !f.folder {
		f.spans = []span{s}
	}
	t.files = append(t.files, f)
	if f.folder {
		t.folder(f.name, s.at, s.n, depth+1)
		return false
	}
	return flags&0x80 != 0
}

// rockRidge reads the name and the link that the fields behind a record tell (IEEE P1282), over their continuations.
func (t *isoTree) rockRidge(f *isoFile, x []byte) {
	name, link := "", ""
	for range 8 {
		var next []byte
		for len(x) >= 4 && x[2] >= 4 && int(x[2]) <= len(x) {
			field := x[:x[2]]
			switch {
			case string(x[:2]) == "NM" && len(field) >= 5:
				name += string(field[5:])
			case string(x[:2]) == "SL" && len(field) >= 5:
				link += linkOf(field[5:])
			case string(x[:2]) == "CE" && len(field) >= 28:
				at, n := u32(field[4:])*t.block+u32(field[12:]), u32(field[20:])
				if at >= 0 && n >= 0 && at <= int64(len(t.b)) && n <= int64(len(t.b))-at {
					next = t.b[at : at+n]
				}
			case string(x[:2]) == "ST":
				next = nil
			}
			x = x[x[2]:]
		}
		if next == nil {
			break
		}
		x = next
	}
	if name != "" {
		f.others = []string{f.name}
		f.name = strings.ToValidUTF8(name, "\uFFFD")
	}
	if link != "" {
		f.link = strings.TrimSuffix(link, "/")
	}
}

// linkOf reads the components of a symbolic link.
func linkOf(c []byte) string {
	out := ""
	for len(c) >= 2 && int(c[1])+2 <= len(c) {
		switch {
		case c[0]&8 != 0:
			out += "/"
		case c[0]&4 != 0:
			out += "../"
		case c[0]&2 != 0:
			out += "./"
		default:
			out += string(c[2 : 2+c[1]])
			if c[0]&1 == 0 {
				out += "/"
			}
		}
		c = c[2+c[1]:]
	}
	return out
}
