package mails

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// Content are messages that no virus scanner objects to, and that are doubtful all the same for what they hold, where they
// lead, or whom they pose as. None holds anything that runs.
func Content(o Options) []Mail {
	return []Mail{ZippedProgram(o), LockedZip(o), MacroDocument(o), LookAlike(o)}
}

// doubtful is a message with the file.
func doubtful(o Options, name, title, subject string, f file) Mail {
	o = o.filled()
	return Mail{Name: name, Title: title, Kind: Doubtful, From: o.From, To: o.To, Body: attached(o, header{name, "Anna Berg", subject}, f)}
}

// ZippedProgram has a zip that holds a program, as its name and its first octets say.
func ZippedProgram(o Options) Mail {
	program := append([]byte("MZ"), make([]byte, 254)...)
	return doubtful(o, "zip-exe", "a zip with a program", "Your invoice", file{"invoice.zip", "application/zip", Zip("invoice.exe", program)})
}

// LockedZip has a zip that asks for a password.
func LockedZip(o Options) Mail {
	return doubtful(o, "zip-locked", "a zip with a password", "Your statement", file{"statement.zip", "application/zip", Locked("statement.txt", "2026", []byte("Nothing is owed.\r\n"))})
}

// MacroDocument has a Word document with a project of macros, which holds none.
func MacroDocument(o Options) Mail {
	const head = `<?xml version="1.0"?>`
	return doubtful(o, "docm", "a document with macros", "The offer", file{"offer.docm", "application/vnd.ms-word.document.macroEnabled.12", zipOf(
		"[Content_Types].xml", head+`<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/>`+
			`<Override PartName="/word/document.xml" ContentType="application/vnd.ms-word.document.macroEnabled.main+xml"/>`+
			`<Override PartName="/word/vbaProject.bin" ContentType="application/vnd.ms-office.vbaProject"/></Types>`,
		"word/document.xml", head+`<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>Please enable content.</w:t></w:r></w:p></w:body></w:document>`,
		"word/vbaProject.bin", "no macros\r\n")})
}

// LookAlike has a link that shows one name and leads to another, which looks like it.
func LookAlike(o Options) Mail {
	o = o.filled()
	const boundary = "=_alternative_10ca"
	part := func(kind, content string) string {
		return "--" + boundary + "\r\nContent-Type: " + kind + "; charset=us-ascii\r\n\r\n" + content + "\r\n"
	}
	body := message(o, header{"look-alike", "Customer Service", "Your account"}, "Content-Type: multipart/alternative; boundary=\""+boundary+"\"\r\n\r\n"+
		part("text/plain", "Your account needs a look: https://www.paypa1.com/session")+
		part("text/html", "<!DOCTYPE html>\r\n<html><body><p>Your account needs a look: <a href=\"https://www.paypal.com@www.paypa1.com/session\">https://www.paypal.com/session</a></p></body></html>")+
		"--"+boundary+"--\r\n")
	return Mail{Name: "look-alike", Title: "a link that looks like another", Kind: Doubtful, From: o.From, To: o.To, Body: body}
}

// Named is from an address of the options' sender under a name that somebody else has.
func Named(o Options, name string) Mail {
	o = o.filled()
	body := message(o, header{"named", name, "Are you at your desk?"},
		text("us-ascii", "7bit", crlf("Hello,\n\nI am in a meeting. Please pay the bill of today, I shall explain it later.\n")))
	return Mail{Name: "named", Title: "a colleague's name, a stranger's address", Kind: Doubtful, From: o.From, To: o.To, Body: body}
}

// zipOf is an archive of files, given as names and contents.
func zipOf(files ...string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i+1 < len(files); i += 2 {
		// Nothing of this can fail on a bytes.Buffer and good names.
		if f, err := w.CreateHeader(&zip.FileHeader{Name: files[i], Method: zip.Deflate, Modified: made()}); err == nil {
			_, _ = f.Write([]byte(files[i+1]))
		}
	}
	_ = w.Close()
	return b.Bytes()
}

// Locked is an archive of one file under a password, encrypted as PKWARE's APPNOTE 6.1 says, which every program can open.
func Locked(name, password string, data []byte) []byte {
	k := [3]uint32{0x12345678, 0x23456789, 0x34567890}
	turn := func(c byte) {
		k[0] = crc32.IEEETable[byte(k[0])^c] ^ k[0]>>8
		k[1] = (k[1]+k[0]&0xff)*134775813 + 1
		k[2] = crc32.IEEETable[byte(k[2])^byte(k[1]>>24)] ^ k[2]>>8
	}
	for _, c := range []byte(password) {
		turn(c)
	}
	sum := crc32.ChecksumIEEE(data)
	// Twelve octets lead, the last of which tells a wrong password; the others should be random, and are the same each time.
	plain := append(binary.BigEndian.AppendUint32(make([]byte, 8, 12+len(data)), sum>>24), data...)
	for i, c := range plain {
		t := k[2] | 2
		plain[i] = c ^ byte(t*(t^1)>>8)
		turn(c)
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	// Nothing of this can fail on a bytes.Buffer and a good name.
	if f, err := w.CreateRaw(&zip.FileHeader{Name: name, Flags: 1, Modified: made(), CRC32: sum,
		CompressedSize64: uint64(len(plain)), UncompressedSize64: uint64(len(data))}); err == nil {
		_, _ = f.Write(plain)
	}
	_ = w.Close()
	return b.Bytes()
}
