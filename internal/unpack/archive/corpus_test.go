package archive

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/internal/unpack"
)

var write = flag.Bool("write", false, "write the reports of testdata anew")

// plenty are limits that nothing honest here meets.
func plenty() unpack.Limits {
	return unpack.Limits{Entries: 2000, Depth: 12, Octets: 64 << 20, Object: 32 << 20, Ratio: 1 << 40}
}

// walkOf walks content within limits.
func walkOf(t testing.TB, name string, content []byte, l unpack.Limits) unpack.Report {
	t.Helper()
	w := unpack.NewWalk(context.Background(), l, func([]byte) string { return "" }, Formats())
	if err := w.Item(unpack.Item{Name: name}, content); err != nil && !errors.Is(err, unpack.ErrLimit) {
		t.Fatal(err)
	}
	return w.Report()
}

// text is a report as the files of testdata have it: an object a line, indented by its depth, with its signs below.
func text(r unpack.Report) string {
	var b strings.Builder
	for _, o := range r.Objects {
		in := strings.Repeat("  ", o.Depth)
		fmt.Fprintf(&b, "%s%q", in, o.Name)
		if o.Format != "" {
			fmt.Fprintf(&b, " %s", o.Format)
		}
		switch {
		case o.Folder:
			b.WriteString(" folder")
		case o.SHA256 == "":
			b.WriteString(" not opened")
		default:
			fmt.Fprintf(&b, " %d %.8s", o.Size, o.SHA256)
		}
		b.WriteString("\n")
		for _, n := range o.Names {
			fmt.Fprintf(&b, "%s  = %q\n", in, n)
		}
		for _, s := range o.Signs {
			fmt.Fprintf(&b, "%s  ! %s: %s\n", in, s.Kind, s.Text)
		}
	}
	if r.Limit != "" {
		fmt.Fprintf(&b, "limit %s at %s\n", r.Limit, r.At)
	}
	return b.String()
}

// TestCorpus: each archive of testdata, and each that made builds, reads as its report says. testdata/make made those that Go
// cannot write. To add one, put it there and run the test with -write.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/[0-9][0-9]-*")
	if err != nil {
		t.Fatal(err)
	}
	content := map[string][]byte{}
	for _, f := range files {
		if strings.HasSuffix(f, ".report") {
			continue
		}
		if content[filepath.Base(f)], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	if len(content) < 30 {
		t.Fatalf("%d archives in testdata", len(content))
	}
	for name, b := range made(t) {
		content[name] = b
	}
	for name, b := range content {
		got := text(walkOf(t, name, b, plenty()))
		file := "testdata/" + name + ".report"
		if *write {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s reads as\n%sand should as\n%s", name, got, want)
		}
	}
	for _, f := range files {
		if name, is := strings.CutSuffix(filepath.Base(f), ".report"); is && content[name] == nil {
			t.Errorf("%s is the report of nothing", f)
		}
	}
}
