package accept

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/mime"
)

// FuzzEdits takes a part out of a message of any kind and writes a banner into it: what goes out has the size that is said,
// is read again without the part, and is the message as it came where nothing could be done.
func FuzzEdits(f *testing.F) {
	names, _ := filepath.Glob("testdata/edits/*.eml")
	for i, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b), uint8(i%4))
	}
	f.Fuzz(func(t *testing.T, in string, part uint8) {
		in = strings.ReplaceAll(strings.ReplaceAll(in, "\r\n", "\n"), "\n", "\r\n") // the edge lets nothing else in
		in = strings.Map(func(r rune) rune {
			if r == 0 {
				return 'x'
			}
			return r
		}, in)
		e := envelope(&hop{}, in)
		e.Session.Snapshot.Banners = map[string]gateway.Banner{"b": {Text: "Grüße ✓", HTML: "<p>Grüße ✓</p>"}}
		before, err := mime.Walk(mime.Bytes([]byte(in)), mime.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		v := &gateway.Verdict{Edits: gateway.Edits{Banners: []string{"b"}, Subject: "[x]"}}
		cut := int(part) % (len(before.Parts) + 1)
		if cut < len(before.Parts) {
			v.Edits.Strip = []gateway.Cut{{Part: cut, Check: "c", Reason: gateway.AttachmentType}}
		}
		at := time.Unix(0, 0)
		c := Compose(e, v, at)
		failed := c.edit(e, v) != nil
		content := c.Content(e)
		var out bytes.Buffer
		if n, err := io.Copy(&out, io.MultiReader(content.Parts...)); err != nil || n != content.Size {
			t.Fatalf("%d octets of %d: %v", n, content.Size, err)
		}
		if failed && len(c.changes) > 0 {
			t.Fatal("changed and failed")
		}
		if failed || cut == len(before.Parts) || before.Parts[cut].Octets < 16 || before.Parts[cut].SHA256 == [32]byte{} {
			return
		}
		after, err := mime.Walk(mime.Bytes(out.Bytes()), mime.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		for i := range after.Parts {
			if p := &after.Parts[i]; p.SHA256 == before.Parts[cut].SHA256 && strings.Count(before.String(), before.Parts[cut].Type) == 1 {
				t.Fatalf("part %s is still there:\n%s\nwas\n%s", p.Path, after, before)
			}
		}
	})
}
