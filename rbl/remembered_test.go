package rbl

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"testing/synctest"
	"time"
)

// remembering is a world behind a cache: what was asked for once, and was no failure, is remembered.
type remembering struct{ *world }

func (r remembering) Remembered(host string) ([]netip.Addr, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	answer := r.names[host]
	return addrs(answer.addrs), r.asked[host] > 0 && answer.err == nil && answer.after == 0
}

// TestRemembered: a check whose answers are all remembered says the same as one that asks, counts the same, and asks nobody.
func TestRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var entries []Entry
		for i := range 4 {
			e := entry(t, "spamcop")
			e.List.Name, e.List.Zone = fmt.Sprintf("l%d", i), fmt.Sprintf("l%d.test", i)
			entries = append(entries, e)
		}
		entries[3].Use = UseUnset          // never asked
		w := healthy("l0.test", "l1.test") // l2 does not prove itself
		for host, answer := range map[string]reply{
			"9.1.0.198.l0.test": {addrs: "127.0.0.2"}, "9.2.0.198.l0.test": {err: servFail("x")}, "9.3.0.198.l0.test": {addrs: "127.255.255.255"},
			"9.4.0.198.l0.test": {addrs: "192.0.2.1"}, "9.5.0.198.l1.test": {addrs: "127.0.0.77"},
		} {
			w.set(host, answer)
		}
		plain, _ := supervise(t, entries...)
		quick, _ := supervise(t, entries...)
		quick.seed = plain.seed
		for _, s := range []*Supervisor{plain, quick} {
			s.Probe(t.Context(), w, time.Now())
		}
		r := remembering{w}
		subjects := []Subject{{Client: netip.MustParseAddr("10.0.0.1")}, {Client: netip.MustParseAddr("2001:db8::1")}, {}}
		for i := range 6 {
			subjects = append(subjects, client(i))
		}
		for round := range 3 {
			for _, subject := range subjects {
				want := plain.Check(t.Context(), w, time.Now(), subject)
				before := w.total()
				got := quick.Check(t.Context(), r, time.Now(), subject)
				if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
					t.Errorf("round %d: %+v\nwant %+v", round, got, want)
				}
				if failing := subject == client(2); (w.total() > before) != failing {
					t.Errorf("round %d: %v: %d questions more", round, subject.Client, w.total()-before)
				}
				if _, ok := quick.Remembered(r, time.Now(), subject); ok == (subject == client(2)) {
					t.Errorf("%v: remembered is %t", subject.Client, ok)
				}
				plain.Check(t.Context(), w, time.Now(), subject) // as often
				if subject == client(2) {
					quick.Check(t.Context(), r, time.Now(), subject)
				}
			}
			if got, want := quick.Status(time.Now()), plain.Status(time.Now()); !reflect.DeepEqual(got, want) {
				t.Errorf("round %d: %+v\nwant %+v", round, got, want)
			}
		}
		// A listing that rests on an old proof is held against the test points first.
		time.Sleep(2 * fresh)
		if _, ok := quick.Remembered(r, time.Now(), client(1)); ok {
			t.Error("a listing stands on an old proof")
		}
		if _, ok := quick.Remembered(r, time.Now(), client(0)); !ok {
			t.Error("what is not listed needs a new proof")
		}
		w.set("*.l0.test", reply{addrs: "127.0.0.2"})
		if res := quick.Check(t.Context(), r, time.Now(), client(1))[0]; res.Verdict != Unhealthy || res.Cause != World {
			t.Errorf("a list that lists the world: %+v", res)
		}
	})
}

func (w *world) total() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, asked := range w.asked {
		n += asked
	}
	return n
}
