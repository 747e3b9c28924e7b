package mime

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// file is a message that does not lie in memory.
type file struct{ io.ReaderAt }

func (f file) Size() int64 { return f.ReaderAt.(*bytes.Reader).Size() }

func mustWalk(t testing.TB, b []byte, l Limits) *Tree {
	t.Helper()
	tree, err := Walk(Bytes(b), l)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// textOf is the text of a part.
func textOf(t testing.TB, tree *Tree, part int) (out string) {
	t.Helper()
	if err := tree.Text(part, func(text []byte) { out = string(text) }); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestCorpus holds the tree of each message of testdata against what is written beside it, read from memory and from a file,
// in which the whole is never in sight.
func TestCorpus(t *testing.T) {
	names, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(names) < 60 {
		t.Fatalf("%d messages, %v", len(names), err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			tree := mustWalk(t, b, DefaultLimits())
			sound(t, b, tree)
			want := strings.TrimSuffix(name, ".eml") + ".tree"
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(want, []byte(tree.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			if got := tree.String(); got != string(text) {
				t.Errorf("is\n%swant\n%s", got, text)
			}
			l := DefaultLimits()
			l.Kept = 0 // texts are read again
			other, err := Walk(file{bytes.NewReader(b)}, l)
			if err != nil {
				t.Fatal(err)
			}
			if got := other.String(); got != string(text) {
				t.Errorf("from a file\n%swant\n%s", got, text)
			}
			sound(t, b, other)
			for i := range tree.Parts {
				if is, want := textOf(t, other, i), textOf(t, tree, i); is != want {
					t.Errorf("part %d: read again, its text is %q, want %q", i, is, want)
				}
			}
		})
	}
}

// sound checks what is true of every tree: parents stand before their parts, places lie within the message, and the decoded
// content is what its sum and its beginning say.
func sound(t testing.TB, b []byte, tree *Tree) {
	t.Helper()
	if len(tree.Parts) == 0 || tree.Parts[0].Parent != -1 {
		t.Fatalf("no message: %v", tree.Parts)
	}
	paths := map[string]int{}
	for i := range tree.Parts {
		p := &tree.Parts[i]
		if other, twice := paths[p.Path]; twice {
			t.Errorf("parts %d and %d are both %q", other, i, p.Path)
		}
		paths[p.Path] = i
		if i > 0 && (p.Parent < 0 || p.Parent >= i || tree.Parts[p.Parent].Depth+1 != p.Depth) {
			t.Errorf("part %d: parent %d, depth %d", i, p.Parent, p.Depth)
		}
		size := int64(len(b))
		if p.Within >= 0 {
			size = tree.Parts[p.Within].Octets
		}
		if p.Within >= i || p.Start < 0 || p.Start > p.Content || p.Content > p.End || p.End > size {
			t.Errorf("part %d lies within %d at %d %d %d of %d", i, p.Within, p.Start, p.Content, p.End, size)
			continue
		}
		if !p.Leaf {
			continue
		}
		content, err := io.ReadAll(tree.Open(i))
		if err != nil || int64(len(content)) != p.Octets {
			t.Errorf("part %d: read %d octets of %d: %v", i, len(content), p.Octets, err)
		}
		if p.SHA256 != [32]byte{} && p.SHA256 != sha256.Sum256(content) {
			t.Errorf("part %d: another sum", i)
		}
		if !bytes.HasPrefix(content, p.Head) {
			t.Errorf("part %d: begins with %q, not %q", i, content[:min(len(content), 20)], p.Head)
		}
	}
	for _, d := range tree.Defects {
		if d.Part < 0 || d.Part >= len(tree.Parts) || len(d.Text) > maxText {
			t.Errorf("defect %v", d)
		}
	}
}

type sick struct{ after int64 }

func (s sick) Size() int64 { return 1 << 20 }
func (s sick) ReadAt(p []byte, at int64) (int, error) {
	if at >= s.after {
		return 0, errors.New("disk: gone")
	}
	for i := range p {
		p[i] = "From: x\r\n\r\n"[min(10, int(at)+i)]
	}
	return len(p), nil
}

// TestUnreadable shows that a message that cannot be read is no message without parts.
func TestUnreadable(t *testing.T) {
	for _, after := range []int64{0, 1, 64 << 10} {
		if tree, err := Walk(sick{after}, DefaultLimits()); err == nil {
			t.Errorf("after %d octets: %v", after, tree)
		}
	}
}

// TestLongText: of a text that is longer than what is kept nothing stays in memory; it is read again when it is asked for, as
// far as it counts, and a message that is gone by then is an error and no shorter text.
func TestLongText(t *testing.T) {
	line := strings.Repeat("z\xe4h", 20) + "\r\n"
	message := "Content-Type: text/plain; charset=iso-8859-1\r\n\r\n" + strings.Repeat(line, 100)
	l := DefaultLimits()
	l.Kept, l.Text = 1000, 3000
	source := &file{bytes.NewReader([]byte(message))}
	tree, err := Walk(source, l)
	if err != nil {
		t.Fatal(err)
	}
	if p := &tree.Parts[0]; p.text != nil || !p.Cut || p.looked != 3000 {
		t.Errorf("%d octets are kept, %d count, cut %t", len(p.text), p.looked, p.Cut)
	}
	want := strings.ReplaceAll(strings.Repeat(line, 100)[:3000], "\xe4", "\u00e4")
	if got := textOf(t, tree, 0); got != want {
		t.Errorf("it is %q, want %q", got, want)
	}
	source.ReaderAt = bytes.NewReader([]byte(message[:2000]))
	if err := tree.Text(0, func(text []byte) { t.Errorf("%d octets were looked at", len(text)) }); err == nil {
		t.Error("half a text is no error")
	}
}
