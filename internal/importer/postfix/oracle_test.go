package postfix

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab"
)

// write writes a file that is an hour old: Postfix waits until one that changed just now is two seconds old.
func write(t *testing.T, path, text string) {
	t.Helper()
	err := os.WriteFile(path, []byte(text), 0o600)
	if err == nil {
		old := time.Now().Add(-time.Hour)
		err = os.Chtimes(path, old, old)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// loaded writes a configuration and reads it.
func loaded(t *testing.T, files map[string]string) (*Config, string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	f, err := Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	c, err := Load(f)
	if err != nil {
		t.Fatal(err)
	}
	return c, dir
}

const expansions = `compatibility_level = 3.6
myhostname = mx.example.org
empty =
a = one
b = $a ${a} $(a) $a.$a-$a_ x
c = ${a?yes} ${a:no} ${empty?yes} ${empty:no}
d = ${a?{yes}:{no}} ${empty?{yes}:{no}} ${ a ? { $a $b } : { no } }
e = ${{$a} == {one} ? {same} : {other}} ${{$a} != {one} ? {same} : {other}}
f = ${{12} < {9} ? {less} : {more}} ${{a12} < {a9} ? {less} : {more}} ${{3} >= {3} ? {x} : {y}}
g = ${{$compatibility_level} <level {2} ? {old} : {new}} ${{3.10} >level {3.9} ? {x} : {y}} ${{3.6} ==level {3.6.0} ? {x} : {y}}
h = $$a $$$a a$
i = $mydomain ${mydomain?$a}
j = first
  second

# a comment in between
	third $a
   # not a continuation
k = ${stress?{10}:{300}}s ${stress:none}
l = ${empty?{a}}${a?{b}}
relay_domains = $j, $k
`

// TestExpandLikePostfix holds the expansion of parameters against postconf -x.
func TestExpandLikePostfix(t *testing.T) {
	c, dir := loaded(t, map[string]string{"main.cf": expansions, "master.cf": ""})
	// postconf warns of names that only main.cf has, unless something uses them.
	text := expansions + "smtpd_restriction_classes = a b c d e f g h i j k l empty\n"
	write(t, filepath.Join(dir, "main.cf"), text)
	var names []string
	for _, name := range c.Names() {
		if name != "h" { // of a "$" alone postconf complains
			names = append(names, name)
		}
	}
	out, err := lab.PostfixTool(t.Context(), dir, "", "postconf", append([]string{"-c", dir, "-x"}, names...)...)
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Split(strings.TrimRight(out, "\n"), "\n")
	if len(said) != len(names) {
		t.Fatalf("%d answers to %d names:\n%s", len(said), len(names), out)
	}
	for i, name := range names {
		_, want, _ := strings.Cut(said[i], "=")
		if got, want := strings.Join(strings.Fields(c.Value(name)), " "), strings.Join(strings.Fields(want), " "); got != want {
			t.Errorf("%s = %q, and Postfix says %q", name, got, want)
		}
	}
	if got := c.Value("h"); got != "$a $one a" {
		t.Errorf("h = %q", got)
	}
}

// TestLookupLikePostfix holds look-ups against postmap -q.
func TestLookupLikePostfix(t *testing.T) {
	tables := map[string]string{
		"texthash:t": "# comment\nExample.ORG  value with  blanks\nuser@Example.org other\ntwice first\ntwice second\n" +
			"long\n  continued\n\t more\n\"quoted key\" value\nnovalue\n.sub.example x\n192.0.2 y\n",
		"regexp:r": "/^user@example\\.org$/ first\n/EXAMPLE/ second\n/case/i third\n!/@/ noat\nif /@x\\.example$/\n/^a/ a\n" +
			"if !/^b/\n/./ notb\nendif\nendif\n|bar| other delimiter\n/\\/slash/ slash\n",
		"cidr:c": "192.0.2.1 host\n192.0.2.0/24 net\n!10.0.0.0/8 outside\nif 10.1.0.0/16\n10.1.2.0/24 in\nendif\n2001:db8::/32 six\n10.2.0.0/16 later\n10.0.0.0/8 rest\n",
	}
	keys := []string{"example.org", "EXAMPLE.org", "user@example.org", "USER@example.org", "twice", "long", "quoted key", `"quoted key"`, "novalue", ".sub.example", "sub.example", "192.0.2",
		"Case", "case", "CASE@y", "ab@x.example", "b@x.example", "cd@x.example", "noat", "bar@q", "/slash@q", "192.0.2.1", "192.0.2.77", "10.1.2.3", "10.1.3.3", "10.2.0.1",
		"10.99.0.1", "172.16.0.1", "2001:db8::1", "2001:db9::1", "::1"}
	for ref, text := range tables {
		typ, name, _ := strings.Cut(ref, ":")
		c, dir := loaded(t, map[string]string{"main.cf": "compatibility_level = 3.6\nmyhostname = mx.example.org\n", "master.cf": "", name: text})
		table := c.Table(ref, Place{})
		if table.Err != nil {
			t.Fatal(table.Err)
		}
		out, err := lab.PostfixTool(t.Context(), dir, strings.Join(keys, "\n")+"\n", "postmap", "-c", dir, "-q", "-", typ+":"+filepath.Join(dir, name))
		if err != nil && !strings.Contains(err.Error(), "warning") {
			t.Fatal(err)
		}
		want := map[string]string{}
		for _, l := range strings.Split(out, "\n") {
			if key, value, ok := strings.Cut(l, "\t"); ok {
				want[key] = value
			}
		}
		if len(want) < 5 {
			t.Fatalf("%s: Postfix found %d keys: %q, %v", ref, len(want), out, err)
		}
		for _, key := range keys {
			got := ""
			if e, ok := table.Lookup(key); ok {
				got = e.Value
			}
			if got != want[key] {
				t.Errorf("%s: %q is %q, and Postfix says %q", ref, key, got, want[key])
			}
		}
	}
}
