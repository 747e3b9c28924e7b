package mime

import (
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

// endless is a message that begins with a text and goes on with another, again and again: it lies nowhere. It counts what is
// read of it and how much memory is in use meanwhile.
type endless struct {
	begin, again string
	size         int64
	read         int64
	most, asked  uint64
}

func (e *endless) Size() int64 { return e.size }

func (e *endless) ReadAt(p []byte, at int64) (int, error) {
	n := 0
	for n < len(p) && at < e.size {
		rest := e.begin
		if at < int64(len(e.begin)) {
			rest = rest[at:]
		} else {
			rest = e.again[(at-int64(len(e.begin)))%int64(len(e.again)):]
		}
		k := copy(p[n:min(len(p), n+int(e.size-at))], rest)
		n, at = n+k, at+int64(k)
	}
	e.read += int64(n)
	if e.asked++; e.asked%16 == 0 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		e.most = max(e.most, m.HeapAlloc)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// shapes are messages that could cost more than they are long.
func shapes() map[string][2]string {
	mixed := "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	return map[string][2]string{
		"parts":             {mixed, "--b\r\n\r\nx\r\n"},
		"boundaries":        {mixed, "--b\r\n"},
		"nearly boundaries": {mixed, "--bb\r\n"},
		"messages":          {"", "Content-Type: message/rfc822\r\n\r\n"},
		"multiparts":        {"", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"},
		"one line":          {mixed, "a"},
		"no letters":        {mixed, "\r\n"},
		"one field":         {"", "Content-Type: a/b;\r\n name*0=x;"},
		"fields":            {"", "Content-Type: text/plain; charset=x\r\n"},
		"base64":            {"Content-Type: application/x\r\nContent-Transfer-Encoding: base64\r\n\r\n", "AAAA=AAA\r\n"},
		"quoted":            {"Content-Transfer-Encoding: quoted-printable\r\n\r\n", "= "},
		"files in a text":   {"\r\n", "begin 644 x\r\n#0V%T\r\nend\r\n"},
		"nothing but begin": {"\r\n", "begin 644 x\r\n"},
		"encoded messages":  {mixed, "--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA0KDQp4\r\n"},
		"readings":          {mixed, "--b\r\nContent-Type: text/plain\r\nContent-Type: text/html\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\nx\r\n"},
		"utf-7":             {"Content-Type: text/plain; charset=utf-7\r\n\r\n", "+AAAAAAAA"},
	}
}

// TestBounded walks messages of 50 MB under a memory limit: none takes more than 24 MiB of memory besides, and none is read
// more often than thrice, which is what second readings may cost, with what is looked at ahead. Under the race detector most are of
// 8 MB.
func TestBounded(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(64 << 20))
	for name, s := range shapes() {
		size := int64(50 << 20)
		if raced && name != "parts" && name != "one line" && name != "base64" {
			size = 8 << 20
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		e := &endless{begin: s[0], again: strings.Repeat(s[1], 1+4096/len(s[1])), size: size}
		tree, err := Walk(e, DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		if over := int64(e.most) - int64(m.HeapAlloc); over > 24<<20 {
			t.Errorf("%s: %d MiB of memory", name, over>>20)
		}
		if e.read > 3*size+4<<20 {
			t.Errorf("%s: %d MiB read of %d", name, e.read>>20, size>>20)
		}
		if l := DefaultLimits(); len(tree.Parts) > l.Parts || len(tree.Defects) > maxDefects {
			t.Errorf("%s: %d parts, %d defects", name, len(tree.Parts), len(tree.Defects))
		}
	}
}

// TestOpenIsNoSecondPass shows that a part in the middle of an encoded one is found without decoding all in front of it.
func TestOpenIsNoSecondPass(t *testing.T) {
	e := &endless{begin: "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n", again: strings.Repeat("AAAA", 19) + "\r\n", size: 8 << 20}
	tree, err := Walk(e, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []int64{0, 1, 3 << 20, tree.Parts[0].Octets - 1} {
		e.read = 0
		b, err := io.ReadAll(io.LimitReader(tree.content(0, from), 10))
		if err != nil || len(b) != int(min(10, tree.Parts[0].Octets-from)) || strings.Trim(string(b), "\x00") != "" {
			t.Errorf("from %d: %q, %v", from, b, err)
		}
		if e.read > 4*step {
			t.Errorf("from %d: %d octets read", from, e.read)
		}
	}
}
