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

func TestShowSize(t *testing.T) {
	for octets, want := range map[int64]string{0: "0 B", 999: "999 B", 1500: "1.5 kB", 2_000_000: "2.0 MB", 7_300_000_000: "7.3 GB"} {
		if got := ShowSize(octets); got != want {
			t.Errorf("%d: %q, want %q", octets, got, want)
		}
	}
}
