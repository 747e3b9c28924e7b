package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/audit"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
)

// store is one that tells what it was asked, and what it has.
type store struct {
	asked audit.Filter
	rows  []audit.Row
	fail  error
}

func (s *store) Append(context.Context, []audit.Entry) (audit.Head, error) {
	return audit.Head{}, errors.ErrUnsupported
}

func (s *store) Erase(context.Context, time.Time, audit.Entry) (int64, error) {
	return 0, errors.ErrUnsupported
}

func (s *store) List(_ context.Context, f audit.Filter) ([]audit.Row, error) {
	s.asked = f
	rows := s.rows
	if f.Below > 0 {
		rows = rows[slices.IndexFunc(rows, func(r audit.Row) bool { return r.Number == f.Below })+1:]
	}
	return rows[:min(len(rows), f.Most)], s.fail
}

func (s *store) Walk(_ context.Context, after int64, _ int) ([]audit.Row, error) {
	if after > 0 {
		return nil, s.fail
	}
	return s.rows, s.fail
}

// surface is the operations over a store.
func surface(t *testing.T, s *store) *control.Surface {
	t.Helper()
	l := audit.New(s, "mx1", t.TempDir(), slog.New(slog.DiscardHandler))
	d := &Desk{Store: func() audit.Store { return s }, Log: func() *audit.Log { return l }}
	return &control.Surface{Operations: d.Operations()}
}

func as(a access.Actor) context.Context { return access.With(context.Background(), a) }

// TestBounds shows who sees which entries: an auditor of some domains those of them, and never the chain as a whole; whoever has not
// the right nothing.
func TestBounds(t *testing.T) {
	s := &store{}
	surface := surface(t, s)
	for name, tt := range map[string]struct {
		who     access.Actor
		domains []string // nil: of all
		list    bool
		verify  bool
	}{
		"owner":               {access.Actor{Role: access.Owner}, nil, true, true},
		"auditor":             {access.Actor{Role: access.Auditor}, nil, true, true},
		"auditor of a domain": {access.Actor{Role: access.Auditor, Domains: []string{"example.org"}}, []string{"example.org"}, true, false},
		"operator":            {access.Actor{Role: access.Operator}, nil, false, true},
		"domain admin":        {access.Actor{Role: access.DomainAdmin, Domains: []string{"example.org"}}, nil, false, false},
		"token for the log":   {access.Actor{Role: access.Owner, Rights: []access.Right{access.LogRead}}, nil, false, false},
		"nobody":              {access.Actor{}, nil, false, false},
	} {
		s.asked = audit.Filter{}
		_, err := surface.Call(as(tt.who), "audit list", &api.AuditQuery{Limit: 10})
		if (err == nil) != tt.list || !slices.Equal(s.asked.Domains, tt.domains) || (s.asked.Domains == nil) != (tt.domains == nil) {
			t.Errorf("%s lists: %v, asked %+v", name, err, s.asked)
		}
		s.asked = audit.Filter{}
		if _, err = surface.Call(as(tt.who), "audit export", &api.AuditPick{}); (err == nil) != tt.list || !slices.Equal(s.asked.Domains, tt.domains) || (s.asked.Domains == nil) != (tt.domains == nil) {
			t.Errorf("%s exports: %v, asked %+v", name, err, s.asked)
		}
		if _, err = surface.Call(as(tt.who), "audit verify", &struct{}{}); (err == nil) != tt.verify {
			t.Errorf("%s verifies: %v", name, err)
		}
	}
}

// TestExport shows that a file has all entries, over pages of the store too, each once and with what was before and after, and that
// more than it may have are refused and not left out.
func TestExport(t *testing.T) {
	s := &store{}
	for n := int64(2*exportPage + 1); n > 0; n-- {
		s.rows = append(s.rows, audit.Row{Entry: audit.Entry{Number: n, Object: "<b>\n", Before: `{"role":"auditor"}`, After: `{"role":"owner"}`}})
	}
	surface, owner := surface(t, s), as(access.Actor{Role: access.Owner})
	out, err := surface.Call(owner, "audit export", &api.AuditPick{Actor: "anna"})
	if err != nil || s.asked.Actor != "anna" {
		t.Fatalf("%v, asked %+v", err, s.asked)
	}
	next := int64(len(s.rows))
	for line := range strings.Lines(string(out.(*control.File).Data)) {
		var x api.AuditEntry
		if err := json.Unmarshal([]byte(line), &x); err != nil || x.Number != next || x.Before != `{"role":"auditor"}` || x.After != `{"role":"owner"}` {
			t.Fatalf("%d is %+v, %v", next, x, err)
		}
		next--
	}
	if next != 0 {
		t.Errorf("%d are left out", next)
	}
	for len(s.rows) <= exportMost {
		s.rows = append(s.rows, audit.Row{Entry: audit.Entry{Number: -int64(len(s.rows))}})
	}
	_, err = surface.Call(owner, "audit export", &api.AuditPick{})
	if f, ok := errors.AsType[*control.Fault](err); !ok || f.Status != 413 || f.Hint == "" {
		t.Errorf("%d entries: %v", len(s.rows), err)
	}
}

// TestPages shows that a list goes on where the one before ended, and what is no cursor.
func TestPages(t *testing.T) {
	s := &store{}
	for n := int64(9); n > 0; n-- {
		s.rows = append(s.rows, audit.Row{Entry: audit.Entry{Number: n}})
	}
	surface := surface(t, s)
	owner := as(access.Actor{Role: access.Owner})
	for limit, next := range map[int]string{4: "6", 9: "", 20: ""} {
		out, err := surface.Call(owner, "audit list", &api.AuditQuery{Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		if got := out.(*api.AuditList); got.Next != next || len(got.Entries) != min(limit, 9) {
			t.Errorf("%d: %d entries, next %q", limit, len(got.Entries), got.Next)
		}
	}
	if _, err := surface.Call(owner, "audit list", &api.AuditQuery{Limit: 2, Cursor: "6"}); err != nil || s.asked.Below != 6 {
		t.Errorf("%v %+v", err, s.asked)
	}
	for _, cursor := range []string{"x", "0", "-1", "1 OR 1", "99999999999999999999"} {
		f, ok := errors.AsType[*control.Fault](func() error {
			_, err := surface.Call(owner, "audit list", &api.AuditQuery{Limit: 2, Cursor: cursor})
			return err
		}())
		if !ok || f.Status != 400 || f.Field != "cursor" {
			t.Errorf("%q: %v", cursor, f)
		}
	}
	s.fail = errors.New("the store is away")
	for _, name := range []string{"audit list", "audit verify"} {
		var in any = &struct{}{}
		if name == "audit list" {
			in = &api.AuditQuery{Limit: 2}
		}
		_, err := surface.Call(owner, name, in)
		if controltest.Status(err) != 503 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPrinted shows what a person reads: nothing of a stranger's can trick the terminal.
func TestPrinted(t *testing.T) {
	var b bytes.Buffer
	print(&b, []api.AuditEntry{{Number: 2, Actor: "an\x1b[31mna", Address: "192.0.2.1", Operation: "queue retry", Object: "a\nb", Error: "no"}, {Number: 1, Erased: true}})
	for _, want := range []string{"an?[31mna from 192.0.2.1", "a?b", "refused or failed: no", "(its text went by age)"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in %q", want, b.String())
		}
	}
	b.Reset()
	printReport(&b, &api.AuditReport{Entries: 7, Bad: 5, Why: "it was changed"})
	printReport(&b, &api.AuditReport{Entries: 7, Erased: 2, Head: "7 ff"})
	if want := "FAIL entry 5: it was changed\n4 entries before it hold\nok   7 entries hold, of 2 the text went by age\n     the last one: 7 ff\n"; b.String() != want {
		t.Errorf("%s", b.String())
	}
}
