package pdf

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"gatepost/internal/unpack"
)

// FuzzPDF: any octets are looked at, and what is found is bounded.
func FuzzPDF(f *testing.F) {
	for _, b := range generated() {
		f.Add(b)
	}
	files, _ := filepath.Glob("testdata/*.pdf")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l := unpack.Limits{Entries: 100, Depth: 6, Octets: 1 << 20, Object: 1 << 19}
		if r := look(t, l, "x", append([]byte("%PDF-1.7\n"), b...)); len(r.Objects) > 100 {
			t.Fatalf("%d objects", len(r.Objects))
		}
	})
}

// FuzzLZW: any octets end, and make no more than so many times what they are.
func FuzzLZW(f *testing.F) {
	f.Add([]byte(packLZW("hello hello hello")))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, _ := io.ReadAll(newLZW(bytes.NewReader(b), &file{}, nil))
		if len(out) > 4096*(len(b)+1) {
			t.Fatalf("%d octets of %d", len(out), len(b))
		}
	})
}
