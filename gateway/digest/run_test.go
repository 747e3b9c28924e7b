package digest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/quarantine"
)

// memory is a Store, and what is in quarantine.
type memory struct {
	mu     sync.Mutex
	told   map[string]map[gateway.ID]bool
	last   map[string]time.Time
	rows   []quarantine.Row // the newest first
	forget bool             // Tell fails
	onTold func()
}

func (m *memory) Told(_ context.Context, rcpt string, ids []gateway.ID) (map[gateway.ID]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[gateway.ID]bool{}
	if m.onTold != nil {
		m.onTold()
	}
	for _, id := range ids {
		out[id] = m.told[rcpt][id]
	}
	return out, nil
}

func (m *memory) Tell(_ context.Context, rcpt string, ids []gateway.ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.forget {
		return errors.New("disk full")
	}
	if m.told[rcpt] == nil {
		m.told[rcpt] = map[gateway.ID]bool{}
	}
	for _, id := range ids {
		m.told[rcpt][id] = true
	}
	return nil
}

func (m *memory) Last(_ context.Context, domain string) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last[domain], nil
}

func (m *memory) SetLast(_ context.Context, domain string, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last[domain] = at
	return nil
}

func (m *memory) Expire(context.Context, time.Time, time.Time) error { return nil }

func (m *memory) Find(_ context.Context, f *quarantine.Filter) (out []quarantine.Row, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rows {
		his := slices.ContainsFunc(r.Rcpts, func(to quarantine.RowRcpt) bool {
			return to.State == quarantine.Visible && (f.Rcpt == "" || strings.EqualFold(f.Rcpt, to.Address))
		})
		if his && (len(f.IDs) == 0 || slices.Contains(f.IDs, r.ID)) && (f.Before == 0 || r.ID < f.Before) && len(out) < f.Limit {
			out = append(out, r)
		}
	}
	return out, nil
}

func (m *memory) add(rcpts ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := quarantine.Row{ID: gateway.ID(len(m.rows) + 1), From: "a@example.org"}
	for _, a := range rcpts {
		r.Rcpts = append(r.Rcpts, quarantine.RowRcpt{Address: a})
	}
	m.rows = slices.Insert(m.rows, 0, r)
}

// world is a Digest over a memory, and what it sent.
type world struct {
	*memory
	*Digest
	sent   []string         // to, and how many links it has
	refuse map[string]error // by recipient, or "" for all
}

func newWorld(at ...Clock) *world {
	w := &world{memory: &memory{told: map[string]map[gateway.ID]bool{}, last: map[string]time.Time{}}}
	s := &Settings{Domains: []Domain{{"served.test", at}}, Portal: "https://q.test", Valid: time.Hour, Keep: 24 * time.Hour, DomainOf: func(a gateway.Address) string {
		if a.Domain == "served.test" {
			return a.Domain
		}
		return ""
	}}
	w.Digest = New(Options{Kept: w.memory, Store: w.memory, Key: testKey(1), Host: "mx.test", Log: slog.New(slog.DiscardHandler), Settings: func() *Settings { return s },
		Address: func(text string) (gateway.Address, error) {
			local, domain, _ := strings.Cut(text, "@")
			return gateway.Address{Text: text, Local: local, Domain: strings.ToLower(domain)}, nil
		},
		Send: func(_ context.Context, to gateway.Address, mail []byte, _ bool) error {
			w.memory.mu.Lock()
			defer w.memory.mu.Unlock()
			if err := cmp.Or(w.refuse[to.Text], w.refuse[""]); err != nil {
				w.sent = append(w.sent, "tried "+to.Text)
				return err
			}
			w.sent = append(w.sent, fmt.Sprintf("%s %d", to.Text, strings.Count(string(mail), "Deliver it: ")))
			return nil
		}})
	return w
}

// set says whom the next hop refuses from now on, and how; "" are all.
func (w *world) set(refuse map[string]error) {
	w.memory.mu.Lock()
	defer w.memory.mu.Unlock()
	w.refuse = refuse
}

func (w *world) want(t *testing.T, what string, sent ...string) {
	t.Helper()
	w.memory.mu.Lock()
	defer w.memory.mu.Unlock()
	if !slices.Equal(w.sent, sent) {
		t.Errorf("%s: %q, want %q", what, w.sent, sent)
	}
	w.sent = nil
}

// TestRun plays days: nothing before the first time of day, one mail for each recipient who has something new, none where nothing
// is new, what failed again after a while, what was refused not before the next time, and a day that was slept through at once.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(7*60, 13*60) // it is midnight, 2000-01-01 UTC
		w.add("bob@served.test", "eve@served.test")
		w.add("Bob@served.test")
		w.add("bob@elsewhere.test")
		ctx, stop := context.WithCancel(t.Context())
		run := func() (end func()) {
			done := make(chan struct{})
			go func() { w.Run(ctx); close(done) }()
			return func() { stop(); <-done; ctx, stop = context.WithCancel(t.Context()) }
		}
		end := run()
		time.Sleep(7*time.Hour - time.Minute)
		synctest.Wait()
		w.want(t, "before seven")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		w.want(t, "at seven", "bob@served.test 2", "eve@served.test 1")
		time.Sleep(7 * time.Hour)
		synctest.Wait()
		w.want(t, "nothing new")
		w.add("eve@served.test")
		w.set(map[string]error{"": errors.New("away")})
		time.Sleep(17*time.Hour + time.Minute) // seven and a bit of the next day
		synctest.Wait()
		w.want(t, "away", "tried eve@served.test")
		w.set(nil)
		time.Sleep(again)
		synctest.Wait()
		w.want(t, "there again", "eve@served.test 1")
		w.add("eve@served.test")
		w.set(map[string]error{"": fmt.Errorf("%w: no such user", ErrRefused)})
		time.Sleep(9 * time.Hour)
		synctest.Wait()
		w.want(t, "refused", "tried eve@served.test")
		w.set(nil)
		end()
		time.Sleep(16 * time.Hour)
		end = run() // started after seven
		synctest.Wait()
		w.want(t, "slept through", "eve@served.test 1")
		end()
		if s := w.Stats(); s.Sent != 4 || s.Failed != 2 || s.Messages != 5 {
			t.Errorf("%+v", s)
		}
		stop()
	})
}

// TestFullMailbox: while one cannot be told, he alone is tried again, ever more slowly; the others get nothing before the next time of
// day. Of a next hop that is away one is tried, and all are told when it is back, over a restart too.
func TestFullMailbox(t *testing.T) {
	w := newWorld(7*60, 13*60)
	w.set(map[string]error{"bob@served.test": errors.New("mailbox full")})
	at := func(hour, minute int) {
		t.Helper()
		if err := w.tick(t.Context(), time.Date(2026, 11, 27, hour, minute, 0, 0, time.UTC)); err != nil {
			t.Fatal(err)
		}
	}
	at(6, 0) // begins
	w.add("bob@served.test", "eve@served.test", "zoe@served.test")
	at(7, 0)
	w.want(t, "at seven", "tried bob@served.test", "eve@served.test 1", "zoe@served.test 1")
	w.add("eve@served.test")
	at(7, 4)
	w.want(t, "too early")
	at(7, 5)
	at(7, 14)
	w.want(t, "again", "tried bob@served.test")
	for minute := range 5 * 60 {
		at(7+(15+minute)/60, (15+minute)%60)
	}
	w.want(t, "ever more slowly", slices.Repeat([]string{"tried bob@served.test"}, 5)...) // 7:15, 7:35, 8:15, 9:35, 11:35
	at(13, 0)
	w.want(t, "the next time of day", "tried bob@served.test", "eve@served.test 1")
	w.set(nil)
	at(13, 5)
	w.want(t, "room again", "bob@served.test 1")
	if got := w.last["served.test"]; got.Hour() != 13 {
		t.Errorf("done at %s", got)
	}
	w.set(map[string]error{"": fmt.Errorf("%w: dial", ErrAway)})
	w.add("bob@served.test", "eve@served.test", "zoe@served.test")
	if err := w.tick(t.Context(), time.Date(2026, 11, 28, 7, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	w.want(t, "away", "tried bob@served.test")
	w.set(nil)
	w.Digest = New(w.opts)
	if err := w.tick(t.Context(), time.Date(2026, 11, 28, 7, 1, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	w.want(t, "after a restart", "bob@served.test 1", "eve@served.test 1", "zoe@served.test 1")
}

// TestWrongClock: a clock that was ahead for years keeps no digest away once it is right.
func TestWrongClock(t *testing.T) {
	w := newWorld(7 * 60)
	now := time.Date(2026, 11, 27, 6, 0, 0, 0, time.UTC)
	for _, at := range []time.Time{now.AddDate(9, 0, 0), now} {
		if err := w.tick(t.Context(), at); err != nil {
			t.Fatal(err)
		}
	}
	w.add("bob@served.test")
	if err := w.tick(t.Context(), now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	w.want(t, "at seven", "bob@served.test 1")
}

// TestGoneMeanwhile: what was released or deleted after it was found is not told of.
func TestGoneMeanwhile(t *testing.T) {
	w := newWorld(0)
	w.add("bob@served.test")
	w.add("bob@served.test", "eve@served.test")
	w.onTold = func() {
		w.memory.rows[0].Rcpts[0].State = quarantine.Released
		w.memory.rows[1].Rcpts[0].State = quarantine.Deleted
	}
	if out, err := w.Now(t.Context(), "", true); err != nil || len(out) != 1 || out[0].Rcpt != "eve@served.test" {
		t.Errorf("%+v, %v", out, err)
	}
	w.want(t, "the other only", "eve@served.test 1")
}

// TestNotNoted: where it could not be noted that a digest went out, it goes out again, with the same Message-ID.
func TestNotNoted(t *testing.T) {
	w := newWorld(0)
	w.add("bob@served.test")
	w.forget = true
	if out, err := w.Now(t.Context(), "", true); err != nil || len(out) != 1 || !strings.Contains(out[0].Error, "could not be noted") {
		t.Errorf("%+v, %v", out, err)
	}
	w.forget = false
	for range 2 {
		if _, err := w.Now(t.Context(), "", true); err != nil {
			t.Fatal(err)
		}
	}
	w.want(t, "twice, and not a third time", "bob@served.test 1", "bob@served.test 1")
}

// TestMany: the newest hundred are listed and the others counted, and none of them is told of again; a look sends and notes nothing,
// and has no link in it.
func TestMany(t *testing.T) {
	w := newWorld(0)
	for range 2*page + 50 {
		w.add("bob@served.test")
	}
	out, err := w.Now(t.Context(), "BOB@served.test", false)
	if err != nil || len(out) != 1 || out[0].Messages != 2*page+50 || strings.Contains(out[0].Text, "https:") || !strings.Contains(out[0].Text, fmt.Sprintf("and %d more", 2*page+50-Most)) {
		t.Errorf("%+v, %v", out, err)
	}
	w.want(t, "a look")
	if out, err := w.Now(t.Context(), "eve@served.test", true); err != nil || len(out) != 0 {
		t.Errorf("another: %+v, %v", out, err)
	}
	for range 2 {
		if _, err := w.Now(t.Context(), "", true); err != nil {
			t.Fatal(err)
		}
	}
	w.want(t, "once", fmt.Sprintf("bob@served.test %d", Most))
}

// TestLatest: the last time of day is found over midnight, and where a zone leaves hours out.
func TestLatest(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at        []Clock
		now, want string
	}{
		{[]Clock{7 * 60}, "2026-11-27T06:59:00+01:00", "2026-11-26T07:00:00+01:00"},
		{[]Clock{7 * 60}, "2026-11-27T07:00:00+01:00", "2026-11-27T07:00:00+01:00"},
		{[]Clock{23*60 + 59, 7 * 60}, "2026-11-27T00:00:00+01:00", "2026-11-26T23:59:00+01:00"},
		{[]Clock{150}, "2026-03-29T12:00:00+02:00", "2026-03-29T03:30:00+02:00"}, // 02:30 is left out that day
		{[]Clock{7 * 60}, "2026-03-29T12:00:00+02:00", "2026-03-29T07:00:00+02:00"},
	} {
		now, _ := time.Parse(time.RFC3339, c.now)
		want, _ := time.Parse(time.RFC3339, c.want)
		if got := latest(c.at, now, berlin); !got.Equal(want) {
			t.Errorf("%v at %s: %s, want %s", c.at, c.now, got, c.want)
		}
	}
	if got := latest(nil, now(), nil); !got.IsZero() {
		t.Errorf("none: %s", got)
	}
}
