package archive

import (
	"archive/tar"
	"bytes"
	"math/rand/v2"
	"testing"

	"gatepost/internal/unpack"
)

// BenchmarkWalk opens 8 MiB of text in each kind of archive: MB/s of what is unpacked. All is read once more for its digest.
func BenchmarkWalk(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	words := []string{"archive ", "entry ", "message ", "gate ", "post ", "folder ", "2026-11-27 ", "invoice "}
	var text bytes.Buffer
	for text.Len() < 8<<20 {
		text.WriteString(words[r.IntN(len(words))])
	}
	all := text.Bytes()[:8<<20]
	size := uint64(len(all))
	name := "a.txt"
	l := unpack.Limits{Entries: 1000, Depth: 5, Octets: 1 << 30, Object: 1 << 30, Ratio: 1 << 40}
	for _, c := range []struct {
		kind string
		b    []byte
	}{
		{"zip", zipOf(part{name: name, content: string(all), method: 8})},
		{"zip-stored", zipOf(part{name: name, content: string(all)})},
		{"7z-copy", sevenOf(sevenCopy, "", all, size, []string{name}, []uint64{size})},
		{"7z-zstd", sevenOf(sevenZstd, "", zstdOf(all), size, []string{name}, []uint64{size})},
		{"rar-stored", rar5Of(0, rarFile{name: name, content: string(all)})},
		{"tar", tarOf(tar.Header{Name: name, Uname: string(all)})},
		{"gz", gzipOf(name, all)},
		{"xz", xzOf(all)},
		{"zst", zstdOf(all)},
		{"lz", lzipOf(all)},
		{"cpio", cpioOf(name, string(all))},
	} {
		b.Run(c.kind, func(b *testing.B) {
			b.SetBytes(int64(len(all)))
			b.ReportAllocs()
			for b.Loop() {
				if r := walkOf(b, "in", c.b, l); r.Limit != "" || len(r.Objects) != 2 || r.Objects[1].Size != int64(size) {
					b.Fatal("not opened")
				}
			}
		})
	}
}

// BenchmarkNames lists 1,000 small entries.
func BenchmarkNames(b *testing.B) {
	var parts []part
	for i := range 1000 {
		parts = append(parts, part{name: string(rune('a'+i%26)) + "/" + string(rune('0'+i%10)) + ".txt", content: "hello", method: 8})
	}
	z := zipOf(parts...)
	for b.Loop() {
		walkOf(b, "in", z, plenty())
	}
}
