package alarm_test

import (
	"io"
	"maps"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/internal/alarm"
)

// FuzzMail shows that whatever is written into an alarm, by a stranger's server or by whoever acknowledges it, adds no field to the mail
// of it, no line that is longer than RFC 5322 lets it be, and no message to syslog.
func FuzzMail(f *testing.F) {
	f.Add("part", "next hops", "critical", "refused", "gatepost status")
	f.Add("part\r\nBcc: x@example.org", "a\r\n.\r\n", "", strings.Repeat("x", 3000), "\x00\x1b[31m\u202e")
	f.Fuzz(func(t *testing.T, kind, object, severity, text, do string) {
		b := alarm.New(alarm.Options{Host: "mx.example.org"})
		id := b.Raise(alarm.Report{Kind: kind, Object: object, Severity: alarm.Severity(severity), Text: text, Do: do})
		a, ok := b.Get(id)
		if !ok || !a.Severity.Known() {
			t.Fatalf("%q: %+v", id, a)
		}
		n := &alarm.Notice{ID: "n", Host: "mx.example.org", At: time.Unix(1e9, 0).UTC(), Began: []alarm.Alarm{a}}
		raw := string(n.Mail("gatepost@example.org", []string{"a@example.net", "b@example.net"}))
		for line := range strings.SplitSeq(raw, "\r\n") {
			if len(line) > 998 || strings.ContainsAny(line, "\r\n\x00") {
				t.Fatalf("line %q", line)
			}
		}
		m, err := mail.ReadMessage(strings.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		fields := slices.Sorted(maps.Keys(m.Header))
		want := []string{"Auto-Submitted", "Content-Transfer-Encoding", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To"}
		if a.Severity == alarm.Critical {
			want = slices.Insert(want, 5, "Importance")
		}
		if !slices.Equal(fields, want) {
			t.Fatalf("fields %v", fields)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
		if err != nil || !strings.Contains(string(body), a.ID) {
			t.Fatalf("%v: %s", err, body)
		}
	})
}
