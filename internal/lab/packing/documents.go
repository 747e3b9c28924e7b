package packing

import (
	"archive/zip"
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// TNEF is a winmail.dat with the file ([MS-OXTNEF]).
func TNEF(name string, content []byte) []byte {
	var b bytes.Buffer
	attribute := func(kind, id int, body []byte) {
		sum := uint16(0)
		for _, c := range body {
			sum += uint16(c)
		}
		put(&b, byte(2), uint16(id), uint16(kind), uint32(len(body)), body, sum)
	}
	put(&b, "\x78\x9f\x3e\x22\x01\x00")
	attribute(6, 0x9002, []byte("\x01\x00\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00"))
	attribute(1, 0x8010, []byte(name+"\x00"))
	attribute(6, 0x800f, content)
	return b.Bytes()
}

// RTF is a text with the file as a package in it, as Word puts one there ([MS-OLEDS]).
func RTF(name string, content []byte) []byte {
	var file, object bytes.Buffer
	put(&file, uint16(2), name+"\x00", name+"\x00", uint32(0x30000), uint32(len(name)+1), name+"\x00", uint32(len(content)), content)
	put(&object, uint32(0x501), uint32(2), uint32(8), "Package\x00", uint32(0), uint32(0), uint32(file.Len()), file.Bytes())
	return []byte(`{\rtf1\ansi hello {\object\objemb{\*\objclass Package}{\*\objdata ` + hex.EncodeToString(object.Bytes()) + `}}}`)
}

// OneNote is a section with the file in it ([MS-ONESTORE] section 2.6.13).
func OneNote(name string, content []byte) []byte {
	var b bytes.Buffer
	put(&b, "\xE4\x52\x5C\x7B\x8C\xD8\xA7\x4D\xAE\xB1\x53\x78\xD0\x29\x96\xD3", make([]byte, 1008), uint32(2*len(name)+2), utf16le(name+"\x00"))
	put(&b, "\xE7\x16\xE3\xBD\x65\x26\x11\x45\xA4\xC4\x8D\x4D\x0B\x7A\x9E\xAC", uint64(len(content)), make([]byte, 12), content,
		"\x22\xA7\xFB\x71\x79\x0F\x0B\x4A\xBB\x13\x89\x92\x56\x42\x6B\x24")
	return b.Bytes()
}

// Word is a document of Word (.docx) with the file as one of its parts, which its relationships call an object.
func Word(name string, content []byte) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range [][2]string{
		{"[Content_Types].xml", `<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="bin" ContentType="application/vnd.openxmlformats-officedocument.oleObject"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>`},
		{"_rels/.rels", `<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>`},
		{"word/document.xml", `<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>hello</w:t></w:r></w:p></w:body></w:document>`},
		{"word/_rels/document.xml.rels", `<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/package" Target="embeddings/` + name + `"/></Relationships>`},
		{"word/embeddings/" + name, string(content)},
	} {
		if w, err := z.Create(f[0]); err == nil { // into memory: it cannot fail
			_, _ = w.Write([]byte(f[1]))
		}
	}
	_ = z.Close()
	return b.Bytes()
}

// PDF is a document with the file attached (ISO 32000 section 7.11.4), packed.
func PDF(name string, content []byte) []byte {
	var z, b bytes.Buffer
	w := zlib.NewWriter(&z)
	_, _ = w.Write(content)
	_ = w.Close()
	var at []int
	object := func(body string) {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", len(at), body)
	}
	b.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	object("<< /Type /Catalog /Pages 2 0 R /Names << /EmbeddedFiles << /Names [(" + name + ") 4 0 R] >> >> >>")
	object("<< /Type /Pages /Kids [3 0 R] /Count 1 >>")
	object("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>")
	object("<< /Type /Filespec /F (" + name + ") /UF (" + name + ") /EF << /F 5 0 R >> >>")
	object(fmt.Sprintf("<< /Type /EmbeddedFile /Filter /FlateDecode /Length %d /Params << /Size %d >> >>\nstream\n%s\nendstream", z.Len(), len(content), z.Bytes()))
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(at)+1)
	for _, a := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", a)
	}
	fmt.Fprintf(&b, "trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(at)+1, start)
	return b.Bytes()
}

// Page is a page that puts the file together and offers it: what is called smuggling.
func Page(name string, content []byte) []byte {
	return []byte(`<html><body><script>var d = atob("` + base64.StdEncoding.EncodeToString(content) + `"); var a = new Uint8Array(d.length); for (var i = 0; i < d.length; i++) a[i] = d.charCodeAt(i);` +
		` var l = document.createElement("a"); l.href = URL.createObjectURL(new Blob([a])); l.download = "` + name + `"; l.click();</script></body></html>`)
}

// DataLink is a page with a link whose address is the file.
func DataLink(name string, content []byte) []byte {
	return []byte(`<html><body><a download="` + name + `" href="data:application/octet-stream;base64,` + base64.StdEncoding.EncodeToString(content) + `">here</a></body></html>`)
}

// SVG is a picture with a link whose address is the file.
func SVG(name string, content []byte) []byte {
	return []byte(`<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><a xlink:href="data:application/octet-stream;base64,` + base64.StdEncoding.EncodeToString(content) +
		`" download="` + name + `"><text y="20">here</text></a></svg>`)
}

// UUEncode is the file as uuencode writes it.
func UUEncode(name string, content []byte) []byte {
	var b bytes.Buffer
	letter := func(c byte) byte {
		if c == 0 {
			return '`'
		}
		return c + ' '
	}
	fmt.Fprintf(&b, "begin 644 %s\r\n", name)
	for len(content) > 0 {
		n := min(45, len(content))
		line := append(bytes.Clone(content[:n]), 0, 0)
		b.WriteByte(letter(byte(n)))
		for i := 0; i < n; i += 3 {
			b.Write([]byte{letter(line[i] >> 2), letter(line[i]&3<<4 | line[i+1]>>4), letter(line[i+1]&15<<2 | line[i+2]>>6), letter(line[i+2] & 63)})
		}
		b.WriteString("\r\n")
		content = content[n:]
	}
	b.WriteString("`\r\nend\r\n")
	return b.Bytes()
}
