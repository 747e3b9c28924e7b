package sink

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"gatepost/internal/lab/bench/mark"
)

// marked is a message with its mark, and what is in front of it and after its dot.
func marked(front string, id uint64, body, end string) string {
	size := mark.FieldLen + len(body) + mark.TrailerLen
	b := mark.AppendField([]byte(front), id, size)
	b = append(b, body...)
	return string(mark.AppendTrailer(b, id)) + end
}

// TestReaderPieces shows that a message is the same however it is cut into reads, and that what follows it stays.
func TestReaderPieces(t *testing.T) {
	text := marked("Received: x\r\n", 7, "Subject: y\r\n\r\n"+strings.Repeat("some. text..\r\n..dots\r\n", 40), ".\r\nQUIT\r\n")
	readers := map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "octets": iotest.OneByteReader, "halves": iotest.HalfReader,
	}
	for name, wrap := range readers {
		for _, size := range []int{300, 400, 1 << 10, 1 << 16} {
			r := &reader{conn: wrap(strings.NewReader(text)), buf: make([]byte, size)}
			m, err := r.message()
			if err != nil || !m.marked || m.id != 7 || m.octets != m.size || !m.ended {
				t.Errorf("%s in %d: %+v, %v", name, size, m, err)
			}
			if line, err := r.line(); err != nil || string(line) != "QUIT" {
				t.Errorf("%s in %d: then %q, %v; want QUIT", name, size, line, err)
			}
		}
	}
}

// TestReaderLines shows that a command without an end is not kept without bound.
func TestReaderLines(t *testing.T) {
	r := &reader{conn: bytes.NewReader(bytes.Repeat([]byte("x"), 1<<20)), buf: make([]byte, bufferSize)}
	if _, err := r.line(); err != errLine {
		t.Errorf("error %v", err)
	}
}

// FuzzMessage shows that no octets make the reader read past a dot, hang, or take a message for whole that is not.
func FuzzMessage(f *testing.F) {
	for _, s := range []string{"", ".\r\n", "x\r\n.\r\ny", "X-Load: ", "\r\n..\r\n.\r\n", marked("", 1, "body\r\n", ".\r\n"),
		marked("A: b\r\n", 1, "body\r\n", "\r\n.\r\n"), marked("", 1, "x\r\n.\r\n", ".\r\n")} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &reader{conn: bytes.NewReader(b), buf: make([]byte, 512)}
		m, err := r.message()
		end := findDot(append([]byte("\r\n"), b...)) // the CRLF of DATA
		if (err == nil) != (end >= 0) {
			t.Fatalf("error %v, but the dot is at %d", err, end)
		}
		if err == nil && m.marked && m.octets == m.size && m.ended {
			at, id, size, ok := mark.FindField(b)
			if !ok || id != m.id || int64(end-2-at) != size {
				t.Fatalf("taken for whole: %+v", m)
			}
		}
		rest, err2 := io.ReadAll(io.MultiReader(bytes.NewReader(r.buf[r.r:r.w]), r.conn))
		if err == nil && (err2 != nil || !bytes.Equal(rest, b[end+1:])) {
			t.Fatalf("what follows is %q, want %q", rest, b[end+1:])
		}
	})
}
