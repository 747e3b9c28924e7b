package bypasses

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/alarm"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// desk is a book in a folder, as after each start of the daemon.
type desk struct {
	*Book
	surface control.Surface
	told    []control.Entry
	fault   error // of writes
}

func open(t *testing.T, dir string, alarms *alarm.Book) *desk {
	t.Helper()
	d := &desk{}
	d.Book = &Book{File: filepath.Join(dir, "bypasses.json"), Gate: new(gateway.Bypasses), Alarm: alarms, Log: slog.New(slog.DiscardHandler),
		Write: func(name string, text []byte, mode fs.FileMode) error {
			if d.fault != nil {
				return d.fault
			}
			return os.WriteFile(name, text, mode)
		}}
	if err := d.Load(); err != nil {
		t.Fatal(err)
	}
	policy := &gateway.Policy{Checks: map[string]gateway.CheckPolicy{"clamav": {Class: gateway.ClassMalware, Action: gateway.ActionReject}, "rcpt": {Class: gateway.ClassRecipient, Action: gateway.ActionReject},
		"relay": {Class: gateway.ClassRelay, Action: gateway.ActionReject}, "spamassassin": {Action: gateway.ActionScore}, "attachments.type": {Class: gateway.ClassContent, Action: gateway.ActionReject}, "helo": {}}}
	d.surface = control.Surface{Operations: Operations(&Desk{Book: d.Book, Policy: func() *gateway.Policy { return policy }}), Audit: func(_ context.Context, e control.Entry) { d.told = append(d.told, e) }}
	if err := d.surface.Validate(); err != nil {
		t.Fatal(err)
	}
	return d
}

func as(role access.Role) context.Context {
	return access.With(context.Background(), access.Actor{Name: "anna", Role: role})
}

// TestRefused shows what may be left out, by whom, for how long, and what is said of what may not.
func TestRefused(t *testing.T) {
	d := open(t, t.TempDir(), alarm.New(alarm.Options{}))
	for _, x := range []struct {
		role   access.Role
		in     api.BypassStart
		status int
		says   string
	}{
		{access.Operator, api.BypassStart{Check: "clamav", For: "2h", Reason: "x"}, http.StatusConflict, "it keeps malware out"},
		{access.Owner, api.BypassStart{Check: "rcpt", For: "2h", Reason: "x"}, http.StatusConflict, "people who do not exist"},
		{access.Owner, api.BypassStart{Check: "relay", For: "2h", Reason: "x"}, http.StatusConflict, "an open relay"},
		{access.Owner, api.BypassStart{Check: "smtp", For: "2h", Reason: "x"}, http.StatusConflict, "against the protocol"},
		{access.Owner, api.BypassStart{Check: "helo", For: "2h", Reason: "x"}, http.StatusConflict, "off already"},
		{access.Owner, api.BypassStart{Check: "spam", For: "2h", Reason: "x"}, http.StatusNotFound, "one of: scoring, attachments.type, helo, spamassassin"},
		{access.Operator, api.BypassStart{Check: "scoring", For: "25h", Reason: "x"}, http.StatusBadRequest, "1m to 1d"},
		{access.Operator, api.BypassStart{Check: "scoring", For: "1s", Reason: "x"}, http.StatusBadRequest, "1m to 1d"},
		{access.Operator, api.BypassStart{Check: "scoring", For: "soon", Reason: "x"}, http.StatusBadRequest, "1m to 1d"},
		{access.Operator, api.BypassStart{Check: "scoring", For: "2h", Reason: " "}, http.StatusBadRequest, "is needed"},
		{access.DomainAdmin, api.BypassStart{Check: "scoring", For: "2h", Reason: "x"}, http.StatusForbidden, "bypass.change"},
		{access.Operator, api.BypassStart{Check: "attachments.type", For: "2h", Reason: "x"}, 0, ""},
		{access.Operator, api.BypassStart{Check: "scoring", For: "2h", Reason: "x"}, 0, ""},
	} {
		before := len(d.told)
		_, err := d.surface.Call(as(x.role), "bypass", &x.in)
		f, _ := errors.AsType[*control.Fault](err)
		if (f == nil) != (x.status == 0) || f != nil && (f.Status != x.status || !strings.Contains(f.Error(), x.says)) {
			t.Errorf("%s: %v, want %d %s", x.in.Check, err, x.status, x.says)
		}
		if audited := len(d.told) - before; audited != 1 && x.status != http.StatusBadRequest {
			t.Errorf("%s: %d entries in the audit log", x.in.Check, audited)
		}
	}
	if list := d.List(); len(list) != 2 || d.Gate.Has("clamav") || !d.Gate.Has("attachments.type") {
		t.Errorf("%+v", list)
	}
}

// TestLife shows a bypass from its beginning over a restart to its end: what is in force, what is an alarm, what is kept. A disk
// that takes nothing keeps one from beginning, and from nothing else.
func TestLife(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		alarms := alarm.New(alarm.Options{})
		standing := func() (out string) {
			list := alarms.List(false)
			for i := range list {
				out += list[i].ID + " "
			}
			return out
		}
		start := func(d *desk, check, long string) error {
			_, err := d.surface.Call(as(access.Operator), "bypass", &api.BypassStart{Check: check, For: long, Reason: "spamd loops"})
			return err
		}
		d := open(t, dir, alarms)
		ended := make(chan string, 3)
		d.Ended = func(_ context.Context, x api.Bypass) { ended <- x.Check + " of " + x.By }
		ctx, stop := context.WithCancel(t.Context())
		go d.Run(ctx)
		d.fault = errors.New("no room")
		if err := start(d, "spamassassin", "2h"); err == nil || d.Gate.Has("spamassassin") || standing() != "" {
			t.Errorf("it could not be kept: %v", err)
		}
		d.fault = nil
		if err := errors.Join(start(d, "spamassassin", "2h"), start(d, "scoring", "1h")); err != nil || !d.Gate.Has("spamassassin") || standing() != "bypass:scoring bypass:spamassassin " {
			t.Fatal(err, standing())
		}
		time.Sleep(time.Hour + 2*time.Second)
		if d.Gate.Has("scoring") || len(d.List()) != 1 || standing() != "bypass:spamassassin " {
			t.Errorf("an hour later: %v, %s", d.List(), standing())
		}
		if what := <-ended; what != "scoring of anna" || len(ended) != 0 {
			t.Errorf("ended by itself: %s", what)
		}
		stop()
		d = open(t, dir, alarms)
		if !d.Gate.Has("spamassassin") || d.Gate.Has("scoring") || d.List()[0].By != "anna" {
			t.Errorf("after a restart: %v", d.List())
		}
		d.fault = errors.New("no room")
		if _, err := d.surface.Call(as(access.Operator), "bypass end", &api.BypassName{Check: "spamassassin"}); err == nil || d.Gate.Has("spamassassin") || standing() != "" {
			t.Errorf("ended, and not kept: %v, %s", err, standing())
		}
		if _, err := d.surface.Call(as(access.Operator), "bypass end", &api.BypassName{Check: "spamassassin"}); err == nil || !strings.Contains(err.Error(), "is not left out") {
			t.Error(err)
		}
		d = open(t, dir, alarms) // the end could not be kept
		if !d.Gate.Has("spamassassin") || standing() != "bypass:spamassassin " {
			t.Error("what was kept is not in force")
		}
		time.Sleep(3 * time.Hour)
		if d = open(t, dir, alarms); len(d.List()) != 0 || standing() != "" {
			t.Errorf("long after: %v, %s", d.List(), standing())
		}
	})
}

// TestFile shows that of a file that is not ours nothing is left out, and of a clock that was wrong nothing for longer.
func TestFile(t *testing.T) {
	for text, want := range map[string]int{"": -1, "{": -1, "[]": 0, `[{"check":"spf","until":"2999-01-01T00:00:00Z"}]`: 0, `[{"check":"spf","until":"1999-01-01T00:00:00Z"}]`: 0} {
		b := &Book{File: filepath.Join(t.TempDir(), "b"), Gate: new(gateway.Bypasses), Alarm: alarm.New(alarm.Options{})}
		if err := os.WriteFile(b.File, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := b.Load(); (err != nil) != (want < 0) || len(b.List()) != max(want, 0) || b.Gate.Has("spf") {
			t.Errorf("%q: %v, %v", text, err, b.List())
		}
	}
}

// FuzzFile shows that whatever a file holds, nothing is left out for longer than may be asked for, and what is shown is plain text.
func FuzzFile(f *testing.F) {
	f.Add([]byte(`[{"check":"spf","since":"2026-11-27T07:00:00Z","until":"2026-11-27T09:00:00Z","by":"a\r\nb","reason":"\u001b"}]`))
	f.Add([]byte(`[{"check":"clamav","until":"9999-12-31T23:59:59Z"},{}]`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, text []byte) {
		b := &Book{File: filepath.Join(t.TempDir(), "b"), Gate: new(gateway.Bypasses), Alarm: alarm.New(alarm.Options{})}
		if err := os.WriteFile(b.File, text, 0o600); err != nil {
			t.Fatal(err)
		}
		_ = b.Load() // one that cannot be read is told, and leaves nothing out
		for _, x := range b.List() {
			if left := time.Until(x.Until); left > Longest || strings.ContainsAny(x.By+x.Reason+x.Check, "\r\n\x1b\x00") {
				t.Errorf("%+v", x)
			}
		}
	})
}
