package rbl

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// TestRenew: a list that stays as it was stays armed, with its meter, whatever comes and goes beside it; one whose key, use or
// rules changed proves itself again; and what the one in use learns wakes the Run of the new one.
func TestRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cop, psbl := entry(t, "spamcop"), entry(t, "psbl")
		w := healthy(cop.List.Zone, psbl.List.Zone)
		s, changes := supervise(t, cop)
		s.Probe(t.Context(), w, time.Now())
		expect(t, "first", changes.take(), "spamcop: unarmed to armed")

		same, err := s.Renew([]Entry{cop})
		if err != nil || same != s {
			t.Errorf("the same lists make another: %v", err)
		}
		next, err := s.Renew([]Entry{psbl, cop})
		if err != nil {
			t.Fatal(err)
		}
		states := func(s *Supervisor) (out string) {
			for _, st := range s.Status(time.Now()) {
				out += fmt.Sprintf("%s %v %d;", st.Name, st.State, st.Queries)
			}
			return out
		}
		expect(t, "renewed", states(next), "psbl unarmed 0;spamcop armed 3;")
		next.Probe(t.Context(), w, time.Now())
		expect(t, "proved", states(next), "psbl armed 3;spamcop armed 3;")
		if res := s.Check(t.Context(), w, time.Now(), client(1)); len(res) != 1 {
			t.Errorf("the old one knows %d lists", len(res))
		}
		expect(t, "both count", states(next), "psbl armed 3;spamcop armed 4;")
		changes.take()

		// A session of the old policy sees the list fail: the new one's Run asks the test points at its time.
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go next.Run(ctx, w)
		time.Sleep(2 * time.Minute)
		w.set("9.1.0.198."+cop.List.Zone, reply{addrs: "127.255.255.254"})
		w.set("2.0.0.127."+cop.List.Zone, reply{addrs: "127.255.255.254"})
		expect(t, "an error code", check(t, s, w, 1), "unhealthy error code")
		time.Sleep(2 * time.Second)
		expect(t, "found by the other", changes.take(), "spamcop: armed to suspended error code")
		expect(t, "shared", states(s), "spamcop suspended 8;")

		for _, edit := range []func(*Entry){func(e *Entry) { e.Use = Commercial }, func(e *Entry) { e.List.Rules[0].Weight = 1 },
			func(e *Entry) { e.Key, _ = NewKey("a") }} {
			other := entry(t, "psbl")
			edit(&other)
			changed, err := next.Renew([]Entry{other})
			if err != nil || changed == next || changed.Status(time.Now())[0].State != Unarmed {
				t.Errorf("%+v: %v", other, err)
			}
		}
		if _, err := next.Renew([]Entry{cop, cop}); err == nil {
			t.Error("a list twice is taken")
		}
	})
}

// TestBusyResolver: what was never asked, since the resolver had too much to do, is no list's failure: a flood of clients must not
// switch off the lists that would refuse it. It is told as such though it is told only as the time ends.
func TestBusyResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cop := entry(t, "spamcop")
		w := healthy(cop.List.Zone)
		s, changes := supervise(t, cop)
		s.Probe(t.Context(), w, time.Now())
		changes.take()
		for i := range 30 {
			w.set(fmt.Sprintf("9.%d.0.198.%s", i, cop.List.Zone), reply{err: fmt.Errorf("lookup: %w", ErrBusy), after: time.Duration(i%2) * (Timeout - lastWords/2), deaf: true})
			expect(t, "busy", check(t, s, w, i), "unknown bound")
		}
		expect(t, "nothing changed", changes.take(), "")
		if st := s.Status(time.Now())[0]; st.State != Armed || st.Failures != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestNobodyTripsTheBreaker: one client whose answer fails, by whatever hosts of its network, switches no list off however often
// it tries; and one whose answer is at hand does not hide that the list is silent for all others.
func TestNobodyTripsTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cop := entry(t, "spamcop")
		w := healthy(cop.List.Zone)
		s, changes := supervise(t, cop)
		s.Probe(t.Context(), w, time.Now())
		changes.take()
		for i := range 100 {
			addr := netip.AddrFrom4([4]byte{198, 0, 1, byte(i)})
			w.set(fmt.Sprintf("%d.1.0.198.%s", i, cop.List.Zone), reply{err: servFail("x")})
			if res := s.Check(t.Context(), w, time.Now(), Subject{Client: addr})[0]; res.Cause != DNSFailure {
				t.Fatalf("%+v", res)
			}
		}
		expect(t, "one network", changes.take(), "")
		for i := range 7 {
			n := i + 2
			w.set(fmt.Sprintf("9.%d.0.198.%s", n, cop.List.Zone), reply{err: servFail("x")})
			time.Sleep(time.Second) // those of one second are one
			for range 20 {
				check(t, s, w, 200) // it is answered
			}
			check(t, s, w, n)
		}
		expect(t, "seven more", changes.take(), "spamcop: armed to suspended breaker")
	})
}

// TestSilenceOfOneNetwork: where all clients are of one network, a list that went silent is off with the second round of its
// test points that got no answer, which mail without one asks for; one answer between them, to whom ever, begins anew.
func TestSilenceOfOneNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cop := entry(t, "spamcop")
		w := healthy(cop.List.Zone)
		s, changes := supervise(t, cop)
		ctx, end := context.WithCancel(t.Context())
		defer end()
		go s.Run(ctx, w)
		time.Sleep(time.Second)
		expect(t, "armed", changes.take(), "spamcop: unarmed to armed")
		ask := func(last byte) {
			s.Check(t.Context(), w, time.Now(), Subject{Client: netip.AddrFrom4([4]byte{198, 0, 1, last})})
			time.Sleep(probeRest)
		}
		silent := func(on bool) {
			for _, name := range []string{"2.0.0.127.", "1.0.0.127.", "*."} {
				answer := reply{err: servFail("x")}
				if !on {
					answer = reply{err: notFound("x")}
					if name == "2.0.0.127." {
						answer = reply{addrs: "127.0.0.2"}
					}
				}
				w.set(name+cop.List.Zone, answer)
			}
		}
		for i := range 4 {
			silent(true)
			ask(byte(i))
			silent(false)
			ask(byte(100 + i))
			if got := changes.take(); got != "" {
				t.Fatalf("round %d, with an answer in each: %s", i, got)
			}
		}
		time.Sleep(2 * time.Minute) // what its breaker remembers goes with the outcomes of others
		for i := range breakerOf {
			time.Sleep(time.Second)
			check(t, s, w, 300+i)
		}
		silent(true)
		rounds := 0
		for got := ""; got == "" && rounds < 10; rounds++ {
			ask(byte(200 + rounds))
			if got = changes.take(); got != "" {
				expect(t, "silent", got, "spamcop: armed to suspended breaker")
			}
		}
		if rounds > 3 {
			t.Errorf("%d rounds of mail without an answer until the list was off", rounds)
		}
	})
}
