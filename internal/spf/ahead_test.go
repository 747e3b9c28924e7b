package spf

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestAheadChangesNothing shows over random records that what is asked ahead changes no part of an outcome, however fast
// answers come.
func TestAheadChangesNothing(t *testing.T) {
	asked, alone := 0, 0
	for seed := range uint64(3000) {
		c := makeCase(seed)
		q := queryOf(c.ip, c.helo, c.from)
		one, many := &world{zone: c.w.zone}, &world{zone: c.w.zone}
		want := check(t.Context(), one, q, 0)
		if seed%2 == 1 {
			synctest.Test(t, func(t *testing.T) {
				r := jittery{many, rand.New(rand.NewPCG(seed, 1))}
				if got := Check(t.Context(), &r, q); !reflect.DeepEqual(got, want) {
					t.Errorf("seed %d, answers in any order: %+v, want %+v: %v", seed, got, want, c.w.zone)
				}
			})
			continue
		}
		got := Check(t.Context(), many, q)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("seed %d: %+v, want %+v: %v", seed, got, want, c.w.zone)
		}
		asked, alone = asked+many.questions(), alone+one.questions()
		if n := many.questions(); n > one.questions()+maxAhead {
			t.Errorf("seed %d: %d questions instead of %d", seed, n, one.questions())
		}
	}
	t.Logf("%d questions, %d one after another", asked, alone)
}

// jittery answers late, each time otherwise.
type jittery struct {
	*world
	rng *rand.Rand
}

func (j *jittery) wait(ctx context.Context) {
	j.mu.Lock()
	d := time.Duration(j.rng.IntN(100)) * time.Millisecond
	j.mu.Unlock()
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (j *jittery) LookupTXT(ctx context.Context, name string) ([]string, error) {
	j.wait(ctx)
	return j.world.LookupTXT(ctx, name)
}

func (j *jittery) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	j.wait(ctx)
	return j.world.LookupMX(ctx, name)
}

func (j *jittery) LookupNetIP(ctx context.Context, network, name string) ([]netip.Addr, error) {
	j.wait(ctx)
	return j.world.LookupNetIP(ctx, network, name)
}

func (j *jittery) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	j.wait(ctx)
	return j.world.LookupAddr(ctx, addr)
}

// TestRounds counts dependent rounds of DNS, each of 50 ms.
func TestRounds(t *testing.T) {
	w := worldOf(t, `
flat.example TXT "v=spf1 ip4:192.0.2.0/24 -all"
one.example TXT "v=spf1 include:flat.example -all"
wide.example TXT "v=spf1 a mx include:i1.example include:i2.example include:i3.example exists:%{i}.x.example -all"
wide.example A 203.0.113.1
wide.example MX 1 h.example
wide.example MX 2 g.example
h.example A 203.0.113.2
g.example A 203.0.113.3
i1.example TXT "v=spf1 ip4:203.0.113.4 ~all"
i2.example TXT "v=spf1 a:h.example ~all"
i3.example TXT "v=spf1 include:deep.example ~all"
deep.example TXT "v=spf1 ip4:203.0.113.5 redirect=flat.example"
ptr.example TXT "v=spf1 a:h.example ptr -all"
198.51.100.1 PTR h.example.
198.51.100.1 PTR g.example.
198.51.100.1 PTR ptr.example.
198.51.100.1 PTR n1.example.
ptr.example A 198.51.100.1
named.example TXT "v=spf1 exists:%{p}.x.example a -all"
cold.example TXT "v=spf1 a:h.example include:i1.example a:g.example ip4:198.51.100.1 include:i2.example include:i3.example -all"
`)
	for _, c := range []struct {
		domain, ip string
		result     Result
		rounds     int
		questions  int
	}{
		{"flat.example", "192.0.2.1", Pass, 1, 1},
		{"one.example", "192.0.2.1", Pass, 2, 2},
		// The record; its terms; what their answers lead to; deep's redirect. One after another it would be 11 rounds.
		{"wide.example", "192.0.2.1", Pass, 4, 11},
		{"ptr.example", "198.51.100.1", Pass, 3, 7},
		{"named.example", "198.51.100.9", Fail, 4, 4},
		// What stands behind a network that the client is in is not asked for.
		{"cold.example", "198.51.100.1", Pass, 2, 4},
		{"nothing.example", "192.0.2.1", None, 1, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := &world{zone: w.zone, delay: 50 * time.Millisecond}
			began := time.Now()
			o := Check(t.Context(), w, queryOf(c.ip, "h.example", "x@"+c.domain))
			if rounds := int(time.Since(began) / w.delay); o.Result != c.result || rounds != c.rounds || w.questions() != c.questions {
				t.Errorf("%s: %s in %d rounds, want %s in %d; %d questions: %v; %+v", c.domain, o.Result, rounds, c.result, c.rounds, w.questions(), w.asked, o)
			}
		})
	}
}

// TestAheadIsBounded shows that nothing is asked ahead that an evaluation cannot come to: beyond the tenth term, counted
// over what is included, behind a term that matches, or in a record that is broken; and never more than a fixed number.
func TestAheadIsBounded(t *testing.T) {
	var a, deep strings.Builder
	for i := range 15 {
		fmt.Fprintf(&a, " a:a%d.example", i)
		fmt.Fprintf(&deep, " a:b%d.example", i)
	}
	zone := "long.example TXT \"v=spf1" + a.String() + " -all\"\nouter.example TXT \"v=spf1 exists:x.example exists:y.example include:deep.example mx -all\"\n" +
		"deep.example TXT \"v=spf1" + deep.String() + " ~all\"\nstop.example TXT \"v=spf1 a:a0.example ip4:192.0.2.1" + a.String() + "\"\n" +
		"broken.example TXT \"v=spf1 a:a0.example a:a1.example nonsense\"\nwide.example TXT \"v=spf1 mx:m0.example mx:m1.example mx:m2.example mx:m3.example mx:m4.example mx:m5.example mx:m6.example mx:m7.example mx:m8.example mx:m9.example -all\"\n"
	for i := range 15 {
		zone += fmt.Sprintf("a%d.example A 203.0.113.1\nb%d.example A 203.0.113.1\n", i, i)
	}
	for i := range 10 {
		for k := range 10 {
			zone += fmt.Sprintf("m%d.example MX %d h%d-%d.example\nh%d-%d.example A 203.0.113.1\n", i, k, i, k, i, k)
		}
	}
	zone += "x.example A 127.0.0.1\n"
	w := worldOf(t, zone)
	for _, c := range []struct {
		domain string
		never  []string
		result Result
		most   int
	}{
		{"long.example", []string{"A a10.example", "A a14.example"}, PermError, 11},
		{"outer.example", []string{"A b7.example", "A b14.example"}, Pass, 13},
		{"stop.example", []string{"A a1.example"}, Pass, 2},
		{"broken.example", []string{"A a0.example"}, PermError, 1},
		{"wide.example", nil, Fail, 1 + 10 + 100},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := &world{zone: w.zone, delay: time.Millisecond}
			o := Check(t.Context(), w, queryOf("192.0.2.1", "h.example", "x@"+c.domain))
			if o.Result != c.result || w.questions() > c.most {
				t.Errorf("%s: %d questions, %+v", c.domain, w.questions(), o)
			}
			for _, never := range c.never {
				if w.asked[never] > 0 {
					t.Errorf("%s: asked for %s", c.domain, never)
				}
			}
		})
	}
}

// TestNothingStays shows that an evaluation that ends early, by a match or by its context, takes its goroutines along, and
// that one whose records need no DNS has none.
func TestNothingStays(t *testing.T) {
	w := worldOf(t, `
a.example TXT "v=spf1 include:now.example include:b.example include:c.example mx -all"
now.example TXT "v=spf1 ip4:192.0.2.1"
b.example TXT "v=spf1 a mx a:x.example -all"
c.example TXT "v=spf1 a mx a:x.example -all"
a.example MX 1 b.example
`)
	synctest.Test(t, func(t *testing.T) { // it fails if a goroutine is left
		slow := &world{zone: w.zone, delay: time.Second}
		if o := Check(t.Context(), slow, queryOf("192.0.2.1", "h.example", "x@a.example")); o.Result != Pass {
			t.Errorf("%+v", o)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		slow := &world{zone: w.zone, delay: time.Second}
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		began := time.Now()
		o := Check(ctx, slow, queryOf("192.0.2.99", "h.example", "x@a.example"))
		if o.Result != TempError || !strings.Contains(o.Problem, "deadline") || time.Since(began) != 1500*time.Millisecond {
			t.Errorf("after %v: %+v", time.Since(began), o)
		}
	})
	flat := &counting{worldOf(t, "f.example TXT \"v=spf1 ip4:192.0.2.1 ip6:::1 -all\"\none.example TXT \"v=spf1 include:f.example -all\""), 0}
	before := runtime.NumGoroutine()
	for _, domain := range []string{"f.example", "one.example"} {
		if o := Check(t.Context(), flat, queryOf("192.0.2.9", "h.example", "x@"+domain)); o.Result != Fail || flat.most > before {
			t.Errorf("%d goroutines, %d before: %+v", flat.most, before, o)
		}
	}
}

// counting notes how many goroutines there are while it is asked.
type counting struct {
	*world
	most int
}

func (c *counting) LookupTXT(ctx context.Context, name string) ([]string, error) {
	c.most = max(c.most, runtime.NumGoroutine())
	return c.world.LookupTXT(ctx, name)
}

// TestEndedContext shows that nothing is ever told of a domain when time is over: neither that it has no record, nor that
// a name of the client does not lead back, nor that a macro is unknown.
func TestEndedContext(t *testing.T) {
	w := worldOf(t, `
a.example TXT "v=spf1 ptr -all"
b.example TXT "v=spf1 exists:%{p}.example -all"
c.example TXT "v=spf1 a:h.example mx -all"
d.example TXT "v=spf1 include:a.example ~all"
e.example TXT "v=spf1 ip4:192.0.2.99 redirect=d.example"
`)
	for _, domain := range []string{"a.example", "b.example", "c.example", "d.example", "e.example", "none.example"} {
		for after := range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			r := &ending{w, cancel, after}
			o := Check(ctx, r, queryOf("192.0.2.1", "h.example", "x@"+domain))
			if ctx.Err() != nil && o.Result != TempError {
				t.Errorf("%s, ended in question %d: %+v", domain, after, o)
			}
			cancel()
		}
	}
}

// ending ends the context in a question, and says that there is nothing, as a resolver may that looks at no context.
type ending struct {
	*world
	cancel context.CancelFunc
	left   int
}

func (e *ending) end(name string) error {
	if e.mu.Lock(); e.left == 0 {
		e.cancel()
	}
	e.left--
	defer e.mu.Unlock()
	if e.left < 0 {
		return &net.DNSError{Name: name, IsNotFound: true}
	}
	return nil
}

func (e *ending) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if err := e.end(name); err != nil {
		return nil, err
	}
	return e.world.LookupTXT(ctx, name)
}

func (e *ending) LookupNetIP(ctx context.Context, network, name string) ([]netip.Addr, error) {
	if err := e.end(name); err != nil {
		return nil, err
	}
	return e.world.LookupNetIP(ctx, network, name)
}

func (e *ending) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	if err := e.end(addr); err != nil {
		return nil, err
	}
	return e.world.LookupAddr(ctx, addr)
}

// TestPanickingResolver shows that a panic in what is asked ahead is an answer that nobody has.
func TestPanickingResolver(t *testing.T) {
	w := worldOf(t, "a.example TXT \"v=spf1 a include:b.example -all\"\na.example A 203.0.113.1")
	o := Check(t.Context(), panicking{w}, queryOf("192.0.2.1", "h.example", "x@a.example"))
	if o.Result != TempError || !strings.Contains(o.Problem, "panicked") {
		t.Errorf("%+v", o)
	}
}

type panicking struct{ *world }

func (p panicking) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if name == "b.example" {
		panic("out of order")
	}
	return p.world.LookupTXT(ctx, name)
}

// TestZero shows that an outcome that nobody filled, and a query without an address, let nothing pass.
func TestZero(t *testing.T) {
	if r := (Outcome{}).Result; r != TempError || r.String() != "temperror" {
		t.Errorf("the zero result is %s", r)
	}
	if o := Check(t.Context(), worldOf(t, `a.example TXT "v=spf1 +all"`), Query{Domain: "a.example"}); o.Result != PermError {
		t.Errorf("without an address: %+v", o)
	}
	if got := Result(99).String(); got != "temperror" {
		t.Errorf("%q", got)
	}
	var _ Resolver = net.DefaultResolver
}

// TestErrors shows which errors of a resolver say that there is nothing.
func TestErrors(t *testing.T) {
	none := &net.DNSError{Err: "no such host", IsNotFound: true}
	for _, c := range []struct {
		err  error
		want Result
	}{
		{none, None},
		{fmt.Errorf("lookup: %w", none), None},
		{errors.Join(errors.New("x"), none), None},
		{&net.DNSError{Err: "server misbehaving"}, TempError},
		{&net.DNSError{Err: "timeout", IsTimeout: true, IsTemporary: true}, TempError},
		{context.DeadlineExceeded, TempError},
		{errors.New("anything"), TempError},
	} {
		if o := Check(t.Context(), erring{err: c.err}, queryOf("192.0.2.1", "h.example", "x@a.example")); o.Result != c.want {
			t.Errorf("%v: %+v", c.err, o)
		}
	}
}

type erring struct {
	*world
	err error
}

func (e erring) LookupTXT(context.Context, string) ([]string, error) { return nil, e.err }
