package greylist

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestSettings(t *testing.T) {
	const day = 24 * time.Hour
	if err := (Settings{}).Check(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	if got, want := (Settings{}).Filled(), (Settings{2 * time.Minute, 2 * day, 36 * day, 2, day}); got != want {
		t.Errorf("the defaults are %+v, want %+v", got, want)
	}
	if got := (Settings{Delay: time.Second + 1}).Filled().Delay; got != time.Second {
		t.Errorf("a delay with less than milliseconds is %v", got)
	}
	for _, s := range []Settings{
		{Delay: time.Second}, {Delay: day, Window: 25 * time.Hour}, {Window: 30 * day}, {Window: time.Hour + 2*time.Minute, Keep: time.Hour + 2*time.Minute, Within: time.Hour},
		{Keep: 400 * day}, {Within: 36 * day}, {Passes: -1}, {Passes: MaxPasses},
	} {
		if err := s.Check(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
	for _, c := range []struct {
		s    Settings
		want string
	}{
		{Settings{Delay: time.Second - 1}, "delay is 999ms, not from 1s to 24h0m0s"},
		{Settings{Delay: -time.Second}, "delay is"},
		{Settings{Delay: 25 * time.Hour}, "delay is"},
		{Settings{Window: time.Hour}, "window is 1h0m0s, not from 1h2m0s to 720h0m0s"},
		{Settings{Window: 31 * day}, "window is"},
		{Settings{Keep: day}, "keep is"},
		{Settings{Keep: 401 * day}, "keep is"},
		{Settings{Within: time.Minute}, "within is"},
		{Settings{Within: 37 * day}, "within is"},
		{Settings{Passes: 16}, "passes is 16, over 15"},
	} {
		if err := c.s.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", c.s, err, c.want)
		}
	}
}

func TestOutcome(t *testing.T) {
	for o, want := range map[Outcome]string{Unknown: "unknown", First: "first", Early: "early", Passed: "passed", Known: "known", Exempt: "exempt", 200: "unknown"} {
		if got := o.String(); got != want {
			t.Errorf("%d is %s, want %s", o, got, want)
		}
		if hold := (Answer{Outcome: o}).Hold(); hold != (o == First || o == Early) {
			t.Errorf("%s is held: %v", o, hold)
		}
	}
}

// TestStrangerWaitsTheDelayAtMost tries as strangers do, at random times of a clock that runs forward and with settings
// that stay, and shows that each passes with its first try that is Delay or more after its first one, if that is within
// the window; that what it is told is when that is; and that nobody passes before.
func TestStrangerWaitsTheDelayAtMost(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	for range 20000 {
		s := Settings{
			Delay:  time.Second + time.Duration(r.Int64N(int64(time.Hour))),
			Window: 3*time.Hour + time.Duration(r.Int64N(int64(48*time.Hour))),
			Passes: -1,
		}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		s = s.Filled()
		now := time.UnixMilli(1_795_000_000_000).Add(time.Duration(r.Int64N(int64(time.Second))))
		first, told := now, s.Delay
		record, passes, a := Decide(0, 0, s, now)
		if a.Outcome != First || a.Wait != s.Delay {
			t.Fatalf("first: %+v", a)
		}
		for a.Hold() {
			// Most tries are near the moment that was told.
			step := time.Duration(r.Int64N(int64(told) + int64(time.Second)))
			if r.IntN(20) == 0 {
				step = time.Duration(r.Int64N(int64(s.Window)))
			}
			if r.IntN(10) == 0 {
				step = told
			}
			now = now.Add(step)
			record, passes, a = Decide(record, passes, s, now)
			since := now.Truncate(time.Millisecond).Sub(first.Truncate(time.Millisecond))
			switch {
			case since >= s.Window:
				if a.Outcome != First {
					t.Fatalf("after the window of %v: %+v", s.Window, a)
				}
				first = now
			case since >= s.Delay:
				if a.Outcome != Passed || a.Waited != since {
					t.Fatalf("%v after the first try, with a delay of %v: %+v", since, s.Delay, a)
				}
			default:
				if a.Outcome != Early || since+a.Wait != s.Delay {
					t.Fatalf("%v after the first try, with a delay of %v: %+v", since, s.Delay, a)
				}
			}
			told = a.Wait
		}
	}
}

// TestClockLocksNobodyOut moves the clock at random, by years too, and shows that nobody is ever told to wait longer than
// the delay, that who waits that long without another change of the clock passes, and that what passed never waits again
// unless the clock went forward by Keep.
func TestClockLocksNobodyOut(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	s := Settings{Passes: -1}.Filled()
	for range 20000 {
		record, passes := Record(0), Passes(0)
		now := time.UnixMilli(1_795_000_000_000)
		latest := time.Time{} // where it passed, or was known
		for range 20 {
			jump := time.Duration(r.NormFloat64() * float64([]time.Duration{time.Second, time.Hour, 30 * 24 * time.Hour, 3 * 365 * 24 * time.Hour}[r.IntN(4)]))
			if now = now.Add(jump); r.IntN(200) == 0 {
				now = time.Unix(r.Int64N(1<<33)-1<<32, 0)
			}
			var a Answer
			record, passes, a = Decide(record, passes, s, now)
			if a.Wait < 0 || a.Wait > s.Delay || a.Waited < 0 || a.Waited >= s.Window || a.Hold() != (a.Wait > 0) {
				t.Fatalf("at %v: %+v", now, a)
			}
			if !latest.IsZero() && a.Hold() && now.Sub(latest) < s.Keep {
				t.Fatalf("passed at %v, and at %v: %+v", latest, now, a)
			}
			if latest = now; a.Hold() {
				latest = time.Time{}
				if _, _, next := Decide(record, passes, s, now.Add(max(a.Wait, time.UnixMilli(leastTime).Add(a.Wait).Sub(now)))); next.Outcome != Passed {
					t.Fatalf("told at %v to wait %v, and then: %+v", now, a.Wait, next)
				}
			}
		}
	}
}

// TestRecordsFit shows that whatever the clock says and stores held, what is written is a number that Lua has.
func TestRecordsFit(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 3))
	times := []time.Time{{}, time.Unix(0, 0), time.UnixMilli(mostTime), time.Unix(1<<40, 0), time.UnixMilli(1_795_000_000_000)}
	for range 100000 {
		record, passes := Record(r.Int64()-1<<62), Passes(r.Int64()-1<<62)
		for range 4 {
			var a Answer
			now := times[r.IntN(len(times))]
			record, passes, a = Decide(record, passes, Settings{Passes: r.IntN(17) - 1}, now)
			if a.Outcome == Unknown || a.Wait < 0 || a.Wait > DefaultDelay {
				t.Fatalf("at %v: %+v", now, a)
			}
			if a.Outcome == Exempt {
				record = 0 // it was not looked at
			}
		}
		if max(record, -record) > mostTime || int64(max(passes, -passes)) >= 1<<53 {
			t.Fatalf("%d, %d", record, passes)
		}
	}
}

// TestOwnClock shows that a Memory runs on the clock of the process where no time is passed in.
func TestOwnClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, k := NewMemory(0), Key{}
		try := func(want Answer) {
			t.Helper()
			if got, _ := m.Try(context.Background(), k, Settings{}, time.Time{}); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		}
		try(Answer{Outcome: First, Wait: 2 * time.Minute})
		time.Sleep(119 * time.Second)
		try(Answer{Outcome: Early, Wait: time.Second})
		time.Sleep(time.Second)
		try(Answer{Outcome: Passed, Waited: 2 * time.Minute})
	})
}
