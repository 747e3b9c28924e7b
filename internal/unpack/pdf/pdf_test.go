package pdf

import (
	tarfile "archive/tar"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatepost/internal/unpack"
)

var update = flag.Bool("update", false, "write the reports of testdata anew")

func plenty() unpack.Limits {
	return unpack.Limits{Entries: 1000, Depth: 16, Octets: 64 << 20, Object: 32 << 20}
}

// look walks one content.
func look(t testing.TB, l unpack.Limits, name string, content []byte) unpack.Report {
	t.Helper()
	w := unpack.NewWalk(context.Background(), l, func([]byte) string { return "" }, Formats())
	if err := w.Item(unpack.Item{Name: name, Size: int64(len(content))}, content); err != nil && !errors.Is(err, unpack.ErrLimit) {
		t.Fatal(err)
	}
	return w.Report()
}

// render writes a report for people.
func render(r unpack.Report) string {
	var s strings.Builder
	for _, o := range r.Objects {
		indent := strings.Repeat("  ", o.Depth)
		fmt.Fprintf(&s, "%s%s [%s]", indent, unpack.Clean(o.Name), o.Format)
		if o.Depth > 0 { // a document's own size is its compressor's
			fmt.Fprintf(&s, " %d", o.Size)
		}
		s.WriteByte('\n')
		for _, sign := range o.Signs {
			fmt.Fprintf(&s, "%s  ! %s: %s\n", indent, sign.Kind, sign.Text)
		}
		for _, l := range o.Links {
			fmt.Fprintf(&s, "%s  > %s\n", indent, l.URI)
		}
	}
	if r.Limit != "" {
		fmt.Fprintf(&s, "limit %s at %s\n", r.Limit, r.At)
	}
	return s.String()
}

// TestCases: each document of testdata, and each that a generator of this package writes, is reported as its file says.
func TestCases(t *testing.T) {
	cases := generated()
	files, err := filepath.Glob("testdata/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := filepath.Base(f)
		if strings.HasSuffix(name, ".report") || strings.HasSuffix(name, ".md") || name == "fuzz" {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		cases[name] = b
	}
	var names []string
	for name := range cases {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			got := render(look(t, plenty(), name, cases[name]))
			file := "testdata/" + name + ".report"
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
		})
	}
}

// TestCut: a document that ends anywhere is read as far as it goes, and one that chance changes ends the walk in no other way
// than a good one.
func TestCut(t *testing.T) {
	for name, b := range generated() {
		for n := 0; n < len(b); n += 1 + len(b)/12 {
			look(t, plenty(), name, b[:n])
			changed := bytes.Clone(b)
			changed[n] ^= byte(1 << (n % 8))
			look(t, plenty(), name, changed)
		}
	}
}

// TestBomb: streams in streams unpack to no more than a file may.
func TestBomb(t *testing.T) {
	b := write("<</Type /Catalog>>", "<</S /JavaScript /JS 3 0 R>>", streamOf("/Filter [/RL /RL /RL]", strings.Repeat("\x81", 300)))
	if r := look(t, plenty(), "x", b); r.Limit != unpack.TooMuch {
		t.Errorf("%+v", r)
	}
}

// TestNoPDF: a container whose first file is a PDF is none.
func TestNoPDF(t *testing.T) {
	var b bytes.Buffer
	w := tarfile.NewWriter(&b)
	pdf := write("<</Type /Catalog>>")
	if err := w.WriteHeader(&tarfile.Header{Name: "a.pdf", Mode: 0o600, Size: int64(len(pdf)), Format: tarfile.FormatGNU}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(pdf); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, head := range [][]byte{b.Bytes(), append([]byte("PK\x03\x04"), pdf...)} {
		if (format{}).Match(head[:min(len(head), unpack.HeadSize)], nil) {
			t.Errorf("%q is taken for a PDF", head[:10])
		}
	}
}

// TestManyObjects: objects of an object stream that overlap are kept up to a bound, and the report says that there are more.
func TestManyObjects(t *testing.T) {
	index := strings.Repeat("9 0 ", 2000)
	b := write("<</Type /Catalog>>", streamOf(fmt.Sprintf("/Type /ObjStm /N 2000 /First %d", len(index)), index+"["+strings.Repeat("1 ", 50_000)))
	if r := look(t, plenty(), "x", b); r.Limit != unpack.TooMuch {
		t.Errorf("%+v", r)
	}
}
