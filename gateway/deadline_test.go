package gateway

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

type keyOfTest struct{}

// TestWithin shows that Within is context.WithDeadline to everybody who asks.
func TestWithin(t *testing.T) {
	made := map[string]func(context.Context, time.Time) (context.Context, context.CancelFunc){
		"context": context.WithDeadline, "gateway": func(ctx context.Context, until time.Time) (context.Context, context.CancelFunc) {
			w := Within(ctx, until)
			return w, w.End
		}}
	for name, make := range made {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { behaves(t, make) })
		})
	}
}

func behaves(t *testing.T, make func(context.Context, time.Time) (context.Context, context.CancelFunc)) {
	parent, cancel := context.WithCancelCause(context.WithValue(context.Background(), keyOfTest{}, "kept"))
	in := func(d time.Duration) (context.Context, context.CancelFunc) { return make(parent, time.Now().Add(d)) }

	waited, end := in(time.Minute)
	if waited.Err() != nil || waited.Value(keyOfTest{}) != "kept" {
		t.Fatalf("at first: %v, %v", waited.Err(), waited.Value(keyOfTest{}))
	}
	child, endChild := context.WithCancel(waited)
	began := time.Now()
	<-waited.Done()
	if took := time.Since(began); took != time.Minute || !errors.Is(waited.Err(), context.DeadlineExceeded) {
		t.Errorf("after its time: %v, %v", took, waited.Err())
	}
	synctest.Wait()
	if !errors.Is(child.Err(), context.DeadlineExceeded) {
		t.Errorf("its child: %v", child.Err())
	}
	endChild()
	end()

	asked, end := in(time.Minute) // by Err alone
	time.Sleep(time.Minute + 1)
	if !errors.Is(asked.Err(), context.DeadlineExceeded) || !errors.Is(context.Cause(asked), context.DeadlineExceeded) {
		t.Errorf("asked after its time: %v, %v", asked.Err(), context.Cause(asked))
	}
	end()

	ended, end := in(time.Minute)
	end()
	if !errors.Is(ended.Err(), context.Canceled) {
		t.Errorf("given back: %v", ended.Err())
	}
	<-ended.Done()

	sooner, endSooner := in(time.Second)
	later, end := make(sooner, time.Now().Add(time.Hour))
	if until, ok := later.Deadline(); !ok || time.Until(until) != time.Second {
		t.Errorf("deadline of the parent: %v %v", until, ok)
	}
	end()
	endSooner()

	why := errors.New("why")
	held, end := in(time.Minute)
	fired := 0
	stop := context.AfterFunc(held, func() { fired++ })
	dropped := context.AfterFunc(held, func() { fired += 10 })
	dropped()
	cancel(why)
	synctest.Wait()
	if fired != 1 || stop() || !errors.Is(held.Err(), context.Canceled) || !errors.Is(context.Cause(held), why) {
		t.Errorf("parent ended: fired %d, %v, %v", fired, held.Err(), context.Cause(held))
	}
	end()
}

// TestWithinWaitsForNothing shows what it is for.
func TestWithinWaitsForNothing(t *testing.T) {
	n := testing.AllocsPerRun(100, func() {
		ctx := Within(t.Context(), time.Now().Add(time.Minute))
		_ = ctx.Err()
		ctx.End()
	})
	if n > 1 {
		t.Errorf("%v allocations, want the context alone", n)
	}
}
