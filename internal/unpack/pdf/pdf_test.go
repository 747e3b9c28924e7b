package pdf

import (
	tarfile "archive/tar"
	"bytes"
	"flag"
	"fmt"
	"strings"
	"testing"

	"gatepost/internal/lab/unpacktest"
	"gatepost/internal/unpack"
)

var update = flag.Bool("update", false, "write the reports of testdata anew")

func plenty() unpack.Limits { return unpacktest.Plenty() }

// look walks one content.
func look(t testing.TB, l unpack.Limits, name string, content []byte) unpack.Report {
	t.Helper()
	return unpacktest.Formats(Formats()).Look(t, l, name, content)
}

// TestCases: each document of testdata, and each that a generator of this package writes, is reported as its file says.
func TestCases(t *testing.T) {
	cases := generated()
	unpacktest.Formats(Formats()).Cases(t, *update, cases)
}

// TestCut: a document that ends anywhere is read as far as it goes, and one that chance changes ends the walk in no other way
// than a good one.
func TestCut(t *testing.T) { unpacktest.Formats(Formats()).Cut(t, 12, generated()) }

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
