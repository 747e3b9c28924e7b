package console

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/alarm"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// noticeSite is a site with two alarms that nobody knows of, one that somebody does, and two checks that are left out. Each question
// for alarms is counted, and goes by hold where it is set.
type noticeSite struct {
	*site
	asked atomic.Int64
	hold  atomic.Pointer[func(context.Context) error]
	ended atomic.Value // the check whose bypass was ended
}

func newNoticeSite(t *testing.T) *noticeSite {
	t.Helper()
	s := &noticeSite{site: newSite(t)}
	s.ended.Store("")
	op := func(name, method, path string, right access.Right) control.Operation {
		return control.Operation{Name: name, Method: method, Path: path, Doc: "Do it", Right: right}
	}
	s.Surface.Operations = append(s.Surface.Operations,
		control.Define(op("alarm list", "GET", "/alarms", access.AlarmsRead), func(ctx context.Context, in *api.AlarmQuery) (*api.Alarms, error) {
			s.asked.Add(1)
			if hold := s.hold.Load(); hold != nil {
				if err := (*hold)(ctx); err != nil {
					return nil, err
				}
			}
			one := func(id string, severity alarm.Severity, ack *alarm.Ack, over time.Time) api.Alarm {
				return api.Alarm{Node: "mx", Alarm: alarm.Alarm{ID: id, Severity: severity, Ack: ack, Over: over}}
			}
			return &api.Alarms{Alarms: []api.Alarm{one("a", alarm.Info, nil, time.Time{}), one("b", alarm.Warning, &alarm.Ack{By: "anna", Until: time.Now().Add(-time.Hour)}, time.Time{}),
				one("c", alarm.Critical, &alarm.Ack{By: "anna"}, time.Time{}), one("d", alarm.Critical, nil, time.Now())}}, nil
		}),
		control.Define(op("bypass list", "GET", "/bypasses", access.StatusRead), func(context.Context, *struct{}) (*api.Bypasses, error) {
			out := &api.Bypasses{Bypasses: []api.Bypass{{Check: "spf", By: "bob", Reason: "over", Until: time.Now().Add(-time.Second)}}}
			if s.ended.Load() != "rbl.client" {
				out.Bypasses = append(out.Bypasses, api.Bypass{Check: "rbl.client", By: "bob", Reason: "<b>list", Until: time.Now().Add(time.Hour)})
			}
			return out, nil
		}),
		control.Define(op("bypass end", "DELETE", "/bypasses/{check}", access.BypassChange), func(_ context.Context, in *api.BypassName) (int, error) {
			s.ended.Store(in.Check)
			return 1, nil
		}))
	return s
}

// TestNotices shows that every page says how many alarms nobody knows of and how bad they are, and which checks are left out until when,
// to whoever may know; that who may ends one there, and the next page knows; and that pages ask once in a while and not each time.
func TestNotices(t *testing.T) {
	s := newNoticeSite(t)
	s.Options.Frame = func() Frame { return Frame{Mode: gateway.ObserveOnly} }
	for range 3 {
		has(t, s.ask("anna", "GET", "/log", nil), 200, `href="/alarms" aria-label="Alarms: 2, the worst warning"`, `class="pill warn" aria-hidden="true">2<`,
			"rbl.client is left out until", "&lt;b&gt;list", `action="/bypasses/end"`, "!spf is left out", "Observe mode", "!What enforce would have done", `<use href="#i-bell"/>`, `<symbol id="i-bell"`)
	}
	if n := s.asked.Load(); n != 1 {
		t.Errorf("%d questions for three pages", n)
	}
	has(t, s.ask("code", "GET", "/log", nil), 200, "rbl.client is left out until", `id="bell"`, "!/bypasses/end")
	has(t, s.ask("helper", "GET", "/log", nil), 200, "!rbl.client is left out", `!id="bell"`, `id="strips"`)
	has(t, s.ask("anna", "GET", "/log", nil, "X-Partial", "main"), 200, `id="bell"`, `id="strips"`, "!<html")
	has(t, s.ask("", "GET", "/login", nil), 200, `!id="bell"`, `!id="strips"`)
	if w := s.ask("anna", "POST", "/bypasses/end", formOf("anna", "check", "rbl.client", "back", "/log")); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/log" {
		t.Errorf("%d to %s", w.Code, w.Header().Get("Location"))
	}
	has(t, s.ask("anna", "GET", "/log", nil), 200, "!rbl.client is left out")
}

// TestNoticesAway shows that a store that hangs holds up no page, that what was known before is shown with its age, and that an error is
// no end of anything.
func TestNoticesAway(t *testing.T) {
	s := newNoticeSite(t)
	release := make(chan struct{})
	hang := func(ctx context.Context) error {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return errors.New("away")
	}
	s.hold.Store(&hang)
	began := time.Now()
	has(t, s.ask("anna", "GET", "/log", nil), 200, "Alarms: not known")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a page took %v", took)
	}
	close(release)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s.board.mu.Lock()
		idle := s.board.loading == nil
		s.board.mu.Unlock()
		if idle {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the question does not end")
		}
	}
	s.board.mu.Lock()
	s.board.kept = notices{At: time.Now().Add(-time.Minute), Alarms: 1, Worst: "critical", More: true}
	s.board.mu.Unlock()
	s.board.forget()
	has(t, s.ask("anna", "GET", "/log", nil), 200, "Alarms and bypasses are as of", "Alarms: 1&#43;, the worst critical")
	s.hold.Store(nil)
	s.board.forget()
	has(t, s.ask("anna", "GET", "/log", nil), 200, "Alarms: 2, the worst warning", "!are as of")
}

// TestEnforced shows that the link of a milder mode tries what is in force with the mode enforce, and all else as it is.
func TestEnforced(t *testing.T) {
	s, asked := whatIfSite(t, &api.Draft{Exists: true, Text: "mode = \"soft\" # for now\nlevel = \"strict\"\n"}, simulation(), nil)
	s.Options.Frame = func() Frame { return Frame{Mode: gateway.Soft} }
	has(t, s.ask("anna", "GET", "/log", nil), 200, "Soft mode", `href="/policy/whatif?mode=enforce"`)
	has(t, s.ask("anna", "GET", "/policy/whatif?mode=enforce", nil), 200, "with the mode enforce,", `name="mode" value="enforce"`)
	if asked.Text != "mode = \"enforce\" # for now\nlevel = \"strict\"\n" {
		t.Errorf("%q", asked.Text)
	}
	if w := s.ask("helper", "GET", "/log", nil); strings.Contains(w.Body.String(), "What enforce would have done") {
		t.Error("a help desk is led to what-if")
	}
}
