package relay

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

// heard counts and keeps what Delivery.Late is told.
type heard chan gateway.Relayed

func (h heard) late(r gateway.Relayed) { h <- r }

// slowHop is a Relay whose next hop answers the end of the message with text after a time; "" for never.
func slowHop(t *testing.T, after time.Duration, text string) (*Relay, *Pools, *fake) {
	f := quietFake(everything...)
	f.set("DOT", func(s *fakeSession) bool {
		select {
		case <-time.After(after):
		case <-f.done:
			return false
		}
		if text == "" {
			return false
		}
		return raw(text)(s)
	})
	pools := NewPools(f.pipe, nil)
	r, err := New(pools, []Route{{Name: "inner", Hostname: "mx", Hops: []Hop{{Host: "a.example"}}, TLS: None, PoolSize: 1}})
	if err != nil {
		t.Fatal(err)
	}
	return r, pools, f
}

// The sender is told at the end of its time; the answer is listened for, told once, and the connection is used again where
// it is in step. It does not matter what ended the time.
func TestLateAnswer(t *testing.T) {
	for _, tt := range []struct {
		text  string
		want  gateway.RelayResult
		reply string
		idle  int
	}{
		{"250 2.0.0 Ok: queued\r\n", gateway.Delivered, "250 2.0.0 Ok: queued", 1},
		{"250-2.0.0 Ok\r\n250 2.0.0 queued\r\n", gateway.Delivered, "250 2.0.0 Ok", 1},
		{"550 5.7.1 Not this\r\n", gateway.RefusedByHop, "550 5.7.1 Not this", 1},
		{"451 4.3.0 Later\r\n", gateway.DeferredByHop, "451 4.3.0 Later", 1},
		{"421 4.3.0 Bye\r\n", gateway.DeferredByHop, "451 4.4.1", 0},
		{"250 2.0.0 Ok\r\n250 2.0.0 Twice\r\n", gateway.Delivered, "250 2.0.0 Ok", 0},
		{"354 Go on\r\n", gateway.OutcomeUnknown, "451 4.3.0", 0},
		{"what?\r\n", gateway.OutcomeUnknown, "451 4.4.2", 0},
		{"", gateway.OutcomeUnknown, "451 4.4.2", 0},
	} {
		for _, how := range []string{"deadline", "deadline of a parent", "cancelled", "final"} {
			t.Run(fmt.Sprintf("%s/%.8q", how, tt.text), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r, pools, f := slowHop(t, 500*time.Second, tt.text)
					defer close(f.done)
					defer r.Close()
					ctx, waits := t.Context(), 50*time.Second
					switch how {
					case "deadline":
						within := gateway.Within(context.WithoutCancel(ctx), time.Now().Add(waits))
						defer within.End()
						ctx = within
					case "deadline of a parent":
						timed, cancel := context.WithTimeout(ctx, waits)
						defer cancel()
						ctx = timed
					case "cancelled":
						stopped, cancel := context.WithCancel(ctx)
						time.AfterFunc(waits, cancel)
						ctx = stopped
					case "final":
						waits = 300 * time.Second
					}
					told := make(heard, 2)
					d := delivery(small)
					d.Late = told.late
					got := r.Relay(ctx, d)
					if got.Result != gateway.OutcomeUnknown || !got.Late || got.Reply.Code != 451 || got.Took != waits {
						t.Fatalf("got %+v", got)
					}
					if h := r.Health()[0]; h.InUse != 1 {
						t.Errorf("meanwhile: %+v", h)
					}
					late := <-told
					if late.Result != tt.want || !strings.HasPrefix(late.Reply.String(), tt.reply) || late.At != atDot ||
						late.Late || late.Took != 500*time.Second || late.NextHop != "a.example:25" {
						t.Errorf("late: %+v", late)
					}
					synctest.Wait()
					if h := r.Health()[0]; h.InUse != 0 || h.Idle != tt.idle {
						t.Errorf("after it: %+v", h)
					}
					pools.Close()
					if len(told) > 0 {
						t.Errorf("told twice: %+v", <-told)
					}
				})
			})
		}
	}
}

// Nobody listens longer than gateway.Listen, and the next message gets the connection's place then.
func TestListensNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, f := slowHop(t, 100*time.Hour, "250 Ok\r\n")
		defer close(f.done)
		defer r.Close()
		told := make(heard, 2)
		d := delivery(small)
		d.Late = told.late
		began := time.Now()
		if got := r.Relay(t.Context(), d); !got.Late {
			t.Fatalf("got %+v", got)
		}
		if got := r.Relay(t.Context(), delivery(small)); got.Reply.Enhanced != "4.4.5" {
			t.Errorf("a pool of one that is listened on: %+v", got)
		}
		if late := <-told; late.Result != gateway.OutcomeUnknown || time.Since(began) != gateway.Listen {
			t.Errorf("after %s: %+v", time.Since(began), late)
		}
		f.set("DOT", nil)
		if got := r.Relay(t.Context(), delivery(small)); got.Result != gateway.Delivered {
			t.Errorf("the next message: %+v", got)
		}
	})
}

// A stop tells everybody at once; a reload tells nobody; what would be late after a stop is only unknown.
func TestLateAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, pools, f := slowHop(t, 600*time.Second, "250 Ok\r\n")
		defer close(f.done)
		told := make(heard, 2)
		relay := func() gateway.Relayed {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			d := delivery(small)
			d.Late = told.late
			return r.Relay(ctx, d)
		}
		if got := relay(); !got.Late {
			t.Fatalf("got %+v", got)
		}
		r.Close()
		time.Sleep(time.Minute)
		if len(told) > 0 {
			t.Fatalf("a reload ended it: %+v", <-told)
		}
		began := time.Now()
		pools.Close()
		if len(told) != 1 || time.Since(began) > 0 {
			t.Fatalf("told %d after %s", len(told), time.Since(began))
		}
		if late := <-told; late.Result != gateway.OutcomeUnknown || late.Late {
			t.Errorf("late: %+v", late)
		}
		if got := relay(); got.Result != gateway.OutcomeUnknown || got.Late || len(told) > 0 {
			t.Errorf("after the end: %+v", got)
		}
	})
}

// Before the end of the message nothing is late.
func TestNotLate(t *testing.T) {
	for _, step := range []string{"banner", "EHLO", "MAIL", "RCPT", "BODY"} {
		synctest.Test(t, func(t *testing.T) {
			f := quietFake(everything...)
			f.set(step, func(s *fakeSession) bool { <-s.f.done; return false })
			r, err := New(NewPools(f.pipe, nil), []Route{{Name: "inner", Hostname: "mx", Hops: []Hop{{Host: "a.example"}}, TLS: None}})
			if err != nil {
				t.Fatal(err)
			}
			defer close(f.done)
			defer r.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
			defer cancel()
			d := delivery(strings.Repeat("x\r\n", 200_000))
			d.Late = func(r gateway.Relayed) { t.Errorf("%s: %+v", step, r) }
			if got := r.Relay(ctx, d); got.Result != gateway.NotDelivered || got.Late {
				t.Errorf("%s: %+v", step, got)
			}
			synctest.Wait()
			if h := r.Health()[0]; h.InUse != 0 {
				t.Errorf("%s: %+v", step, h)
			}
		})
	}
}
