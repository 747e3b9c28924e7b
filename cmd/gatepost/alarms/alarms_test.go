package alarms

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/alarm"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
)

// surface serves the operations over a book with three alarms, one of them over, and notes what is audited.
func surface(t *testing.T, elsewhere func(context.Context) (map[string][]alarm.Alarm, error)) (*control.Surface, *[]control.Entry) {
	t.Helper()
	b := alarm.New(alarm.Options{Host: "mx1"})
	b.Tune(alarm.Settings{Paths: []alarm.Path{{Name: "mail", Least: alarm.Warning, To: "admin@example.net", Send: func(context.Context, *alarm.Notice) (string, error) { return "250 ok", nil }},
		{Name: "webhook", Least: alarm.Critical, To: "https://chat.example.net", Send: func(context.Context, *alarm.Notice) (string, error) { return "", errors.New("500 no") }}}})
	b.Raise(alarm.Report{Kind: "part", Object: "dns", Severity: alarm.Warning, Text: "no answer"})
	b.Raise(alarm.Report{Kind: "part", Object: "next hops", Severity: alarm.Critical, Text: "refused"})
	b.Raise(alarm.Report{Kind: "part", Object: "load", Severity: alarm.Info, Text: "shed"})
	b.Clear("part", "load")
	var told []control.Entry
	s := &control.Surface{Operations: Operations(&Desk{Book: b, Node: "mx1", Elsewhere: elsewhere}), Audit: func(_ context.Context, e control.Entry) { told = append(told, e) }}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	return s, &told
}

func as(role access.Role) context.Context {
	return access.With(context.Background(), access.Actor{Name: "anna", Role: role, Via: access.BySession})
}

// TestList shows the order, the filters, the pages, and that alarms of other nodes stand behind ours.
func TestList(t *testing.T) {
	others := map[string][]alarm.Alarm{"mx2": {{ID: "part:dns\r\n", Severity: "dire", Text: "\x1b[31m", Since: time.Now()}}}
	s, _ := surface(t, func(context.Context) (map[string][]alarm.Alarm, error) { return others, errors.New("mx3 is away") })
	ask := func(q api.AlarmQuery) (ids string, next string) {
		out, err := s.Call(as(access.Auditor), "alarm list", &q)
		if err != nil {
			t.Fatal(err)
		}
		all := out.(*api.Alarms)
		for i := range all.Alarms {
			if a := &all.Alarms[i]; a.Node == "mx2" && (a.Severity != alarm.Warning || strings.ContainsRune(a.Text, 0x1b)) {
				t.Errorf("%+v", a)
			}
			ids += all.Alarms[i].Node + "/" + all.Alarms[i].ID + " "
		}
		if all.Trouble == "" {
			t.Error("nothing is told of what is not known")
		}
		return ids, all.Next
	}
	if ids, _ := ask(api.AlarmQuery{Limit: 100}); ids != "mx1/part:next-hops mx1/part:dns mx2/part:dns " {
		t.Error(ids)
	}
	if ids, _ := ask(api.AlarmQuery{Limit: 100, All: true, Severity: "critical"}); ids != "mx1/part:next-hops " {
		t.Error(ids)
	}
	seen, cursor := "", ""
	for range 4 {
		ids, next := ask(api.AlarmQuery{Limit: 1, Cursor: cursor})
		seen += ids
		if cursor = next; next == "" {
			break
		}
	}
	if seen != "mx1/part:next-hops mx1/part:dns mx2/part:dns " || cursor != "" {
		t.Errorf("by pages: %s, %q", seen, cursor)
	}
	if _, err := s.Call(as(access.Owner), "alarm list", &api.AlarmQuery{Limit: 1, Cursor: "mx1 part:gone"}); controltest.Status(err) != http.StatusConflict {
		t.Error(err)
	}
}

// TestAck shows who may acknowledge, for how long, what is audited, and what is refused.
func TestAck(t *testing.T) {
	s, told := surface(t, nil)
	for _, x := range []struct {
		role access.Role
		in   api.AlarmAck
		want int
	}{
		{access.Auditor, api.AlarmAck{ID: "part:dns"}, http.StatusForbidden},
		{access.HelpDesk, api.AlarmAck{ID: "part:dns"}, http.StatusForbidden},
		{access.Operator, api.AlarmAck{ID: "part:nothing"}, http.StatusNotFound},
		{access.Operator, api.AlarmAck{ID: "part:load"}, http.StatusConflict},
		{access.Operator, api.AlarmAck{ID: "part:dns", For: "soon"}, http.StatusBadRequest},
		{access.Operator, api.AlarmAck{ID: "part:dns", For: "2h", Note: "known", Owner: "bob"}, 0},
	} {
		before := len(*told)
		out, err := s.Call(as(x.role), "alarm ack", &x.in)
		if controltest.Status(err) != x.want || len(*told) != before+1 {
			t.Errorf("%s, %+v: %v; %d entries", x.role, x.in, err, len(*told)-before)
		}
		if x.want != 0 {
			continue
		}
		a := out.(*api.Alarm)
		if a.Ack == nil || a.Ack.By != "anna" || a.Owner != "bob" || a.Ack.Until.Sub(a.Ack.At).Round(time.Hour) != 2*time.Hour {
			t.Errorf("%+v", a)
		}
		if e := (*told)[before]; e.Change.Object != "part:dns" || fmt.Sprint(e.Change.Before) != "<nil>" || e.Change.After.(*alarm.Ack).Note != "known" {
			t.Errorf("%+v", e.Change)
		}
	}
	if out, err := s.Call(as(access.Operator), "alarm unack", &api.AlarmName{ID: "part:dns"}); err != nil || out.(*api.Alarm).Ack != nil {
		t.Error(out, err)
	}
	if out, err := s.Call(as(access.Auditor), "alarm show", &api.AlarmName{ID: "part:dns"}); err != nil || out.(*api.Alarm).Owner != "bob" {
		t.Error(out, err)
	}
}

// TestPaths shows that each path is tried, and what it answers.
func TestPaths(t *testing.T) {
	s, told := surface(t, nil)
	out, err := s.Call(as(access.Operator), "alarm test", &api.AlarmTestOf{})
	if err != nil {
		t.Fatal(err)
	}
	if p := out.(*api.AlarmTest).Paths; len(p) != 2 || !p[0].OK || p[0].Said != "250 ok" || p[1].OK || p[1].Said != "500 no" || len(*told) != 1 {
		t.Errorf("%+v", p)
	}
	out, err = s.Call(as(access.Operator), "alarm test", &api.AlarmTestOf{Path: "webhook"})
	if err != nil || len(out.(*api.AlarmTest).Paths) != 1 {
		t.Error(out, err)
	}
	if _, err = s.Call(as(access.Operator), "alarm test", &api.AlarmTestOf{Path: "pager"}); controltest.Status(err) != http.StatusConflict {
		t.Error(err)
	}
	out, err = s.Call(as(access.Auditor), "alarm paths", &struct{}{})
	if p := out.(*api.AlarmPaths).Paths; err != nil || len(p) != 2 || p[1].Path != "webhook" || p[1].Least != "critical" {
		t.Errorf("%+v, %v", p, err)
	}
}
