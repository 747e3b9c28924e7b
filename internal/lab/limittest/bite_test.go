package limittest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/internal/limit"
)

// broken is a Store that does one thing wrong.
type broken struct {
	*limit.Memory
	take func(m *limit.Memory, charges []limit.Charge) (limit.Answer, error)
}

func (b broken) Take(_ context.Context, charges []limit.Charge) (limit.Answer, error) {
	return b.take(b.Memory, charges)
}

// failing is a test that may fail without the test that it is in.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Helper() {}
func (f *failing) Fatal(args ...any) {
	f.said = fmt.Sprint(args...)
	runtime.Goexit()
}
func (f *failing) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// TestCasesBite shows that a Store which is wrong in one thing does not pass, and which case says so.
func TestCasesBite(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name, found string
		take        func(m *limit.Memory, charges []limit.Charge) (limit.Answer, error)
	}{
		{"lets all pass", "burst", func(m *limit.Memory, charges []limit.Charge) (limit.Answer, error) {
			_, err := m.Take(ctx, charges)
			return limit.Answer{Denied: -1}, err
		}},
		{"counts each for itself", "all or nothing", func(m *limit.Memory, charges []limit.Charge) (limit.Answer, error) {
			if err := limit.Check(charges); err != nil {
				return limit.Answer{}, err
			}
			all := limit.Answer{Denied: -1}
			for i := range charges {
				a, _ := m.Take(ctx, charges[i:i+1])
				if a.Over != 0 {
					all.Over |= 1 << i
				}
				if a.Wait > all.Wait {
					all.Denied, all.Wait = i, a.Wait
				}
			}
			return all, nil
		}},
		{"tells the last that denies", "the longest wait is told", func(m *limit.Memory, charges []limit.Charge) (limit.Answer, error) {
			a, err := m.Take(ctx, charges)
			for i := range charges {
				if a.Denied >= 0 && a.Over&(1<<i) != 0 && !charges[i].Observed {
					a.Denied = i
				}
			}
			return a, err
		}},
		{"enforces what is observed", "observed", func(m *limit.Memory, charges []limit.Charge) (limit.Answer, error) {
			for i := range charges {
				charges[i].Observed = false
			}
			return m.Take(ctx, charges)
		}},
		{"counts what only asks", "asked", func(m *limit.Memory, charges []limit.Charge) (limit.Answer, error) {
			for i := range charges {
				charges[i].Asked = false
			}
			return m.Take(ctx, charges)
		}},
		{"ignores the cost", "cost", func(m *limit.Memory, charges []limit.Charge) (limit.Answer, error) {
			for i := range charges {
				charges[i].Cost = min(charges[i].Cost, 1)
			}
			return m.Take(ctx, charges)
		}},
		{"waits a whole burst", "burst", func(m *limit.Memory, charges []limit.Charge) (limit.Answer, error) {
			a, err := m.Take(ctx, charges)
			if !a.OK() {
				a.Wait = charges[a.Denied].Rate.Full()
			}
			return a, err
		}},
		{"knows no reputation", "keys differ", func(m *limit.Memory, charges []limit.Charge) (limit.Answer, error) {
			for i := range charges {
				charges[i].Key.Reputation = 0
			}
			return m.Take(ctx, charges)
		}},
		{"tells nobody's distance", "held until at rest", func(m *limit.Memory, charges []limit.Charge) (limit.Answer, error) {
			return m.Take(ctx, slices.Clone(charges))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, one := range Cases() {
					if one.Name == c.found {
						f := &failing{TB: t}
						done := make(chan struct{})
						go func() {
							defer close(done)
							m := limit.NewMemory(0)
							one.Run(f, World{Store: broken{m, c.take}, Now: time.Now, Pass: time.Sleep, Held: m.Held})
						}()
						<-done
						if f.said == "" {
							t.Fatalf("case %q finds nothing", c.found)
						}
						return
					}
				}
				t.Fatalf("no case %q", c.found)
			})
		})
	}
}
