package mails

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"gatepost/internal/lab"
)

// file is an attachment.
type file struct {
	name string
	kind string // MIME type
	data []byte
}

// wrapped is base64 in lines of 76, each ended by CRLF.
func wrapped(data []byte) string {
	const in, out = 57, 76
	var b strings.Builder
	b.Grow((len(data)/in + 1) * (out + 2))
	line := make([]byte, out)
	for len(data) > 0 {
		n := min(in, len(data))
		base64.StdEncoding.Encode(line, data[:n])
		b.Write(line[:base64.StdEncoding.EncodedLen(n)])
		b.WriteString("\r\n")
		data = data[n:]
	}
	return b.String()
}

// attached is a message with a short text and the file.
func attached(o Options, h header, f file) []byte {
	const boundary = "=_mixed_51c9"
	return message(o, h, fmt.Sprintf("Content-Type: multipart/mixed; boundary=\"%s\"\r\n\r\n", boundary)+
		"--"+boundary+"\r\n"+text("us-ascii", "7bit", "Dear Paul,\r\n\r\nthe file you asked for is attached.\r\n\r\nAnna\r\n")+
		fmt.Sprintf("--%s\r\nContent-Type: %s; name=\"%s\"\r\nContent-Disposition: attachment; filename=\"%s\"\r\n", boundary, f.kind, f.name, f.name)+
		"Content-Transfer-Encoding: base64\r\n\r\n"+wrapped(f.data)+
		"--"+boundary+"--\r\n")
}

// virus is a message with the file.
func virus(o Options, name, title string, f file) Mail {
	o = o.filled()
	body := attached(o, header{name, "Anna Berg", "The file you asked for"}, f)
	return Mail{Name: name, Title: title, Kind: Virus, From: o.From, To: o.To, Body: body}
}

// EICAR has the test file attached as it is.
func EICAR(o Options) Mail {
	return virus(o, "eicar", "virus, EICAR", file{"eicar.com", "application/octet-stream", []byte(lab.EICAR())})
}

// EICARInZips has it in a zip in a zip.
func EICARInZips(o Options) Mail {
	inner := Zip("eicar.com", []byte(lab.EICAR()))
	return virus(o, "eicar-zip", "virus, EICAR in a zip in a zip", file{"papers.zip", "application/zip", Zip("inner.zip", inner)})
}

// EICARInTar has it in a tar.
func EICARInTar(o Options) Mail {
	return virus(o, "eicar-tar", "virus, EICAR in a tar", file{"papers.tar", "application/x-tar", Tar("eicar.com", []byte(lab.EICAR()))})
}

// made is the time of all files in archives: the same archive each time.
func made() time.Time { return time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC) }

// Zip is an archive of one file.
func Zip(name string, data []byte) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: made()})
	// Nothing of this can fail on a bytes.Buffer and a good name.
	if err == nil {
		_, _ = f.Write(data)
	}
	_ = w.Close()
	return b.Bytes()
}

// Tar is an archive of one file.
func Tar(name string, data []byte) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data)), ModTime: made(), Format: tar.FormatUSTAR})
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}
