package maillog

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/console"
	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/store"
)

// gate holds all counting of a world until it is opened.
func (w *world) gate() (open func()) {
	c := make(chan struct{})
	read := w.log.counts.read
	w.log.counts.read = func(ctx context.Context, x store.Window, m store.Mark, see func(*store.Brief)) ([]store.Gap, store.Mark, error) {
		select {
		case <-c:
			return read(ctx, x, m, see)
		case <-ctx.Done():
			return nil, store.Mark{}, ctx.Err()
		}
	}
	return func() { close(c) }
}

func (w *world) summary(t *testing.T, a access.Actor, hurry bool) *api.Summary {
	t.Helper()
	out, err := w.Call(access.With(t.Context(), a), "log summary", &api.SummaryAsk{Range: "24h", Hurry: hurry})
	if err != nil {
		t.Fatal(err)
	}
	return out.(*api.Summary)
}

// TestPagesWhileCounting shows that no page waits for counts, that each says so, and that the counts are there afterwards.
func TestPagesWhileCounting(t *testing.T) {
	w := newWorld(t)
	open := w.gate()
	c, err := console.New(console.Options{Accounts: anyone{}, Frame: func() console.Frame { return console.Frame{Host: "mx.one.example"} }})
	if err != nil {
		t.Fatal(err)
	}
	c.Surface = w.Surface
	page := func(path string) string {
		t.Helper()
		r := httptest.NewRequest("GET", "https://mx.one.example"+path, nil)
		r.AddCookie(&http.Cookie{Name: "__Host-gatepost", Value: "anna"})
		to := httptest.NewRecorder()
		c.Handler().ServeHTTP(to, r)
		if to.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", path, to.Code, to.Body)
		}
		return to.Body.String()
	}
	if got := page("/"); !strings.Contains(got, "Mail is being counted") || strings.Contains(got, "No mail yet") {
		t.Errorf("overview: %s", got)
	}
	if got := page("/log"); !strings.Contains(got, "The counts are being made") || !strings.Contains(got, "Offer 1") {
		t.Errorf("log: %s", got)
	}
	open()
	if sum := w.summary(t, everybody(), false); !sum.Complete || sum.Counting || sum.Counts.Total() == 0 {
		t.Errorf("%+v", sum)
	}
	if got := page("/"); strings.Contains(got, "being counted") || strings.Contains(got, "No mail yet") {
		t.Errorf("overview, counted: %s", got)
	}
	if got := page("/log"); strings.Contains(got, "being made") {
		t.Errorf("log, counted: %s", got)
	}
}

// TestCountedOnce shows that many who ask at once have each hour read once, that hours that are over are never read again, and that
// each set of domains has counts of its own.
func TestCountedOnce(t *testing.T) {
	w := newWorld(t)
	var whole atomic.Int32 // reads that begin anew
	read := w.log.counts.read
	w.log.counts.read = func(ctx context.Context, x store.Window, m store.Mark, see func(*store.Brief)) ([]store.Gap, store.Mark, error) {
		if fmt.Sprint(m) == fmt.Sprint(store.Mark{}) {
			whole.Add(1)
		}
		return read(ctx, x, m, see)
	}
	open := w.gate()
	got := make(chan *api.Summary)
	for range 6 {
		go func() { got <- w.summary(t, everybody(), false) }()
	}
	if s := w.summary(t, of("one.example"), true); !s.Counting || s.Complete {
		t.Errorf("while it hangs: %+v", s)
	}
	w.log.counts.mu.Lock()
	runs := len(w.log.counts.runs)
	w.log.counts.mu.Unlock()
	if runs != 1 && runs != 2 { // the six may not have begun
		t.Errorf("%d runs", runs)
	}
	open()
	var first *api.Summary
	for range 6 {
		s := <-got
		if first == nil {
			first = s
		}
		if s.Counts != first.Counts || !s.Complete {
			t.Errorf("%+v, then %+v", first, s)
		}
	}
	one := w.summary(t, of("one.example"), false)
	if one.Counts.Total() == 0 || one.Counts.Total() >= first.Counts.Total() {
		t.Errorf("one domain: %+v of %+v", one.Counts, first.Counts)
	}
	if n := whole.Load(); n > 2*26 {
		t.Errorf("%d reads", n)
	}
	before := whole.Load()
	if again := w.summary(t, everybody(), false); again.Counts.Total() != first.Counts.Total() || whole.Load() != before {
		t.Errorf("%+v, %d reads more", again.Counts, whole.Load()-before)
	}
}

// TestEraseWhileCounting shows that an erasure neither waits for counts nor spoils them.
func TestEraseWhileCounting(t *testing.T) {
	w := newWorld(t)
	keeper := w.log.Tail.Keeper.(*store.Log)
	open := w.gate()
	before := w.summary(t, everybody(), true)
	if _, err := keeper.Erase(t.Context(), store.NewNames([]byte("0123456789abcdef0123456789abcdef")), "a@one.example"); err != nil {
		t.Fatal(err)
	}
	open()
	sum := w.summary(t, everybody(), false)
	walked := w.search(t, everybody(), api.LogSearch{Since: sum.Since, Until: sum.Until, Limit: 500})
	if !before.Counting || !sum.Complete || sum.Counts != walked.Counts {
		t.Errorf("counted %+v, found %+v", sum.Counts, walked.Counts)
	}
}

// TestCountingEnds shows that nothing is left when counting is ended, what failed is told, and one that hangs is left behind.
func TestCountingEnds(t *testing.T) {
	failing := errors.New("no disk")
	for name, read := range map[string]counting{
		"hangs until told": func(ctx context.Context, _ store.Window, _ store.Mark, _ func(*store.Brief)) ([]store.Gap, store.Mark, error) {
			<-ctx.Done()
			return nil, store.Mark{}, ctx.Err()
		},
		"fails": func(context.Context, store.Window, store.Mark, func(*store.Brief)) ([]store.Gap, store.Mark, error) {
			return nil, store.Mark{}, failing
		},
		"panics": func(context.Context, store.Window, store.Mark, func(*store.Brief)) ([]store.Gap, store.Mark, error) {
			panic("bad block")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // which fails where a goroutine is left
				l := New(store.NewReader(t.TempDir()), NewTail(nil))
				l.counts.read = read
				ctx, cancel := context.WithCancel(t.Context())
				ran := make(chan struct{})
				go func() { l.Run(ctx); close(ran) }()
				synctest.Wait()
				began := time.Now()
				got, err := l.counts.of(t.Context(), []string{"one.example"}, began.Add(-time.Hour), began, true)
				if name == "hangs until told" {
					if err != nil || !got.counting || time.Since(began) != hurryTime {
						t.Errorf("%+v %v after %v", got, err, time.Since(began))
					}
					time.Sleep(2 * stuckTime) // of the bubble
					if got, err = l.counts.of(t.Context(), []string{"one.example"}, began.Add(-time.Hour), began, true); err != nil || len(got.gaps) != 1 {
						t.Errorf("stuck: %+v %v", got, err)
					}
				} else if err == nil {
					t.Errorf("%+v", got)
				}
				cancel()
				<-ran
				if got, err = l.counts.of(t.Context(), nil, began.Add(-time.Hour), began, false); err != nil || got.complete || got.counting || len(l.counts.runs) > 0 {
					t.Errorf("after the end: %+v %v", got, err)
				}
			})
		})
	}
}

// TestRunLate shows that a run ends after its time, and the next goes on.
func TestRunLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(store.NewReader(t.TempDir()), NewTail(nil))
		hour, n := time.Now().Truncate(time.Hour), 0
		l.counts.read = func(ctx context.Context, x store.Window, m store.Mark, see func(*store.Brief)) ([]store.Gap, store.Mark, error) {
			n++
			select {
			case <-time.After(runTime/4 + time.Second):
			case <-ctx.Done():
				return nil, m, ctx.Err()
			}
			id := gateway.ID(x.Since.UnixMilli()) << 20
			see(&store.Brief{ID: id, Kind: gateway.TransactionEvent})
			return nil, m, nil
		}
		got, err := l.counts.of(t.Context(), nil, hour.Add(-9*time.Hour), hour, false)
		if err != nil || got.complete || got.counting || len(got.hours) == 0 {
			t.Fatalf("%+v %v", got, err)
		}
		for k := 0; k < 10 && !got.complete; k++ {
			if got, err = l.counts.of(t.Context(), nil, hour.Add(-9*time.Hour), hour, false); err != nil {
				t.Fatal(err)
			}
		}
		if !got.complete || len(got.hours) != 10 {
			t.Errorf("%d hours after %d reads, %v", len(got.hours), n, got.complete)
		}
		l.Close()
	})
}

// TestForget shows which hours go when there are too many.
func TestForget(t *testing.T) {
	c, now := newCounts(nil), time.Now()
	for i := range int64(maxHours) {
		c.hours[hourKey{"one.example", now.Unix()/3600 - i%700 - 10000*(i/700)}] = &cell{at: now}
	}
	mine := hourKey{"", now.Unix() / 3600}
	c.hours[mine] = &cell{at: now.Add(-time.Hour)}
	c.forget()
	if len(c.hours) != maxHours*3/4 || c.hours[mine] == nil || c.hours[hourKey{"one.example", now.Unix() / 3600}] == nil {
		t.Errorf("%d are left", len(c.hours))
	}
	c.end()
}
