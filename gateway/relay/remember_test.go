package relay

import (
	"encoding/json"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

// What a next hop said is known after a restart while it is away, and forgotten when it says something else; a restart
// does not take it for reached.
func TestRemembered(t *testing.T) {
	f := newFake(t, append([]string{"CHUNKING", "LIMITS RCPTMAX=50"}, everything...)...)
	before := newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: None, Timeouts: long()})
	if got := before.Relay(t.Context(), delivery(small)); got.Result != gateway.Delivered {
		t.Fatalf("got %+v", got)
	}
	want := before.Carries("inner")
	text, err := json.Marshal(before.pools.Remembered())
	if err != nil {
		t.Fatal(err)
	}
	var list []Remembered
	if err := json.Unmarshal(text, &list); err != nil || len(list) != 1 {
		t.Fatalf("%s: %v", text, err)
	}
	pools := NewPools(nil, nil)
	pools.Recall(list)
	after, err := New(pools, []Route{{Name: "inner", Hostname: "mx", Hops: []Hop{f.hop(), {Host: "a.example"}}, TLS: None, Timeouts: long()},
		{Name: "store", Hostname: "mx", Hops: []Hop{f.hop()}, LMTP: true, TLS: None, Timeouts: long()}})
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	if got := after.Carries("inner"); got != want || !got.EightBit || got.Size == 0 {
		t.Errorf("after a restart %+v, before %+v", got, want)
	}
	if got := after.Carries("store"); got.Known {
		t.Errorf("by another protocol: %+v", got)
	}
	for _, h := range after.Health() {
		if !h.LearnedAt.IsZero() || h.RecalledAt.IsZero() != (h.NextHop != f.hop().Address() || h.LMTP) {
			t.Errorf("health %+v", h)
		}
	}
	if !reflect.DeepEqual(pools.Remembered(), list) {
		t.Errorf("a second restart keeps %+v of %+v", pools.Remembered(), list)
	}
	f.mu.Lock()
	f.offers = []string{"PIPELINING"}
	f.mu.Unlock()
	if got := after.Relay(t.Context(), delivery(small)); got.Result != gateway.Delivered {
		t.Errorf("got %+v", got)
	}
	if got := after.Carries("inner"); got.EightBit || got.Size != 0 {
		t.Errorf("it said something else: %+v", got)
	}
	if got := pools.Remembered(); len(got) != 1 || got[0].EightBit {
		t.Errorf("kept: %+v", got)
	}
}

// What is in the list is bounded in number and time, whoever wrote it.
func TestRecallBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		pools := NewPools(nil, nil)
		list := []Remembered{{NextHop: "old:25", At: now.Add(-31 * 24 * time.Hour)}, {NextHop: "future:25", At: now.Add(time.Hour)},
			{NextHop: "", At: now}, {NextHop: "size:25", At: now, Size: -1}, {NextHop: "rcpt:25", At: now, Recipients: -1}, {NextHop: "good:25", At: now}}
		pools.Recall(list)
		if got := pools.Remembered(); len(got) != 1 || got[0].NextHop != "good:25" {
			t.Errorf("got %+v", got)
		}
		var many []Remembered
		for range 3000 {
			many = append(many, Remembered{NextHop: string(rune('a'+len(many)%26)) + time.Duration(len(many)).String(), At: now})
		}
		pools.Recall(many)
		if got := pools.Remembered(); len(got) != maxRemembered {
			t.Errorf("%d are kept", len(got))
		}
		time.Sleep(31 * 24 * time.Hour)
		if got := pools.Remembered(); len(got) != 0 {
			t.Errorf("%d are kept for ever", len(got))
		}
	})
}
