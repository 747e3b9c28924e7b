package archive

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"gatepost/internal/unpack"
)

// content is an unpack.Content of the tests.
type content struct {
	*bytes.Reader
	b []byte
}

func (c content) Size() int64   { return int64(len(c.b)) }
func (c content) Bytes() []byte { return c.b }

// fuzzed opens whatever it gets by one format, whether that matches or not: nothing panics, the walk ends within its limits, and no
// more is allocated than these and a dictionary explain. What a library of others does in its depths is caught, and told as broken.
func fuzzed(f *testing.F, open func(*lister, unpack.Content) error, budget uint64, foreign bool, ending ...string) {
	files, err := filepath.Glob("testdata/[0-9][0-9]-*")
	if err != nil {
		f.Fatal(err)
	}
	seeds := made(f)
	for _, name := range files {
		if seeds[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			f.Fatal(err)
		}
	}
	n := 0
	for name, b := range seeds {
		for _, e := range ending {
			if strings.HasSuffix(name, e) && len(b) < 64<<10 {
				f.Add(b)
				n++
			}
		}
	}
	if n == 0 {
		f.Fatalf("no seeds of %v", ending)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
		defer stop()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		w := unpack.NewWalk(ctx, unpack.Limits{Entries: 300, Depth: 2, Octets: 4 << 20, Object: 1 << 20}, func([]byte) string { return "" }, nil)
		if err := w.Item(unpack.Item{Name: "in"}, b); err != nil {
			t.Fatal(err)
		}
		err := open(&lister{w: w, at: 0, seed: maphash.MakeSeed(), seen: map[uint64]bool{}}, content{bytes.NewReader(b), b})
		runtime.ReadMemStats(&after)
		r := w.Report()
		if (r.Limit != "") != errors.Is(err, unpack.ErrLimit) {
			t.Errorf("limit %q and %v", r.Limit, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > budget {
			t.Errorf("%d octets allocated for %d", n, len(b))
		}
		for _, o := range r.Objects {
			for _, s := range o.Signs {
				if !foreign && strings.Contains(s.Text, "gave up") {
					t.Errorf("%s: %s", o.Name, s.Text)
				}
			}
		}
	})
}

// lots is what a format may allocate that takes dictionaries: many small files with one of 64 MiB each are stopped by the time.
const lots = 8 << 30

func FuzzZip(f *testing.F)   { fuzzed(f, openZip, lots, false, ".zip", ".gif") }
func FuzzTar(f *testing.F)   { fuzzed(f, openTar, 64<<20, false, ".tar") }
func FuzzGzip(f *testing.F)  { fuzzed(f, openGzip, 64<<20, false, ".gz", ".tgz") }
func FuzzBzip2(f *testing.F) { fuzzed(f, openBzip2, 64<<20, false, ".bz2") }
func FuzzXZ(f *testing.F)    { fuzzed(f, openXZ, lots, false, ".xz") }
func FuzzZstd(f *testing.F)  { fuzzed(f, openZstd, lots, false, ".zst") }
func FuzzLzip(f *testing.F)  { fuzzed(f, openLzip, lots, false, ".lz") }
func FuzzCab(f *testing.F)   { fuzzed(f, openCab, 64<<20, false, ".cab") }
func FuzzISO(f *testing.F)   { fuzzed(f, openISO, 128<<20, false, ".iso") }
func FuzzAr(f *testing.F)    { fuzzed(f, openAr, 64<<20, false, ".a") }
func FuzzCpio(f *testing.F)  { fuzzed(f, openCpio, 64<<20, false, ".cpio") }
func FuzzRPM(f *testing.F)   { fuzzed(f, openRPM, 64<<20, false, ".rpm") }
func FuzzRar(f *testing.F)   { fuzzed(f, openRar, lots, true, ".rar") }

func FuzzSevenZip(f *testing.F) {
	registerDecoders()
	fuzzed(f, openSevenZip, lots, true, ".7z")
}
