package dmarc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// told is an outcome in one line.
func told(o *Outcome) string {
	s := string(o.Result)
	if o.PolicyDomain != "" {
		s += " record=" + o.PolicyDomain
	}
	if o.Tag != "" {
		s += fmt.Sprintf(" %s=%s", o.Tag, o.Published)
		if o.Requested != o.Published {
			s += " asks=" + o.Requested.String()
		}
	}
	if o.Organization != "" {
		s += " org=" + o.Organization
	} else {
		s += " org=?"
	}
	for _, a := range o.Alignments {
		s += " " + a.Method + ":" + a.Domain + "=" + [...]string{"no", "maybe", "yes"}[a.Aligned]
	}
	if o.Identical && o.Result != Pass {
		s += " identical"
	}
	return s
}

// TestCases runs each file of testdata/cases: "zone NAME TEXT" ("-" exists without a text, "!" fails), "author", "ids",
// "sample", then what each method says ("both" for the same), and if it is written, what was asked. Further blocks of
// author, ids and sample use the same zone.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/cases/*.txt")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			runCase(t, string(text))
		})
	}
}

func runCase(t *testing.T, text string) {
	var lines []string
	var author, ids, asked string
	sample, ran := uint64(0), 0
	for n, line := range strings.Split(text, "\n") {
		word, rest, _ := strings.Cut(line, " ")
		var methods []Method
		switch word {
		case "", "#":
		case "zone":
			lines = append(lines, rest)
		case "author":
			author, ids, sample = rest, "", 0
		case "ids":
			ids = rest
		case "sample":
			sample, _ = strconv.ParseUint(rest, 10, 32)
		case "treewalk":
			methods = []Method{TreeWalk}
		case "psl":
			methods = []Method{PSL}
		case "both":
			methods = []Method{TreeWalk, PSL}
		case "asked": // in the run before
			if asked != rest {
				t.Errorf("line %d: asked %s", n+1, asked)
			}
		default:
			t.Fatalf("line %d: %q", n+1, line)
		}
		for _, m := range methods {
			w, in := zone(lines...), identifiers(ids)
			in.Sample = uint32(sample)
			if got := told(Check(t.Context(), w, author, in, m)); got != rest {
				t.Errorf("line %d, %s:\n%s\nwant\n%s", n+1, m, got, rest)
			}
			asked = strings.Join(w.questions(t), " ")
			ran++
		}
	}
	if ran == 0 {
		t.Error("the file says nothing")
	}
}
