package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestLoops: a stop waits for what ends, names what is late, and does not wait for what never ends.
func TestLoops(t *testing.T) {
	for name, tt := range map[string]struct {
		takes map[string]time.Duration
		wait  time.Duration
		late  string // what the warning names; "" for no warning
		never string // what the error names
	}{
		"at once":   {map[string]time.Duration{"a": 0, "b": 0}, 0, "", ""},
		"soon":      {map[string]time.Duration{"a": lateAfter - 1}, lateAfter - 1, "", ""},
		"late":      {map[string]time.Duration{"a": 0, "c": 5 * time.Second, "b": 3 * time.Second}, 5 * time.Second, `loops="b, c"`, ""},
		"never":     {map[string]time.Duration{"a": 0, "b": time.Hour}, endTime, "loops=b", "b"},
		"last late": {map[string]time.Duration{"a": 3 * time.Second, "b": time.Hour}, endTime, `loops="a, b"`, "b"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var text strings.Builder
				var l loops
				ctx, stop := context.WithCancel(t.Context())
				for name, takes := range tt.takes {
					l.start(name, func() {
						<-ctx.Done()
						time.Sleep(takes)
					})
				}
				synctest.Wait()
				if n := len(strings.Split(l.names(), ", ")); n != len(tt.takes) {
					t.Errorf("%d loops run: %s", n, l.names())
				}
				stop()
				began := time.Now()
				err := l.await(slog.New(slog.NewTextHandler(&text, nil)))
				if took := time.Since(began); took != tt.wait {
					t.Errorf("it took %s, want %s", took, tt.wait)
				}
				if said := text.String(); (tt.late != "") != strings.Contains(said, "still running") || !strings.Contains(said, tt.late) {
					t.Errorf("the log says %s", said)
				}
				switch {
				case tt.never == "" && err != nil, tt.never != "" && (err == nil || !strings.HasSuffix(err.Error(), ": "+tt.never)):
					t.Error(err)
				case err != nil && !strings.Contains(text.String(), "TestLoops"):
					t.Errorf("the log does not show where it hangs: %s", text.String())
				}
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		broken := errors.New("broken")
		well := within(ctx, "well", func() error { return nil })
		fails := within(ctx, "fails", func() error { return broken })
		hangs := within(ctx, "hangs", func() error { time.Sleep(time.Hour); return nil })
		if err := hangs(); !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "hangs: ") {
			t.Error(err)
		}
		if err := well(); err != nil {
			t.Errorf("what has ended in time is an error: %v", err)
		}
		if err := fails(); !errors.Is(err, broken) {
			t.Error(err)
		}
		time.Sleep(2 * time.Hour)
	})
}
