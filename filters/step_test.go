package filters

import (
	"context"
	"sync"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/greylist"
	"gatepost/internal/limit"
	"gatepost/internal/shaping"
)

// TestOneStep shows that what two checks of a row ask is asked in one step for each recipient, whoever comes first, and
// that both see the answers.
func TestOneStep(t *testing.T) {
	shaper := &counting{Stores: shaping.New(limit.NewMemory(0), greylist.NewMemory(0))}
	d := &Deps{Shaper: shaper}
	key := limit.Key{Dimension: limit.Client, Unit: limit.Recipients, Subject: "192.0.2.1/32"}
	d.wants[gateway.Rcpt] = wants{
		takes: func(_ context.Context, _ *gateway.Input, a *shaping.Ask) {
			a.Takes = append(a.Takes, shaping.Take{Charges: []limit.Charge{{Key: key, Rate: limit.Per(3, time.Hour), Cost: 1}}})
		},
		tries: func(_ context.Context, in *gateway.Input, a *shaping.Ask) {
			a.Tries = append(a.Tries, shaping.Try{Key: keyerOf(t).Key("net:192.0.2.0/24", "a@b.example", in.Recipient().Address.Text)})
		},
	}
	in := input(from("192.0.2.1", "x.example"), &gateway.Envelope{Rcpts: make([]gateway.Recipient, 5)})
	for i := range in.Envelope.Rcpts {
		in.Envelope.Rcpts[i].Address.Text = string(rune('a'+i/2)) + "@served.example"
		in.Rcpt = i
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				st := d.step(t.Context(), gateway.Rcpt, in)
				if len(st.Takes) != 1 || len(st.Tries) != 1 || st.Takes[0].Err != nil || st.Tries[0].Err != nil {
					t.Errorf("%+v", st.Ask)
					return
				}
				if want := []greylist.Outcome{greylist.First, greylist.Early}[i%2]; st.Tries[0].Outcome != want {
					t.Errorf("recipient %d: %s, want %s", i, st.Tries[0].Outcome, want)
				}
				if (st.Takes[0].Denied == 0) != (i >= 3) {
					t.Errorf("recipient %d: denied %d", i, st.Takes[0].Denied)
				}
			})
		}
		both.Wait()
	}
	if shaper.calls != 5 {
		t.Errorf("%d steps for 5 recipients", shaper.calls)
	}
	// With one of the checks off its part is absent; with both nobody is asked.
	d.wants[gateway.Rcpt].takes = nil
	in = input(in.Session, &gateway.Envelope{Rcpts: in.Envelope.Rcpts})
	in.Rcpt = 0
	if st := d.step(t.Context(), gateway.Rcpt, in); len(st.Takes) != 0 || len(st.Tries) != 1 {
		t.Errorf("%+v", st.Ask)
	}
	if st := d.step(t.Context(), gateway.Data, in); len(st.Takes)+len(st.Tries) != 0 || shaper.calls != 6 {
		t.Errorf("%+v, %d calls", st.Ask, shaper.calls)
	}
}

// TestBrokenStep shows that an answer is missing, and none taken for another recipient's, where whoever asked broke.
func TestBrokenStep(t *testing.T) {
	d := &Deps{Shaper: brokenShaper{panics: true}}
	d.wants[gateway.Rcpt].tries = func(_ context.Context, _ *gateway.Input, a *shaping.Ask) { a.Tries = append(a.Tries, shaping.Try{}) }
	in := input(from("192.0.2.1", "x.example"), &gateway.Envelope{Rcpts: make([]gateway.Recipient, 1)})
	in.Rcpt = 0
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		d.step(t.Context(), gateway.Rcpt, in)
	}()
	if st := d.step(t.Context(), gateway.Rcpt, in); len(st.Tries) != 1 || st.Tries[0].Err == nil {
		t.Errorf("%+v", st.Ask)
	}
}
