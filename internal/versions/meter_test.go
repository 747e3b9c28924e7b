package versions

import (
	"testing"
	"testing/synctest"
	"time"
)

// come has so much mail come in each minute of a while, of which a part is accepted.
func come(m *Meter, minutes, accepted, refused int) {
	for range minutes {
		for i := range 60 {
			for range (accepted*(i+1))/60 - accepted*i/60 {
				m.Count(true)
			}
			for range (refused*(i+1))/60 - refused*i/60 {
				m.Count(false)
			}
			time.Sleep(time.Second)
		}
	}
}

// TestGuard shows when a version is undone by what becomes of mail, and when not.
func TestGuard(t *testing.T) {
	usual := Guard{Watch: 30 * time.Minute, Share: 0.5, Least: 100}
	for name, c := range map[string]struct {
		guard          Guard
		before, since  [2]int // accepted and refused a minute
		minutes, quiet int
		undone         bool
	}{
		"as before":              {usual, [2]int{60, 60}, [2]int{60, 60}, 29, 0, false},
		"nothing any more":       {usual, [2]int{60, 60}, [2]int{0, 120}, 5, 0, true},
		"hardly anything":        {usual, [2]int{60, 60}, [2]int{10, 110}, 5, 0, true},
		"a wave of spam":         {usual, [2]int{60, 60}, [2]int{60, 900}, 29, 0, false},
		"a quiet night":          {usual, [2]int{60, 60}, [2]int{6, 6}, 29, 0, false},
		"too little to judge":    {usual, [2]int{60, 60}, [2]int{0, 3}, 29, 0, false},
		"too little before":      {usual, [2]int{1, 0}, [2]int{0, 60}, 29, 0, false},
		"nothing before":         {usual, [2]int{0, 60}, [2]int{0, 60}, 29, 0, false},
		"switched off":           {Guard{Share: 0.5, Least: 100}, [2]int{60, 60}, [2]int{0, 120}, 29, 0, false},
		"later than it watches":  {usual, [2]int{60, 60}, [2]int{0, 120}, 5, 31, false},
		"less than the share is": {Guard{Watch: 30 * time.Minute, Share: 0.1, Least: 100}, [2]int{60, 60}, [2]int{10, 110}, 29, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, newMemory())
				defer w.end()
				w.daemon.mu.Lock()
				w.guard = c.guard
				w.daemon.mu.Unlock()
				w.publish(t, "one\n", 0)
				if err := w.Confirm(t.Context(), 2); err != nil {
					t.Fatal(err)
				}
				come(w.meter, 90, c.before[0], c.before[1])
				w.publish(t, "two\n", 0)
				come(w.meter, c.quiet, c.before[0], c.before[1])
				come(w.meter, c.minutes, c.since[0], c.since[1])
				if c.undone {
					w.is(t, 4, "one\n")
				} else {
					w.is(t, 3, "two\n")
				}
				time.Sleep(time.Hour)
			})
		})
	}
}

// TestGuardEnds shows that a version which somebody confirmed stays, and that one that somebody went back to does too.
func TestGuardEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory())
		defer w.end()
		w.daemon.mu.Lock()
		w.guard = Guard{Watch: 30 * time.Minute, Share: 0.5, Least: 100}
		w.daemon.mu.Unlock()
		come(w.meter, 60, 60, 60)
		w.publish(t, "one\n", 0)
		if err := w.Confirm(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		come(w.meter, 10, 0, 120)
		w.is(t, 2, "one\n")
		come(w.meter, 60, 60, 60)
		if _, err := w.Rollback(t.Context(), 1, Proposal{Expect: 2}); err != nil {
			t.Fatal(err)
		}
		come(w.meter, 10, 0, 120)
		w.is(t, 3, "file\n")
	})
}
