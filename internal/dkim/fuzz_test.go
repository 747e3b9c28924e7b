package dkim

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzTags shows that a list is read the same whatever, and that values stand where they are said to stand.
func FuzzTags(f *testing.F) {
	for _, s := range []string{"v=1; a=rsa-sha256; d=a.example;\r\n\tb=ab\r\n cd==", "a=;b=", ";", "a=1;;", "k=rsa; p=AAAA; t=s:y", "a=\xff", "a_1=ä"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tags, err := ParseTags(text)
		if err != nil {
			if tags != nil {
				t.Error("tags and an error")
			}
			return
		}
		if len(tags) == 0 || len(tags) > maxTags {
			t.Errorf("%d tags", len(tags))
		}
		seen, rebuilt := map[string]bool{}, ""
		for i := range tags {
			tag := &tags[i]
			if seen[tag.Name] || tags.Find(tag.Name) != tag {
				t.Errorf("%s= twice", tag.Name)
			}
			seen[tag.Name] = true
			if trim(text[tag.Start:tag.End]) != tag.Value {
				t.Errorf("%s= is not where it is said to be", tag.Name)
			}
			rebuilt += tag.Name + "=" + tag.Value + ";"
		}
		again, err := ParseTags(rebuilt)
		if err != nil || len(again) != len(tags) {
			t.Fatalf("%q: %v", rebuilt, err)
		}
		for i := range tags {
			if again[i].Name != tags[i].Name || again[i].Value != tags[i].Value {
				t.Errorf("%+v becomes %+v", tags[i], again[i])
			}
		}
	})
}

// FuzzKey shows that a key that is read is one that may be used.
func FuzzKey(f *testing.F) {
	for _, s := range []string{rfcRSA, rfcRSA2, rfcEd, weakRecord(512), weakRecord(4097), "v=DKIM1; p=", "p=AAAA", "k=ed25519; p=AAAA", "v=spf1 -all"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseKey(text)
		if err != nil {
			if k != nil {
				t.Error("a key and an error")
			}
			return
		}
		if k.public == nil || k.Bits > MaxBits || k.Algorithm() == RSASHA256 && k.Bits < MinBits || k.Algorithm() == Ed25519SHA256 && k.Bits != 256 {
			t.Errorf("%+v", k)
		}
		if err := k.Check(k.Algorithm(), sha256.Sum256([]byte(text)), []byte(text)[:min(len(text), 64)]); err == nil {
			t.Error("a signature that nobody made")
		}
	})
}

// FuzzCanon holds the streaming canonicalisations against those by the letter, at any cut, and shows that doing them twice
// is doing them once.
func FuzzCanon(f *testing.F) {
	for _, s := range []string{"", "a", " \r\n", "a \r\n\t b\r\n\r\n\r\n", "\r\n\r\n", "a\r", "\r\r\n \r", strings.Repeat("\r\n", 100) + "x", "x" + strings.Repeat(" \t", 400)} {
		f.Add(s, 1, int64(3))
	}
	f.Fuzz(func(t *testing.T, body string, at int, limit int64) {
		at = max(min(at, len(body)), 0)
		for _, c := range []Canon{Simple, Relaxed} {
			whole := plainBody(body, c)
			if twice := plainBody(whole, c); twice != whole {
				t.Errorf("%q %s: %q, then %q", body, c, whole, twice)
			}
			first := whole
			if limit >= 0 && limit < int64(len(whole)) {
				first = whole[:limit]
			}
			for _, r := range []interface{ Read([]byte) (int, error) }{strings.NewReader(body), iotest.OneByteReader(strings.NewReader(body))} {
				if got := sumOf(t, r, c, limit); got.Hash != sha256.Sum256([]byte(first)) || got.Total != int64(len(whole)) {
					t.Errorf("%q %s, first %d: not %q", body, c, limit, first)
				}
			}
			var b BodyHasher
			n := b.Want(c, limit)
			if err := b.Read(&pieces{body[:at], body[at:]}); err != nil {
				t.Fatal(err)
			}
			if sum, err := b.Sum(n); err != nil || sum.Hash != sha256.Sum256([]byte(first)) {
				t.Errorf("%q %s, cut at %d: another hash (%v)", body, c, at, err)
			}
		}
		field := []byte("X: " + strings.Trim(strings.ReplaceAll(body, "\r\n", "\r\n "), "\r\n ") + "\r\n")
		once := AppendField(nil, field, Relaxed)
		if twice := AppendField(nil, once, Relaxed); !bytes.Equal(once, twice) {
			t.Errorf("%q: %q, then %q", field, once, twice)
		}
		if len(once) > len(field) {
			t.Errorf("%q grows to %q", field, once)
		}
	})
}

// pieces hands over a text in two.
type pieces struct{ a, b string }

func (p *pieces) Read(to []byte) (int, error) {
	r := strings.NewReader(p.a)
	if p.a == "" {
		r, p.b = strings.NewReader(p.b), ""
	}
	n, err := r.Read(to)
	if p.a != "" {
		p.a = p.a[n:]
	}
	return n, err
}

// FuzzVerify verifies any message: it never panics, ends within its bounds, and passes nothing that go-msgauth does not, but
// for what explained knows.
func FuzzVerify(f *testing.F) {
	files, err := filepath.Glob("testdata/*.eml")
	if err != nil {
		f.Fatal(err)
	}
	z := fileKeys(f, "testdata/all.keys")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if len(text) < 4<<10 {
			f.Add(strings.ReplaceAll(string(text), "\n", "\r\n"))
		}
	}
	f.Fuzz(func(t *testing.T, message string) {
		if len(message) > 64<<10 {
			return // go-msgauth folds in quadratic time
		}
		h, body := cut(message)
		asked := resolverFunc(func(name string) ([]string, error) {
			if !isName(name) {
				t.Errorf("DNS is asked for %q", name)
			}
			return z.LookupTXT(t.Context(), name)
		})
		results, _ := Verify(t.Context(), h, strings.NewReader(body), asked, Options{Now: filesNow})
		if len(results) > DefaultSignatures {
			t.Errorf("%d results", len(results))
		}
		for _, r := range results {
			if r.Status == None || (r.Status == Pass) != (r.Cause == NoCause) || (r.Status == Pass) != (r.Reason == "") || len(r.Reason) > 400 {
				t.Errorf("%s %s %q", r.Status, r.Cause, r.Reason)
			}
			if r.Domain != "" && !isName(r.Domain) || r.Selector != "" && !isName(r.Selector) || len(r.Prefix) > maxPrefix {
				t.Errorf("%+v", r)
			}
		}
		if strings.Contains(message, "\r\n\r\n") {
			compare(t, message, z)
		}
	})
}
