package gateway

import (
	"strings"
	"testing"
)

func TestSubjectText(t *testing.T) {
	tests := []struct{ raw, want string }{
		{"plain", "plain"},
		{"=?iso-8859-1?q?gr=FC=DFe?=", "grüße"},
		{"=?koi8-r?q?abc?=", "=?koi8-r?q?abc?="},
		{"=?utf-8?q?=1b[31mred=E2=80=AE?=", "?[31mred?"},
		{"=?utf-8?b?gA==?=", "?"},
		{"\xff\xfe", "??"},
		{strings.Repeat("x", 100_000), strings.Repeat("x", maxSubject)},
	}
	for _, tt := range tests {
		h := ParseHeader([]byte("Subject: " + tt.raw + "\r\n\r\n"))
		if got := subject(h, "full"); got != tt.want {
			t.Errorf("%.40q: %q", tt.raw, got)
		}
		if got := subject(h, "anything"); got != "" {
			t.Errorf("%.40q: %q is logged without a rule", tt.raw, got)
		}
	}
}
