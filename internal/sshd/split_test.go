package sshd

import (
	"slices"
	"strings"
	"testing"
)

// TestSplit shows words and quotes, and what is refused since a shell would do something with it.
func TestSplit(t *testing.T) {
	for line, want := range map[string][]string{
		"":                              nil,
		" \t ":                          nil,
		"queue list":                    {"queue", "list"},
		"  queue\t list --json ":        {"queue", "list", "--json"},
		`a 'b c' "d e" f\ g`:            {"a", "b c", "d e", "f g"},
		`'' "" a''b`:                    {"", "", "ab"},
		`'it''s' "it's" it\'s`:          {"its", "it's", "it's"},
		`"a\"b\\c\d" 'a\b'`:             {`a"b\c\d`, `a\b`},
		`';' "$(rm)" '|' '` + "`" + `'`: {";", "$(rm)", "|", "`"},
		"* ~ # ! {a,b} é":               {"*", "~", "#", "!", "{a,b}", "é"},
		`"two` + "\n" + `lines"`:        {"two\nlines"},
	} {
		if got, err := Split(line); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
	for line, want := range map[string]string{
		"queue list; queue show": `';' stands outside of quotes`, "a | b": `'|'`, "a\nb": `'\n'`, "a & b": `'&'`, "a > b": `'>'`, "a < b": `'<'`, "$HOME": `'$'`, "`id`": "'`'", "(a)": `'('`,
		`"$a" $b`: `'$'`, "'open": "not closed", `"open\"`: "not closed", `open\`: "not closed", "a\x00b": "no text", "\xff": "no text", strings.Repeat("a", MaxLine+1): "longer than 65536 octets",
	} {
		if got, err := Split(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %q, %v", line, got, err)
		}
	}
}

// quoted is a word that Split reads as it is.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// FuzzSplit: words that were quoted are read as they were, whatever they hold, and no word is longer than its line.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{"queue list --json", `a 'b c' "d\"e" f\ g`, "'", `"\`, "a;b", "\xff", "''", "a\tb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, err := Split(line)
		if err != nil {
			if words != nil {
				t.Fatalf("%q: words of what was refused", line)
			}
			return
		}
		var again []string
		octets := 0
		for _, w := range words {
			octets += len(w)
			again = append(again, quoted(w))
		}
		if octets > len(line) {
			t.Fatalf("%q became longer: %q", line, words)
		}
		text := strings.Join(again, " ")
		if len(text) > MaxLine {
			return
		}
		if got, err := Split(text); err != nil || !slices.Equal(got, words) {
			t.Fatalf("%q: %q, then %q, %v", line, words, got, err)
		}
	})
}
