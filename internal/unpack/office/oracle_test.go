package office

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/richardlehane/mscfb"
)

// TestCompoundLikeOthers: each stream of each compound file of the corpus is read as another reader reads it.
func TestCompoundLikeOthers(t *testing.T) {
	cases := generated()
	encryptedDocuments(cases)
	large := make([]byte, 8<<20) // more sectors than the header can list
	for i := range large {
		large[i] = byte(i>>9) ^ byte(i)
	}
	cases["large"] = writeCFB(node{in: []node{stream("large", large), stream("small", []byte("small"))}})
	files, err := filepath.Glob("testdata/8*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if cases[name], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	streams := 0
	for name, b := range cases {
		if !bytes.HasPrefix(b, []byte(cfbMagic)) {
			continue
		}
		f, err := openCFB(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		ours := map[string]string{}
		for i, e := range f.entries {
			if e.kind != cfbStream {
				continue
			}
			content, err := f.read(i)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			o := oleFile{f: f}
			ours[o.place(i)] = string(content)
		}
		other, err := mscfb.New(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for e, err := other.Next(); err == nil; e, err = other.Next() {
			if e.FileInfo().IsDir() {
				continue
			}
			content, err := io.ReadAll(e)
			if err != nil {
				t.Fatalf("%s: %s: %v", name, e.Name, err)
			}
			path := printable(strings.Join(append(e.Path, e.Name), "/"))
			if got, ok := ours[path]; !ok || got != string(content) {
				t.Errorf("%s: %s: %d octets, and %d of the other", name, path, len(got), len(content))
			}
			delete(ours, path)
			streams++
		}
		for path := range ours {
			t.Errorf("%s: %s is ours alone", name, path)
		}
	}
	if streams < 50 {
		t.Errorf("only %d streams were compared", streams)
	}
}

// TestHostileTables: entries that share one chain are read to a multiple of the file and no further; a chain and a tree that
// lead in a circle end; storages in storages cost what they are.
func TestHostileTables(t *testing.T) {
	large := stream("large", make([]byte, 400_000))
	root := node{in: []node{large}}
	for range 200 {
		root.in = append(root.in, stream("x", nil))
	}
	b := writeCFB(root)
	f, err := openCFB(b)
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for i := range f.entries {
		f.entries[i].kind, f.entries[i].start, f.entries[i].length = cfbStream, f.entries[1].start, 400_000
		content, err := f.read(i)
		if read += len(content); err != nil {
			break
		}
	}
	if read > 8*len(b)+1<<20 {
		t.Errorf("%d octets of %d were read", read, len(b))
	}
	for i := range f.fat {
		f.fat[i] = 0
	}
	f.left = 1 << 30
	if content, err := f.read(1); err != nil || len(content) > 400_000 {
		t.Errorf("a circle: %d octets, %v", len(content), err)
	}
	if chain := f.chain(0, f.fat); len(chain) > len(f.fat)+1 {
		t.Errorf("a chain of %d sectors", len(chain))
	}
	deep := node{}
	for range 3000 {
		deep = node{dir: true, name: "d", in: []node{deep}}
	}
	deep.in = append(deep.in, stream("Workbook", biff()))
	r := look(t, plenty(), "deep", writeCFB(deep))
	if len(r.Objects) != 1 || len(r.Objects[0].Signs) != 0 {
		t.Errorf("%+v", r)
	}
}
