package memory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

const aDay = 24 * time.Hour

// mail is a message as the journal's event tells it, with what a test wants to say of it.
type mail struct {
	author, org, asks, result string
	override                  string
	path                      gateway.Path
	chain                     string // result of arc
	sealers                   []string
	outcome                   gateway.Outcome
	hop                       gateway.RelayResult
}

func (m mail) event() *gateway.Event {
	f := gateway.Passed().Says(gateway.AuthResult{Method: "spf", Result: "pass"})
	if m.chain != "" {
		f = f.Says(gateway.AuthResult{Method: "arc", Result: m.chain})
	}
	f = f.Says(gateway.AuthResult{Method: "dmarc", Result: m.result, DMARC: &gateway.DMARCResult{Author: m.author, Organization: m.org,
		Requested: m.asks, Override: m.override, Path: m.path, Sealers: m.sealers}})
	e := &gateway.Event{Kind: gateway.TransactionEvent, Record: &gateway.Record{Findings: []gateway.Finding{gateway.Passed(), f}},
		Verdict: gateway.Verdict{Decision: gateway.Decision{Outcome: m.outcome}}}
	if m.outcome == gateway.Accept {
		e.Relayed = &gateway.Relayed{Result: m.hop}
	}
	return e
}

// delivered is a message that the next hop took.
func delivered(author, asks, result string) mail {
	return mail{author: author, org: author, asks: asks, result: result, outcome: gateway.Accept, hop: gateway.Delivered}
}

// fakeKeeper keeps what it is given, or fails.
type fakeKeeper struct {
	mu     sync.Mutex
	kept   map[string]map[string][]byte
	saves  int
	broken error
}

func (f *fakeKeeper) Load(_ context.Context, kind string, yield func(string, []byte)) error {
	f.mu.Lock()
	kept, err := maps.Clone(f.kept[kind]), f.broken
	f.mu.Unlock()
	for name, value := range kept {
		yield(name, value)
	}
	return err
}

func (f *fakeKeeper) Save(_ context.Context, kind string, changed map[string][]byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.saves++
	if f.broken != nil {
		return f.broken
	}
	if f.kept == nil {
		f.kept = map[string]map[string][]byte{}
	}
	if f.kept[kind] == nil {
		f.kept[kind] = map[string][]byte{}
	}
	for name, value := range changed {
		if value == nil {
			delete(f.kept[kind], name)
		} else {
			f.kept[kind][name] = value
		}
	}
	return nil
}

func (f *fakeKeeper) count(kind string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.kept[kind])
}

func (f *fakeKeeper) breaks(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = err
}

// TestDomain is the life of an author domain.
func TestDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKnown(KnownOptions{})
		start := time.Now()
		at := func(d time.Duration) time.Time { return start.Add(d).Truncate(time.Second) }
		for _, step := range []struct {
			after time.Duration
			m     mail
			want  gateway.KnownDomain
		}{
			{0, delivered("a.example", "reject", "pass"), gateway.KnownDomain{Asks: "reject", AsksSince: at(0), Seen: at(0), Passed: at(0), Passes: 1}},
			{aDay, delivered("a.example", "quarantine", "fail"), gateway.KnownDomain{Asks: "quarantine", AsksSince: at(0), Seen: at(aDay), Passed: at(0), Passes: 1}},
			{2 * aDay, delivered("a.example", "", "temperror"), gateway.KnownDomain{Asks: "quarantine", AsksSince: at(0), Seen: at(aDay),
				Outage: at(2 * aDay), Untold: at(2 * aDay), Passed: at(0), Passes: 1}},
			{2*aDay + time.Hour, delivered("a.example", "", "temperror"), gateway.KnownDomain{Asks: "quarantine", AsksSince: at(0), Seen: at(aDay),
				Outage: at(2 * aDay), Untold: at(2*aDay + time.Hour), Passed: at(0), Passes: 1}},
			{4 * aDay, delivered("a.example", "", "temperror"), gateway.KnownDomain{Asks: "quarantine", AsksSince: at(0), Seen: at(aDay),
				Outage: at(4 * aDay), Untold: at(4 * aDay), Passed: at(0), Passes: 1}},
			// The record is known, and SPF or a key is not.
			{4*aDay + time.Hour, delivered("a.example", "reject", "temperror"), gateway.KnownDomain{Asks: "reject", AsksSince: at(0), Seen: at(4*aDay + time.Hour),
				Outage: at(4 * aDay), Untold: at(4*aDay + time.Hour), Passed: at(0), Passes: 1}},
			{5 * aDay, delivered("a.example", "reject", "pass"), gateway.KnownDomain{Asks: "reject", AsksSince: at(0), Seen: at(5 * aDay), Passed: at(5 * aDay), Passes: 2}},
			{6 * aDay, delivered("a.example", "none", "pass"), gateway.KnownDomain{Seen: at(6 * aDay), Passed: at(6 * aDay), Passes: 3}},
			{7 * aDay, delivered("a.example", "reject", "fail"), gateway.KnownDomain{Asks: "reject", AsksSince: at(7 * aDay), Seen: at(7 * aDay), Passed: at(6 * aDay), Passes: 3}},
			{8 * aDay, delivered("a.example", "", "none"), gateway.KnownDomain{Seen: at(8 * aDay), Passed: at(6 * aDay), Passes: 3}},
			{9 * aDay, delivered("a.example", "", "permerror"), gateway.KnownDomain{Seen: at(9 * aDay), Passed: at(6 * aDay), Passes: 3}},
			// What was not let in, or comes back, is no pass to go by.
			{10 * aDay, mail{author: "a.example", asks: "reject", result: "pass", outcome: gateway.Reject},
				gateway.KnownDomain{Asks: "reject", AsksSince: at(10 * aDay), Seen: at(10 * aDay), Passed: at(6 * aDay), Passes: 3}},
			{11 * aDay, mail{author: "a.example", asks: "reject", result: "pass", outcome: gateway.Accept, hop: gateway.DeferredByHop},
				gateway.KnownDomain{Asks: "reject", AsksSince: at(10 * aDay), Seen: at(11 * aDay), Passed: at(6 * aDay), Passes: 3}},
			// Of these nothing is worth knowing.
			{12 * aDay, delivered("b.example", "", "none"), gateway.KnownDomain{}},
			{12 * aDay, delivered("b.example", "none", "fail"), gateway.KnownDomain{}},
			{12 * aDay, delivered("b.example", "", "temperror"), gateway.KnownDomain{}},
			{12 * aDay, delivered("b.example", "bogus", "permerror"), gateway.KnownDomain{}},
			{12 * aDay, mail{author: "b.example", asks: "none", result: "pass", outcome: gateway.Reject}, gateway.KnownDomain{}},
			{12 * aDay, delivered("", "reject", "fail"), gateway.KnownDomain{}},
		} {
			time.Sleep(time.Until(start.Add(step.after)))
			k.Learn(step.m.event())
			if got := k.Domain(step.m.author); got != step.want {
				t.Errorf("after %v, %+v:\n got %+v\nwant %+v", step.after, step.m, got, step.want)
			}
		}
		if n, _, _ := k.Len(); n != 1 {
			t.Errorf("%d domains", n)
		}
		k.domains.expire(time.Now().Add(180*aDay - 2*aDay))
		if n, _, _ := k.Len(); n != 1 {
			t.Error("forgotten too early")
		}
		k.domains.expire(time.Now().Add(180 * aDay))
		if n, _, _ := k.Len(); n != 0 {
			t.Error("known for ever")
		}
	})
}

// TestNothingToLearn: events without a DMARC result teach nothing and break nothing.
func TestNothingToLearn(t *testing.T) {
	k := NewKnown(KnownOptions{})
	connection := delivered("a.example", "reject", "pass").event()
	connection.Kind = gateway.ConnectionEvent
	for _, e := range []*gateway.Event{nil, {Kind: gateway.TransactionEvent}, {Kind: gateway.TransactionEvent, Record: &gateway.Record{}}, connection,
		{Kind: gateway.TransactionEvent, Record: &gateway.Record{Findings: []gateway.Finding{gateway.Passed().Says(gateway.AuthResult{Method: "dmarc", Result: "pass"})}}}} {
		k.Learn(e)
	}
	if d, p, s := k.Len(); d+p+s != 0 {
		t.Errorf("%d, %d, %d", d, p, s)
	}
}

// TestPath: what a host hands over counts for it and for what it tells, and for trust only what others wrote and was let in.
func TestPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKnown(KnownOptions{})
		start := time.Now()
		list := gateway.Path{Host: "lists.example", Told: "list:dev.lists.example"}
		other := gateway.Path{Host: "lists.example", Told: "list:other.lists.example"}
		by := func(p gateway.Path, m mail) mail { m.path = p; return m }
		for _, m := range []mail{
			by(list, delivered("a.example", "reject", "pass")),
			by(list, delivered("b.example", "none", "pass")),
			by(list, delivered("b.example", "none", "pass")),
			by(list, delivered("c.example", "reject", "fail")),
			by(list, delivered("d.example", "quarantine", "fail")),
			by(list, delivered("e.example", "", "none")),
			by(list, delivered("f.example", "", "temperror")),
			by(list, mail{author: "h.example", org: "h.example", asks: "reject", result: "fail", override: "trusted_forwarder", hop: gateway.Delivered}),
			by(list, delivered("www.lists.example", "reject", "pass")),                                                               // its own
			by(list, mail{author: "x.lists.example", org: "lists.example", asks: "reject", result: "fail", outcome: gateway.Reject}), // its own
			by(list, mail{author: "a.example", org: "a.example", asks: "reject", result: "pass", outcome: gateway.Reject}),           // spam, maybe
			by(list, mail{author: "a.example", org: "a.example", asks: "reject", result: "pass", outcome: gateway.Defer}),            // comes back
			by(other, mail{author: "g.example", org: "g.example", asks: "reject", result: "fail", outcome: gateway.Quarantine, chain: "pass"}),
			by(other, mail{author: "g.example", org: "g.example", asks: "reject", result: "fail", outcome: gateway.Reject, chain: "fail"}),
			by(gateway.Path{Host: strings.Repeat("x", 256)}, delivered("a.example", "reject", "pass")),
			delivered("a.example", "reject", "pass"), // no hint
		} {
			k.Learn(m.event())
		}
		at := start.Truncate(time.Second)
		first := gateway.Past{First: at, Last: at, Messages: 11, Judged: 6, Passed: 3, Refused: 1, Days: 1, Authors: 2}
		second := gateway.Past{First: at, Last: at, Messages: 2, Judged: 2, Refused: 2, Chains: 1}
		both := gateway.Past{First: at, Last: at, Messages: 13, Judged: 8, Passed: 3, Refused: 3, Chains: 1, Days: 1, Authors: 2}
		for p, want := range map[gateway.Path]gateway.KnownPath{
			list: {Path: list, Host: both, Told: first}, other: {Path: other, Host: both, Told: second},
			{Host: "lists.example"}: {Path: gateway.Path{Host: "lists.example"}, Host: both}, {Host: "x"}: {Path: gateway.Path{Host: "x"}},
		} {
			if got := k.Path(p); got != want {
				t.Errorf("%v:\n got %+v\nwant %+v", p, got, want)
			}
		}
		if _, n, _ := k.Len(); n != 3 {
			t.Errorf("%d paths", n)
		}
	})
}

// TestPathFades: numbers halve, read or learned, and what is silent for half a year is forgotten.
func TestPathFades(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKnown(KnownOptions{})
		p := gateway.Path{Host: "alumni.example"}
		start := time.Now()
		for day := range 40 {
			for i := range 10 {
				m := delivered(fmt.Sprintf("a%d.example", i), "reject", "pass")
				m.path = p
				k.Learn(m.event())
			}
			time.Sleep(time.Until(start.Add(time.Duration(day+1) * aDay)))
		}
		for _, step := range []struct {
			after    time.Duration
			messages int
			days     int
			standing gateway.Standing
		}{
			{40 * aDay, 400, 40, gateway.PathTrusted}, {59 * aDay, 400, 40, gateway.PathTrusted}, {60 * aDay, 200, 20, gateway.PathTrusted},
			{120 * aDay, 100, 10, gateway.PathTrusted}, {180 * aDay, 50, 5, gateway.PathDoubted}, {10000 * aDay, 0, 0, gateway.PathDoubted},
		} {
			time.Sleep(time.Until(start.Add(step.after)))
			got := k.Path(p)
			if got.Host.Messages != step.messages || got.Host.Passed != step.messages || got.Host.Days != step.days || got.Host.Authors != 8 ||
				got.Standing(time.Now()) != step.standing {
				t.Errorf("after %v: %+v, %v", step.after, got.Host, got.Standing(time.Now()))
			}
		}
		k.paths.expire(time.Now())
		if _, n, _ := k.Len(); n != 0 {
			t.Error("known for ever")
		}
	})
}

// TestAttackers plays those who want quarantine in place of 550 for ever, day by day, and an honest forwarder beside them.
func TestAttackers(t *testing.T) {
	forged := func(p gateway.Path) mail {
		return mail{author: "bank.example", org: "bank.example", asks: "reject", result: "fail", path: p, outcome: gateway.Quarantine, chain: "pass"}
	}
	own := func(p gateway.Path, i int) mail {
		m := delivered(fmt.Sprintf("n%d.evil.example", i), "reject", "pass")
		m.org, m.path, m.chain = "evil.example", p, "pass"
		return m
	}
	for name, tt := range map[string]struct {
		want gateway.Standing // after 40 days
		day  func(d int) []mail
		path gateway.Path
	}{
		"one host, a new List-Id each day": {gateway.PathDoubted, func(d int) []mail {
			return []mail{forged(gateway.Path{Host: "evil.example", Told: fmt.Sprintf("list:%d.example", d)})}
		}, gateway.Path{Host: "evil.example", Told: "list:fresh.example"}},
		"its own signed mail and chains": {gateway.PathDoubted, func(d int) []mail {
			p := gateway.Path{Host: "evil.example", Told: "arc:evil.example"}
			var out []mail
			for i := range 20 {
				out = append(out, own(p, 20*d+i))
			}
			return append(out, forged(p))
		}, gateway.Path{Host: "evil.example", Told: "arc:evil.example"}},
		"no name, a new address each day": {gateway.PathDoubted, func(d int) []mail {
			m := own(gateway.Path{Host: "192.0.2.0/24"}, d)
			return []mail{m, m, m, m, forged(gateway.Path{Host: "192.0.2.0/24"})}
		}, gateway.Path{Host: "192.0.2.0/24"}},
		"one accomplice's domain": {gateway.PathDoubted, func(d int) []mail {
			m := delivered(fmt.Sprintf("n%d.friend.example", d), "reject", "pass")
			m.org, m.path = "friend.example", gateway.Path{Host: "evil.example", Told: "list:x"}
			return []mail{m, m, m, m}
		}, gateway.Path{Host: "evil.example", Told: "list:x"}},
		"an honest forwarder": {gateway.PathTrusted, func(d int) []mail {
			p := gateway.Path{Host: "alumni.example"}
			m := delivered(fmt.Sprintf("a%d.example", d%5), "reject", "pass")
			m.path = p
			return []mail{m, m, m, forged(p)}
		}, gateway.Path{Host: "alumni.example"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := NewKnown(KnownOptions{})
				for d := range 40 {
					for _, m := range tt.day(d) {
						k.Learn(m.event())
					}
					if d < 29 {
						if got := k.Path(tt.path).Standing(time.Now()); got != gateway.PathYoung {
							t.Fatalf("day %d: %v", d, got)
						}
					}
					time.Sleep(aDay)
				}
				if got := k.Path(tt.path).Standing(time.Now()); got != tt.want {
					t.Errorf("%v: %+v", got, k.Path(tt.path))
				}
			})
		})
	}
}

// TestSealers: who would have rescued what, the most steady first.
func TestSealers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKnown(KnownOptions{})
		start := time.Now()
		sealed := func(author string, result string, o gateway.Outcome, sealers ...string) {
			k.Learn(mail{author: author, asks: "reject", result: result, outcome: o, sealers: sealers}.event())
		}
		for d := range 3 {
			sealed(fmt.Sprintf("a%d.example", d), "fail", gateway.Quarantine, "steady.example")
			time.Sleep(aDay)
		}
		for i := range 10 {
			sealed(fmt.Sprintf("b%d.example", i), "fail", gateway.Reject, "loud.example", "loud.example", "", "second.example")
		}
		sealed("c.example", "fail", gateway.Defer, "later.example")
		sealed("c.example", "pass", gateway.Accept, "needless.example")
		sealed("c.example", "fail", gateway.Reject, strings.Split(strings.Repeat("x.example ", 20)+"ninth.example", " ")...)
		at, end := start.Truncate(time.Second), start.Add(3*aDay).Truncate(time.Second)
		five := []string{"b0.example", "b1.example", "b2.example", "b3.example", "b4.example"}
		want := []Sealer{
			{Domain: "steady.example", First: at, Last: start.Add(2 * aDay).Truncate(time.Second), Messages: 3, Days: 3, Authors: []string{"a0.example", "a1.example", "a2.example"}},
			{Domain: "loud.example", First: end, Last: end, Messages: 10, Days: 1, Authors: five},
			{Domain: "second.example", First: end, Last: end, Messages: 10, Days: 1, Authors: five},
			{Domain: "x.example", First: end, Last: end, Messages: 1, Days: 1, Authors: []string{"c.example"}},
		}
		if got := k.Sealers(); !reflect.DeepEqual(got, want) {
			t.Errorf("\n got %+v\nwant %+v", got, want)
		}
		k.sealers.expire(time.Now().Add(89*aDay + time.Hour))
		if got := k.Sealers(); len(got) != 3 {
			t.Errorf("after a quarter: %+v", got)
		}
	})
}

// TestKnownBound: a flood of names that nobody heard of fills the memory and no more, and leaves those that are seen on
// several days; the store hears of all that went.
func TestKnownBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fakeKeeper{}
		k := NewKnown(KnownOptions{Domains: 1280, Paths: 1280, Sealers: 640})
		k.Keep(store)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		time.Sleep(time.Until(time.Now().Truncate(aDay).Add(aDay - 15*time.Second)))
		go k.Run(ctx)
		learn := func(name string) {
			m := mail{author: name, org: name, asks: "reject", result: "fail", outcome: gateway.Reject, path: gateway.Path{Host: name}, sealers: []string{name}}
			k.Learn(m.event())
		}
		for range 2 { // before midnight, and after it
			for i := range 100 {
				learn(fmt.Sprintf("steady%d.example", i))
			}
			time.Sleep(30 * time.Second)
		}
		for i := range 9000 { // in the first second more goes than the store is told of
			learn(fmt.Sprintf("flood%d.example", i))
			if i%100 == 0 && i > 6000 {
				time.Sleep(saveEvery / 10)
			}
		}
		domains, paths, sealers := k.Len()
		if domains > 1280 || domains < 1200 || paths > 1280 || paths < 1200 || sealers > 640 || sealers < 600 {
			t.Errorf("%d domains, %d paths, %d sealers", domains, paths, sealers)
		}
		lost := 0
		for i := range 100 {
			name := fmt.Sprintf("steady%d.example", i)
			if k.Domain(name).Asks == "" || k.Path(gateway.Path{Host: name}).Host.Messages != 2 {
				lost++
			}
		}
		if lost > 0 {
			t.Errorf("%d of 100 that were seen on two days are lost", lost)
		}
		time.Sleep(sweepEvery + 2*saveEvery)
		if store.count("domain") != domains || store.count("path") != paths || store.count("sealer") != sealers {
			t.Errorf("kept: %d domains, %d paths, %d sealers", store.count("domain"), store.count("path"), store.count("sealer"))
		}
		for _, expire := range []func(time.Time){k.domains.expire, k.paths.expire, k.sealers.expire} {
			expire(time.Now().Add(200 * aDay))
		}
		time.Sleep(2 * saveEvery)
		if store.count("domain") != 0 || store.count("path") != 0 || store.count("sealer") != 0 {
			t.Errorf("kept for ever: %d domains, %d paths, %d sealers", store.count("domain"), store.count("path"), store.count("sealer"))
		}
	})
}

// TestKnownRestart: what was learned is there after a kill a second later, and after an end in order.
func TestKnownRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fakeKeeper{}
		k := NewKnown(KnownOptions{})
		k.Keep(store)
		ctx, stop := context.WithCancel(t.Context())
		go k.Run(ctx)
		list := gateway.Path{Host: "lists.example", Told: "list:dev lists.example"}
		m := delivered("a.example", "reject", "fail")
		m.path, m.sealers, m.outcome = list, []string{"seal.example"}, gateway.Quarantine
		k.Learn(m.event())
		k.Learn(delivered("b.example", "quarantine", "pass").event())
		time.Sleep(saveEvery + time.Millisecond)
		after := func() *Known {
			n := NewKnown(KnownOptions{})
			n.Keep(store)
			n.Load(t.Context())
			return n
		}
		killed := after()
		for _, name := range []string{"a.example", "b.example"} {
			if killed.Domain(name) != k.Domain(name) || killed.Domain(name).Asks == "" {
				t.Errorf("%s: %+v, not %+v", name, killed.Domain(name), k.Domain(name))
			}
		}
		if killed.Path(list) != k.Path(list) || killed.Path(list).Told.Refused != 1 || !reflect.DeepEqual(killed.Sealers(), k.Sealers()) || len(k.Sealers()) != 1 {
			t.Errorf("%+v, %+v", killed.Path(list), killed.Sealers())
		}
		saves := store.saves
		time.Sleep(10 * saveEvery)
		if store.saves != saves {
			t.Error("what did not change is saved")
		}
		k.Learn(delivered("c.example", "reject", "pass").event())
		stop()
		synctest.Wait()
		if ended := after(); ended.Domain("c.example").Passes != 1 {
			t.Error("the last second is lost in an end in order")
		}
	})
}

// TestKnownCounts: what is only one more of what is known is saved once a minute, not with each message.
func TestKnownCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fakeKeeper{}
		k := NewKnown(KnownOptions{})
		k.Keep(store)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go k.Run(ctx)
		m := delivered("a.example", "reject", "pass")
		m.path, m.sealers = gateway.Path{Host: "lists.example"}, []string{"seal.example"}
		for range 100 {
			k.Learn(m.event())
			time.Sleep(saveEvery / 2)
		}
		synctest.Wait()
		if store.saves != 2 { // of the domain and the path, when they became known
			t.Errorf("%d saves in less than a minute", store.saves)
		}
		killed := func() int {
			n := NewKnown(KnownOptions{})
			n.Keep(store)
			n.Load(t.Context())
			return n.Domain("a.example").Passes
		}
		if n := killed(); n != 1 && n != 2 && n != 3 {
			t.Errorf("%d passes after a kill", n)
		}
		time.Sleep(time.Minute)
		if n := killed(); n != 100 {
			t.Errorf("%d passes after a kill a minute later", n)
		}
		m.asks = "none"
		k.Learn(m.event())
		time.Sleep(2 * saveEvery)
		if n := killed(); n != 101 {
			t.Errorf("%d passes: what the domain asks for is not saved soon", n)
		}
	})
}

// TestKnownLateLoad: what was learned while the store was read is joined with it, and both are kept.
func TestKnownLateLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fakeKeeper{}
		list := gateway.Path{Host: "lists.example"}
		first := delivered("a.example", "reject", "pass")
		first.path = list
		sealed := mail{author: "a.example", asks: "reject", result: "fail", outcome: gateway.Reject, sealers: []string{"seal.example"}}
		run := func(load func(k *Known)) *Known {
			k := NewKnown(KnownOptions{})
			k.Keep(store)
			load(k)
			ctx, stop := context.WithCancel(t.Context())
			go k.Run(ctx)
			time.Sleep(2 * saveEvery)
			stop()
			synctest.Wait()
			return k
		}
		start := time.Now()
		run(func(k *Known) { k.Learn(first.event()); k.Learn(sealed.event()) })
		time.Sleep(time.Until(start.Add(10 * aDay)))
		second := first
		second.author, second.org = "a.example", "b.example"
		k := run(func(k *Known) {
			k.Learn(second.event())
			k.Learn(sealed.event())
			k.Load(t.Context())
		})
		at, now := start.Truncate(time.Second), start.Add(10*aDay).Truncate(time.Second)
		for _, k := range []*Known{k, run(func(k *Known) { k.Load(t.Context()) })} {
			if got, want := k.Domain("a.example"), (gateway.KnownDomain{Asks: "reject", AsksSince: at, Seen: now, Passed: now, Passes: 2}); got != want {
				t.Errorf("\n got %+v\nwant %+v", got, want)
			}
			if got, want := k.Path(list).Host, (gateway.Past{First: at, Last: now, Messages: 2, Judged: 2, Passed: 2, Days: 2, Authors: 2}); got != want {
				t.Errorf("\n got %+v\nwant %+v", got, want)
			}
			if got := k.Sealers(); len(got) != 1 || got[0].Messages != 2 || got[0].Days != 2 || !got[0].First.Equal(at) {
				t.Errorf("%+v", got)
			}
		}
		// The record went meanwhile: what was known is over.
		k = run(func(k *Known) {
			k.Learn(delivered("a.example", "none", "pass").event())
			k.Load(t.Context())
		})
		if got := k.Domain("a.example"); !got.AsksSince.IsZero() || got.Passes != 3 {
			t.Errorf("%+v", got)
		}
	})
}

// TestKnownDamage: what cannot be read, or cannot have been kept by us, is dropped alone.
func TestKnownDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().Unix()
		ahead := fmt.Sprint(now + 1e9)
		store := &fakeKeeper{kept: map[string]map[string][]byte{
			"domain": {"good.example": fmt.Appendf(nil, `{"asks":"reject","asks_since":%d,"first":%d,"seen":%d}`, now-100, now-100, now),
				"ahead.example": []byte(`{"asks":"reject","asks_since":` + ahead + `,"first":` + ahead + `,"seen":` + ahead + `}`),
				"1.example":     []byte("junk"), "2.example": nil, "3.example": []byte(`{"asks":"everything","asks_since":1,"first":1,"seen":` + fmt.Sprint(now) + `}`),
				"4.example": []byte(`{"first":-1,"seen":` + fmt.Sprint(now) + `}`), "5.example": []byte(`{}`), "6.example": []byte(`[1]`),
				"7.example": []byte(`{"asks":"reject","first":1,"seen":` + fmt.Sprint(now) + `}`)},
			"path": {"good.example ": fmt.Appendf(nil, `{"first":%d,"last":%d,"faded":%d,"messages":4}`, now-100, now, now-100),
				"1.example ": []byte(`{"first":1}`), "2.example ": fmt.Appendf(nil, `{"first":%d,"last":%d,"faded":%d,"messages":-4}`, now, now, now),
				"3.example ": fmt.Appendf(nil, `{"first":%d,"last":%d,"faded":%d,"authors":[1,2]}`, now, now, now), "": []byte("0")},
			"sealer": {"good.example": fmt.Appendf(nil, `{"first":%d,"last":%d,"messages":1,"days":1,"authors":["a"]}`, now, now),
				"1.example": fmt.Appendf(nil, `{"first":%d,"last":%d,"messages":1,"days":1,"authors":["a","a","a","a","a","a"]}`, now, now), "2.example": []byte(`"`)},
			"other": {"x": []byte("y")},
		}}
		k := NewKnown(KnownOptions{})
		k.Keep(store)
		k.Load(t.Context())
		if d, p, s := k.Len(); d != 2 || p != 2 || s != 1 {
			t.Errorf("%d domains, %d paths, %d sealers", d, p, s)
		}
		if got := k.Domain("ahead.example"); got.AsksSince.After(time.Now()) || got.Seen.After(time.Now()) {
			t.Errorf("known from the future: %+v", got)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go k.Run(ctx)
		time.Sleep(2 * saveEvery)
		if got := store.count("domain"); got != 2 {
			t.Errorf("%d domains are kept: %v", got, slices.Collect(maps.Keys(store.kept["domain"])))
		}
	})
}

// TestKnownStoreFails: a store that fails costs nothing but what it would have kept, bounded; when it works again all of it
// is there.
func TestKnownStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fakeKeeper{broken: errors.New("disk full")}
		k := NewKnown(KnownOptions{Domains: 640})
		k.Keep(store)
		k.Load(t.Context())
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go k.Run(ctx)
		for i := range 20000 {
			k.Learn(delivered(fmt.Sprintf("d%d.example", i), "reject", "pass").event())
			if i%1000 == 0 {
				time.Sleep(saveEvery)
			}
		}
		synctest.Wait()
		marked := 0
		for i := range k.domains.shards {
			s := &k.domains.shards[i]
			s.mu.Lock()
			marked += len(s.changed)
			s.mu.Unlock()
		}
		if n, _, _ := k.Len(); n > 640 || marked > 4*640 {
			t.Errorf("%d domains, %d changes wait", n, marked)
		}
		store.breaks(nil)
		time.Sleep(2 * saveEvery)
		if n, _, _ := k.Len(); store.count("domain") != n || !k.domains.leaked.Load() {
			t.Errorf("%d kept of %d", store.count("domain"), n)
		}
	})
}

// TestKnownRace lets everything happen at once.
func TestKnownRace(t *testing.T) {
	k := NewKnown(KnownOptions{Domains: 640, Paths: 640, Sealers: 64})
	k.Keep(&fakeKeeper{})
	ctx, stop := context.WithCancel(t.Context())
	var all, work sync.WaitGroup
	all.Go(func() { k.Run(ctx) })
	for g := range 4 {
		work.Go(func() {
			for i := range 2000 {
				name := fmt.Sprintf("d%d.example", i%(700+g))
				p := gateway.Path{Host: name, Told: "list:x"}
				k.Learn(mail{author: name, asks: "reject", result: "fail", path: p, sealers: []string{name}, outcome: gateway.Reject}.event())
				k.Domain(name)
				k.Path(p)
				if i%500 == 0 {
					k.Sealers()
					k.Load(ctx)
					k.paths.expire(time.Now())
				}
			}
		})
	}
	work.Wait()
	stop()
	all.Wait()
	if d, p, s := k.Len(); d > 640 || p > 640 || s > 64 {
		t.Errorf("%d domains, %d paths, %d sealers", d, p, s)
	}
}

func BenchmarkKnownDomain(b *testing.B) {
	k := NewKnown(KnownOptions{})
	k.Learn(delivered("a.example", "reject", "pass").event())
	b.ReportAllocs()
	for b.Loop() {
		if k.Domain("a.example").Asks == "" {
			b.Fatal("forgotten")
		}
	}
}

func BenchmarkKnownPath(b *testing.B) {
	k := NewKnown(KnownOptions{})
	m := delivered("a.example", "reject", "pass")
	m.path = gateway.Path{Host: "lists.example", Told: "list:dev.lists.example"}
	k.Learn(m.event())
	b.ReportAllocs()
	for b.Loop() {
		if k.Path(m.path).Told.Messages == 0 {
			b.Fatal("forgotten")
		}
	}
}

func BenchmarkKnownLearn(b *testing.B) {
	k := NewKnown(KnownOptions{})
	k.Keep(&fakeKeeper{})
	m := delivered("a.example", "reject", "pass")
	m.path = gateway.Path{Host: "lists.example", Told: "list:dev.lists.example"}
	e := m.event()
	b.ReportAllocs()
	for b.Loop() {
		k.Learn(e)
	}
}

// BenchmarkKnownFull says what a full memory of domains holds, per domain.
func BenchmarkKnownFull(b *testing.B) {
	names := make([]string, 4*DefaultDomains)
	for i := range names {
		names[i] = fmt.Sprintf("mail%d.customer.example", i)
	}
	b.ReportAllocs()
	for b.Loop() {
		k := NewKnown(KnownOptions{})
		for _, n := range names {
			k.Learn(mail{author: n, asks: "reject", result: "fail", path: gateway.Path{Host: n}}.event())
		}
	}
}
