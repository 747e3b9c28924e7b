package office

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"path"
	"strings"
	"unicode/utf16"

	"gatepost/internal/unpack"
)

// maxXML is how much XML of one document is read in all, in octets.
const maxXML = 64 << 20

// zipped is a document that is a zip file.
type zipped struct {
	w    *unpack.Walk
	at   int
	z    *zip.Reader
	left int64 // octets of XML that may still be read
	err  error // what could not be read: told at the end
}

func openZip(w *unpack.Walk, at int, c unpack.Content) (*zipped, error) {
	z, err := zip.NewReader(c, c.Size())
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, err
	}
	return &zipped{w: w, at: at, z: z, left: maxXML}, nil
}

// mentions reports, without opening the zip, whether a name may be among its entries; in any case of letters.
func mentions(c unpack.Content, head []byte, name, rare string) bool {
	if !bytes.HasPrefix(head, []byte("PK\x03\x04")) {
		return false
	}
	back := strings.Index(name, rare)
	for b := c.Bytes(); ; {
		i := bytes.Index(b, []byte(rare))
		if i < 0 {
			return false
		}
		if i >= back && len(b) >= i-back+len(name) && strings.EqualFold(string(b[i-back:i-back+len(name)]), name) {
			return true
		}
		b = b[i+len(rare):]
	}
}

// holds reports whether the zip has an entry of a name.
func holds(c unpack.Content, name string) bool {
	z, err := zip.NewReader(c, c.Size())
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return false
	}
	for _, f := range z.File {
		if strings.EqualFold(partName(f.Name), name) {
			return true
		}
	}
	return false
}

// partName is the name of an entry as Office compares it, but for the case of letters.
func partName(name string) string {
	return strings.TrimPrefix(strings.ReplaceAll(name, `\`, "/"), "/")
}

// read reads an entry of XML, within what is left, as UTF-8. What is broken is told, and read as far as it goes.
func (z *zipped) read(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		z.err = err
		return nil, nil
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(io.LimitReader(r, z.left+1))
	if z.left -= int64(len(b)); z.left < 0 {
		return nil, z.w.Over(unpack.TooMuch, z.at)
	}
	if err != nil {
		z.err = err
	}
	return utf8Of(b), z.w.Check()
}

// utf8Of makes UTF-8 of UTF-16, which XML may be written in.
func utf8Of(b []byte) []byte {
	little := bytes.HasPrefix(b, []byte("\xff\xfe")) || bytes.HasPrefix(b, []byte("<\x00"))
	big := bytes.HasPrefix(b, []byte("\xfe\xff")) || bytes.HasPrefix(b, []byte("\x00<"))
	if !little && !big {
		return bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	}
	u := make([]uint16, 0, len(b)/2)
	for i := 0; i+1 < len(b); i += 2 {
		c := uint16(b[i]) | uint16(b[i+1])<<8
		if big {
			c = c<<8 | c>>8
		}
		u = append(u, c)
	}
	return []byte(strings.TrimPrefix(string(utf16.Decode(u)), "\ufeff"))
}

// enter has the walk look at an entry.
func (z *zipped) enter(f *zip.File) error {
	e := unpack.Entry{Name: f.Name, Packed: int64(f.CompressedSize64), Size: int64(f.UncompressedSize64)}
	if f.Flags&1 != 0 {
		e.Signs = append(e.Signs, unpack.Sign{Kind: unpack.Encrypted, Text: "entries"})
		return z.w.Enter(z.at, e, nil)
	}
	r, err := f.Open()
	if err != nil {
		e.Signs = append(e.Signs, unpack.Sign{Kind: unpack.Broken, Text: err.Error()})
		return z.w.Enter(z.at, e, nil)
	}
	defer func() { _ = r.Close() }()
	return z.w.Enter(z.at, e, r)
}

// twice tells of names that two entries have: programs differ in which of them they open.
func (z *zipped) twice() {
	seen := make(map[string]bool, len(z.z.File))
	for _, f := range z.z.File {
		name := strings.ToLower(partName(f.Name))
		if seen[name] {
			z.w.Sign(z.at, unpack.NameTwice, f.Name)
		}
		seen[name] = true
	}
}

// tokens walks the elements of XML, as leniently as can be. It ends at what is no XML any more, and with the time of the walk,
// whose report says so then.
func tokens(w *unpack.Walk, b []byte, f func(t xml.Token)) {
	d := xml.NewDecoder(bytes.NewReader(b))
	d.Strict = false
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	for n := 0; ; n++ {
		t, err := d.RawToken()
		if err != nil || n&0xfff == 0 && w.Check() != nil {
			return
		}
		f(t)
	}
}

func attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func extension(name string) string { return strings.ToLower(path.Ext(partName(name))) }
