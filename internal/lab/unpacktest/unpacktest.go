// Package unpacktest is what tests of formats of internal/unpack share: walking one content, a report as people read it, and
// a folder of documents with the report of each.
package unpacktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatepost/internal/unpack"
)

// Plenty are limits that nothing honest in a test meets.
func Plenty() unpack.Limits {
	return unpack.Limits{Entries: 1000, Depth: 16, Octets: 64 << 20, Object: 32 << 20}
}

// Formats are those under test.
type Formats []unpack.Format

// Look walks one content.
func (f Formats) Look(t testing.TB, l unpack.Limits, name string, content []byte) unpack.Report {
	t.Helper()
	w := unpack.NewWalk(context.Background(), l, func([]byte) string { return "" }, f)
	if err := w.Item(unpack.Item{Name: name, Size: int64(len(content))}, content); err != nil && !errors.Is(err, unpack.ErrLimit) {
		t.Fatal(err)
	}
	return w.Report()
}

// Render writes a report for people: an object a line, with its signs and links below.
func Render(r unpack.Report) string {
	var s strings.Builder
	for _, o := range r.Objects {
		indent := strings.Repeat("  ", o.Depth)
		fmt.Fprintf(&s, "%s%s [%s]", indent, unpack.Clean(o.Name), o.Format)
		if o.Depth > 0 { // a document's own size is its compressor's
			fmt.Fprintf(&s, " %d", o.Size)
		}
		s.WriteByte('\n')
		for _, n := range o.Names {
			fmt.Fprintf(&s, "%s  = %s\n", indent, unpack.Clean(n))
		}
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

// Cases looks at each document of the folder testdata, and at each that is given by its name, and fails where one is reported
// otherwise than testdata/NAME.report says; update writes those files anew.
func (f Formats) Cases(t *testing.T, update bool, cases map[string][]byte) {
	t.Helper()
	files, err := filepath.Glob("testdata/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		if strings.HasSuffix(name, ".report") || strings.HasSuffix(name, ".md") || name == "fuzz" {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		cases[name] = b
	}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		t.Run(name, func(t *testing.T) {
			got := Render(f.Look(t, Plenty(), name, cases[name]))
			file := "testdata/" + name + ".report"
			if update {
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

// Cut looks at documents that end anywhere, and at those of which chance changed a bit, at about so many places of each: a walk
// ends in no other way than that of a good one.
func (f Formats) Cut(t *testing.T, places int, cases map[string][]byte) {
	t.Helper()
	for name, b := range cases {
		for n := 0; n < len(b); n += 1 + len(b)/places {
			f.Look(t, Plenty(), name, b[:n])
			changed := bytes.Clone(b)
			changed[n] ^= byte(1 << (n % 8))
			f.Look(t, Plenty(), name, changed)
		}
	}
}
