package weekly

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"mime/quotedprintable"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/alarm"
	"gatepost/internal/api"
	"gatepost/internal/store"
)

// Bounds of a report.
const (
	week       = 7 * 24 * time.Hour
	mostListed = 20 // of each sort
)

// Sources are what a report is made of. Each may fail, and the report says so.
type Sources struct {
	Node     string
	Mail     func(ctx context.Context) (*api.Summary, error) // of the last week
	Released func(ctx context.Context, w store.Window, most int) (n int, newest []gateway.Fate, gaps []store.Gap, err error)
	Alarms   *alarm.Book
	Bypasses func() []api.Bypass
	Expiring func(now time.Time) []api.WeeklyExpiry
}

// Make makes the report of the week that ends now.
func (s *Sources) Make(ctx context.Context, now time.Time) *api.Weekly {
	w := &api.Weekly{Node: s.Node, Since: now.Add(-week).UTC(), Until: now.UTC(), Latest: []api.WeeklyRelease{}, Alarms: []alarm.Alarm{}, Trouble: []string{}, Bypasses: s.Bypasses(), Expiring: s.Expiring(now)}
	slices.SortStableFunc(w.Expiring, func(a, b api.WeeklyExpiry) int { return a.Last.Compare(b.Last) })
	mail, err := s.Mail(ctx)
	if err != nil {
		w.Trouble = append(w.Trouble, "mail was not counted: "+err.Error())
	} else if w.Mail = mail; !mail.Complete {
		w.Trouble = append(w.Trouble, "mail was not counted in full: there was too much to read at once")
	}
	n, newest, gaps, err := s.Released(ctx, store.Window{Since: w.Since, Until: w.Until}, mostListed)
	if w.Released = n; err != nil {
		w.Trouble = append(w.Trouble, "what was released is not known: "+err.Error())
	}
	for _, g := range gaps {
		w.Trouble = append(w.Trouble, "the log of "+g.Day+" could not be read: "+g.Why)
	}
	for i := range newest {
		f := &newest[i]
		w.Latest = append(w.Latest, api.WeeklyRelease{Time: f.Time, Reference: f.ID.String(), From: f.From, Rcpts: f.Rcpts, By: f.By})
	}
	for _, a := range s.Alarms.List(true) {
		if a.Standing() || a.Over.After(w.Since) {
			w.Alarms = append(w.Alarms, a)
		}
	}
	return w
}

// Text is the report for people. What strangers wrote is made printable, and cut.
func Text(w *api.Weekly) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("Gatepost at %s, %s to %s (UTC)", w.Node, w.Since.Format("2006-01-02 15:04"), w.Until.Format("2006-01-02 15:04"))
	if m := w.Mail; m != nil {
		line("\nMail")
		line("  %9d let through", m.Counts.Accepted)
		line("  %9d quarantined", m.Counts.Quarantined)
		line("  %9d deferred", m.Counts.Deferred)
		line("  %9d refused", m.Counts.Rejected)
		line("  %9d connections refused before the greeting", m.Early)
		line("\nWhy mail was stopped")
		for _, r := range m.Reasons[:min(len(m.Reasons), mostListed)] {
			line("  %9d %s", r.N, gateway.CleanText(strings.TrimSpace(string(r.Reason)+"  "+r.Check), 100))
		}
		if len(m.Reasons) == 0 {
			line("  nothing was")
		}
	}
	line("\nReleased from quarantine: %d", w.Released)
	for _, r := range w.Latest {
		by := ""
		if r.By != "" {
			by = ", by " + gateway.CleanText(r.By, 80)
		}
		line("  %s  %s  <%s> to %s%s", r.Time.UTC().Format("01-02 15:04"), r.Reference, gateway.CleanText(r.From, 120), gateway.CleanText(strings.Join(r.Rcpts, ", "), 200), by)
	}
	if more := w.Released - len(w.Latest); more > 0 {
		line("  and %d more", more)
	}
	alarms(line, w)
	line("\nCounts no more soon")
	for _, x := range w.Expiring[:min(len(w.Expiring), mostListed)] {
		line("  %s  %s", x.Last.UTC().Format(time.DateOnly), gateway.CleanText(x.What, 200))
	}
	switch n := len(w.Expiring); {
	case n == 0:
		line("  nothing within a month")
	case n > mostListed:
		line("  and %d more", n-mostListed)
	}
	if len(w.Trouble) > 0 {
		line("\nNot known")
		for _, t := range w.Trouble[:min(len(w.Trouble), mostListed)] {
			line("  %s", gateway.CleanText(t, 300))
		}
	}
	line("\ngatepost report weekly --print shows this at any time; alarms.weekly in policy.toml says when it is mailed.")
	return b.String()
}

// alarms writes what was and is wrong, and what is left out.
func alarms(line func(format string, args ...any), w *api.Weekly) {
	line("\nAlarms")
	for i := range w.Alarms[:min(len(w.Alarms), mostListed)] {
		a := &w.Alarms[i]
		state := "stands since " + a.Since.UTC().Format("01-02 15:04")
		if !a.Standing() {
			state = "was over " + a.Over.UTC().Format("01-02 15:04") + " after " + a.Over.Sub(a.Since).Round(time.Second).String()
		}
		line("  %-8s %s  %s", a.Severity, a.ID, state)
		line("           %s", gateway.CleanText(a.Text, 200))
	}
	switch n := len(w.Alarms); {
	case n == 0:
		line("  none")
	case n > mostListed:
		line("  and %d more", n-mostListed)
	}
	for i := range w.Bypasses {
		x := &w.Bypasses[i]
		line("  left out: %s until %s, by %s: %s", x.Check, x.Until.UTC().Format("01-02 15:04"), gateway.CleanText(x.By, 80), gateway.CleanText(x.Reason, 200))
	}
}

// Mail is the report as a message (RFC 5322), with CRLF.
func Mail(w *api.Weekly, from string, to []string) []byte {
	var b bytes.Buffer
	stopped := ""
	if m := w.Mail; m != nil {
		stopped = fmt.Sprintf(": %d messages let through, %d stopped", m.Counts.Accepted, m.Counts.Stopped())
	}
	alarm.Head(&b, from, to, "["+w.Node+"] week to "+w.Until.Format(time.DateOnly)+stopped, "weekly."+rand.Text()[:16]+"@"+w.Node, w.Until)
	b.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	q := quotedprintable.NewWriter(&b)
	_, _ = io.WriteString(q, Text(w)) // a buffer takes all
	_ = q.Close()
	b.WriteString("\r\n")
	return b.Bytes()
}
