package rbl

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// healthy is a world in which the named lists have the test points of RFC 5782.
func healthy(zones ...string) *world {
	names := map[string]reply{}
	for _, z := range zones {
		names["2.0.0.127."+z] = reply{addrs: "127.0.0.2"}
	}
	return newWorld(names)
}

// told keeps changes as lines.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (c *told) add(ch Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	line := fmt.Sprintf("%s: %v to %v %v", ch.List, ch.From, ch.To, ch.Cause)
	if ch.Warning {
		line = ch.List + ": " + ch.Detail
	}
	c.lines = append(c.lines, strings.TrimSpace(line))
}

// take returns and forgets the lines.
func (c *told) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := strings.Join(c.lines, "; ")
	c.lines = nil
	return s
}

func supervise(t *testing.T, entries ...Entry) (*Supervisor, *told) {
	t.Helper()
	c := &told{}
	s, err := NewSupervisor(entries, c.add)
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func client(n int) Subject {
	return Subject{Client: netip.AddrFrom4([4]byte{198, byte(n >> 8), byte(n), 9})}
}

// check asks about client n and returns what each list says.
func check(t *testing.T, s *Supervisor, w *world, n int) string {
	t.Helper()
	var out []string
	for _, res := range s.Check(t.Context(), w, time.Now(), client(n)) {
		out = append(out, strings.TrimSpace(res.Verdict.String()+" "+res.Cause.String()))
		if (res.Verdict == Listed) != (res.Weight != 0) {
			t.Errorf("%+v", res)
		}
	}
	return strings.Join(out, ";")
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

const zone = "bl.spamcop.net"

// TestArming shows that nothing is asked and nothing decided before the test points answered, and what keeps a list away.
func TestArming(t *testing.T) {
	for what, tc := range map[string]struct {
		spoil func(*world)
		want  string
	}{
		"fine":                {func(*world) {}, "spamcop: unarmed to armed"},
		"dead zone":           {func(w *world) { w.drop("2.0.0.127." + zone) }, "spamcop: unarmed to unarmed missing"},
		"lists the world":     {func(w *world) { w.set("*."+zone, reply{addrs: "127.0.0.2"}) }, "spamcop: unarmed to unarmed world"},
		"parked":              {func(w *world) { w.names = map[string]reply{"*." + zone: {addrs: "203.0.113.1"}} }, "spamcop: unarmed to unarmed foreign"},
		"refuses":             {func(w *world) { w.names = map[string]reply{"*." + zone: {addrs: "127.255.255.254"}} }, "spamcop: unarmed to unarmed error code"},
		"another list":        {func(w *world) { w.set("2.0.0.127."+zone, reply{addrs: "127.0.0.10"}) }, "spamcop: unarmed to unarmed undocumented"},
		"empty":               {func(w *world) { w.set("2.0.0.127."+zone, reply{}) }, "spamcop: unarmed to unarmed empty"},
		"DNS fails":           {func(w *world) { w.set("2.0.0.127."+zone, reply{err: servFail("x")}) }, ""},
		"silent":              {func(w *world) { w.set("1.0.0.127."+zone, reply{after: time.Hour}) }, ""},
		"half silent, lying":  {func(w *world) { w.names = map[string]reply{"*.0.0.127." + zone: {addrs: "127.0.0.2"}} }, "spamcop: unarmed to unarmed world"},
		"only 127.0.0.1 code": {func(w *world) { w.set("2.0.0.127."+zone, reply{addrs: "127.0.0.1"}) }, "spamcop: unarmed to unarmed error code"},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := healthy(zone)
				tc.spoil(w)
				s, changes := supervise(t, entry(t, "spamcop"))
				expect(t, "before", check(t, s, w, 1), "unknown unproved")
				if len(w.asked) != 0 {
					t.Errorf("asked before it was proved: %v", w.asked)
				}
				now := time.Now()
				next := s.Probe(t.Context(), w, now)
				expect(t, "changes", changes.take(), tc.want)
				wait := firstRetry
				if tc.want == "spamcop: unarmed to armed" {
					wait = ProbeEvery
				}
				if next.Sub(now) != wait {
					t.Errorf("the next probe is in %v", next.Sub(now))
				}
				if st := s.Status(time.Now())[0]; (st.State == Armed) != (wait == ProbeEvery) || st.Queries != 3 || st.Name != "spamcop" {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestBarred(t *testing.T) {
	unset, licence, key := entry(t, "spamcop"), entry(t, "spamhaus-zen"), entry(t, "abusix")
	unset.Use, licence.Use, key.Key = UseUnset, Commercial, Key{}
	s, changes := supervise(t, unset, licence, key)
	w := newWorld(map[string]reply{})
	s.Probe(t.Context(), w, time.Now())
	expect(t, "results", check(t, s, w, 1), "unknown no use;unknown no licence;unknown no key")
	expect(t, "changes", changes.take(), "")
	if len(w.asked) != 0 {
		t.Errorf("asked %v", w.asked)
	}
	for _, st := range s.Status(time.Now()) {
		if st.State != Unarmed || !st.NextTest.IsZero() || st.HasKey || st.Queries != 0 {
			t.Errorf("%+v", st)
		}
	}
	if _, err := NewSupervisor([]Entry{unset, unset}, nil); err == nil {
		t.Error("two lists of one name")
	}
	if _, err := NewSupervisor(make([]Entry, maxLists+1), nil); err == nil {
		t.Error("too many lists")
	}
}

// TestWorldListing lets an armed list begin to list the world, between two probes: the very first good client is not listed,
// because a listing on an old proof is held against the test points first.
func TestWorldListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := healthy(zone)
		s, changes := supervise(t, entry(t, "spamcop"))
		s.Probe(t.Context(), w, time.Now())
		changes.take()
		time.Sleep(2 * time.Minute)
		expect(t, "good", check(t, s, w, 1), "not listed")
		w.set("*."+zone, reply{addrs: "127.0.0.2"})
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() { expect(t, "world", check(t, s, w, i), "unhealthy world") })
		}
		wg.Wait()
		expect(t, "changes", changes.take(), "spamcop: armed to suspended world")
		if n := w.count("1.0.0.127." + zone); n != 2 {
			t.Errorf("the test point was asked %d times for 50 at once", n)
		}
		w.drop("*." + zone)
		for _, wait := range []time.Duration{59 * time.Second, 2 * time.Second} {
			expect(t, "away", check(t, s, w, 1), "unhealthy world")
			time.Sleep(wait)
			s.Probe(t.Context(), w, time.Now())
		}
		expect(t, "again", check(t, s, w, 1), "not listed")
		expect(t, "changes", changes.take(), "spamcop: suspended to armed")
	})
}

// TestWorldListingAtOnce lets a list begin to list the world some seconds after it proved itself: the control alone shows it, is
// asked once for all at the same time, and costs one question in five seconds of listings.
func TestWorldListingAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := healthy(zone)
		for i := range 20 {
			w.set("9."+fmt.Sprint(100+i)+".0.198."+zone, reply{addrs: "127.0.0.2"})
		}
		s, changes := supervise(t, entry(t, "spamcop"))
		s.Probe(t.Context(), w, time.Now())
		changes.take()
		asked := func() int { return w.total() }
		before := asked()
		for i := range 20 {
			time.Sleep(time.Second)
			if res := s.Check(t.Context(), w, time.Now(), client(100+i)); res[0].Verdict != Listed {
				t.Errorf("%+v", res)
			}
		}
		if n := asked() - before - 20; n != 4 {
			t.Errorf("%d questions about the control in 20 seconds of listings", n)
		}
		time.Sleep(believed)
		w.set("*."+zone, reply{addrs: "127.0.0.2", after: time.Millisecond})
		w.set("1.0.0.127."+zone, reply{err: notFound("x")})
		before = asked()
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() { expect(t, "world", check(t, s, w, i), "unhealthy world") })
		}
		wg.Wait()
		expect(t, "changes", changes.take(), "spamcop: armed to suspended world")
		if n := asked() - before - 50; n > 5 { // the control, then it with both test points and an honest host
			t.Errorf("%d questions more for 50 at once", n)
		}
	})
}

// TestControl: a zone that lists the world but for its own test point is found by an address that no mail comes from, unless
// the list had that when it was armed.
func TestControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dbl := entry(t, "spamhaus-dbl")
		dzone := dbl.List.Zone
		w := healthy(zone)
		w.set("dbltest.com."+dzone, reply{addrs: "127.0.1.2"})
		w.set("*.127."+zone, reply{err: notFound("x")})
		w.set("invalid."+dzone, reply{err: notFound("x")})
		s, changes := supervise(t, entry(t, "spamcop"), dbl)
		s.Probe(t.Context(), w, time.Now())
		changes.take()
		w.set("*."+zone, reply{addrs: "127.0.0.2"})
		w.set("*."+dzone, reply{addrs: "127.0.1.2"})
		for range 3 { // and it does not come back while it does so
			time.Sleep(ProbeEvery)
			for _, res := range s.Check(t.Context(), w, time.Now(), Subject{Client: client(1).Client, From: "good.example"}) {
				if res.Verdict != Unhealthy || res.Cause != World {
					t.Errorf("%+v", res)
				}
			}
			s.Probe(t.Context(), w, time.Now())
		}
		if got := changes.take(); !strings.Contains(got, "spamcop: armed to suspended world") || !strings.Contains(got, "spamhaus-dbl: armed to suspended world") ||
			strings.Contains(got, "to armed") {
			t.Error(got)
		}

		s, changes = supervise(t, entry(t, "spamcop")) // lists what is reserved, from the beginning
		w.drop("*." + zone)
		for i := 240; i < 256; i++ {
			w.set(fmt.Sprintf("*.%d.%s", i, zone), reply{addrs: "127.0.0.2"})
		}
		for range 3 {
			s.Probe(t.Context(), w, time.Now())
			if st := s.Status(time.Now())[0]; st.State != Armed || !strings.Contains(st.Detail, "no mail can come from") {
				t.Errorf("%+v", st)
			}
			time.Sleep(ProbeEvery)
		}
		expect(t, "changes", changes.take(), "spamcop: unarmed to armed")

		// What lists the world but for its test points from the beginning is never armed.
		w = newWorld(map[string]reply{"*." + zone: {addrs: "127.0.0.2"}, "1.0.0.127." + zone: {err: notFound("x")},
			"*." + dzone: {addrs: "127.0.1.2"}, "invalid." + dzone: {err: notFound("x")}})
		s, _ = supervise(t, entry(t, "spamcop"), dbl)
		for range 2 {
			s.Probe(t.Context(), w, time.Now())
			for _, st := range s.Status(time.Now()) {
				if st.State != Unarmed || st.Cause != World {
					t.Errorf("%+v", st)
				}
			}
			time.Sleep(ProbeEvery)
		}
	})
}

// TestListingStands shows that a listing is not lost where the test points cannot be told about, nor asked about each time.
func TestListingStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := healthy(zone)
		s, _ := supervise(t, entry(t, "spamcop"))
		s.Probe(t.Context(), w, time.Now())
		w.set("9.1.0.198."+zone, reply{addrs: "127.0.0.2"})
		for range 20 {
			expect(t, "proved a moment ago", check(t, s, w, 1), "listed")
		}
		if n := w.count("1.0.0.127." + zone); n != 1 {
			t.Errorf("the test point was asked %d times", n)
		}
		time.Sleep(2 * time.Minute)
		w.set("1.0.0.127."+zone, reply{after: time.Hour})
		started := time.Now()
		expect(t, "silent test point", check(t, s, w, 1), "listed")
		if took := time.Since(started); took != Timeout/2 {
			t.Errorf("it took %v", took)
		}
		time.Sleep(10 * time.Second)
	})
}

// TestBreaker trips at the seventh of ten, for each way not to answer, and the list comes back by its test points.
func TestBreaker(t *testing.T) {
	for what, bad := range map[string]reply{
		"silent": {after: time.Hour}, "failing": {err: servFail("x")}, "refusing": {addrs: "127.255.255.255"}, "parked": {addrs: "192.0.2.1"}, "empty": {},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := healthy(zone)
				s, changes := supervise(t, entry(t, "spamcop"))
				s.Probe(t.Context(), w, time.Now())
				changes.take()
				for i := range 6 {
					w.set(fmt.Sprintf("9.%d.0.198.%s", i, zone), bad)
				}
				for i := range 40 { // six of ten at most
					time.Sleep(time.Second) // those of a second are one outcome
					if got := check(t, s, w, i%10); strings.HasPrefix(got, "listed") || (i%10 < 6) != (got != "not listed") {
						t.Fatalf("%d: %s", i, got)
					}
				}
				expect(t, "six of ten", changes.take(), "")
				w.set("9.6.0.198."+zone, bad)
				for i := range 10 {
					time.Sleep(time.Second)
					check(t, s, w, i)
				}
				expect(t, "seven of ten", changes.take(), "spamcop: armed to suspended breaker")
				expect(t, "away", check(t, s, w, 0), "unhealthy breaker")
				asked := w.count("9.0.0.198." + zone)
				check(t, s, w, 0)
				if w.count("9.0.0.198."+zone) != asked {
					t.Error("a suspended list was asked")
				}
				time.Sleep(firstRetry)
				s.Probe(t.Context(), w, time.Now())
				expect(t, "back", changes.take(), "spamcop: suspended to armed")
				if st := s.Status(time.Now())[0]; st.Failures != 0 || st.State != Armed {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// TestBreakerInAStorm: many who come at once and all hear nothing do not get a list suspended, since they are one outcome. A list
// that stays silent is, within ten seconds.
func TestBreakerInAStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := healthy(zone)
		s, changes := supervise(t, entry(t, "spamcop"))
		s.Probe(t.Context(), w, time.Now())
		changes.take()
		wave := func(n int, late time.Duration) {
			var wg sync.WaitGroup
			for i := range n {
				w.set(fmt.Sprintf("9.%d.%d.198.%s", i%256, i/256, zone), reply{after: late})
				wg.Go(func() { check(t, s, w, i) })
			}
			wg.Wait()
		}
		wave(1000, time.Hour)
		expect(t, "a thousand at once", changes.take(), "")
		began := time.Now()
		for time.Since(began) < 10*time.Second && changes.take() == "" {
			go wave(20, time.Hour)
			time.Sleep(100 * time.Millisecond)
		}
		if st := s.Status(time.Now())[0]; st.State != Suspended || st.Cause != Breaker || time.Since(began) < 6*time.Second {
			t.Errorf("after %v: %+v", time.Since(began), st)
		}
		time.Sleep(Timeout)
	})
}

// crowded counts how many questions to a zone are under way.
type crowded struct {
	*world
	zone      string
	now, most atomic.Int64
}

func (c *crowded) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if strings.HasSuffix(host, c.zone) {
		n := c.now.Add(1)
		for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
		}
		defer c.now.Add(-1)
	}
	return c.world.LookupNetIP(ctx, network, host)
}

// TestRoom: a silent list has no more than its share of questions under way, however many clients come; those that find no room
// are not its fault, and lists that answer answer all.
func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent, fine := entry(t, "spamcop"), entry(t, "psbl")
		w := &crowded{world: healthy(silent.List.Zone, fine.List.Zone), zone: silent.List.Zone}
		s, _ := supervise(t, silent, fine)
		s.Probe(t.Context(), w, time.Now())
		w.set("*.198."+silent.List.Zone, reply{after: time.Hour})
		w.set("*.198."+fine.List.Zone, reply{after: 200 * time.Millisecond, err: notFound("x")})
		var wg sync.WaitGroup
		var late, bound atomic.Int64
		for i := range 1000 {
			wg.Go(func() {
				res := s.Check(t.Context(), w, time.Now(), client(i))
				switch res[0].Cause {
				case Late:
					late.Add(1)
				case Bound:
					bound.Add(1)
				}
				if res[1].Verdict != NotListed {
					t.Errorf("%d: the list that answers: %+v", i, res[1])
				}
			})
		}
		wg.Wait()
		if most := w.most.Load(); most != allRoom/2 || late.Load() != most || bound.Load() != 1000-most {
			t.Errorf("%d at once, %d late, %d without room", most, late.Load(), bound.Load())
		}
		time.Sleep(time.Hour)
	})
}

// TestNotTheListsFault: clients that go away and questions that cannot be asked say nothing of a list.
func TestNotTheListsFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := healthy(zone)
		s, changes := supervise(t, entry(t, "spamcop"))
		s.Probe(t.Context(), w, time.Now())
		changes.take()
		w.set("9.1.0.198."+zone, reply{after: time.Second})
		for range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			s.Check(ctx, w, time.Now(), client(1))
			s.Check(t.Context(), w, time.Now(), Subject{Client: netip.MustParseAddr("10.0.0.1")})
		}
		expect(t, "changes", changes.take(), "")
		if st := s.Status(time.Now())[0]; st.Failures != 0 || st.Results["unknown"] != 20 {
			t.Errorf("%+v", st)
		}
	})
}

// TestOutage: DNS is away for three hours; a minute after it is back, so are the lists.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := healthy(zone)
		s, changes := supervise(t, entry(t, "spamcop"))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.Run(ctx, w); close(done) }()
		time.Sleep(time.Hour)
		expect(t, "start", changes.take(), "spamcop: unarmed to armed")
		if n := w.count("2.0.0.127." + zone); n != 4 {
			t.Errorf("%d probes in an hour", n)
		}
		w.drop("2.0.0.127." + zone)
		w.set("*."+zone, reply{err: servFail("x")})
		for i := range 180 {
			if got := check(t, s, w, i); !strings.HasPrefix(got, "unknown dns") && !strings.HasPrefix(got, "unhealthy breaker") {
				t.Fatal(got)
			}
			time.Sleep(time.Minute)
		}
		expect(t, "outage", changes.take(), "spamcop: armed to suspended breaker")
		w.drop("*." + zone)
		w.set("2.0.0.127."+zone, reply{addrs: "127.0.0.2"})
		time.Sleep(firstRetry + time.Second)
		expect(t, "back", changes.take(), "spamcop: suspended to armed")
		cancel()
		<-done
	})
}

// TestSickListIsAskedLessOften: what is wrong for good is asked about every 15 minutes in the end, and told once.
func TestSickListIsAskedLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(map[string]reply{})
		s, changes := supervise(t, entry(t, "spamcop"))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.Run(ctx, w); close(done) }()
		time.Sleep(24*time.Hour - time.Minute)
		cancel()
		<-done
		expect(t, "changes", changes.take(), "spamcop: unarmed to unarmed missing")
		// at 0, 1, 3, 7, 15, 30 minutes, and so on
		if n := w.count("2.0.0.127." + zone); n != 5+94 {
			t.Errorf("%d probes in a day", n)
		}
	})
}

// TestErrorCodeProbesAtOnce: the first error code of an armed list makes Run ask its test points.
func TestErrorCodeProbesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := healthy(zone)
		s, changes := supervise(t, entry(t, "spamcop"))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.Run(ctx, w); close(done) }()
		time.Sleep(5 * time.Minute)
		changes.take()
		w.drop("2.0.0.127." + zone)
		w.set("*."+zone, reply{addrs: "127.255.255.255"})
		expect(t, "first", check(t, s, w, 1), "unhealthy error code")
		synctest.Wait()
		expect(t, "changes", changes.take(), "spamcop: armed to suspended error code")
		cancel()
		<-done
	})
}

// TestProbeIsNobodysOwn: the client whose listing made the test points be asked goes away; the probe goes on for the others.
func TestProbeIsNobodysOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := healthy(zone)
		s, _ := supervise(t, entry(t, "spamcop"))
		s.Probe(t.Context(), w, time.Now())
		w.set("9.1.0.198."+zone, reply{addrs: "127.0.0.2"})
		w.set("2.0.0.127."+zone, reply{addrs: "127.0.0.2", after: time.Second})
		time.Sleep(2 * time.Minute)
		started := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if res := s.Check(ctx, w, started, client(1))[0]; res.Cause != Canceled && res.Verdict != Listed {
				t.Errorf("%+v", res)
			}
		})
		synctest.Wait()
		wg.Go(func() { expect(t, "the other", check(t, s, w, 1), "listed") })
		time.Sleep(time.Millisecond)
		cancel()
		wg.Wait()
		if st := s.Status(time.Now())[0]; !st.Proved.Equal(started) || st.Failures != 0 || w.count("2.0.0.127."+zone) != 2 {
			t.Errorf("%+v, asked %v", st, w.asked)
		}
	})
}

// TestProbesAreFew: error codes without end, where the test points are silent, make one probe a minute.
func TestProbesAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := healthy(zone)
		s, _ := supervise(t, entry(t, "spamcop"))
		s.Probe(t.Context(), w, time.Now())
		time.Sleep(2 * time.Minute)
		w.set("2.0.0.127."+zone, reply{err: servFail("x")})
		w.set("9.1.0.198."+zone, reply{addrs: "127.255.255.255"})
		for i := range 20 { // within a minute; one in four is an error, so that the breaker stays whole
			check(t, s, w, i&3)
			s.Probe(t.Context(), w, time.Now())
			time.Sleep(time.Second)
		}
		if n := w.count("2.0.0.127." + zone); n != 2 {
			t.Errorf("%d probes", n)
		}
	})
}

// TestDeafResolver: lookups that never end are bounded, and what is beyond the bound is told and nobody's failure.
func TestDeafResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := healthy(zone)
		s, changes := supervise(t, entry(t, "spamcop"))
		s.Probe(t.Context(), w, time.Now())
		changes.take()
		s.underWay.Store(maxUnderWay - 1)
		w.set("9.1.0.198."+zone, reply{addrs: "127.0.0.2", after: time.Hour, deaf: true})
		expect(t, "the last", check(t, s, w, 1), "unknown late")
		for range 20 {
			expect(t, "beyond", check(t, s, w, 1), "unknown bound")
		}
		if n := s.underWay.Load(); n != maxUnderWay || w.count("9.1.0.198."+zone) != 1 {
			t.Errorf("%d are under way, asked %v", n, w.asked)
		}
		time.Sleep(time.Hour)
		expect(t, "afterwards", check(t, s, w, 2), "not listed")
		if n := s.underWay.Load(); n != maxUnderWay-1 {
			t.Errorf("%d are under way", n)
		}
		expect(t, "changes", changes.take(), "")
	})
}
