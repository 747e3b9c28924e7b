package gateway

import "testing"

// TestShowText shows that text of strangers keeps its script, and loses what nobody sees or what turns its direction around.
func TestShowText(t *testing.T) {
	for text, want := range map[string]string{
		"":                  "",
		"Grüße, 你好":         "Grüße, 你好",
		"a\tb\nc\x00d":      "a?b?c?d",
		"a\u202eb\u200fc":   "a?b?c",
		"a\u200bb\u00a0c":   "a?b?c",
		"\xffx":             "?x",
		"12345678":          "12345678",
		"1234567890":        "123456789...",
		"ÄÖÜäöüßé":          "ÄÖÜäöüßé",
		"\u202eÄÖÜäöüßéxyz": "?ÄÖÜäöüßé...",
	} {
		if got := ShowText(text, 9); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
