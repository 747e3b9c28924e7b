package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

// piped is a Relay with this route to a fake behind a pipe.
func piped(t *testing.T, f *fake, r Route) *Relay {
	t.Helper()
	r.Name, r.Hostname, r.TLS, r.Hops = "inner", "mx.example.org", None, []Hop{{Host: "a.example"}}
	rel, err := New(NewPools(f.pipe, nil), []Route{r})
	if err != nil {
		t.Fatal(err)
	}
	return rel
}

// Messages over the rate wait for their turn, and those whose turn would come too late are told so at once, at RCPT
// already. Never more go in a time than the rate and what may go at once.
func TestRate(t *testing.T) {
	for _, tt := range []struct {
		rate            Rate
		came, went      int           // within the time that one may wait
		last            time.Duration // when the last went
		most            int           // in any minute
		refusedAtOnceIs string
	}{
		{Rate{60, time.Minute}, 50, 36, 30 * time.Second, 66, "451 4.4.5"},
		{Rate{6, time.Minute}, 10, 4, 30 * time.Second, 7, "451 4.4.5"},
		{Rate{600, time.Minute}, 300, 300, 24 * time.Second, 660, ""},
		{Rate{}, 100, 100, 0, 100, ""},
	} {
		t.Run(fmt.Sprintf("%d in %s", tt.rate.N, tt.rate.Period), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := quietFake(everything...)
				defer close(f.done)
				r := piped(t, f, Route{Rate: tt.rate})
				defer r.Close()
				began := time.Now()
				var mu sync.Mutex
				var times []time.Duration
				var wg sync.WaitGroup
				for range tt.came {
					wg.Go(func() {
						got := r.Relay(t.Context(), delivery(small))
						mu.Lock()
						defer mu.Unlock()
						switch {
						case got.Result == gateway.Delivered:
							times = append(times, time.Since(began))
						case !strings.HasPrefix(got.Reply.String(), tt.refusedAtOnceIs) || time.Since(began) > 0:
							t.Errorf("after %s: %+v", time.Since(began), got)
						}
					})
				}
				synctest.Wait()
				if defers := r.Carries("inner").Defer; (defers == gateway.NextHopBusy) != (tt.came > tt.went) {
					t.Errorf("while all wait: %q", defers)
				}
				if v := r.Verify(t.Context(), "inner", gateway.Address{}, address("x@example.org")); v.Result != Takes {
					t.Errorf("a question waits for messages: %+v", v)
				}
				wg.Wait()
				if len(times) == 0 || len(times) != tt.went || times[len(times)-1].Round(time.Second) != tt.last {
					t.Fatalf("%d went, the last after %v", len(times), times)
				}
				for i := range times {
					n := 0
					for _, at := range times[i:] {
						if at < times[i]+time.Minute {
							n++
						}
					}
					if n > tt.most {
						t.Errorf("%d in a minute", n)
					}
				}
				if h := r.Health()[0]; h.Waiting != 0 || h.State != "closed" || h.Busy != uint64(tt.came-tt.went) {
					t.Errorf("health %+v", h)
				}
			})
		})
	}
}

// A next hop that was away is begun with one message, then two, then four: never more at once than double what it took.
func TestSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := quietFake(everything...)
		defer close(f.done)
		var mu sync.Mutex
		away, now, most, done := true, 0, map[int]int{}, 0 // most at once after so many
		f.set("DOT", func(s *fakeSession) bool {
			mu.Lock()
			now++
			most[done] = max(most[done], now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			done++
			mu.Unlock()
			return say("250 2.0.0 Ok")(s)
		})
		pools := NewPools(func(ctx context.Context, network, address string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			if away {
				return nil, errors.New("connection refused")
			}
			return f.pipe(ctx, network, address)
		}, nil)
		r, err := New(pools, []Route{{Name: "inner", Hostname: "mx", Hops: []Hop{{Host: "a.example"}}, TLS: None, PoolSize: 20}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for range tripAfter {
			r.Relay(t.Context(), delivery(small))
		}
		if h := r.Health()[0]; h.State != "open" {
			t.Fatalf("health %+v", h)
		}
		mu.Lock()
		away = false
		mu.Unlock()
		time.Sleep(longPause)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go r.Tend(ctx) // finds out
		synctest.Wait()
		if h := r.Health()[0]; h.State != "closed" || h.Starting != 1 || h.InUse != 0 {
			t.Fatalf("health %+v", h)
		}
		var wg sync.WaitGroup
		for range 60 {
			wg.Go(func() {
				if got := r.Relay(t.Context(), delivery(small)); got.Result != gateway.Delivered {
					t.Errorf("got %+v", got)
				}
			})
		}
		wg.Wait()
		for after, n := range most {
			if allowed := min(1<<min(after, 10), 18); n > allowed {
				t.Errorf("%d at once after %d were taken", n, after)
			}
		}
		if most[0] != 1 || done != 60 {
			t.Errorf("%d at first, %d in all", most[0], done)
		}
		if h := r.Health()[0]; h.Starting != 0 || h.InUse != 0 {
			t.Errorf("in the end: %+v", h)
		}
		cancel()
		synctest.Wait()
	})
}

// However outages, successes and messages follow on each other, no place is lost and none is made.
func TestSlotsNarrow(t *testing.T) {
	for _, size := range []int{1, 2, 3, 20} {
		s := newSlots(size, 100)
		taken := 0
		for i := range 2000 {
			switch i * 7919 % 11 {
			case 0, 1:
				s.narrow()
			case 2, 3:
				s.widen()
			case 4, 5, 6, 7:
				if taken < forMail.share(size) && s.room(forMail) && s.take(t.Context(), forMail, time.Hour) == nil {
					taken++
				}
			default:
				if taken > 0 {
					s.give(forMail)
					taken--
				}
			}
			if s.used() != taken || len(s.all) > size || int(s.parked.Load()) >= max(size, 1) {
				t.Fatalf("size %d: %d used, %d taken, %d parked", size, s.used(), taken, s.parked.Load())
			}
		}
		for range 10 {
			s.widen()
		}
		for taken > 0 {
			s.give(forMail)
			taken--
		}
		if len(s.all) != 0 || s.parked.Load() != 0 {
			t.Errorf("size %d: %d places are lost", size, len(s.all))
		}
	}
}
