package mime

import (
	"bytes"
	"crypto/rand"
	b64 "encoding/base64"
	"fmt"
	"strings"
	"testing"
)

func plainMail(n int) []byte {
	line := "The quick brown fox jumps over the lazy dog, and then some more of it.\r\n"
	return []byte("From: a@example.org\r\nTo: b@example.org\r\nSubject: x\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n" +
		strings.Repeat(line, n/len(line)+1))
}

// attachment is a message with an attachment of n octets.
func attachment(n int) []byte {
	raw := make([]byte, n)
	rand.Read(raw)
	var b bytes.Buffer
	b.WriteString("From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\n--=_b\r\nContent-Type: text/plain\r\n\r\nhello\r\n" +
		"--=_b\r\nContent-Type: application/octet-stream; name=a.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	for len(raw) > 0 {
		k := min(57, len(raw))
		b.WriteString(b64.StdEncoding.EncodeToString(raw[:k]) + "\r\n")
		raw = raw[k:]
	}
	b.WriteString("--=_b--\r\n")
	return b.Bytes()
}

func BenchmarkWalk(b *testing.B) {
	for _, c := range []struct {
		name string
		mail []byte
	}{{"plain-2k", plainMail(2 << 10)}, {"plain-10k", plainMail(10 << 10)}, {"base64-1M", attachment(750 << 10)}, {"base64-20M", attachment(15 << 20)}} {
		for _, from := range []string{"memory", "file"} {
			b.Run(fmt.Sprintf("%s/%s", c.name, from), func(b *testing.B) {
				var src Source = Bytes(c.mail)
				if from == "file" {
					src = file{bytes.NewReader(c.mail)}
				}
				b.SetBytes(int64(len(c.mail)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := Walk(src, DefaultLimits()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
