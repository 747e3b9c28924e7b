package mime

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"
)

// FuzzWalk shows that a tree of anything is sound, the same from memory and from a file, and within its limits.
func FuzzWalk(f *testing.F) {
	names, _ := filepath.Glob("testdata/*.eml")
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n\r\n--\r\n----\r\n"))
	f.Add([]byte("Content-Type: text/plain; charset=utf-7\nContent-Transfer-Encoding: quoted-printable\n\n+ADw-=\n=yb"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := Limits{Parts: 50, Depth: 6, Header: 4 << 10, Text: 8 << 10, Kept: 8 << 10, Head: 64}
		tree := mustWalk(t, b, l)
		sound(t, b, tree)
		if len(tree.Parts) > l.Parts {
			t.Errorf("%d parts", len(tree.Parts))
		}
		text := 0
		for i := range tree.Parts {
			p := &tree.Parts[i]
			shown := textOf(t, tree, i)
			text += len(shown)
			if p.Depth > l.Depth+1 || len(p.Head) > l.Head || !utf8.ValidString(shown) {
				t.Errorf("part %d: depth %d, head %d, text %q", i, p.Depth, len(p.Head), shown)
			}
		}
		if text > 3*8<<10 {
			t.Errorf("%d octets of text", text)
		}
		l.Kept = 0 // the texts are read again
		other, err := Walk(file{bytes.NewReader(b)}, l)
		if err != nil || other.String() != tree.String() {
			t.Fatalf("from a file: %v\n%swant\n%s", err, other, tree)
		}
		for i := range tree.Parts {
			if is, want := textOf(t, other, i), textOf(t, tree, i); is != want {
				t.Errorf("part %d: read again, its text is %q, want %q", i, is, want)
			}
		}
	})
}

// FuzzWords shows that what is decoded is UTF-8, no longer than bounds allow, and that text without encoded words stays as it is.
func FuzzWords(f *testing.F) {
	for _, s := range []string{"plain", "=?utf-8?B?w6Q=?= =?utf-8?Q?=C3=A4_b?=", "=?utf-8?Q?=C3?= =?utf-8?Q?=A4?=", "=?x?B?", "a =?iso-8859-1*de?q?=E4?= b", "=?=?=?=?", "\xe4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := DecodeWords(s)
		if !utf8.ValidString(got) || len(got) > 3*len(s)+16 {
			t.Errorf("%q: %q", s, got)
		}
		if utf8.ValidString(s) && !bytes.Contains([]byte(s), []byte("=?")) && len(s) <= maxWords && got != s {
			t.Errorf("%q became %q", s, got)
		}
	})
}

// FuzzParams shows that parameters of any kind are read within bounds.
func FuzzParams(f *testing.F) {
	for _, s := range []string{`text/plain; charset=utf-8`, `a/b; name*1*=%20; name*0*=utf-8'de'x; name="y"`, `a/b; name*=x''%E4`, `multipart/mixed; boundary="\"a\\b"`,
		`a (c(d)e) / b; x (y) = z (w); ;`, `a/b; name="`, `a/b; n*99999999999=x; n*-1=y; n**=z`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v := parse(s)
		for name, value := range v.all() {
			if !utf8.ValidString(value) && utf8.ValidString(s) {
				t.Errorf("%q: %q", name, value)
			}
		}
		for _, name := range []string{"name", "boundary"} {
			if r := v.says(name, true); len(r.values) > maxNames {
				t.Errorf("%d readings", len(r.values))
			}
		}
	})
}
