package shadow

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
	"gatepost/internal/replay"
)

// log counts what is written to it.
type log struct {
	mu  sync.Mutex
	all []*gateway.Event
}

func (l *log) Write(e *gateway.Event) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, e)
	return true
}
func (*log) Early(time.Time, netip.Prefix, gateway.Reason, int) bool { return true }
func (*log) Fate(*gateway.Fate) bool                                 { return true }

// judges are policies that differ in when they quarantine.
func judges(quarantine float64) *replay.Draft {
	pl := &gateway.Pipeline{}
	pl.Rows[gateway.Data] = []gateway.Row{{Checks: []gateway.Check{{Name: "spamassassin", Stage: gateway.Data}}}}
	p := &gateway.Policy{Version: "live", Thresholds: gateway.Thresholds{Quarantine: quarantine}, Checks: map[string]gateway.CheckPolicy{"spamassassin": {Action: gateway.ActionScore, Prices: map[string]float64{"spamd": 1}}}}
	return &replay.Draft{Policy: p, Pipeline: pl}
}

// event is a message with a number of points, as the policy in force judges it: from eight on it is quarantined.
func event(n int, points float64) *gateway.Event {
	to := gateway.Address{Text: "bob@one.example", Local: "bob", Domain: "one.example"}
	r := &gateway.Record{ID: gateway.ID(n), Time: time.Now(), Stage: gateway.Data, Rcpts: []gateway.RecordRcpt{{To: to, Code: 250}},
		Findings: []gateway.Finding{{Check: "spamassassin", Stage: gateway.Data, Rcpt: -1, Result: gateway.Pass, Measures: []gateway.Measure{{Name: "spamd", Value: points}}}}}
	return &gateway.Event{Kind: gateway.TransactionEvent, Record: r, Verdict: judges(8).Policy.Judge(r), Policy: "live"}
}

// desk is a surface whose draft "five" quarantines from five points on, with who was told of ends.
func desk() (*control.Surface, *Runner, *[]control.Entry, *[]*api.Shadow) {
	r, told, ended := &Runner{}, &[]control.Entry{}, &[]*api.Shadow{}
	r.Ended = func(s *api.Shadow) { *ended = append(*ended, s) }
	d := &Desk{Runner: r, Version: func(context.Context, int64) ([]byte, error) { return []byte("five"), nil }, Draft: func(_ context.Context, text []byte) (*replay.Draft, []string, error) {
		switch string(text) {
		case "":
			return judges(8), nil, nil
		case "five":
			return judges(5), []string{"checks.rbl.client"}, nil
		}
		return nil, nil, &control.Fault{Status: http.StatusBadRequest, Message: "line 1: " + string(text)}
	}}
	return &control.Surface{Operations: Operations(d), Audit: func(_ context.Context, e control.Entry) { *told = append(*told, e) }}, r, told, ended
}

func anna(rights ...access.Right) access.Actor {
	return access.Actor{Name: "anna", Role: access.Operator, Rights: rights}
}

// TestShadow: mail that comes while a draft runs in the shadow is judged by it as well, what it would have done is counted, the log gets
// all of it as ever, and the run ends by itself; another ends when somebody stops it. Both ends are audited, once.
func TestShadow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r, told, ended := desk()
		kept := &log{}
		before := r.Before(kept)
		before.Write(event(1, 6)) // nobody counts it
		got, err := controltest.Ask[*api.Shadow](t.Context(), s, anna(), "policy shadow start", &api.ShadowStart{Text: "five", For: "1h", Comment: "is five too little?"})
		if err != nil || !got.Running || got.Until.Sub(got.Since) != time.Hour || got.By != "anna" {
			t.Fatalf("%v %+v", err, got)
		}
		if _, err := controltest.Ask[*api.Shadow](t.Context(), s, anna(), "policy shadow start", &api.ShadowStart{Version: 3, For: "1h"}); controltest.Status(err) != http.StatusConflict {
			t.Errorf("a second one: %v", err)
		}
		for n, points := range []float64{2, 6, 6, 9} {
			e := event(n+2, points)
			live := e.Verdict.Outcome
			before.Write(e)
			synctest.Wait()
			if e.Verdict.Outcome != live {
				t.Errorf("%v points: the verdict is %v, and was %v", points, e.Verdict.Outcome, live)
			}
		}
		before.Write(&gateway.Event{Kind: gateway.ConnectionEvent, Record: &gateway.Record{}})
		synctest.Wait()
		got, err = controltest.Ask[*api.Shadow](t.Context(), s, anna(), "policy shadow show", &struct{}{})
		if err != nil || !got.Running || got.Result.Messages != 4 || got.Result.Changed != 2 || got.Result.Harder != 2 || got.Result.Matrix[gateway.Accept].Quarantine != 2 || len(got.Result.List) != 2 || !slices.Equal(got.Result.Stale, []string{"checks.rbl.client"}) {
			t.Fatalf("%v %+v", err, got.Result)
		}
		if got, err := controltest.Ask[*api.Shadow](t.Context(), s, anna(access.PolicyRead), "policy shadow show", &struct{}{}); err != nil || len(got.Result.List) != 0 || got.Result.More != 2 {
			t.Errorf("who may not read the log: %v %+v", err, got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		before.Write(event(9, 6))
		if len(*ended) != 1 || (*ended)[0].Running || (*ended)[0].Result.Changed != 2 || len(*told) != 2 { // of the first start, and of the second, which was refused
			t.Errorf("it ends by itself: %+v, %d audited", *ended, len(*told))
		}
		if len(kept.all) != 7 {
			t.Errorf("the log has %d events", len(kept.all))
		}
		if _, err := controltest.Ask[*api.Shadow](t.Context(), s, anna(), "policy shadow start", &api.ShadowStart{Version: 3, For: "7d"}); err != nil {
			t.Fatal(err)
		}
		got, err = controltest.Ask[*api.Shadow](t.Context(), s, anna(), "policy shadow stop", &struct{}{})
		if err != nil || got.Running || got.Ended.IsZero() || got.Result.Messages != 0 || len(*ended) != 1 || len(*told) != 4 || (*told)[3].Change.Object != "policy shadow" {
			t.Errorf("stop: %v %+v, %d ended by themselves, %d audited", err, got, len(*ended), len(*told))
		}
		if _, err := controltest.Ask[*api.Shadow](t.Context(), s, anna(), "policy shadow stop", &struct{}{}); controltest.Status(err) != http.StatusNotFound {
			t.Errorf("a second stop: %v", err)
		}
	})
}

// TestShadowRefused tells what cannot be started, by the field.
func TestShadowRefused(t *testing.T) {
	for _, x := range []struct {
		in     api.ShadowStart
		status int
	}{{api.ShadowStart{For: "1h"}, 400}, {api.ShadowStart{Text: "five", For: "10s"}, 400}, {api.ShadowStart{Text: "five", For: "8d"}, 400}, {api.ShadowStart{Text: "five", For: "soon"}, 400},
		{api.ShadowStart{Text: "five", For: "1h", Comment: strings.Repeat("x", 301)}, 400}, {api.ShadowStart{Text: "nonsense", For: "1h"}, 400}, {api.ShadowStart{Text: strings.Repeat("x", 3<<20), For: "1h"}, 400}} {
		s, r, _, _ := desk()
		if _, err := controltest.Ask[*api.Shadow](t.Context(), s, anna(), "policy shadow start", &x.in); controltest.Status(err) != x.status || r.now.Load() != nil {
			t.Errorf("%.60v: %v", x.in, err)
		}
	}
	s, _, _, _ := desk()
	if _, err := controltest.Ask[*api.Shadow](t.Context(), s, anna(access.PolicyRead), "policy shadow start", &api.ShadowStart{Text: "five", For: "1h"}); controltest.Status(err) != 403 {
		t.Errorf("who may not write drafts: %v", err)
	}
	if got, err := controltest.Ask[*api.Shadow](t.Context(), s, anna(), "policy shadow show", &struct{}{}); err != nil || got.Running || got.Result != nil {
		t.Errorf("before any: %v %+v", err, got)
	}
}

// TestShadowIsBeside shows that a run that does not keep up makes nobody wait, and says how much it left out; and that a message which
// cannot be judged ends the run and nothing else.
func TestShadowIsBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Runner{}
		about := api.Shadow{Running: true, Since: time.Now(), Until: time.Now().Add(time.Hour)}
		n := &run{about: about, live: replay.NewLive(&replay.Question{Draft: judges(5)}), events: make(chan *gateway.Event, waiting), stop: make(chan struct{}), over: make(chan struct{})}
		r.last = n
		r.now.Store(n) // nobody is at work yet
		for n := range waiting + 40 {
			r.Take(event(n+1, 6))
		}
		go r.work(n)
		synctest.Wait()
		if got := r.show(); got.Result.Messages != waiting || got.Skipped != 40 {
			t.Errorf("%d judged, %d left out", got.Result.Messages, got.Skipped)
		}
		live := n.live
		n.live = new(replay.Live) // which fails over every message
		r.Take(event(1, 6))
		synctest.Wait()
		n.live = live
		if got := r.show(); got.Running || !strings.Contains(got.Trouble, "could not be judged") || r.now.Load() != nil {
			t.Errorf("%+v", got)
		}
	})
}
