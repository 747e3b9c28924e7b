package office

import (
	"strings"
	"testing"

	"gatepost/internal/unpack"
)

// little are limits that a few octets meet, so that a fuzzer does not spend its time on copies.
func little() unpack.Limits {
	return unpack.Limits{Entries: 100, Depth: 6, Octets: 1 << 20, Object: 1 << 19}
}

func fuzz(f *testing.F, pick func(name string) bool) {
	for name, b := range generated() {
		if pick(name) {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := look(t, little(), "x", b)
		if len(r.Objects) > 100 {
			t.Fatalf("%d objects", len(r.Objects))
		}
	})
}

func ends(list ...string) func(string) bool {
	return func(name string) bool {
		for _, e := range list {
			if strings.HasSuffix(name, e) {
				return true
			}
		}
		return false
	}
}

func FuzzCompound(f *testing.F) { fuzz(f, ends(".doc", ".ppt", ".msi")) }
func FuzzMessage(f *testing.F)  { fuzz(f, ends(".msg")) }
func FuzzRTF(f *testing.F)      { fuzz(f, ends(".rtf")) }
func FuzzOneNote(f *testing.F)  { fuzz(f, ends(".one")) }
func FuzzShortcut(f *testing.F) { fuzz(f, ends(".lnk", ".url", ".desktop", "-ms")) }
func FuzzOpenXML(f *testing.F)  { fuzz(f, ends(".docx", ".xlsm", ".odt")) }
func FuzzText(f *testing.F)     { fuzz(f, ends(".slk", ".csv", ".iqy", ".xml", ".mht")) }

// FuzzVBA: whatever a container holds, no more comes of it than is asked for; what is compressed comes back.
func FuzzVBA(f *testing.F) {
	f.Add([]byte(autoOpen))
	f.Add(compress([]byte(autoOpen)))
	f.Add(compress([]byte(strings.Repeat("abc", 3000))))
	f.Fuzz(func(t *testing.T, b []byte) {
		if out, _ := vbaUnpack(b, 1<<16); len(out) > 1<<16+4096 {
			t.Fatalf("%d octets", len(out))
		}
		if len(b) > 6000 {
			return
		}
		if out, err := vbaUnpack(compress(b), 1<<20); err != nil || string(out) != string(b) {
			t.Fatalf("%v: %q", err, out)
		}
		vbaDir(b, func(string, string, int) {})
	})
}

// FuzzWorkbook reads records of Excel, from any octets.
func FuzzWorkbook(f *testing.F) {
	for name, b := range generated() {
		if strings.HasSuffix(name, ".xls") {
			f.Add(b[512:])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		w := unpack.NewWalk(t.Context(), little(), func([]byte) string { return "" }, nil)
		if err := w.Item(unpack.Item{}, nil); err != nil {
			t.Fatal(err)
		}
		o := oleFile{w: w, f: &cfb{}}
		o.workbook(b)
		o.word(b)
	})
}
