package config

import (
	"strings"
	"testing"
)

// TestRedacted shows that what is secret, keys of DNS lists and the place of a webhook, is hidden however it is written, and nothing else is touched.
func TestRedacted(t *testing.T) {
	const lists = "\xef\xbb\xbf[rbl]\nuse = \"commercial\"\n[[rbl.list]]\nname = \"a\"\nkey = KEY # ours\n[[rbl.list]]\nname = \"b\"\nkey = KEY\n[[rbl.own]]\nkey = KEY\nname = \"c\"\n"
	const inline = "rbl = { list = [ { key = KEY, name = \"a\" }, { name = \"b\" } ] }\n"
	const webhook = "[alarms.webhook]\nurl = KEY\nleast = \"info\"\n"
	const dotted = "alarms.webhook.url = KEY\nalarms.repeat = \"4h\"\n"
	for _, doc := range []string{lists, inline, webhook, dotted, "mode = \"soft\" # key = 1\nkey = \"not one\"\n", ""} {
		for _, key := range []string{`"one-secret"`, "'''two-secret'''", `"a\"b"`} {
			want := strings.ReplaceAll(doc, "KEY", `"`+Hidden+`"`)
			if got := string(Redacted([]byte(strings.ReplaceAll(doc, "KEY", key)))); got != want {
				t.Errorf("%q: %q", doc, got)
			}
		}
	}
	if got := string(Redacted([]byte("key = \"one-secret\nx"))); strings.Contains(got, "one-") || !strings.Contains(got, Hidden) {
		t.Errorf("no document: %q", got)
	}
}
