package dkim

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

// TestFieldCanon has the example of RFC 6376 section 3.4.5 and what it does not show.
func TestFieldCanon(t *testing.T) {
	for _, c := range []struct{ raw, relaxed string }{
		{"A: X\r\n", "a:X\r\n"},
		{"B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n"},
		{"SUBJect:x\r\n", "subject:x\r\n"},
		{"Subject: \t a \t b\t\r\n", "subject:a b\r\n"},
		{"Subject\r\n\t: a\r\n  b\r\n", "subject:a b\r\n"},
		{"Subject:\r\n", "subject:\r\n"},
		{"Subject:\r\n \r\n", "subject:\r\n"},
		{"Subject:\r\n \r\n x\r\n", "subject:x\r\n"},
		{"Subject: a: b\r\n", "subject:a: b\r\n"},
		{"Subject: \xe4\x00\r\n", "subject:\xe4\x00\r\n"},
		{"Subject: a\rb\r\n", "subject:a\rb\r\n"},
	} {
		if got := string(AppendField(nil, []byte(c.raw), Relaxed)); got != c.relaxed {
			t.Errorf("%q: %q, want %q", c.raw, got, c.relaxed)
		}
		if got := string(AppendField(nil, []byte(c.raw), Simple)); got != c.raw {
			t.Errorf("%q: %q", c.raw, got)
		}
	}
}

// TestUnsigned removes the value of b=, that one and with its white space, and nothing else (section 3.7).
func TestUnsigned(t *testing.T) {
	for _, c := range []struct{ raw, simple, relaxed string }{
		{"D: b=abc\r\n", "D: b=", "d:b="},
		{"D: b=abc; bh=xyz\r\n", "D: b=; bh=xyz", "d:b=; bh=xyz"},
		{"D: bh=abc; b=xyz\r\n", "D: bh=abc; b=", "d:bh=abc; b="},
		{"D: bh=abc ; b = x\r\n\ty \r\n ; z=1\r\n", "D: bh=abc ; b =; z=1", "d:bh=abc ; b =; z=1"},
		{"D: b=\r\n\tx\r\n\ty;\r\n", "D: b=;", "d:b=;"},
		{"D: b=x;\r\n  \r\n", "D: b=;\r\n  ", "d:b=;"},
		{"D: b=x \r\n", "D: b=", "d:b="},
		{"D: a=b=c; b=x\r\n", "D: a=b=c; b=", "d:a=b=c; b="},
	} {
		f := Field{Name: "D", Raw: []byte(c.raw)}
		v, at := f.Value()
		tags, err := ParseTags(string(v))
		if err != nil {
			t.Fatalf("%q: %v", c.raw, err)
		}
		b := tags.Find("b")
		for canon, want := range map[Canon]string{Simple: c.simple, Relaxed: c.relaxed} {
			if got := string(AppendUnsigned(nil, f.Raw, canon, at+b.Start, at+b.End)); got != want {
				t.Errorf("%q %s: %q, want %q", c.raw, canon, got, want)
			}
			w := NewHeaderHasher(canon)
			w.Own(&f, b)
			if w.Sum() != sha256.Sum256([]byte(want)) {
				t.Errorf("%q %s: another hash", c.raw, canon)
			}
		}
	}
}

// plainBody is section 3.4.3 and 3.4.4 by the letter, with the whole body at hand.
func plainBody(body string, c Canon) string {
	lines := strings.Split(body, "\r\n")
	if c == Relaxed {
		for i, l := range lines {
			var b strings.Builder
			for j := 0; j < len(l); j++ {
				if l[j] != ' ' && l[j] != '\t' {
					b.WriteByte(l[j])
				} else if j == 0 || l[j-1] != ' ' && l[j-1] != '\t' {
					b.WriteByte(' ')
				}
			}
			lines[i] = strings.TrimRight(b.String(), " ")
		}
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) == 0 && c == Relaxed {
		return ""
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}

// sumOf hashes a body in one combination.
func sumOf(t testing.TB, r io.Reader, c Canon, limit int64) BodySum {
	t.Helper()
	var b BodyHasher
	n := b.Want(c, limit)
	if err := b.Read(r); err != nil {
		t.Fatal(err)
	}
	sum, err := b.Sum(n)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestBodyCanon(t *testing.T) {
	for _, c := range []struct{ body, simple, relaxed string }{
		{" C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n"}, // section 3.4.5
		{"", "\r\n", ""},
		{"\r\n", "\r\n", ""},
		{"\r\n\r\n", "\r\n", ""},
		{" \r\n\t\r\n", " \r\n\t\r\n", ""},
		{"a", "a\r\n", "a\r\n"},
		{"a\r\n", "a\r\n", "a\r\n"},
		{"a\r\n\r\n \r\n", "a\r\n\r\n \r\n", "a\r\n"},
		{"a \r\n\r\n b", "a \r\n\r\n b\r\n", "a\r\n\r\n b\r\n"},
		{"a\r", "a\r\r\n", "a\r\r\n"},
		{"a\rb\nc", "a\rb\nc\r\n", "a\rb\nc\r\n"}, // neither ends a line
		{"a\t\r \r\n", "a\t\r \r\n", "a \r\r\n"},
		{"\r\n\r\na\r\n", "\r\n\r\na\r\n", "\r\n\r\na\r\n"},
		{"a\r\r\n", "a\r\r\n", "a\r\r\n"},
		{"a \r\r\n\r\n", "a \r\r\n", "a \r\r\n"},
		{"  a  b  ", "  a  b  \r\n", " a b\r\n"},
	} {
		for canon, want := range map[Canon]string{Simple: c.simple, Relaxed: c.relaxed} {
			if got := sumOf(t, strings.NewReader(c.body), canon, -1); got.Hash != sha256.Sum256([]byte(want)) || got.Total != int64(len(want)) {
				t.Errorf("%q %s: not %q", c.body, canon, want)
			}
			if plain := plainBody(c.body, canon); plain != want {
				t.Errorf("%q %s: the plain way says %q", c.body, canon, plain)
			}
		}
	}
	// The hashes that RFC 6376 names for an empty body (sections 3.4.3 and 3.4.4).
	for canon, want := range map[Canon]string{Simple: "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=", Relaxed: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="} {
		sum := sumOf(t, strings.NewReader(""), canon, -1)
		if got := base64.StdEncoding.EncodeToString(sum.Hash[:]); got != want {
			t.Errorf("empty body, %s: %s", canon, got)
		}
	}
}

// hostileBody makes a body of what canonicalisation looks at.
func hostileBody(r *rand.Rand, n int) string {
	pieces := []string{"\r\n", "\r\n\r\n", " ", "\t", "  ", "a", "text", "\r", "\n", "=20", "ä", strings.Repeat("x", 130), "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n"}
	var b strings.Builder
	for range r.IntN(n + 1) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

// TestBodyHasher shows for random bodies, whole and in chunks of any size, that each combination is what it is alone and
// by the letter of the RFC.
func TestBodyHasher(t *testing.T) {
	r := rand.New(rand.NewPCG(6376, 1))
	for range 1500 {
		body := hostileBody(r, 40)
		readers := map[string]io.Reader{"whole": strings.NewReader(body), "octets": iotest.OneByteReader(strings.NewReader(body)),
			"halves": iotest.HalfReader(strings.NewReader(body)), "with the end": iotest.DataErrReader(strings.NewReader(body))}
		limits := []int64{-1, 0, 1, int64(r.IntN(len(body) + 3)), int64(r.IntN(len(body) + 3)), 1 << 40}
		for name, reader := range readers {
			var b BodyHasher
			var numbers []int
			for _, canon := range []Canon{Relaxed, Simple} {
				for _, limit := range limits {
					numbers = append(numbers, b.Want(canon, limit))
				}
			}
			if err := b.Read(reader); err != nil {
				t.Fatal(err)
			}
			for i, n := range numbers {
				canon, limit := []Canon{Relaxed, Simple}[i/len(limits)], limits[i%len(limits)]
				want := plainBody(body, canon)
				total := int64(len(want))
				if limit >= 0 && limit < total {
					want = want[:limit]
				}
				sum, err := b.Sum(n)
				if err != nil || sum.Hash != sha256.Sum256([]byte(want)) || sum.Octets != int64(len(want)) || sum.Total != total {
					t.Fatalf("%q %s, %s, first %d: %+v %v, want %q", body, name, canon, limit, sum, err, want)
				}
			}
		}
	}
}

// TestBodyIsReadOnce shows that what is wanted often costs once.
func TestBodyIsReadOnce(t *testing.T) {
	var b BodyHasher
	for i := range 1000 {
		b.Want(Relaxed, int64(i%50))
		b.Want(Relaxed, -1-int64(i))
		b.Want(Simple, -1)
	}
	if len(b.wanted) != 52 {
		t.Errorf("%d combinations", len(b.wanted))
	}
	body := strings.Repeat("text of a line\r\n", 1000)
	r := &counting{Reader: strings.NewReader(body)}
	if err := b.Read(r); err != nil || r.n != len(body) || b.Hashed() != int64(2*len(body)) {
		t.Errorf("read %d octets, hashed %d (%v)", r.n, b.Hashed(), err)
	}
	for i := range maxWanted {
		if n := b.Want(Simple, int64(i)); n >= 0 {
			t.Errorf("wanted after it was read: %d", n)
		}
	}
	var full BodyHasher
	last := 0
	for i := range maxWanted + 1 {
		last = full.Want(Simple, int64(i))
	}
	if err := full.Read(strings.NewReader("x")); err != nil || last != -1 {
		t.Errorf("one combination too many: %d %v", last, err)
	}
	if _, err := full.Sum(last); err == nil {
		t.Error("one combination too many has a hash")
	}
}

type counting struct {
	io.Reader
	n int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

func TestBodyThatCannotBeRead(t *testing.T) {
	broken := fmt.Errorf("disk on fire")
	var b BodyHasher
	n := b.Want(Simple, 3)
	if _, err := b.Sum(n); err == nil {
		t.Error("a hash before it was read")
	}
	if err := b.Read(io.MultiReader(strings.NewReader("text"), iotest.ErrReader(broken))); err != broken {
		t.Errorf("error %v", err)
	}
	if sum, err := b.Sum(n); err != broken || sum != (BodySum{}) {
		t.Errorf("a hash of what could not be read: %v %v", sum, err)
	}
	var none BodyHasher
	if err := none.Read(iotest.ErrReader(broken)); err != nil || !none.Empty() {
		t.Errorf("nobody wants it, and it is read: %v", err)
	}
}

// headerOf cuts a header section into fields, as the house's parser does.
func headerOf(raw string) []Field {
	var out []Field
	text, at := []byte(raw), 0
	for line := range strings.SplitAfterSeq(raw, "\r\n") {
		from := at
		at += len(line)
		if n := len(out); n > 0 && line != "" && (line[0] == ' ' || line[0] == '\t') {
			last := &out[n-1]
			last.Raw = text[from-len(last.Raw) : at : at]
		} else if line != "" {
			name, _, _ := strings.Cut(line, ":")
			out = append(out, Field{Name: strings.TrimRight(name, " \t"), Raw: text[from:at:at]})
		}
	}
	return out
}

func TestSelect(t *testing.T) {
	h := NewHeader(headerOf("A: 0\r\nb: 1\r\na: 2\r\nB: 3\r\nSig: 4\r\nA: 5\r\n\x4bey: 6\r\n"))
	for _, c := range []struct {
		names string
		own   int
		want  string
	}{
		{"a", -1, "[5]"},
		{"a a A a a", -1, "[5 2 0 -1 -1]"},
		{"b a b a b", -1, "[3 5 1 2 -1]"},
		{"sig", 4, "[-1]"},
		{"sig sig", -1, "[4 -1]"},
		{"a a a", 2, "[5 0 -1]"},
		{"a a", 5, "[2 0]"},
		{"none a \u212aey", -1, "[-1 5 -1]"},
		{"", -1, "[]"},
	} {
		if got := fmt.Sprint(h.Select(strings.Fields(c.names), c.own)); got != c.want {
			t.Errorf("%s without %d: %s, want %s", c.names, c.own, got, c.want)
		}
	}
	if h.Last("B") != 3 || h.Above(3) != 1 || h.Above(1) != -1 || h.Last("c") != -1 || h.Last("") != -1 || NewHeader(nil).Last("a") != -1 {
		t.Error("the index does not find its fields")
	}
}
