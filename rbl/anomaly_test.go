package rbl

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// second is another list of addresses.
func second(t testing.TB) Entry {
	e := entry(t, "spamcop")
	e.List.Name, e.List.Zone = "other", "other.example"
	return e
}

// ordinary shows the lists 2,000 networks of which one in ten is listed.
func ordinary(t *testing.T, s *Supervisor, w *world) {
	t.Helper()
	for i := range 2000 {
		if i%10 == 0 {
			w.set(fmt.Sprintf("9.%d.%d.198.%s", i&255, i>>8, zone), reply{addrs: "127.0.0.2"})
		}
		check(t, s, w, i)
	}
}

// TestAnomaly: a list whose test points are fine turns against nearly everybody whom it cleared before. Alone it is suspended,
// and stays away longer each time; where another list agrees, the world has changed, and it stays.
func TestAnomaly(t *testing.T) {
	for _, agrees := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := healthy(zone, "other.example")
			s, changes := supervise(t, entry(t, "spamcop"), second(t))
			s.Probe(t.Context(), w, time.Now())
			changes.take()
			ordinary(t, s, w)
			expect(t, "ordinary", changes.take(), "")
			w.set("*.198."+zone, reply{addrs: "127.0.0.2"})
			if agrees {
				w.set("*.198.other.example", reply{addrs: "127.0.0.2"})
			}
			for i := range 1000 {
				check(t, s, w, 500+i)
			}
			want := "spamcop: armed to suspended anomaly"
			if agrees {
				want = ""
			}
			expect(t, fmt.Sprintf("agrees %v", agrees), changes.take(), want)
			if agrees {
				return
			}
			back := cleared(s, 2000)
			for range 3 { // it goes on, and so the wait grows
				away := time.Until(s.Status(time.Now())[0].NextTest)
				time.Sleep(away)
				s.Probe(t.Context(), w, time.Now())
				for _, i := range back[:hitWindow-1] { // what was before does not count again
					expect(t, "afresh", check(t, s, w, i), "listed;not listed")
				}
				check(t, s, w, back[hitWindow])
				expect(t, "again", changes.take(), "spamcop: suspended to armed; spamcop: armed to suspended anomaly")
				if more := time.Until(s.Status(time.Now())[0].NextTest); more <= away {
					t.Errorf("the wait is %v after %v", more, away)
				}
			}
		})
	}
}

// cleared are those of the first n networks that the first list remembers to have cleared.
func cleared(s *Supervisor, n int) (out []int) {
	for i := range n {
		if who := s.who(question{addr: client(i).Client}); s.lists[0].hits.cleared[who%hitCleared] == who {
			out = append(out, i)
		}
	}
	return out
}

// TestBotnetSwitchesNoListOff: thousands of listed hosts that nobody has seen before, known to one list alone, are what this list
// is for: none of them is let in because they are many.
func TestBotnetSwitchesNoListOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := healthy(zone)
		s, changes := supervise(t, entry(t, "spamcop"))
		s.Probe(t.Context(), w, time.Now())
		ordinary(t, s, w)
		changes.take()
		w.set("*.198."+zone, reply{addrs: "127.0.0.2"})
		for i := range 5000 {
			if got := check(t, s, w, 10000+i); got != "listed" {
				t.Fatalf("%d: %s", i, got)
			}
		}
		expect(t, "changes", changes.take(), "")
	})
}

// TestNobodySwitchesAListOff: one listed network that floods, and one listed domain with a million names, are one each.
func TestNobodySwitchesAListOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dbl := entry(t, "spamhaus-dbl")
		w := healthy(zone)
		w.set("dbltest.com."+dbl.List.Zone, reply{addrs: "127.0.1.2"})
		s, changes := supervise(t, entry(t, "spamcop"), dbl)
		s.Probe(t.Context(), w, time.Now())
		ordinary(t, s, w)
		for i := range 2000 {
			s.Check(t.Context(), w, time.Now(), Subject{From: fmt.Sprintf("www.d%d.example", i)})
		}
		changes.take()
		w.set("*.66.66.198."+zone, reply{addrs: "127.0.0.2"})
		w.set("*.spam.example."+dbl.List.Zone, reply{addrs: "127.0.1.2"})
		for i := range 2000 {
			for _, res := range s.Check(t.Context(), w, time.Now(), Subject{
				Client: netip.AddrFrom4([4]byte{198, 66, 66, byte(i)}), From: fmt.Sprintf("x%d.spam.example", i)}) {
				if res.Verdict != Listed {
					t.Fatalf("%d: %+v", i, res)
				}
			}
		}
		expect(t, "changes", changes.take(), "")
	})
}

// TestVolume: the warning comes once at 80 %, again a day later, and hours are forgotten.
func TestVolume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := entry(t, "spamcop")
		e.List.Quota = 1000
		w := healthy(zone)
		s, changes := supervise(t, e)
		s.Probe(t.Context(), w, time.Now())
		changes.take()
		for i := range 796 {
			check(t, s, w, i)
		}
		if st := s.Status(time.Now())[0]; st.Queries != 799 || st.Warning {
			t.Errorf("%d, %v", st.Queries, st.Warning)
		}
		expect(t, "below", changes.take(), "")
		for i := range 100 {
			check(t, s, w, i)
		}
		expect(t, "above", changes.take(), "spamcop: 800 queries in 24 hours, 1000 are free")
		if st := s.Status(time.Now())[0]; st.Queries != 899 || !st.Warning {
			t.Errorf("%d, %v", st.Queries, st.Warning)
		}
		time.Sleep(23 * time.Hour)
		if st := s.Status(time.Now())[0]; st.Queries != 899 {
			t.Errorf("%d", st.Queries)
		}
		time.Sleep(time.Hour)
		if st := s.Status(time.Now())[0]; st.Queries != 0 || st.Warning {
			t.Errorf("%d", st.Queries)
		}
		for i := range 900 {
			check(t, s, w, i)
		}
		expect(t, "next day", changes.take(), "spamcop: 800 queries in 24 hours, 1000 are free")
		time.Sleep(1000 * time.Hour)
		if st := s.Status(time.Now())[0]; st.Queries != 0 {
			t.Errorf("%d", st.Queries)
		}
	})
}

// TestMeterClock holds the meter against a count of all times, with a clock that jumps both ways.
func TestMeterClock(t *testing.T) {
	var m meter
	at := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	m.add(at, 5, 0)
	m.add(at.Add(-5*time.Hour), 7, 0)
	if m.sum() != 12 {
		t.Errorf("%d after the clock went back", m.sum())
	}
	m.add(at.Add(23*time.Hour), 1, 0)
	if m.sum() != 13 {
		t.Errorf("%d", m.sum())
	}
	m.add(at.Add(24*time.Hour), 1, 0)
	if m.sum() != 2 {
		t.Errorf("%d", m.sum())
	}
}

// TestStatusHidesKeys prints all that a supervisor shows.
func TestStatusHidesKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := entry(t, "spamhaus-zen-dqs")
		name := "2.0.0.127." + testKey + ".zen.dq.spamhaus.net"
		w := newWorld(map[string]reply{name: {err: servFail(name)}})
		var all strings.Builder
		s, err := NewSupervisor([]Entry{e}, func(c Change) { fmt.Fprintf(&all, "%+v\n", c) })
		if err != nil {
			t.Fatal(err)
		}
		s.Probe(t.Context(), w, time.Now())
		w.set(name, reply{addrs: "127.255.255.250"})
		time.Sleep(time.Hour)
		s.Probe(t.Context(), w, time.Now())
		fmt.Fprintf(&all, "%+v\n%+v", s.Status(time.Now()), s.Check(t.Context(), w, time.Now(), client(1)))
		if strings.Contains(all.String(), testKey) || !strings.Contains(all.String(), "the key is disabled") && !strings.Contains(all.String(), "error code") {
			t.Error(all.String())
		}
	})
}
