package config

import (
	"strings"
	"testing"
)

const moved = `# the file

# first, for a reason
[[rule]]
name = "one" # 1
# inside
action = "tag"

# of nobody

[[domain]]
name = "x.test"

# two
[[rule]]
name = "two"
when = '''
[[rule]]
'''
[[rule]]
name = "three"
action = "reject"`

// TestMove moves elements with their comments, between other tables, in a document whose last line has no end; what is between stays.
func TestMove(t *testing.T) {
	for _, x := range []struct {
		key   string
		to    int
		names string
	}{{"rule[1]", 3, "two three one"}, {"rule[three]", 1, "three one two"}, {"rule[2]", 2, "one two three"}, {"rule[2]", 1, "two one three"}} {
		for _, eol := range []string{"\n", "\r\n"} {
			text := "\ufeff" + strings.ReplaceAll(moved, "\n", eol)
			got, err := Move([]byte(text), x.key, x.to)
			if err != nil {
				t.Fatal(err)
			}
			all, err := Elements(got, "rule")
			if err != nil {
				t.Fatalf("%v: %s", err, got)
			}
			var names []string
			for _, e := range all {
				names = append(names, e.Values["name"])
			}
			if strings.Join(names, " ") != x.names {
				t.Errorf("%s to %d: %q", x.key, x.to, names)
			}
			for _, whole := range []string{"# first, for a reason\n[[rule]]\nname = \"one\" # 1\n# inside\naction = \"tag\"\n", "# two\n[[rule]]\nname = \"two\"\nwhen = '''\n[[rule]]\n'''\n", "\n# of nobody\n\n[[domain]]\n", "# the file\n"} {
				if whole = strings.ReplaceAll(whole, "\n", eol); !strings.Contains(string(got), whole) {
					t.Errorf("%s to %d tears %q apart:\n%s", x.key, x.to, whole, got)
				}
			}
			if !strings.HasPrefix(string(got), "\ufeff# the file") || len(got)-len(text) > len(eol) {
				t.Errorf("%s to %d: %d octets of %d", x.key, x.to, len(got), len(text))
			}
		}
	}
}

// TestMoveRefused tells what cannot be moved, by its key.
func TestMoveRefused(t *testing.T) {
	for key, want := range map[string]string{"rule[4]": "has no element", "rule[1].name": "no element of a list", "rule": "no element of a list", "domain[x.test]": "number 2 of 1", "": "is no key", "inline[1]": "no element of a list of tables", "nothing[1]": "not there"} {
		got, err := Move([]byte("inline = [{ name = \"a\" }, { name = \"b\" }]\n"+moved), key, 2)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %s", key, err, got)
		}
	}
	if _, err := Move([]byte("a = ["), "a[1]", 1); err == nil {
		t.Error("what is no document is moved in")
	}
}
