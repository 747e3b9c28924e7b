package gateway

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestAheadMail: what the Mail stage needs is begun with the Helo stage where that waits, has ended when the Mail stage
// has, and takes nobody with it when it panics.
func TestAheadMail(t *testing.T) {
	for _, ready := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) { // a client that is refused causes no lookup more
			pl, in := pipelineInput()
			pl.AheadMail = []func(context.Context, *Input){func(context.Context, *Input) { t.Error("begun for a client that is refused") }}
			pl.Rows[Helo] = []Row{{Checks: []Check{{Name: "a", Stage: Helo, Ready: func(*Input) bool { return ready }}}}}
			in.Session.Findings = []Finding{{Check: "b", Stage: Connect, Result: Fail, Reason: RBLListed, Rcpt: -1}}
			in.Session.Snapshot.Policy.Checks["a"] = CheckPolicy{Action: ActionScore}
			in.Session.Snapshot.Policy.Checks["b"] = CheckPolicy{Action: ActionReject}
			if v := pl.Run(t.Context(), Helo, in); v.Outcome != Reject {
				t.Errorf("%v", v.Explain())
			}
		})
		synctest.Test(t, func(t *testing.T) {
			pl, in := pipelineInput()
			var begun, ended atomic.Int32
			pl.AheadMail = []func(context.Context, *Input){
				func(_ context.Context, in *Input) {
					begun.Add(1)
					Fact(&in.Envelope.Facts, "slow", func() int { time.Sleep(time.Second); return 7 })
					ended.Add(1)
				},
				func(context.Context, *Input) { panic("fault") },
			}
			pl.Rows[Helo] = []Row{{Checks: []Check{{Name: "a", Stage: Helo, Ready: func(*Input) bool { return ready },
				Run: func(context.Context, *Input) Finding {
					if !ready {
						time.Sleep(time.Second)
					}
					return Passed()
				}}}}}
			in.Session.Snapshot.Policy.Checks["a"] = CheckPolicy{Action: ActionScore}
			start := time.Now()
			pl.Run(t.Context(), Helo, in)
			pl.Run(t.Context(), Mail, in)
			want, took := int32(1), time.Second
			if ready {
				want, took = 0, 0
			}
			if begun.Load() != want || ended.Load() != want || time.Since(start) != took {
				t.Errorf("ready %v: begun %d, ended %d, after %v", ready, begun.Load(), ended.Load(), time.Since(start))
			}
		})
	}
}

// TestFactIsWaitedForByMany: time passes for those who wait for a fact that another computes, also when it cannot be told.
func TestFactIsWaitedForByMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var facts Facts
		var told, untold atomic.Int32
		for range 5 {
			go func() {
				if Fact(&facts, "n", func() int { time.Sleep(time.Second); return 7 }) == 7 {
					told.Add(1)
				}
			}()
			go func() {
				defer func() { _ = recover() }()
				if Fact(&facts, "broken", func() string { time.Sleep(time.Second); panic("fault") }) == "" {
					untold.Add(1)
				}
			}()
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if told.Load() != 5 || untold.Load() != 4 || !Known(&facts, "broken") {
			t.Errorf("%d were told, %d were not", told.Load(), untold.Load())
		}
	})
}
