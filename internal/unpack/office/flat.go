package office

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/xml"
	"io"
	"strings"

	"gatepost/internal/unpack"
)

// flat is a document as one text: Word and Excel 2003 XML, Flat OPC, flat ODF, and web pages in MIME (.mht) that Word opens
// with their macros whatever they are called.
type flat struct{}

func (flat) Name() string { return "office-text" }

// The beginnings, in Base64, of what such a text carries.
const (
	base64ActiveMime = "QWN0aXZlTWlt" // "ActiveMim(e)": zlib of a compound file
	base64OLE        = "0M8R4KGxGu"
)

func (flat) Match(head []byte, c unpack.Content) bool {
	text := bytes.ToLower(utf8Of(head))
	switch {
	case bytes.Contains(text, []byte("<?mso-application")), bytes.Contains(text, []byte("http://schemas.microsoft.com/office/word/2003/wordml")),
		bytes.Contains(text, []byte("http://schemas.microsoft.com/office/2006/xmlpackage")), bytes.Contains(text, []byte("urn:schemas-microsoft-com:office:spreadsheet")),
		bytes.Contains(text, []byte("<office:document")):
		return bytes.HasPrefix(bytes.TrimSpace(text), []byte("<"))
	case bytes.Contains(text, []byte("mime-version:")):
		return bytes.Contains(c.Bytes(), []byte(base64ActiveMime))
	}
	return false
}

func (flat) Open(w *unpack.Walk, at int, c unpack.Content) error {
	b := utf8Of(c.Bytes())
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("<")) {
		if len(b) > maxXML {
			return w.Over(unpack.TooMuch, at)
		}
		flatXML(w, at, b)
	}
	for _, begin := range []string{base64ActiveMime, base64OLE} {
		if err := carried(w, at, b, begin); err != nil {
			return err
		}
	}
	return w.Check()
}

// flatXML looks at the XML itself. It is parsed only for what a telling word occurs of.
func flatXML(w *unpack.Walk, at int, b []byte) {
	has := func(word string) bool { return bytes.Contains(b, []byte(word)) }
	if has("office:document") {
		odfXML(w, at, b)
		return
	}
	z := &zipped{w: w, at: at}
	if has("instrText") || has("fldSimple") {
		z.fields(b)
	}
	if has("ddeLink") || has("definedName") {
		z.names(b)
	}
	if has("Relationship") || has("attachedTemplate") {
		tokens(w, b, func(t xml.Token) {
			e, ok := t.(xml.StartElement)
			if !ok {
				return
			}
			switch target := attr(e, "Target"); {
			case e.Name.Local == "Relationship" && strings.EqualFold(attr(e, "TargetMode"), "External") && strings.HasSuffix(attr(e, "Type"), "/hyperlink"):
				w.Link(at, unpack.Link{URI: target, Where: "document"})
			case e.Name.Local == "Relationship" && strings.EqualFold(attr(e, "TargetMode"), "External") && remote(target):
				w.Sign(at, unpack.RemoteContent, target)
			case e.Name.Local == "attachedTemplate" && remote(attr(e, "val")):
				w.Sign(at, unpack.RemoteContent, "attachedTemplate: "+attr(e, "val"))
			}
		})
	}
}

// carried enters what begins in the text with a known beginning.
func carried(w *unpack.Walk, at int, b []byte, begin string) error {
	for n := 0; n < 64; n++ {
		i := bytes.Index(b, []byte(begin))
		if i < 0 {
			return nil
		}
		b = b[i:]
		end := bytes.IndexFunc(b, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '+' || r == '/' || r == '\r' || r == '\n' || r == ' ' || r == '\t')
		})
		if end < 0 {
			end = len(b)
		}
		text := strings.Map(func(r rune) rune {
			if r <= ' ' {
				return -1
			}
			return r
		}, string(b[:end]))
		b = b[end:]
		var r io.Reader = base64.NewDecoder(base64.RawStdEncoding, strings.NewReader(text))
		e := unpack.Entry{Name: "embedded", Size: -1, Packed: int64(len(text))}
		if begin == base64ActiveMime {
			// The header is 50 octets as Office writes it; its length stands in it and is not believed.
			raw, _ := io.ReadAll(r)
			z := bytes.Index(cut(raw, 0, 512), []byte("\x78"))
			for z >= 0 && z < 512 {
				if inflated, err := zlib.NewReader(bytes.NewReader(raw[z:])); err == nil {
					r = inflated
					break
				}
				next := bytes.IndexByte(cut(raw, z+1, 512), 0x78)
				if next < 0 {
					break
				}
				z += 1 + next
			}
			e.Name = "editdata.mso"
		}
		w.Sign(at, unpack.Embedded, e.Name)
		if err := w.Enter(at, e, r); err != nil {
			return err
		}
	}
	return nil
}
