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

// TestDecodeRedacted shows that a document whose secrets are hidden is read as the whole one, that nothing else is forgiven, and that
// what is hidden cannot come in force.
func TestDecodeRedacted(t *testing.T) {
	const doc = "mode = \"soft\"\nrbl.use = \"commercial\"\n[[rbl.own]]\nname = \"mine\"\nzone = \"{key}.mine.example\"\nkey = 'list-key'\nrule = [{ answer = \"127.0.0.2\", label = \"spam trap\", weight = 10 }]\n" +
		"[alarms.webhook]\nurl = \"https://chat.example.net/hooks/one-secret\"\n"
	if _, problems := DecodePolicy(PolicyFile, []byte(doc), nil); problems.Refused() {
		t.Fatal(problems)
	}
	hidden := Redacted([]byte(doc))
	if text := string(hidden); strings.Count(text, Hidden) != 2 || strings.Contains(text, "one-secret") || strings.Contains(text, "list-key") {
		t.Fatalf("%s", text)
	}
	p, problems := DecodeRedacted(PolicyFile, hidden, nil)
	if problems.Refused() || p.Mode != "soft" || len(p.RBL.Own) != 1 || p.RBL.Own[0].Name != "mine" || !p.RBL.Own[0].Key.IsSet() || p.Alarms.Webhook.URL == "" {
		t.Errorf("%v\n%+v", problems, p)
	}
	if _, problems := DecodePolicy(PolicyFile, hidden, nil); !problems.Refused() {
		t.Error("what is hidden can come in force")
	}
	for what, text := range map[string]string{"another key": strings.Replace(string(hidden), "soft", Hidden, 1), "no document": "mode = \"soft"} {
		if _, problems := DecodeRedacted(PolicyFile, []byte(text), nil); !problems.Refused() {
			t.Errorf("%s is taken", what)
		}
	}
	if p, problems := DecodeRedacted(PolicyFile, []byte(doc), nil); problems.Refused() || p.Alarms.Webhook.URL != "https://chat.example.net/hooks/one-secret" {
		t.Errorf("what is not hidden is another: %v, %s", problems, p.Alarms.Webhook.URL)
	}
}
