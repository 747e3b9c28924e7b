package labtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/internal/lab"
)

// Browser is one for a test, which fails of what a step finds.
type Browser struct {
	tb testing.TB
	b  *lab.Browser
}

// StartBrowser starts one for the test. Its pictures are kept, in the folder that GATEPOST_BROWSER_OUT names, or
// .cache/browser of the sources: they are for people, who see what no rule finds.
func StartBrowser(tb testing.TB, o lab.BrowserOptions) *Browser {
	tb.Helper()
	if o.Out == "" {
		o.Out = pictures(tb)
	}
	b, err := lab.StartBrowser(Context(tb), Dir(tb), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Logf("pictures: %s", o.Out)
	started(tb, b, nil)
	return &Browser{tb, b}
}

// pictures is the test's own folder for them, emptied.
func pictures(tb testing.TB) string {
	root := os.Getenv("GATEPOST_BROWSER_OUT")
	if root == "" {
		r, err := lab.Root(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		root = filepath.Join(r, ".cache", "browser")
	}
	out := filepath.Join(root, strings.ReplaceAll(tb.Name(), "/", "_"))
	if err := os.RemoveAll(out); err != nil {
		tb.Fatal(err)
	}
	return out
}

// Step runs a step, and the test fails of what it found; out, unless nil, is what it returns.
func (b *Browser) Step(name string, args, out any) {
	b.tb.Helper()
	if err := b.b.Step(b.tb.Context(), name, args, out); err != nil {
		b.tb.Fatal(err)
	}
}

// Try runs a step, and the test goes on.
func (b *Browser) Try(name string, args, out any) {
	b.tb.Helper()
	if err := b.b.Step(b.tb.Context(), name, args, out); err != nil {
		b.tb.Error(err)
	}
}
