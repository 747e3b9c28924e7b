package whatif

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/quarantine"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/replay"
	"gatepost/internal/store"
)

// source is a log of which each message has the same finding.
type source struct {
	n    int
	hold chan struct{} // closed when it may answer; nil: at once
}

func (s source) Judged(ctx context.Context, _ store.Window, see func(*store.Judged) error) ([]store.Gap, error) {
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	for i := range s.n {
		to := gateway.Address{Text: "bob@one.example", Local: "bob", Domain: "one.example"}
		r := &gateway.Record{ID: gateway.ID(i + 1), Time: time.Unix(int64(i), 0), Stage: gateway.Data, Rcpts: []gateway.RecordRcpt{{To: to, Code: 250}},
			Findings: []gateway.Finding{{Check: "spamassassin", Stage: gateway.Data, Rcpt: -1, Result: gateway.Pass, Measures: []gateway.Measure{{Name: "spamd", Value: 6}}}}}
		if err := see(&store.Judged{Record: r, Verdict: policyWith(8).Judge(r)}); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func policyWith(quarantine float64) *gateway.Policy {
	return &gateway.Policy{Thresholds: gateway.Thresholds{Quarantine: quarantine}, Checks: map[string]gateway.CheckPolicy{
		"spamassassin": {Action: gateway.ActionScore, Prices: map[string]float64{"spamd": 1}}}}
}

func draft(quarantine float64) *replay.Draft {
	pl := &gateway.Pipeline{}
	pl.Rows[gateway.Data] = []gateway.Row{{Checks: []gateway.Check{{Name: "spamassassin", Stage: gateway.Data}}}}
	return &replay.Draft{Policy: policyWith(quarantine), Pipeline: pl}
}

// surface serves a desk whose only draft quarantines from five points on, where the mail of the source has six.
func surface(d Desk) *control.Surface {
	d.Draft = func(_ context.Context, text []byte) (*replay.Draft, []string, error) {
		switch string(text) {
		case "":
			return draft(8), nil, nil
		case "five":
			return draft(5), []string{"checks.rbl.client"}, nil
		}
		return nil, nil, &control.Fault{Status: http.StatusBadRequest, Message: "line 1: " + string(text)}
	}
	d.Version = func(_ context.Context, n int64) ([]byte, error) { return []byte("five"), nil }
	return &control.Surface{Operations: New(d).Operations()}
}

func as(ctx context.Context, rights ...access.Right) context.Context {
	return access.With(ctx, access.Actor{Name: "anna", Role: access.Operator, Rights: rights})
}

// TestSimulate shows what comes of a draft, of a version and of neither; that what people said of mail in quarantine is counted
// with it; and that who may not read the log hears numbers only.
func TestSimulate(t *testing.T) {
	asked := 0
	s := surface(Desk{Log: source{n: 1500}, Marks: func(_ context.Context, f *quarantine.Filter) (out []quarantine.Row, err error) {
		if asked++; f.State == nil {
			return nil, nil
		}
		for id := 1; id <= 1200; id++ { // as if they had been released, a thousand on the first page
			if f.Before == 0 || gateway.ID(id) > 1000 {
				out = append(out, quarantine.Row{ID: gateway.ID(id)})
			}
		}
		return out[:min(len(out), f.Limit)], nil
	}})
	ask := func(ctx context.Context, in api.SimulateAsk) *api.Simulation {
		t.Helper()
		in.Days, in.Limit = 7, 10
		got, err := s.Call(ctx, "policy simulate", &in)
		if err != nil {
			t.Fatal(err)
		}
		return got.(*api.Simulation)
	}
	got := ask(as(t.Context()), api.SimulateAsk{Text: "five"})
	if got.Messages != 1500 || got.Changed != 1500 || got.Harder != 1500 || got.Released != 1200 || len(got.List) != 10 || got.More != 1490 || len(got.Stale) != 1 || asked != 4 {
		t.Errorf("%+v after %d questions", got, asked)
	}
	if got := ask(as(t.Context()), api.SimulateAsk{Version: 3}); got.Changed != 1500 {
		t.Errorf("version: %+v", got)
	}
	if got := ask(as(t.Context()), api.SimulateAsk{}); got.Changed+got.NotKnown != 0 || got.Messages != 1500 {
		t.Errorf("what is in force: %+v", got)
	}
	if got := ask(as(t.Context(), access.PolicyRead), api.SimulateAsk{Text: "five"}); len(got.List) != 0 || got.More != 1500 {
		t.Errorf("without the right to read the log: %+v", got.List)
	}
	var f *control.Fault
	if _, err := s.Call(as(t.Context()), "policy simulate", &api.SimulateAsk{Text: "broken", Days: 1, Limit: 1}); !errors.As(err, &f) || f.Message != "line 1: broken" {
		t.Errorf("%v", err)
	}
	if _, err := s.Call(as(t.Context(), access.LogRead), "policy simulate", &api.SimulateAsk{Days: 1, Limit: 1}); !errors.As(err, &f) || f.Status != http.StatusForbidden {
		t.Errorf("without the right: %v", err)
	}
}

// TestOneAtATime shows that simulations wait for each other, that few may wait, and that one whose asker is gone gives its place
// back.
func TestOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		s := surface(Desk{Log: source{n: 1, hold: hold}})
		results := make(chan error, 16)
		ctx, cancel := context.WithCancel(as(t.Context()))
		ask := func(ctx context.Context) {
			_, err := s.Call(ctx, "policy simulate", &api.SimulateAsk{Text: "five", Days: 1, Limit: 1})
			results <- err
		}
		go ask(as(t.Context()))
		synctest.Wait()
		go ask(ctx)
		for range maxWaiting - 1 {
			go ask(as(t.Context()))
		}
		synctest.Wait()
		ask(as(t.Context()))
		var f *control.Fault
		if err := <-results; !errors.As(err, &f) || f.Status != http.StatusTooManyRequests {
			t.Errorf("one too many: %v", err)
		}
		cancel()
		synctest.Wait()
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("gone: %v", err)
		}
		go ask(as(t.Context()))
		synctest.Wait()
		close(hold)
		for range maxWaiting + 1 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
	})
}

// TestPrint shows an answer as people read it.
func TestPrint(t *testing.T) {
	s := surface(Desk{Log: source{n: 3}})
	got, err := s.Call(as(t.Context()), "policy simulate", &api.SimulateAsk{Text: "five", Days: 1, Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	print(&b, got.(*api.Simulation))
	for _, want := range []string{"3 messages from", "3 would have had another verdict: 0 milder, 3 harder; of 0 it is not known", "checks.rbl.client differs",
		"accept       -    -           3", "accept -> quarantine (spam.score)  6.0 -> 6.0  <> -> bob@one.example", "... and 1 more"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
