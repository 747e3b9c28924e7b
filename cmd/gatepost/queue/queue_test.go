package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/spool"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
)

func address(text string) (a gateway.Address) { _ = a.UnmarshalText([]byte(text)); return a }

// world is a spool that nobody delivers, with its operations.
type world struct {
	*control.Surface
	ids     []gateway.ID
	rcpts   map[gateway.ID][]string
	cleared string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	q, err := spool.OpenQueue(spool.QueueOptions{Dir: filepath.Join(t.TempDir(), "q"), Reserve: 1, ReserveInodes: 1, NextHop: func() gateway.NextHop { return nil },
		Known: func(r string) bool { return r == "in" || r == "out" }})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{rcpts: map[gateway.ID][]string{}}
	ids := new(gateway.IDs)
	many := []string{"x@one.example"}
	for i := range 200 { // more than memory has of one message
		many = append(many, fmt.Sprintf("many%d@two.example", i))
	}
	many = append(many, "last@three.example")
	for i := range 12 {
		to := [][]string{{"a@one.example"}, {"b@two.example"}, {"a@one.example", "b@two.example", "c@three.example"}, many}[i%4]
		d := &gateway.Delivery{ID: ids.Next(), Route: "in", From: address("ann@x.example")}
		for _, x := range to {
			d.Rcpts = append(d.Rcpts, gateway.Recipient{Address: address(x), Route: "in", Verified: true})
		}
		text := "Subject: hello\r\n\r\nbody\r\n"
		d.Content = gateway.Content{Parts: []io.Reader{strings.NewReader(text)}, Size: int64(len(text))}
		if err := q.Put(t.Context(), d, gateway.Custody{Arrived: time.Now().Add(time.Duration(i/2-12) * time.Second), Why: to[len(to)-1] + ": mailbox full"}); err != nil {
			t.Fatal(err)
		}
		w.ids, w.rcpts[d.ID] = append(w.ids, d.ID), to
	}
	w.Surface = &control.Surface{Operations: (&Desk{Queue: func() (*spool.Queue, error) { return q, nil }, Cleared: func(by string) { w.cleared = by }}).Operations()}
	return w
}

// TestQueueIsBounded shows the list, page by page in pages of all lengths, and each message, to whoever sees everything and to whoever
// sees some domains: nothing that he is shown names a recipient of another.
func TestQueueIsBounded(t *testing.T) {
	w := newWorld(t)
	for _, a := range []access.Actor{{Name: "o", Role: access.Operator}, {Name: "h", Role: access.HelpDesk, Domains: []string{"one.example"}},
		{Name: "h", Role: access.HelpDesk, Domains: []string{"three.example"}}, {Name: "h", Role: access.HelpDesk, Domains: []string{"four.example"}}} {
		sees := func(to []string) (out []string) {
			for _, x := range to {
				if a.SeesAny(x) {
					out = append(out, x)
				}
			}
			return out
		}
		check := func(what string, v any, to []string) {
			t.Helper()
			text, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range []string{"x@one.example", "a@one.example", "b@two.example", "many7@two.example", "last@three.example", "c@three.example"} {
				if !a.Everywhere() && !slices.Contains(sees(to), x) && strings.Contains(string(text), x) {
					t.Errorf("%v: %s names %s: %s", a.Domains, what, x, text)
				}
			}
		}
		var want []gateway.ID
		for _, id := range w.ids {
			if len(sees(w.rcpts[id])) > 0 {
				want = append(want, id)
			}
		}
		for limit := 1; limit <= 13; limit++ {
			var got []gateway.ID
			for in := (&api.QueueAsk{Limit: limit}); ; {
				page, err := controltest.Ask[*api.QueueList](t.Context(), w.Surface, a, "queue list", in)
				if err != nil {
					t.Fatal(err)
				}
				for i := range page.Messages {
					got = append(got, page.Messages[i].ID)
					check("the list", page.Messages[i], w.rcpts[page.Messages[i].ID])
				}
				if (page.Totals != nil) != a.Everywhere() {
					t.Errorf("%v: totals %v", a.Domains, page.Totals)
				}
				if in.Cursor = page.Next; page.Next == "" {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%v, pages of %d: %v, want %v", a.Domains, limit, got, want)
			}
		}
		for _, id := range w.ids {
			s, err := controltest.Ask[*spool.Shown](t.Context(), w.Surface, a, "queue show", &api.QueueID{ID: id.String()})
			if to := sees(w.rcpts[id]); len(to) == 0 {
				if controltest.Status(err) != 404 {
					t.Errorf("%v: %v", a.Domains, err)
				}
			} else if err != nil || len(s.Rcpts) != len(to) {
				t.Errorf("%v: %+v, %v", a.Domains, s, err)
			}
			check("a message", s, w.rcpts[id])
		}
		if !a.Everywhere() { // a guess
			page, err := controltest.Ask[*api.QueueList](t.Context(), w.Surface, a, "queue list", &api.QueueAsk{Limit: 9, QueueFilter: api.QueueFilter{To: "b@two"}})
			if err != nil || len(page.Messages) != 0 {
				t.Errorf("%v: a guess finds %d, %v", a.Domains, len(page.Messages), err)
			}
			for _, verb := range []spool.Verb{spool.Retry, spool.Delete} {
				if _, err := controltest.Ask[*api.QueueChanged](t.Context(), w.Surface, a, "queue "+string(verb), &api.QueueChange{IDs: w.ids}); controltest.Status(err) != 403 {
					t.Errorf("%v: %s: %v", a.Domains, verb, err)
				}
			}
		}
	}
}

// TestQueueView shows that a message is handed out whole to who may see into mail and says what for.
func TestQueueView(t *testing.T) {
	w := newWorld(t)
	admin := access.Actor{Name: "d", Role: access.DomainAdmin, Domains: []string{"one.example"}, Via: access.BySession}
	for in, want := range map[api.QueueLook]int{{ID: w.ids[0].String()}: 400, {ID: w.ids[0].String(), Why: " "}: 400, {ID: w.ids[0].String(), Why: strings.Repeat("x", 201)}: 400,
		{ID: w.ids[1].String(), Why: "asked"}: 404, {ID: "nonsense", Why: "asked"}: 400} {
		if _, err := controltest.Ask[*control.File](t.Context(), w.Surface, admin, "queue view", &in); controltest.Status(err) != want {
			t.Errorf("%+v: %v", in, err)
		}
	}

	f, err := controltest.Ask[*control.File](t.Context(), w.Surface, admin, "queue view", &api.QueueLook{ID: w.ids[0].String(), Why: "asked"})
	if err != nil || !strings.HasSuffix(string(f.Data), "body\r\n") || f.Type != "message/rfc822" {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := controltest.Ask[*control.File](t.Context(), w.Surface, access.Actor{Name: "h", Role: access.HelpDesk}, "queue view", &api.QueueLook{ID: w.ids[0].String(), Why: "asked"}); controltest.Status(err) != 403 {
		t.Errorf("help desk: %v", err)
	}
	if _, err := controltest.Ask[*control.File](t.Context(), w.Surface, access.Actor{Name: "root", Role: access.Owner, Via: access.BySocket}, "queue view", &api.QueueLook{ID: w.ids[0].String()}); err != nil {
		t.Error(err)
	}
}

// TestQueueChanges shows what a change needs, what it tells, and what of it is audited.
func TestQueueChanges(t *testing.T) {
	w := newWorld(t)
	var audited []control.Entry
	w.Audit = func(_ context.Context, e control.Entry) { audited = append(audited, e) }
	op := access.Actor{Name: "anna", Role: access.Operator}
	if _, err := controltest.Ask[*api.QueueChanged](t.Context(), w.Surface, op, "queue hold", &api.QueueChange{}); controltest.Status(err) != 400 {
		t.Errorf("none: %v", err)
	}
	if _, err := controltest.Ask[*api.QueueChanged](t.Context(), w.Surface, op, "queue hold", &api.QueueChange{IDs: make([]gateway.ID, atOnce+1)}); controltest.Status(err) != 400 {
		t.Errorf("too many: %v", err)
	}
	if _, err := controltest.Ask[*api.QueueChanged](t.Context(), w.Surface, op, "queue reroute", &api.QueueReroute{QueueChange: api.QueueChange{IDs: w.ids[:1]}, ToRoute: "nowhere"}); controltest.Status(err) != 409 {
		t.Errorf("nowhere: %v", err)
	}
	audited = nil
	out, err := controltest.Ask[*api.QueueChanged](t.Context(), w.Surface, op, "queue hold", &api.QueueChange{IDs: w.ids[:2]})
	if err != nil || len(out.Messages) != 2 || out.Messages[0].Error != "" || len(audited) != 1 || audited[0].Change.Object != w.ids[0].String()+" "+w.ids[1].String() {
		t.Errorf("%+v, %v, %+v", out, err, audited)
	}
	out, err = controltest.Ask[*api.QueueChanged](t.Context(), w.Surface, op, "queue release", &api.QueueChange{IDs: w.ids[:3], DryRun: true})
	if err != nil || len(out.Messages) != 3 || out.Messages[0].Error != "" || out.Messages[2].Error == "" {
		t.Errorf("%+v, %v", out, err)
	}
	out, err = controltest.Ask[*api.QueueChanged](t.Context(), w.Surface, op, "queue delete", &api.QueueChange{IDs: w.ids[:3], QueueFilter: api.QueueFilter{State: "held"}})
	if err != nil || len(out.Messages) != 2 {
		t.Errorf("what the filter picks no more is changed: %+v, %v", out, err)
	}
	if _, err := controltest.Ask[*api.Was](t.Context(), w.Surface, op, "queue clear-latch", &struct{}{}); controltest.Status(err) != 409 || w.cleared != "" {
		t.Errorf("%v", err)
	}
	for _, c := range []string{"x", "zz.K", "-5." + w.ids[0].String(), w.ids[0].String()} {
		if _, err := controltest.Ask[*api.QueueList](t.Context(), w.Surface, op, "queue list", &api.QueueAsk{Limit: 1, Cursor: c}); controltest.Status(err) != 400 {
			t.Errorf("cursor %s: %v", c, err)
		}
	}
}
