package config

import (
	"fmt"
	"strings"
	"testing"
)

// TestCompare shows what is told of two documents: values, not how they are written; elements by their names, or as what they say.
func TestCompare(t *testing.T) {
	const before = "mode = \"soft\" # comment\n[thresholds]\nreject = 15\ntag = 5\n[[domain]]\nname = \"a.example\"\nroute = \"in\"\n[[domain]]\nname = \"b.example\"\nroute = \"in\"\n" +
		"[[checks.access.client.entry]]\nnetwork = \"192.0.2.1/32\"\n[[checks.access.client.entry]]\nnetwork = \"192.0.2.2/32\"\n[checks.spf]\nprices = { fail = 3 }\n"
	for name, c := range map[string]struct{ after, want string }{
		"nothing":              {before, ""},
		"how it is written":    {strings.Replace(strings.Replace(before, `"soft" # comment`, "'''soft'''", 1), "[checks.spf]\nprices = { fail = 3 }", "[checks.spf.prices]\nfail = 3", 1), ""},
		"a value":              {strings.Replace(before, "reject = 15", "reject = 12", 1), `thresholds.reject: "15" -> "12"`},
		"a key more":           {strings.Replace(before, "tag = 5", "tag = 5\nquarantine = 7", 1), `thresholds.quarantine: "" -> "7"`},
		"a key less":           {strings.Replace(before, "tag = 5\n", "", 1), `thresholds.tag: "5" -> ""`},
		"within an element":    {strings.Replace(before, "b.example\"\nroute = \"in\"", "b.example\"\nroute = \"out\"", 1), `domain[b.example].route: "\"in\"" -> "\"out\""`},
		"an element less":      {strings.Replace(before, "[[domain]]\nname = \"a.example\"\nroute = \"in\"\n", "", 1), `domain[a.example].name: "\"a.example\"" -> ""; domain[a.example].route: "\"in\"" -> ""`},
		"an element, no name":  {strings.Replace(before, "192.0.2.1/32", "192.0.2.9/32", 1), `checks.access.client.entry[]: "" -> "{ network = \"192.0.2.9/32\" }"; checks.access.client.entry[]: "{ network = \"192.0.2.1/32\" }" -> ""`},
		"the order of entries": {strings.NewReplacer("192.0.2.1/32", "192.0.2.2/32", "192.0.2.2/32", "192.0.2.1/32").Replace(before), ""},
	} {
		got, err := Compare([]byte(before), []byte(c.after))
		var words []string
		for _, d := range got {
			words = append(words, fmt.Sprintf("%s: %q -> %q", d.Key, d.Before, d.After))
		}
		if err != nil || strings.Join(words, "; ") != c.want {
			t.Errorf("%s: %v\n%s\nnot\n%s", name, err, strings.Join(words, "; "), c.want)
		}
	}
	if _, err := Compare([]byte("a = \n"), nil); err == nil {
		t.Error("what is no document")
	}
	if got, err := Compare(nil, []byte("a = \""+strings.Repeat("x", 1000)+"\"\n")); err != nil || len(got[0].After) != maxValue+3 {
		t.Errorf("%v %v", got, err)
	}
}

// TestElements shows what a list of tables holds, and what is added to one.
func TestElements(t *testing.T) {
	doc := []byte("# x\n[[domain]]\nname = 'a.example' # b\nedits = false\n[[domain]]\nname = \"b.example\"\nrecipients = [\n 1, # c\n 2 ]\n[domain.thresholds]\ntag = 4\n[thresholds]\ntag = 5\n")
	got, err := Elements(doc, "domain")
	want := "[{1 2 map[edits:false name:a.example]} {2 5 map[name:b.example recipients:[1, 2] thresholds:{ tag = 4 }]}]"
	if err != nil || fmt.Sprint(got) != want {
		t.Errorf("%v %v", got, err)
	}
	for _, path := range []string{"route", "thresholds", "thresholds.tag", "mode.x"} {
		if got, err := Elements(doc, path); len(got) > 0 || err != nil {
			t.Errorf("%s: %v %v", path, got, err)
		}
	}
	if _, err := Elements([]byte("a ="), "domain"); err == nil {
		t.Error("what is no document")
	}
	out, err := Edit(doc, []Change{{Key: "domain[]", Value: ElementOf(`{ route = "in", name = "c.example", thresholds = { tag = 3 } }`)}, {Key: "domain[a.example].edits", Value: ElementOf("true")}})
	if err != nil || !strings.Contains(string(out), "tag = 4\n\n[[domain]]\nname = \"c.example\"\nroute = \"in\"\nthresholds = { tag = 3 }\n") || !strings.Contains(string(out), "edits = true") {
		t.Errorf("%v\n%s", err, out)
	}
	for text, want := range map[string]string{"{}": "map[string]interface {}", "a": "string", "{ a = 1 } # x": "string", "[1]": "config.Literal"} {
		if got := fmt.Sprintf("%T", ElementOf(text)); got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
}
