package office

import (
	"bytes"
	"strings"

	"gatepost/internal/unpack"
)

// compound is an OLE2 compound file: documents of Office 97 to 2003, MSI, Outlook messages, vbaProject.bin, embedded objects.
type compound struct{}

func (compound) Name() string { return "ole" }
func (compound) Match(head []byte, _ unpack.Content) bool {
	return bytes.HasPrefix(head, []byte(cfbMagic))
}

// maxStorages is how many projects of macros are looked at in one file.
const maxStorages = 200

func (compound) Open(w *unpack.Walk, at int, c unpack.Content) error {
	f, err := openCFB(c.Bytes())
	if err != nil {
		return err
	}
	o := oleFile{w: w, at: at, f: f}
	if o.f.find(0, "__properties_version1.0") >= 0 {
		return o.message(0, 0)
	}
	if err := o.special(); err != nil {
		return err
	}
	for i := range f.entries {
		if err := w.Check(); err != nil {
			return err
		}
		if err := o.entry(i); err != nil {
			return err
		}
	}
	return o.err
}

// oleFile is a compound file that is looked into.
type oleFile struct {
	w    *unpack.Walk
	at   int
	f    *cfb
	err  error // what could not be read, told at the end: the rest is looked at
	seen int   // storages of projects and objects
}

// special looks at the streams of the root that say what kind of document it is.
func (o *oleFile) special() error {
	f := o.f
	if object, ok := classOf(guid(f.entries[0].class)); ok {
		o.w.Sign(o.at, unpack.Equation, object)
	}
	if f.find(0, "EncryptionInfo") >= 0 && f.find(0, "EncryptedPackage") >= 0 {
		return o.encrypted()
	}
	for _, name := range []string{"Workbook", "Book"} {
		if b := f.stream(0, name); b != nil {
			o.workbook(b)
		}
	}
	if b := f.stream(0, "WordDocument"); b != nil {
		o.word(b)
	}
	if b := f.stream(0, "PowerPoint Document"); b != nil {
		return o.slides(b)
	}
	return nil
}

// entry looks at one storage or stream, wherever it lies.
func (o *oleFile) entry(i int) error {
	e := &o.f.entries[i]
	lower := strings.ToLower(e.name)
	switch e.kind {
	case cfbStorage, cfbRoot:
		if i > 0 {
			if object, ok := classOf(guid(e.class)); ok {
				o.w.Sign(o.at, unpack.Equation, object)
			}
		}
		if o.f.find(i, "dir") < 0 || o.f.find(i, "_VBA_PROJECT") < 0 {
			return nil
		}
		if o.seen++; o.seen > maxStorages {
			return nil
		}
		modules := vbaModules(o.f, i)
		o.w.Sign(o.at, unpack.Macro, "VBA project")
		macros(o.w, o.at, modules, o.f.stream(i, "_VBA_PROJECT"))
	case cfbStream:
		switch lower {
		case "\x01ole10native":
			return o.native(i)
		case "package", "contents":
			return o.whole(i, e.name)
		case "equation native":
			o.w.Sign(o.at, unpack.Equation, "an object of the equation editor (Equation Native)")
		case "\x01ole":
			o.linked(i)
		}
		return o.monikers(i)
	}
	return nil
}

// native enters a file that was dropped into a document: the object "Package". [MS-OLEDS] 2.3.6 and what the packager writes.
func (o *oleFile) native(i int) error {
	b, err := o.f.read(i)
	if err != nil {
		o.err = err
		return nil
	}
	n := u32(b, 0)
	b = cut(b, 4, len(b))
	if p, ok := parsePackage(b); ok {
		o.w.Sign(o.at, unpack.Embedded, "a file: "+p.name)
		return o.w.Enter(o.at, unpack.Entry{Name: p.name, Names: p.names, Size: int64(len(p.content))}, bytes.NewReader(p.content))
	}
	b = b[:min(len(b), int(n&0x7fffffff))]
	o.w.Sign(o.at, unpack.Embedded, "an object: "+o.place(i))
	return o.w.Enter(o.at, unpack.Entry{Name: o.place(i), Size: int64(len(b))}, bytes.NewReader(b))
}

// whole enters a stream that is a document of its own.
func (o *oleFile) whole(i int, name string) error {
	b, err := o.f.read(i)
	if err != nil {
		o.err = err
		return nil
	}
	if len(b) < 8 || !bytes.HasPrefix(b, []byte("PK\x03\x04")) && !bytes.HasPrefix(b, []byte(cfbMagic)) && !bytes.HasPrefix(b, []byte("%PDF")) && !bytes.HasPrefix(b, []byte("{\\rt")) {
		return nil
	}
	o.w.Sign(o.at, unpack.Embedded, "a document: "+o.place(i))
	return o.w.Enter(o.at, unpack.Entry{Name: o.place(i), Size: int64(len(b))}, bytes.NewReader(b))
}

// place names a stream by the storages it lies in.
func (o *oleFile) place(i int) string {
	name := printable(o.f.entries[i].name)
	for p, n := o.f.entries[i].parent, 0; p > 0 && n < 8; p, n = o.f.entries[p].parent, n+1 {
		name = printable(o.f.entries[p].name) + "/" + name
	}
	return name
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return -1
		}
		return r
	}, s)
}

// linked reads the stream of a linked object: where it is fetched from. [MS-OLEDS] 2.3.3.
func (o *oleFile) linked(i int) {
	b, _ := o.f.read(i)
	if u32(b, 4)&1 == 0 {
		return
	}
	for _, u := range monikers(b) {
		o.w.Sign(o.at, unpack.RemoteContent, "a linked object: "+u)
	}
}

// monikers finds addresses in any stream: hyperlinks of Excel, Word and PowerPoint keep them as URL monikers.
func (o *oleFile) monikers(i int) error {
	e := &o.f.entries[i]
	if e.length < 24 {
		return nil
	}
	b, err := o.f.read(i)
	if err != nil {
		o.err = err
		return nil
	}
	for _, u := range monikers(b) {
		o.w.Link(o.at, unpack.Link{URI: u, Where: "document"})
	}
	return nil
}

// monikers lists the URL monikers of a stream. [MS-OSHARED] 2.3.7.6.
func monikers(b []byte) []string {
	id := []byte("\xE0\xC9\xEA\x79\xF9\xBA\xCE\x11\x8C\x82\x00\xAA\x00\x4B\xA9\x0B")
	var out []string
	for len(out) < 256 {
		i := bytes.Index(b, id)
		if i < 0 {
			break
		}
		n := int(u32(b, i+16) & 0xffff)
		if u := wide(cut(b, i+20, min(n, 4096))); u != "" {
			out = append(out, u)
		}
		b = b[i+16:]
	}
	return out
}
