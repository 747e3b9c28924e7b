package config

import (
	"strings"
	"testing"
)

// TestExpressionPlace: each character of an expression is found where it stands in the document, however it is written.
func TestExpressionPlace(t *testing.T) {
	head := "[[rule]]\nname = \"x\"\naction = \"tag\"\n"
	for _, test := range []struct{ document, mark string }{
		{head + `when = "a && MARK"`, "MARK"},
		{head + `  when   =   'a && MARK' # MARK`, "MARK"},
		{head + `when = "\"\u00e4\t\\" + "x" + MARK"`[:len(`when = "\"\u00e4\t\\`)] + ` MARK"`, "MARK"},
		{head + "when = \"\"\"\na &&\n  b && MARK\"\"\"", "MARK"},
		{head + "when = '''a &&\n\n  ä && MARK'''", "MARK"},
		{head + "when = \"\"\"\\\n   a && \\\n   MARK\"\"\"", "MARK"},
		{head + "when = '''\r\na &&\r\n MARK'''", "MARK"},
	} {
		p := new(Policy)
		problems := Decode("policy.toml", []byte(test.document), p, Options{Sections: Sections{}})
		if len(p.Rules) != 1 || p.Rules[0].When.IsZero() {
			t.Fatalf("%q: %v", test.document, problems)
		}
		e := p.Rules[0].When
		before := e.Text[:strings.Index(e.Text, test.mark)]
		line := 1 + strings.Count(before, "\n")
		column := 1 + len([]rune(before[strings.LastIndexByte(before, '\n')+1:]))
		gotLine, gotColumn := e.Place(line, column)
		at := strings.Index(test.document, test.mark)
		wantLine := 1 + strings.Count(test.document[:at], "\n")
		wantColumn := 1 + len([]rune(test.document[:at][strings.LastIndexByte(test.document[:at], '\n')+1:]))
		if gotLine != wantLine || gotColumn != wantColumn {
			t.Errorf("%q: at %d:%d, want %d:%d", test.document, gotLine, gotColumn, wantLine, wantColumn)
		}
		if l, c := e.Place(1000, 1000); l < 1 || c < 1 {
			t.Errorf("behind the end: %d:%d", l, c)
		}
	}
	if l, c := (Expression{Text: "a"}).Place(1, 1); l != 0 || c != 0 {
		t.Error("a text of no document has a place")
	}
}
