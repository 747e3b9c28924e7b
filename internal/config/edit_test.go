package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// TestEdit shows what each kind of change makes of a document, and that it leaves the rest alone.
func TestEdit(t *testing.T) {
	const doc = `# ours
mode = "enforce" # for real

# points
[thresholds]
# From here a message is refused.
#reject = 15
tag = 5.5   # since March

[[domain]] # the first
name = "example.org"
route = "in"

[[domain]]
name = "bücher.example"
  [domain.thresholds]
  tag = 4

[checks.spf]
action = 'reject'
prices = { fail = 3, softfail = 1 }
skip = [
  "192.0.2.1", # printer
  "192.0.2.2", # scanner
]
`
	for name, c := range map[string]struct {
		changes  []Change
		old, new string // the only place that differs
	}{
		"a value":                {[]Change{{Key: "mode", Value: "observe"}}, `mode = "enforce" #`, `mode = "observe" #`},
		"a number":               {[]Change{{Key: "thresholds.tag", Value: 6.25}}, `tag = 5.5   #`, `tag = 6.25   #`},
		"below its default":      {[]Change{{Key: "thresholds.reject", Value: 12.0}}, "#reject = 15\n", "#reject = 15\nreject = 12\n"},
		"below the last key":     {[]Change{{Key: "thresholds.quarantine", Value: 7}}, "since March\n", "since March\nquarantine = 7\n"},
		"at the top":             {[]Change{{Key: "level", Value: "strict"}}, "for real\n", "for real\nlevel = \"strict\"\n"},
		"of an element":          {[]Change{{Key: "domain[example.org].route", Value: "out"}}, `route = "in"`, `route = "out"`},
		"by number":              {[]Change{{Key: "domain[1].route", Value: "out"}}, `route = "in"`, `route = "out"`},
		"by its other name":      {[]Change{{Key: "domain[xn--bcher-kva.example].thresholds.tag", Value: 3}}, "  tag = 4", "  tag = 3"},
		"with its indentation":   {[]Change{{Key: "domain[bücher.example].thresholds.reject", Value: 9}}, "  tag = 4\n", "  tag = 4\n  reject = 9\n"},
		"a table in an element":  {[]Change{{Key: "domain[example.org].thresholds.tag", Value: 3}}, "route = \"in\"\n", "route = \"in\"\n\n[domain.thresholds]\ntag = 3\n"},
		"a table of a kind":      {[]Change{{Key: "checks.dkim.action", Value: "tag"}}, "scanner\n]\n", "scanner\n]\n\n[checks.dkim]\naction = \"tag\"\n"},
		"in braces":              {[]Change{{Key: "checks.spf.prices.none", Value: 0.5}}, "softfail = 1 }", "softfail = 1, none = 0.5 }"},
		"a value in braces":      {[]Change{{Key: "checks.spf.prices.fail", Value: 4}}, "fail = 3,", "fail = 4,"},
		"into a list":            {[]Change{{Key: "checks.spf.skip[]", Value: "192.0.2.3"}}, `"192.0.2.2",`, `"192.0.2.2", "192.0.2.3",`},
		"a whole list":           {[]Change{{Key: "checks.spf.skip", Value: []string{"a", "b"}}}, "[\n  \"192.0.2.1\", # printer\n  \"192.0.2.2\", # scanner\n]", `["a", "b"]`},
		"an entry":               {[]Change{{Key: "domain[]", Value: map[string]any{"route": "in", "name": "example.net"}}}, "  tag = 4\n", "  tag = 4\n\n[[domain]]\nname = \"example.net\"\nroute = \"in\"\n"},
		"an entry of a new list": {[]Change{{Key: "route[]", Value: map[string]any{"name": "in"}}}, "scanner\n]\n", "scanner\n]\n\n[[route]]\nname = \"in\"\n"},
		"a key away":             {[]Change{{Key: "thresholds.tag", Remove: true}}, "tag = 5.5   # since March\n", ""},
		"a table away":           {[]Change{{Key: "domain[bücher.example].thresholds", Remove: true}}, "  [domain.thresholds]\n  tag = 4\n", ""},
		"an element away":        {[]Change{{Key: "domain[example.org]", Remove: true}}, "[[domain]] # the first\nname = \"example.org\"\nroute = \"in\"\n", ""},
		"first in braces away":   {[]Change{{Key: "checks.spf.prices.fail", Remove: true}}, "fail = 3, ", ""},
		"last in braces away":    {[]Change{{Key: "checks.spf.prices.softfail", Remove: true}}, ", softfail = 1", ""},
		"the same":               {[]Change{{Key: "mode", Value: Literal(`"enforce"`)}}, "", ""},
		"hostile text":           {[]Change{{Key: "mode", Value: "a\"]\n[x]\\\x00"}}, `"enforce"`, `"a\"]\n[x]\\\u0000"`},
	} {
		t.Run(name, func(t *testing.T) {
			want := strings.Replace(doc, c.old, c.new, 1)
			if strings.Count(doc, c.old) != 1 && c.old != "" && name != "a table in an element" {
				t.Fatalf("%d places", strings.Count(doc, c.old))
			}
			for kind, change := range map[string]func(string) string{"": func(s string) string { return s },
				"CRLF": func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }, "byte order mark": func(s string) string { return "\xef\xbb\xbf" + s }} {
				got, err := Edit([]byte(change(doc)), c.changes)
				if err != nil || string(got) != change(want) {
					t.Errorf("%s: %v\n%s", kind, err, got)
				}
			}
		})
	}
}

// TestEditForms shows changes of documents that are written in other ways, and of those that have nothing yet.
func TestEditForms(t *testing.T) {
	for _, c := range []struct {
		doc, key string
		value    any // nil: remove
		want     string
	}{
		{"", "mode", "soft", "mode = \"soft\"\n"},
		{"", "thresholds.tag", 3, "[thresholds]\ntag = 3\n"},
		{"", "domain[]", map[string]any{"name": "a.example"}, "[[domain]]\nname = \"a.example\"\n"},
		{"# a\n\n# b\n[x]\n", "mode", "soft", "# a\n\nmode = \"soft\"\n\n# b\n[x]\n"},
		{"a = 1", "b", 2, "a = 1\nb = 2\n"},
		{"[x]", "x.b", 2, "[x]\nb = 2\n"},
		{"[x]\na = 1", "y.b", 2, "[x]\na = 1\n\n[y]\nb = 2\n"},
		{"x.a = 1\nz = 1\n", "x.b", 2, "x.a = 1\nz = 1\nx.b = 2\n"},
		{"x.a.b = 1\n[z]\n", "x.a.c.d", 2, "x.a.b = 1\nx.a.c.d = 2\n[z]\n"},
		{"[x.y]\na = 1\n[z]\n", "x.b", 2, "[x.y]\na = 1\n\n[x]\nb = 2\n[z]\n"},
		{"x = {}\n", "x.b", 2, "x = { b = 2 }\n"},
		{"x = { y.a = 1 }\n", "x.y.b", 2, "x = { y.a = 1, y.b = 2 }\n"},
		{"x = [ { name = \"a\" } ]\n", "x[a].b", 2, "x = [ { name = \"a\", b = 2 } ]\n"},
		{"x = [ { name = \"a\" } ]\n", "x[]", map[string]any{"name": "b"}, "x = [ { name = \"a\" }, { name = \"b\" } ]\n"},
		{"x = []\n", "x[]", "a", "x = [\"a\"]\n"},
		{"x = { a = 1, b.c = 2, b.d = 3 }\n", "x.b", nil, "x = { a = 1 }\n"},
		{"x = { b.c = 2, a = 1, b.d = 3 }\n", "x.b", nil, "x = { a = 1 }\n"},
		{"x = [ { name = \"a\" }, { name = \"b\" } ]\n", "x[a]", nil, "x = [ { name = \"b\" } ]\n"},
		{"x.a = 1\ny = 2\nx.b = 3\n", "x", nil, "y = 2\n"},
		{"[a]\nx = 1\n# for b\n[b]\ny = 1\n[a.c]\nz = 1\n", "a", nil, "# for b\n[b]\ny = 1\n"},
		{"[a]\nx = 1\n# inside\ny = 2\n# for b\n[b]\n", "a", nil, "# for b\n[b]\n"},
		{"x = \"\"\"\n#y = 1\n\"\"\"\n", "y", 2, "x = \"\"\"\n#y = 1\n\"\"\"\ny = 2\n"},
		{"\"a.b\" = 1\n", `"a.b"`, 2, "\"a.b\" = 2\n"},
		{"x = 1979-05-27 07:32:00 # then\n", "x", true, "x = true # then\n"},
		{"x = '''a'b''''\n", "x", Literal("[1, 2]"), "x = [1, 2]\n"},
	} {
		got, err := Edit([]byte(c.doc), []Change{{Key: c.key, Value: c.value, Remove: c.value == nil}})
		if err != nil || string(got) != c.want {
			t.Errorf("%q %s: %v\n%q, not\n%q", c.doc, c.key, err, got, c.want)
		}
	}
}

// TestEditRefuses shows that what cannot be meant changes nothing and is told with its key.
func TestEditRefuses(t *testing.T) {
	const doc = "x = 1\nl = [1]\n[t]\na = 1\n[[d]]\nname = \"a\"\n[[d]]\nname = \"a\"\n"
	for _, c := range []struct {
		change Change
		want   string
	}{
		{Change{Key: "", Value: 1}, "is no key"},
		{Change{Key: "a b", Value: 1}, "no key"},
		{Change{Key: "a[", Value: 1}, "without ]"},
		{Change{Key: "a[].b", Value: 1}, "behind ]"},
		{Change{Key: strings.Repeat("a.", 20) + "a", Value: 1}, "too deep"},
		{Change{Key: "x.y", Value: 1}, "no table"},
		{Change{Key: "x[]", Value: 1}, "no list"},
		{Change{Key: "x[1]", Value: 1}, "no list"},
		{Change{Key: "t", Value: 1}, "is a table"},
		{Change{Key: "d", Value: 1}, "is a table"},
		{Change{Key: "d[a].x", Value: 1}, "2 elements"},
		{Change{Key: "d[3].x", Value: 1}, "no element"},
		{Change{Key: "d.x", Value: 1}, "which element"},
		{Change{Key: "e[a].x", Value: 1}, "not there"},
		{Change{Key: "d[]", Value: 1}, "list of tables"},
		{Change{Key: "l[]", Value: map[string]any{}}, "does not fit"},
		{Change{Key: "y", Remove: true}, "not in the document"},
		{Change{Key: "d[]", Remove: true}, "not in the document"},
		{Change{Key: "y", Value: nil}, "no value"},
		{Change{Key: "y", Value: "\xff"}, "UTF-8"},
		{Change{Key: "y", Value: Literal("1\nz = 2")}, "is no value"},
		{Change{Key: "y", Value: Literal("1 # c")}, "is no value"},
		{Change{Key: "y", Value: json.Number("1]")}, "is no value"},
	} {
		got, err := Edit([]byte(doc), []Change{{Key: "x", Value: 2}, c.change})
		if err == nil || got != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v\n%s", c.change, err, got)
		}
	}
	if _, err := Edit([]byte("a = \n"), []Change{{Key: "x", Value: 2}}); err == nil {
		t.Error("a document that is none was changed")
	}
	if out, err := Edit(bytes.Repeat([]byte("#"), MaxFile-10), []Change{{Key: "x", Value: "too much"}}); out != nil || !strings.Contains(err.Error(), "policy.toml: x: makes the document larger than 1M") {
		t.Errorf("a document that becomes too large: %v", err)
	}
	if _, err := Edit(nil, make([]Change, MaxChanges+1)); err == nil {
		t.Error("any number of changes")
	}
}

// plainOf decodes with go-toml, which is not what Edit stands on, and leaves out what is empty: whether an empty table is
// written or not means nothing.
func plainOf(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var out map[string]any
	if err := toml.Unmarshal(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), &out); err != nil {
		t.Fatalf("%v\n%q", err, text)
	}
	flat := map[string]any{}
	flatten(flat, "", out)
	return flat
}

func flatten(out map[string]any, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			flatten(out, path+"."+strconv.Quote(k), x)
		}
	case []any:
		for i, x := range v {
			flatten(out, path+"["+strconv.Itoa(i+1)+"]", x)
		}
	default:
		out[path] = fmt.Sprint(v)
	}
}

// commentsOf are the comments of a document, as our tree leaves them over: all octets that are in no expression.
func outside(d *outlined) string {
	var b strings.Builder
	at := 0
	for _, e := range d.exprs {
		b.Write(d.data[at:e.at])
		at = e.end
	}
	b.Write(d.data[at:])
	return strings.Join(strings.Fields(b.String()), " ")
}

// every is the paths of all values of a document that Edit can name.
func every(n *node, path string) (out []string) {
	for _, e := range n.keys {
		p := strings.TrimPrefix(path+"."+bareOrQuoted(e.name), ".")
		switch v := e.value; {
		case v.kind == kindTable:
			out = append(append(out, p), every(v, p)...)
		case v.kind == kindList && len(v.items) > 0 && v.items[0].kind == kindTable:
			for i := range v.items {
				item := fmt.Sprintf("%s[%d]", p, i+1)
				out = append(append(out, item), every(v.items[i], item)...)
			}
		default:
			out = append(out, p)
		}
	}
	return out
}

// edited holds one change against what go-toml reads before and after.
func edited(t *testing.T, doc []byte, c Change) {
	t.Helper()
	out, err := Edit(doc, []Change{c})
	if err != nil {
		return
	}
	words, _ := splitKey(c.Key)
	before, after := plainOf(t, doc), plainOf(t, out)
	was, is := outlineOf(t, doc), outlineOf(t, out)
	n, rest, _ := was.find(words)
	prefix := flatPath(n, rest)
	for k, v := range after {
		mine := k == prefix || strings.HasPrefix(k, prefix+".") || strings.HasPrefix(k, prefix+"[")
		if c.Remove && strings.Contains(c.Key, "]") {
			continue // numbers move; what stays is counted below
		}
		if old, ok := before[k]; !mine && (!ok || old != v) {
			t.Errorf("%+v: %s is now %v, was %v\n%q\n%q", c, k, v, old, doc, out)
		}
	}
	gone := 0
	for k := range before {
		mine := k == prefix || strings.HasPrefix(k, prefix+".") || strings.HasPrefix(k, prefix+"[")
		if mine {
			gone++
		}
		if _, ok := after[k]; !ok && !mine && !(c.Remove && strings.Contains(c.Key, "]")) {
			t.Errorf("%+v: %s is lost\n%q\n%q", c, k, doc, out)
		}
	}
	if c.Remove {
		if len(after) != len(before)-gone {
			t.Errorf("%+v: %d of %d values, %d were meant\n%q\n%q", c, len(after), len(before), gone, doc, out)
		}
		return
	}
	if outside(was) != outside(is) {
		t.Errorf("%+v: comments\n%q\n%q", c, doc, out)
	}
}

func outlineOf(t *testing.T, doc []byte) *outlined {
	t.Helper()
	d, err := outline(doc)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// flatPath is what flatten calls a node, and words below it.
func flatPath(n *node, rest []keyWord) string {
	path := ""
	for ; n.parent != nil; n = n.parent {
		if n.number > 0 {
			path = "[" + strconv.Itoa(n.number) + "]" + path
		} else {
			path = "." + strconv.Quote(n.name) + path
		}
	}
	for _, w := range rest {
		path += "." + strconv.Quote(w.name)
	}
	return path
}

// TestEditEverywhere changes and removes each value of all fixtures, adds to each table, and holds the result against go-toml
// and the comments.
func TestEditEverywhere(t *testing.T) {
	files, _ := filepath.Glob("testdata/accept/*.toml")
	docs := [][]byte{[]byte(DefaultPolicy(testSections()))}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, text)
	}
	n := 0
	for _, doc := range docs {
		for _, path := range every(outlineOf(t, doc).root, "") {
			edited(t, doc, Change{Key: path, Value: "new"})
			edited(t, doc, Change{Key: path, Remove: true})
			edited(t, doc, Change{Key: path + ".new", Value: 1})
			edited(t, doc, Change{Key: path + ".new.more", Value: true})
			edited(t, doc, Change{Key: path + ".list[]", Value: map[string]any{"name": "x", "b": []any{1, "2"}}})
			n++
		}
	}
	if n < 100 {
		t.Errorf("only %d paths", n)
	}
}

// FuzzEdit changes any document at any key: the result is a document, and differs only where it should.
func FuzzEdit(f *testing.F) {
	for _, doc := range []string{"", "a = 1\n", "[a.b]\nc = { d = [ 1, 2 ] }\n[[e]]\nname = \"x\"\n[e.f]\ng = '''\n#h = 1'''\n", "a.b.c = 1 # d\r\n[a.d]\r\n", "x = { a.b = 1,\n # c\n d = {}, }"} {
		for _, key := range []string{"a", "a.b", "e[x].f.h", "e[]", "x.a", "x.d.e"} {
			f.Add([]byte(doc), key, "v", false)
			f.Add([]byte(doc), key, "[1]", true)
		}
	}
	f.Fuzz(func(t *testing.T, doc []byte, key, value string, remove bool) {
		var plain map[string]any
		if d, err := outline(doc); err != nil || toml.Unmarshal(d.data, &plain) != nil {
			return
		}
		v := LiteralOf(value)
		if l, ok := v.(Literal); ok && toml.Unmarshal([]byte("x = "+l), &plain) != nil {
			return // no time that there is
		}
		edited(t, doc, Change{Key: key, Value: v, Remove: remove})
	})
}

// TestLiteralOf shows what is taken for a value of TOML and what for text.
func TestLiteralOf(t *testing.T) {
	for text, want := range map[string]any{"10": Literal("10"), "reject": "reject", "true": Literal("true"), `"a"`: Literal(`"a"`), "10m": "10m",
		"[1, 2]": Literal("[1, 2]"), "{ a = 1 }": Literal("{ a = 1 }"), "": "", "1 # a": "1 # a", "1\nx = 2": "1\nx = 2", "1]": "1]"} {
		if got := LiteralOf(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %#v", text, got)
		}
	}
}
