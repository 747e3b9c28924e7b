package alarm_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatepost/internal/alarm"
	"gatepost/internal/hook"
)

// TestWebhook shows what is posted and how it is signed, and that a server that refuses, sends elsewhere, hangs or never ends is a
// failure within the time, or of no account.
func TestWebhook(t *testing.T) {
	hanging, secret := make(chan struct{}), []byte("s3cret")
	type posted struct {
		Format        int
		Subject, Text string
		Began         []alarm.Alarm
	}
	got := make(chan posted, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("/good", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sum := r.Header.Get("X-Gatepost-Signature")
		at, err := time.ParseDuration(strings.TrimPrefix(strings.Split(sum, ",")[0], "t=") + "s")
		var p posted
		if err != nil || sum != hook.Sign(secret, time.Unix(int64(at/time.Second), 0), body) || json.Unmarshal(body, &p) != nil {
			http.Error(w, "bad", http.StatusForbidden)
			return
		}
		got <- p
		_, _ = io.WriteString(w, "thanks\r\n\x1b[31m")
	})
	mux.HandleFunc("/refuses", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken", http.StatusInternalServerError) })
	mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/good", http.StatusFound) })
	mux.HandleFunc("/hangs", func(http.ResponseWriter, *http.Request) { <-hanging })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat("x", 4096)); err != nil {
				return
			}
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	defer close(hanging)
	notice := &alarm.Notice{ID: "x", Host: "mx.example.org", At: time.Now(), Began: []alarm.Alarm{{ID: "part:dns", Severity: alarm.Warning, Text: "no answer"}}}
	for path, want := range map[string]string{"/good": "200 thanks  ?[31m", "/endless": "200 xxx", "/refuses": "failed: 500 broken", "/elsewhere": "failed: 302", "/hangs": "failed: context deadline"} {
		hook := &alarm.Webhook{URL: server.URL + path, Secret: secret, Time: time.Minute}
		if path == "/hangs" {
			hook.Time = 50 * time.Millisecond
		}
		said, err := hook.Send(context.Background(), notice)
		if err != nil {
			said = "failed: " + err.Error()
		}
		if !strings.HasPrefix(said, want) || len(said) > 400 || strings.Contains(said, server.URL) {
			t.Errorf("%s: %q, want %q", path, said, want)
		}
	}
	if p := <-got; p.Format != 1 || p.Subject != "[mx.example.org] alarm part:dns" || len(p.Began) != 1 || !strings.Contains(p.Text, "no answer") {
		t.Errorf("posted %+v", p)
	}
}

// TestMail shows the mail of a notice: its fields are of one line each, whatever strangers wrote, and it says that a machine wrote it.
func TestMail(t *testing.T) {
	b := alarm.New(alarm.Options{Host: "mx.example.org"})
	b.Raise(alarm.Report{Kind: "part", Object: "x\r\nBcc: y@example.net", Severity: alarm.Critical, Text: "1\r\n.\r\nQUIT \u202e", Do: "a = b"})
	n := &alarm.Notice{ID: "x", Host: "mx.example.org", At: time.Unix(1795756500, 0).UTC(), Began: b.List(false)}
	head, body, ok := strings.Cut(string(n.Mail("gatepost@example.org", []string{"a@example.net", "b@example.net"})), "\r\n\r\n")
	for _, want := range []string{"From: Gatepost <gatepost@example.org>\r\n", "To: <a@example.net>,\r\n <b@example.net>\r\n", "Subject: [mx.example.org] CRITICAL alarm part:x-Bcc:-y@example.net\r\n",
		"Message-ID: <alarm.x@mx.example.org>\r\n", "Auto-Submitted: auto-generated\r\n", "Importance: high\r\n"} {
		if !strings.Contains(head+"\r\n", want) {
			t.Errorf("no %q in\n%s", want, head)
		}
	}
	if !ok || strings.Contains(head, "\nBcc:") || strings.Contains(body, "\r\n.\r\n") || !strings.Contains(body, "What to do: a =3D b") || strings.Contains(strings.ReplaceAll(body, "\r\n", ""), "\n") {
		t.Errorf("%s\n\n%s", head, body)
	}
}
