package dkim

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the files .want")

// filesNow is when the messages in testdata are verified.
var filesNow = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// fileKeys reads a file of keys: a name, white space, and the record, or ! for a server failure. A name may stand twice.
func fileKeys(t testing.TB, name string) zone {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	z := zone{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		name, record, ok := strings.Cut(line, " ")
		if line == "" || line[0] == '#' || !ok {
			continue
		}
		if record = strings.TrimSpace(record); record == "!" {
			z[name] = errors.New("server failure")
			continue
		}
		old, _ := z[name].([]string)
		z[name] = append(old, record)
	}
	return z
}

// told is a result as the files .want tell it.
func told(r *Result) string {
	out := r.Status.String()
	if r.Cause != NoCause {
		out += " " + r.Cause.String()
	}
	for _, f := range []struct {
		name, value string
		has         bool
	}{
		{"d", r.Domain, true}, {"s", r.Selector, true}, {"i", r.Identity, r.Identity != "@"+r.Domain}, {"a", r.Algorithm.String(), true},
		{"bits", fmt.Sprint(r.Bits), r.Bits > 0}, {"c", r.HeaderCanon.String() + "/" + r.BodyCanon.String(), true}, {"b", r.Prefix, true},
		{"l", fmt.Sprintf("%d+%d", r.Length, r.Uncovered), r.Length >= 0}, {"h", strings.Join(r.Names, ":"), true},
		{"absent", strings.Join(r.Oversigned, ":"), r.Oversigned != nil}, {"again", strings.Join(r.Duplicates, ":"), r.Duplicates != nil},
		{"unsigned", strings.Join(r.Unsigned, ":"), r.Unsigned != nil}, {"testing", "y", r.Testing}, {"header", "holds", r.HeaderHolds}, {"t", fmt.Sprint(r.Time.Unix()), !r.Time.IsZero()},
		{"x", fmt.Sprint(r.Expires.Unix()), !r.Expires.IsZero()},
	} {
		if f.has {
			out += " " + f.name + "=" + f.value
		}
	}
	if r.Reason != "" {
		out += "\n  " + r.Reason
	}
	return out + "\n"
}

// TestFiles verifies testdata/NN-name.eml (LF stands for CRLF) by the keys in NN-name.keys, or in all.keys without that, and
// holds what is found against NN-name.want. -update writes the last: read the difference before you commit it.
func TestFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		base := strings.TrimSuffix(file, ".eml")
		t.Run(filepath.Base(base), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			h, body := messageOf(string(text))
			results, skipped := Verify(t.Context(), h, strings.NewReader(body), keysOf(t, base), Options{Now: filesNow})
			got := ""
			for i := range results {
				got += told(&results[i])
			}
			if skipped > 0 {
				got += fmt.Sprintf("%d more\n", skipped)
			}
			if *update {
				if err := os.WriteFile(base+".want", []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(base + ".want")
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func keysOf(t testing.TB, base string) zone {
	z := fileKeys(t, "testdata/all.keys")
	if _, err := os.Stat(base + ".keys"); err == nil {
		for name, record := range fileKeys(t, base+".keys") {
			z[name] = record
		}
	}
	return z
}
