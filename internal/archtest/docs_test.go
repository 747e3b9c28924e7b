package archtest

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// tests are the names of all tests, and the packages that have any, with what they test.
func tests(t *testing.T) (names map[string]bool, packages map[string]bool) {
	t.Helper()
	names, packages = map[string]bool{}, map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w*)\(`)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2 && d.Name() != "..":
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range function.FindAllSubmatch(text, -1) {
			names[string(m[1])] = true
			if string(m[1]) != "TestMain" {
				packages[strings.TrimPrefix(filepath.Dir(path), "../../")] = true
			}
		}
		return err
	})
	if err != nil || len(names) < 1000 {
		t.Fatalf("%d tests: %v", len(names), err)
	}
	return names, packages
}

// TestTestsAreTold holds docs/tests.md against the tests: each package that has any is named, each that is named is there, and
// each fuzz target is in the table.
func TestTestsAreTold(t *testing.T) {
	text, err := os.ReadFile("../../docs/tests.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	names, packages := tests(t)
	for p := range packages {
		if !regexp.MustCompile("[`/ ]" + regexp.QuoteMeta(p) + "[`/ ,]").MatchString(page) {
			t.Errorf("%s is nowhere in docs/tests.md", p)
		}
	}
	for name := range names {
		if strings.HasPrefix(name, "Fuzz") && !regexp.MustCompile(`\b`+name+`\b`).MatchString(page) {
			t.Errorf("%s is not in the table of fuzz targets", name)
		}
	}
	for _, m := range regexp.MustCompile(`\b((?:Test|Fuzz|Benchmark)[A-Z]\w*)(\.\.\.)?`).FindAllStringSubmatch(page, -1) {
		if m[2] == "" && !names[m[1]] {
			t.Errorf("docs/tests.md names %s, which is nowhere", m[1])
		}
		if m[2] != "" && !slices.ContainsFunc(slices.Collect(maps.Keys(names)), func(n string) bool { return strings.HasPrefix(n, m[1]) }) {
			t.Errorf("docs/tests.md names %s..., of which there is none", m[1])
		}
	}
}

// TestPagesAreLinked follows the links from README.md: each page is reached, and each link leads to a file and a headline.
func TestPagesAreLinked(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	reached := map[string]bool{}
	anchors := map[string]map[string]bool{} // of each page
	type target struct{ from, page, anchor string }
	var wanted []target
	for todo := []string{"README.md"}; len(todo) > 0; todo = todo[1:] {
		page := todo[0]
		if reached[page] {
			continue
		}
		reached[page] = true
		text, err := os.ReadFile(filepath.Join("../..", page))
		if err != nil {
			t.Error(err)
			continue
		}
		anchors[page] = headlines(string(text))
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			to, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(to, ":") {
				continue // elsewhere
			}
			if to == "" {
				to = page
			} else {
				to = filepath.Join(filepath.Dir(page), to)
			}
			if _, err := os.Stat(filepath.Join("../..", to)); err != nil {
				t.Errorf("%s: %s leads nowhere", page, m[1])
				continue
			}
			if strings.HasSuffix(to, ".md") {
				todo = append(todo, to)
				wanted = append(wanted, target{page, to, anchor})
			}
		}
	}
	for _, w := range wanted {
		if w.anchor != "" && !anchors[w.page][w.anchor] {
			t.Errorf("%s: %s has no headline for #%s", w.from, w.page, w.anchor)
		}
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) < 40 {
		t.Fatalf("%d pages: %v", len(pages), err)
	}
	for _, p := range pages {
		if p = strings.TrimPrefix(p, "../../"); !reached[p] {
			t.Errorf("no link leads from README.md to %s", p)
		}
	}
}

// headlines are the names that readers of Markdown give to the headlines of a page.
func headlines(page string) map[string]bool {
	out := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		name := regexp.MustCompile(`[^\pL\pN _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		out[strings.ReplaceAll(name, " ", "-")] = true
	}
	return out
}
