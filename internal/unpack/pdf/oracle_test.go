package pdf

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/internal/unpack"
)

// TestQPDF: what qpdf finds in a file, by its cross reference, is found by us: links, scripts, embedded files; and it asks for a
// password where we say encrypted. We may find more, since we look at what no reference leads to.
func TestQPDF(t *testing.T) {
	tool, err := exec.LookPath("qpdf")
	if err != nil {
		t.Fatal("qpdf is missing: scripts/install")
	}
	dir := t.TempDir()
	cases := generated()
	files, err := filepath.Glob("testdata/*.pdf")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if cases[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	compared := 0
	for name, b := range cases {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r := look(t, plenty(), name, b)
		signs := map[unpack.Kind]bool{}
		for _, s := range r.Objects[0].Signs {
			signs[s.Kind] = true
		}
		secret := exec.Command(tool, "--requires-password", file).Run() == nil // 0: it does; 2 and 3: it does not
		if secret != signs[unpack.Encrypted] {
			t.Errorf("%s: qpdf asks for a password: %v; ours: %v", name, secret, signs)
		}
		out, _ := exec.Command(tool, "--json=2", "--json-stream-data=none", file).Output() // warnings are an error too
		var all struct {
			QPDF []json.RawMessage `json:"qpdf"`
		}
		if json.Unmarshal(out, &all) != nil || len(all.QPDF) < 2 {
			continue
		}
		var objects any
		if err := json.Unmarshal(all.QPDF[1], &objects); err != nil {
			t.Fatal(err)
		}
		compared++
		links := map[string]bool{}
		for _, l := range r.Objects[0].Links {
			links[l.URI] = true
		}
		visit(objects, func(d map[string]any) {
			if uri, ok := d["/URI"].(string); ok && !links[strings.TrimPrefix(uri, "u:")] {
				t.Errorf("%s: the link %s is not seen", name, uri)
			}
			if d["/S"] == "/JavaScript" && !signs[unpack.Script] {
				t.Errorf("%s: a script is not seen", name)
			}
			if d["/S"] == "/Launch" && !signs[unpack.Launch] {
				t.Errorf("%s: an action is not seen", name)
			}
			if d["/Type"] == "/EmbeddedFile" && (!signs[unpack.Embedded] || len(r.Objects) < 2) {
				t.Errorf("%s: an embedded file is not seen", name)
			}
		})
	}
	if compared < 20 {
		t.Errorf("only %d files were compared", compared)
	}
}

func visit(o any, f func(map[string]any)) {
	switch o := o.(type) {
	case map[string]any:
		f(o)
		for _, v := range o {
			visit(v, f)
		}
	case []any:
		for _, v := range o {
			visit(v, f)
		}
	}
}
