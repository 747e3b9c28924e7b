package weekly

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	"gatepost/internal/alarm"
	"gatepost/internal/api"
	"gatepost/internal/store"
)

// sources are of a week in which something of each sort happened; fault is of the log.
func sources(fault error) *Sources {
	book := alarm.New(alarm.Options{})
	book.Raise(alarm.Report{Kind: "part", Object: "dns", Severity: alarm.Warning, Text: "no answer\r\nBcc: x@example.org"})
	return &Sources{Node: "mx.example.org", Alarms: book,
		Mail: func(context.Context) (*api.Summary, error) {
			return &api.Summary{Counts: api.LogCounts{Accepted: 1200, Quarantined: 3, Deferred: 40, Rejected: 500}, Early: 9000, Complete: true,
				Reasons: []api.ReasonCount{{Reason: "rcpt.unknown", Check: "rcpt", N: 400}, {Reason: gateway.SpamScore, N: 100}}}, fault
		},
		Released: func(_ context.Context, w store.Window, most int) (int, []gateway.Fate, []store.Gap, error) {
			return 21, []gateway.Fate{{ID: 7 << 40, Time: w.Since.Add(time.Hour), From: "a\u202e@example.net", Rcpts: []string{"b@example.org"}, By: "anna"}}, []store.Gap{{Day: "2026-11-24", Why: "damaged"}}, fault
		},
		Bypasses: func() []api.Bypass { return []api.Bypass{{Check: "spf", By: "anna", Reason: "broken"}} },
		Expiring: func(now time.Time) []api.WeeklyExpiry {
			return []api.WeeklyExpiry{{What: "rule later", Last: now.Add(48 * time.Hour)}, {What: "certificate sooner", Last: now.Add(24 * time.Hour)}}
		}}
}

// TestReport shows what a report says, that it is a message as RFC 5322 has it, and that what strangers wrote adds no line to it.
func TestReport(t *testing.T) {
	now := time.Date(2026, 11, 27, 7, 0, 0, 0, time.UTC)
	w := sources(nil).Make(t.Context(), now)
	m, err := mail.ReadMessage(strings.NewReader(string(Mail(w, "gatepost@example.org", []string{"a@example.net", "b@example.net"}))))
	if err != nil {
		t.Fatal(err)
	}
	if s := m.Header.Get("Subject"); s != "[mx.example.org] week to 2026-11-27: 1200 messages let through, 543 stopped" {
		t.Error(s)
	}
	if to, err := m.Header.AddressList("To"); err != nil || len(to) != 2 || m.Header.Get("Auto-Submitted") != "auto-generated" || m.Header.Get("Bcc") != "" {
		t.Error(to, err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(body), "\r\n", "\n")
	for _, want := range []string{"2026-11-20 07:00 to 2026-11-27 07:00 (UTC)", "     1200 let through", "     9000 connections refused before the greeting", "      400 rcpt.unknown  rcpt", "Released from quarantine: 21",
		"b@example.org, by anna", "and 20 more", "warning  part:dns  stands since", "left out: spf until", "2026-11-28  certificate sooner\n  2026-11-29  rule later", "the log of 2026-11-24 could not be read: damaged"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "\nBcc") || strings.ContainsRune(text, 0x202e) {
		t.Error(text)
	}
	text = Text(sources(errors.New("the disk is gone")).Make(t.Context(), now))
	for _, want := range []string{"mail was not counted: the disk is gone", "what was released is not known: the disk is gone", "part:dns"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// TestPlan shows when a report is due, also where a clock is put forward.
func TestPlan(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) time.Time {
		x, err := time.ParseInLocation("2006-01-02 15:04", text, berlin)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for _, x := range []struct {
		day             time.Weekday
		clock           string
		now, last, next string
	}{
		{time.Monday, "07:00", "2026-11-27 12:00", "2026-11-23 07:00", "2026-11-30 07:00"},
		{time.Friday, "07:00", "2026-11-27 07:00", "2026-11-27 07:00", "2026-12-04 07:00"},
		{time.Friday, "07:00", "2026-11-27 06:59", "2026-11-20 07:00", "2026-11-27 07:00"},
		{time.Sunday, "02:30", "2026-03-29 12:00", "2026-03-29 03:30", "2026-04-05 02:30"}, // there is no 02:30
	} {
		p := &Plan{Day: x.day, At: x.clock}
		if last, next := p.Last(at(x.now)), p.Next(at(x.now)); !last.Equal(at(x.last)) || !next.Equal(at(x.next)) {
			t.Errorf("%+v: %s, %s", x, last, next)
		}
	}
}

// TestRun shows that each week brings one report, over restarts, failures and a policy without any, and none for what was before the
// first start.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		mailed, fault := 0, error(nil)
		first := time.Now().Add(36 * time.Hour)
		plan := &Plan{Day: first.Weekday(), At: first.Format("15:04"), To: []string{"a@example.net"}, From: "g@example.org"}
		plan.Send = func(_ context.Context, to []string, _ []byte) (string, error) {
			if fault == nil {
				mailed++
			}
			return "250 ok", fault
		}
		p := &Post{Sources: sources(nil), Plan: func() *Plan { return plan }, File: filepath.Join(dir, "weekly.json"), Log: slog.New(slog.DiscardHandler),
			Write: func(name string, text []byte, mode fs.FileMode) error { return os.WriteFile(name, text, mode) }}
		days := func(n int, want int, alarmed bool, what string) {
			t.Helper()
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { p.Run(ctx); close(done) }()
			time.Sleep(time.Duration(n) * 24 * time.Hour)
			stop()
			<-done
			a, _ := p.Alarms.Get("report:weekly")
			if mailed != want || (a.ID != "" && a.Standing()) != alarmed {
				t.Errorf("%s: %d were mailed, want %d; alarm %+v", what, mailed, want, a)
			}
		}
		days(1, 0, false, "a day before the first")
		days(2, 1, false, "its day")
		days(4, 1, false, "the days after")
		days(7, 2, false, "a week later")
		fault = errors.New("535 no")
		days(8, 2, true, "while the smarthost refuses")
		fault = nil
		days(1, 3, false, "it takes mail again, within a day")
		p.Plan = func() *Plan { return nil }
		days(30, 3, false, "nobody wants one")
	})
}
