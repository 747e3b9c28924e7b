package nodes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
	"gatepost/internal/store/admin"
)

// shelf is a store in memory.
type shelf struct {
	mu      sync.Mutex
	rows    map[string]admin.Node
	beats   int
	removed string
	err     error
}

func (s *shelf) Beat(_ context.Context, name, body string) (time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beats++
	if s.err == nil {
		s.rows[name] = admin.Node{Name: name, Body: body}
	}
	return 1500 * time.Microsecond, s.err
}

func (s *shelf) List(context.Context) (out []admin.Node, err error) {
	for _, r := range s.rows {
		out = append(out, r)
	}
	return out, s.err
}

func (s *shelf) Remove(_ context.Context, name string, silent time.Duration) error {
	if r, ok := s.rows[name]; s.err == nil && (!ok || r.Age < silent) {
		return admin.ErrNone
	}
	s.removed = name
	delete(s.rows, name)
	return s.err
}

func desk(s *shelf) *Desk {
	return &Desk{Log: slog.New(slog.DiscardHandler), Store: func() Store { return s }, Shared: func() bool { return true },
		Here: func() api.Node {
			return api.Node{Name: "mx2", Version: "1.2", Parts: []api.Part{{Part: "dns", OK: true}}, Free: 5_000_000_000}
		}}
}

// TestNodes: one node, several, one that is stale, what another version or a stranger wrote, and a store that is away.
func TestNodes(t *testing.T) {
	other, _ := json.Marshal(api.Node{Name: "forged", Here: true, Version: "9\x1b", Number: 12, Parts: []api.Part{{Part: "redis", Detail: "away\r\n"}}, Listeners: map[string]string{"\x00": "x"}})
	s := &shelf{rows: map[string]admin.Node{}}
	d := desk(s)
	var told []control.Entry
	surface := &control.Surface{Operations: d.Operations(), Audit: func(_ context.Context, e control.Entry) { told = append(told, e) }}
	if err := surface.Validate(); err != nil {
		t.Fatal(err)
	}
	list := func() *api.Nodes {
		t.Helper()
		out, err := controltest.Ask[*api.Nodes](t.Context(), surface, access.Actor{Name: "otto", Role: access.Auditor}, "node list", new(struct{}))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if out := list(); len(out.Nodes) != 1 || !out.Nodes[0].Here || out.Nodes[0].Stale || out.Nodes[0].Clock != nil || out.Trouble != "" {
		t.Errorf("alone: %+v", out)
	}
	if err := d.beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.rows["mx1"] = admin.Node{Name: "mx1", Body: string(other), Age: 20 * time.Second}
	s.rows["mx3"] = admin.Node{Name: "mx3", Body: "{", Age: time.Hour}
	out := list()
	if len(out.Nodes) != 3 || out.Nodes[0].Name != "mx1" || out.Nodes[0].Here || out.Nodes[0].Stale || out.Nodes[0].Number != 12 || out.Nodes[0].Age != 20 || strings.Contains(out.Nodes[0].Version, "\x1b") ||
		!out.Nodes[1].Here || *out.Nodes[1].Clock != 1500 || !out.Nodes[2].Stale || out.Nodes[2].Age != 3600 {
		t.Errorf("%+v", out.Nodes)
	}
	var text bytes.Buffer
	print(&text, out)
	for _, want := range []string{"mx1", "FAIL redis", "policy version 12", "well, here", "clock +1 ms", "disk 5000 MB free", "STALE, silent for 1h0m0s"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in %s", want, &text)
		}
	}
	remove := func(who access.Role, name string) int {
		_, err := controltest.Ask[*api.Nodes](t.Context(), surface, access.Actor{Name: "olga", Role: who}, "node remove", &api.NodeName{Name: name})
		return controltest.Status(err)
	}
	if a, b, c, e := remove(access.Auditor, "mx3"), remove(access.Operator, "mx2"), remove(access.Operator, "mx1"), remove(access.Operator, "mx9"); a != 403 || b != 409 || c != 409 || e != 409 {
		t.Errorf("%d %d %d %d", a, b, c, e)
	}
	told = nil
	lists := ""
	d.Removed = func(_ context.Context, name string) error { lists = name; return nil }
	if code := remove(access.Operator, "mx3"); code != 0 || s.removed != "mx3" || lists != "mx3" || len(told) != 1 || told[0].Change.Object != "node mx3" {
		t.Errorf("%d, removed %q, audited %+v", code, s.removed, told)
	}
	s.err = errors.New("away")
	if out := list(); len(out.Nodes) != 1 || !out.Nodes[0].Here || out.Trouble == "" {
		t.Errorf("while the store is away: %+v", out)
	}
}

// TestRun: a node says how it is at once and then every ten seconds, also after the store was away.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{rows: map[string]admin.Node{}, err: errors.New("away")}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		d := desk(s)
		go func() { d.Run(ctx); close(ended) }()
		synctest.Wait()
		s.mu.Lock()
		if s.beats != 1 || len(s.rows) != 0 || d.here().Clock != nil {
			t.Errorf("%d times, %v", s.beats, s.rows)
		}
		s.err = nil
		s.mu.Unlock()
		time.Sleep(2*Every + time.Second)
		s.mu.Lock()
		if s.beats != 3 || len(s.rows) != 1 || d.here().Clock == nil {
			t.Errorf("%d times, %v", s.beats, s.rows)
		}
		s.mu.Unlock()
		stop()
		<-ended
	})
}
