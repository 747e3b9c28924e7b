package icap

import (
	"bufio"
	"bytes"
	"testing"
	"testing/iotest"
)

// FuzzReply reads any octets as a reply: the same comes of it however it arrives, within the bounds.
func FuzzReply(f *testing.F) {
	f.Add([]byte("ICAP/1.0 204 No\r\nISTag: \"x\"\r\n\r\n"))
	f.Add([]byte("ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=19\r\nX-Infection-Found: Type=0; Threat=E;\r\n\r\nHTTP/1.1 403 No\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
	f.Add([]byte("ICAP/1.0 200 OK\r\nX-Violations-Found: 1\r\n\ta\r\n\tb\r\nEncapsulated: null-body=0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		read := func(r *bufio.Reader) (code int, name string, octets int64, err error) {
			k := reader{r: r}
			h, err := k.head()
			if err != nil {
				return 0, "", 0, err
			}
			headers, body, err := h.parts()
			if err != nil {
				return 0, "", 0, err
			}
			x := exchange{k: &conn{reader: k}}
			if _, err := x.encapsulated(headers); err != nil {
				return 0, "", 0, err
			}
			if body {
				err = x.k.chunks(1000, func(b []byte) error { octets += int64(len(b)); return nil })
			}
			name, _ = h.finds()
			return h.code, name, octets, err
		}
		code, name, octets, err := read(bufio.NewReaderSize(bytes.NewReader(said), maxLine))
		code2, name2, octets2, err2 := read(bufio.NewReaderSize(iotest.OneByteReader(bytes.NewReader(said)), maxLine))
		if code != code2 || name != name2 || (err == nil) != (err2 == nil) || err == nil && octets != octets2 {
			t.Fatalf("%q: %d %q %v, and by single octets %d %q %v", said, code, name, err, code2, name2, err2)
		}
		if octets > 1000 || len(name) > maxText || err == nil && (code < 100 || code > 999) {
			t.Fatalf("%q: %d octets, code %d", said, octets, code)
		}
	})
}
