package versions

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDiff shows what a diff looks like.
func TestDiff(t *testing.T) {
	for name, c := range map[string]struct{ before, after, want string }{
		"nothing":       {"a\nb\n", "a\nb\n", ""},
		"ends of lines": {"a\r\nb\r\n", "a\nb", ""},
		"one line":      {"1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n", "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"},
		"all new":       {"", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n"},
		"all gone":      {"a\n", "", "@@ -1,1 +0,0 @@\n-a\n"},
		"two places":    {"a\n1\n2\n3\n4\n5\n6\n7\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\nB\n", "@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+B\n"},
		"shared around": {"a\n1\n2\n3\n4\n5\nb\n", "A\n1\n2\n3\n4\n5\nB\n", "@@ -1,7 +1,7 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n-b\n+B\n"},
	} {
		want := c.want
		if want != "" {
			want = "--- old\n+++ new\n" + want
		}
		if got := Unified("old", "new", Diff([]byte(c.before), []byte(c.after))); got != want {
			t.Errorf("%s:\n%s, not\n%s", name, got, want)
		}
	}
}

// TestDiffIsShortest holds random documents against diff -d: both lead from one to the other, and ours is no longer.
func TestDiffIsShortest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	document := func() string {
		var b strings.Builder
		for range r.IntN(40) {
			fmt.Fprintln(&b, r.IntN(8))
		}
		return b.String()
	}
	for n := range 100 {
		before, after := document(), document()
		a, b := split([]byte(before)), split([]byte(after))
		ops := edits(a, b)
		if got := apply(t, a, b, ops); got != strings.Join(b, "\n") {
			t.Fatalf("%q does not lead from\n%s\nto\n%s\nbut to\n%s", ops, before, after, got)
		}
		old, new := filepath.Join(dir, "old"), filepath.Join(dir, "new")
		if os.WriteFile(old, []byte(before), 0o600) != nil || os.WriteFile(new, []byte(after), 0o600) != nil {
			t.Fatal("files")
		}
		out, _ := exec.Command("diff", "-d", old, new).Output()
		theirs := 0
		for line := range strings.Lines(string(out)) {
			if line[0] == '<' || line[0] == '>' {
				theirs++
			}
		}
		if ours := strings.Count(ops, "-") + strings.Count(ops, "+"); ours > theirs {
			t.Errorf("document %d: %d edits, diff has %d", n, ours, theirs)
		}
	}
}

// apply follows edits.
func apply(t *testing.T, a, b []string, ops string) string {
	t.Helper()
	var out []string
	i, j := 0, 0
	for _, op := range ops {
		switch op {
		case ' ':
			if a[i] != b[j] {
				t.Fatalf("%q stays, and is %q", a[i], b[j])
			}
			out, i, j = append(out, a[i]), i+1, j+1
		case '-':
			i++
		case '+':
			out, j = append(out, b[j]), j+1
		}
	}
	if i != len(a) || j != len(b) {
		t.Fatalf("%q ends early", ops)
	}
	return strings.Join(out, "\n")
}

// TestDiffBound shows that documents which have nothing in common cost no more than the bound.
func TestDiffBound(t *testing.T) {
	var a, b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&a, "a%d\n", i)
		fmt.Fprintf(&b, "b%d\n", i)
	}
	h := Diff([]byte("same\n"+a.String()+"end\n"), []byte("same\n"+b.String()+"end\n"))
	if len(h) != 1 || len(h[0].Lines) != 2+10000 {
		t.Errorf("%d hunks", len(h))
	}
}
