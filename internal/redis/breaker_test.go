package redis

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

var errTest = errors.New("of a test")

// TestBreaker plays a server that hangs for five minutes while it is asked each 10 ms: how many calls are sent, and when
// the first of them finds it well again.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker{first: time.Second, longest: 30 * time.Second}
		start := time.Now()
		var sent []time.Duration
		for time.Since(start) < 6*time.Minute {
			probe, err := b.allow(false)
			if (err != nil) != (KindOf(err) == Held) {
				t.Fatalf("held back with %v", err)
			}
			if err == nil {
				sent = append(sent, time.Since(start))
				if time.Since(start) < 5*time.Minute {
					time.Sleep(50 * time.Millisecond)
					b.report(probe, errTest, Slow, false)
				} else {
					b.report(probe, nil, Fine, false)
				}
			}
			time.Sleep(10 * time.Millisecond)
			if b.health().Kind == Fine {
				break
			}
		}
		h := b.health()
		if h.Opened != 1 || h.Failures[Slow] != uint64(len(sent)-1) || h.Kind != Fine || h.Err != "" {
			t.Errorf("health %+v", h)
		}
		// At 0 s, then 1, 2, 4, 8, 16, 30, 30 ... s after the one before.
		if len(sent) != 15 {
			t.Errorf("%d calls were sent: %v", len(sent), sent)
		}
		for i := 1; i < len(sent); i++ {
			if gap := sent[i] - sent[i-1]; gap < min(time.Second<<(i-1), 30*time.Second) || gap > 31*time.Second {
				t.Errorf("call %d came %v after the one before", i, gap)
			}
		}
		if back := sent[len(sent)-1]; back < 5*time.Minute || back > 5*time.Minute+31*time.Second {
			t.Errorf("well again after %v", back)
		}
		// The wait begins anew with the next failure.
		probe, _ := b.allow(false)
		b.report(probe, errTest, Away, false)
		if h := b.health(); time.Until(h.Until) != time.Second || h.Opened != 2 || h.Kind != Away {
			t.Errorf("opened again: %+v", h)
		}
	})
}

// TestBreakerOneProbe shows that one call at a time probes, that one whose caller leaves says nothing, and that calls from
// before it opened neither close it nor make it wait longer.
func TestBreakerOneProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker{first: time.Second, longest: 30 * time.Second}
		send := func() bool {
			probe, err := b.allow(false)
			if err == nil && !probe && b.health().Kind != Fine {
				t.Fatal("sent while open, and no probe")
			}
			return err == nil
		}
		for range 10 { // ten at once
			if !send() {
				t.Fatal("held back while closed")
			}
		}
		for range 9 {
			b.report(false, errTest, Slow, false)
		}
		b.report(false, nil, Fine, false)
		if h := b.health(); h.Kind != Slow || h.Opened != 1 || time.Until(h.Until) != time.Second {
			t.Fatalf("after ten at once: %+v", h)
		}
		if send() {
			t.Fatal("sent while open")
		}
		time.Sleep(time.Second)
		if !send() || send() {
			t.Fatal("not exactly one probe")
		}
		b.report(true, errTest, Slow, true) // its caller left
		if !send() || send() {
			t.Fatal("the next is no probe")
		}
		b.report(true, errTest, Odd, false) // an error about the call: it answers
		if h := b.health(); h.Kind != Fine {
			t.Fatalf("after a probe that was answered: %+v", h)
		}
		for range 2 {
			if !send() {
				t.Fatal("held back while closed")
			}
		}
	})
}

// TestBreakerProbed shows that where its owner probes, no other call does: a server that hangs for an hour costs the calls of
// mail nothing but those that were on their way when it began.
func TestBreakerProbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker{first: time.Second, longest: 5 * time.Second, probed: true}
		const onTheirWay = 10
		for range onTheirWay {
			if probe, err := b.allow(false); probe || err != nil {
				t.Fatal(probe, err)
			}
		}
		for range onTheirWay {
			b.report(false, errTest, Slow, false)
		}
		probes := 0
		for began := time.Now(); time.Since(began) < time.Hour; time.Sleep(100 * time.Millisecond) {
			if _, err := b.allow(false); KindOf(err) != Held {
				t.Fatalf("a call of mail: %v", err)
			}
			if probe, err := b.allow(true); err == nil {
				probes++
				b.report(probe, errTest, Slow, false)
			}
		}
		if h := b.health(); h.Failures[Slow] != onTheirWay+uint64(probes) || probes < 700 || probes > 725 {
			t.Errorf("%d probes, %+v", probes, h)
		}
		time.Sleep(5 * time.Second)
		probe, err := b.allow(true)
		if !probe || err != nil {
			t.Fatal(probe, err)
		}
		b.report(probe, nil, Fine, false)
		if _, err := b.allow(false); err != nil {
			t.Errorf("well again: %v", err)
		}
	})
}
