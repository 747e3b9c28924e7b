package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// live makes every commented default of a printed document a real key.
func live(doc string) string {
	return regexp.MustCompile(`(?m)^#([^ #\n])`).ReplaceAllString(doc, "$1")
}

func TestPrintedBootstrap(t *testing.T) {
	want, _ := DecodeBootstrap(BootstrapFile, nil)
	for name, doc := range map[string]string{"as printed": DefaultBootstrap(), "every default live": live(DefaultBootstrap())} {
		got, problems := DecodeBootstrap(BootstrapFile, []byte(doc))
		if len(problems) > 0 {
			t.Errorf("%s: %s", name, problems)
		}
		if !reflect.DeepEqual(emptyLists(got), emptyLists(want)) {
			t.Errorf("%s: got %+v\nwant %+v", name, got, want)
		}
	}
}

func TestPrintedPolicy(t *testing.T) {
	doc := DefaultPolicy(testSections())
	want := BuiltinPolicy(testSections())
	for name, doc := range map[string]string{"as printed": doc, "every default live": live(doc)} {
		got, problems := DecodePolicy(PolicyFile, []byte(doc), testSections())
		if problems.Refused() {
			t.Errorf("%s: %s", name, problems)
		}
		if !reflect.DeepEqual(emptyLists(got), emptyLists(want)) {
			t.Errorf("%s: got %+v\nwant %+v", name, got, want)
		}
	}
	for _, key := range []string{"#mode = \"enforce\"", "[checks.rbl.client]", "#lookups = 10", "#prices = { fail = 3, softfail = 1 }"} {
		if !strings.Contains(doc, key+"\n") {
			t.Errorf("the printed policy does not have %s", key)
		}
	}
}

// emptyLists makes an empty list and one that was never written alike; they mean the same.
func emptyLists(p any) any {
	v := reflect.ValueOf(p).Elem()
	emptyListsIn(v)
	return p
}

func emptyListsIn(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				emptyListsIn(v.Field(i))
			}
		}
	case reflect.Slice:
		if v.Len() == 0 {
			v.SetZero()
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if c, ok := it.Value().Interface().(*Check); ok && c.Options != nil {
				emptyLists(c.Options)
			}
		}
	}
}

// The examples of the printed policy must be good for a start: they are taken together as one document.
func TestPrintedExamples(t *testing.T) {
	var doc strings.Builder
	for _, line := range strings.Split(DefaultPolicy(nil), "\n") {
		if text, ok := strings.CutPrefix(line, example); ok {
			doc.WriteString(text + "\n")
		}
	}
	for name, text := range map[string]string{"as printed": doc.String(), "every default live": live(doc.String())} {
		p, problems := DecodePolicy(PolicyFile, []byte(text), nil)
		for _, problem := range problems {
			if problem.Key != "rbl.use" && problem.Key != "trusted_relay[1].until" && problem.Key != "tls_required[1].domains" { // an example does not say them, and its day is over
				t.Errorf("%s: %s\n%s", name, problem, text)
			}
		}
		if len(p.Domains) != 1 || p.Domains[0].Name != "example.org" || len(p.Routes) != 1 || len(p.Routes[0].NextHops) != 1 {
			t.Errorf("%s: got %+v", name, p)
		}
	}
}

func TestTags(t *testing.T) {
	for _, doc := range []any{&Bootstrap{}, &Policy{}} {
		if err := VerifyTags(doc); err != nil {
			t.Error(err)
		}
	}
	if err := testSections().Verify(); err != nil {
		t.Error(err)
	}
	type bad struct {
		NoDoc   int      `toml:"no_doc"`
		Default int      `toml:"default" default:"x" doc:"d"`
		Range   int      `toml:"range" min:"x" doc:"d"`
		Outside int      `toml:"outside" max:"5" default:"6" doc:"d"`
		Type    chan int `toml:"type" doc:"d"`
		Format  string   `toml:"format" format:"nonsense" default:"x" doc:"d"`
		Twice   bool     `toml:"twice" doc:"d"`
		Again   bool     `toml:"twice" doc:"d"`
		Nested  struct {
			NoDoc bool `toml:"inner"`
		} `toml:"nested" doc:"d"`
	}
	err := VerifyTags(&bad{})
	if err == nil {
		t.Fatal("nothing found in bad tags")
	}
	for _, key := range []string{"no_doc", "default", "range", "outside", "type", "format", "twice", "nested.inner"} {
		if !strings.Contains("\n"+err.Error(), "\n"+key+": ") {
			t.Errorf("nothing about %s in\n%v", key, err)
		}
	}
}

func TestVerifySections(t *testing.T) {
	hides := struct {
		Action string `toml:"action" doc:"d"`
	}{}
	for name, s := range map[string]Section{
		"renamed": {Name: "other", Doc: "d"},
		"silent":  {Name: "silent"},
		"value":   {Name: "value", Doc: "d", Options: spfOptions{}},
		"hides":   {Name: "hides", Doc: "d", Options: &hides},
		"untagged": {Name: "untagged", Doc: "d", Options: &struct {
			X int `toml:"x"`
		}{}},
	} {
		if err := (Sections{name: s}).Verify(); err == nil {
			t.Errorf("%s: nothing found", name)
		}
	}
}

// TestExplain compares gatepost explain NAME with testdata/explain/NAME.txt; what is an error there begins with "error: ".
func TestExplain(t *testing.T) {
	files, _ := filepath.Glob("testdata/explain/*.txt")
	if len(files) == 0 {
		t.Fatal("no fixtures")
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			got, err := Explain(name, testSections())
			if err != nil {
				got = "error: " + err.Error() + "\n"
			}
			compareFile(t, file, got)
		})
	}
}

// Every key and every check can be explained, and says more than its name.
func TestExplainAll(t *testing.T) {
	names := Names(testSections())
	if len(names) < 80 {
		t.Errorf("only %d names", len(names))
	}
	for _, name := range names {
		text, err := Explain(name, testSections())
		if err != nil || !strings.HasPrefix(text, strings.TrimPrefix(name, "checks.")) && !strings.HasPrefix(text, name) || strings.Count(text, "\n") < 4 {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
}

func TestNothingIsWritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, BootstrapFile)
	if err := os.WriteFile(path, []byte("hostname = \"mx.example.org\"\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	Load(dir, testSections())
	entries, _ := os.ReadDir(dir)
	data, _ := os.ReadFile(path)
	if len(entries) != 1 || string(data) != "hostname = \"mx.example.org\"\n" {
		t.Errorf("after Load: %v, %q", entries, data)
	}
}
