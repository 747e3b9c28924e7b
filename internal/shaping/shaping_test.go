package shaping

import (
	"testing"
	"testing/synctest"
	"time"

	"gatepost/greylist"
	"gatepost/internal/limit"
)

// TestDo shows that takes and tries of one step each get the answer of their store.
func TestDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(limit.NewMemory(0), greylist.NewMemory(0))
		charge := limit.Charge{Key: limit.Key{Dimension: limit.Client, Unit: limit.Connections, Subject: "192.0.2.1/32"},
			Rate: limit.Per(1, time.Minute), Cost: 1}
		keyer, err := greylist.NewKeyer(make([]byte, greylist.LeastKey))
		if err != nil {
			t.Fatal(err)
		}
		key := keyer.Key("net:192.0.2.0/24", "a@sender.example", "b@rcpt.example")
		for i, want := range []struct {
			denied int
			came   greylist.Outcome
		}{{-1, greylist.First}, {0, greylist.Early}} {
			a := Ask{Takes: []Take{{Charges: []limit.Charge{charge}}, {}}, Tries: []Try{{Key: key}}}
			s.Do(t.Context(), &a)
			if a.Takes[0].Err != nil || a.Takes[0].Denied != want.denied || a.Tries[0].Err != nil || a.Tries[0].Outcome != want.came {
				t.Errorf("step %d: %+v", i, a)
			}
			if a.Takes[1].Err == nil {
				t.Errorf("step %d: a take of nothing has an answer", i)
			}
			time.Sleep(time.Second)
		}
	})
}
