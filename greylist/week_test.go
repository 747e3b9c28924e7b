package greylist

import (
	"container/heap"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// A week of mail to 60 recipients, where all that is not known is held: the worst that can be asked of greylisting.

type mail struct {
	class    string
	sender   string
	rcpt     string
	from     func() Sender // the server of the next try
	retries  []time.Duration
	try      int
	first    time.Time
	identity Identity
	moved    bool // its tries came from more than one identity
}

type event struct {
	at   time.Time
	mail *mail
}

type queue []event

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(e any)        { *q = append(*q, e.(event)) }
func (q *queue) Pop() any {
	e := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return e
}

// What servers do by default after a first refusal, from the first try on; each goes on with its last step.
var (
	postfix  = schedule(5, 10, 20, 40, 67)
	exim     = schedule(15, 15, 15, 15, 15, 15, 15, 15, 60)
	sendmail = schedule(30)
	eager    = schedule(1, 1, 5, 10, 30)
	hasty    = []time.Duration{5 * time.Second, 20 * time.Second, 60 * time.Second, 119 * time.Second}
)

func schedule(minutes ...int) []time.Duration {
	var all []time.Duration
	for at, i := time.Duration(0), 0; len(all) < 60; i++ {
		at += time.Duration(minutes[min(i, len(minutes)-1)]) * time.Minute
		all = append(all, at)
	}
	return all
}

type result struct {
	mails, held, passed int
	exempt              int             // of those that passed
	delays              []time.Duration // the same
}

func (r *result) at(share float64) time.Duration {
	if len(r.delays) == 0 {
		return 0
	}
	slices.Sort(r.delays)
	return r.delays[int(share*float64(len(r.delays)-1))]
}

func (r *result) String() string {
	return fmt.Sprintf("%6d mails, %5d held, %6d passed; delay p50 %v, p95 %v, most %v", r.mails, r.held, r.passed, r.at(.5), r.at(.95), r.at(1))
}

const week = 7 * 24 * time.Hour

// traffic returns a week of mail, the same for the same numbers.
func traffic(start time.Time) queue {
	r := rand.New(rand.NewPCG(7, 7))
	var q queue
	add := func(m *mail) {
		m.rcpt = fmt.Sprintf("user%d@served.test", r.IntN(60))
		q = append(q, event{start.Add(time.Duration(r.Int64N(int64(week)))), m})
	}
	v4 := func(net, host int) netip.Addr {
		return netip.AddrFrom4([4]byte{byte(net >> 16), byte(net >> 8), byte(net), byte(host)})
	}
	for i := range 400 { // servers of companies
		s := Sender{Addr: v4(0x0a0000+i, 25)}
		if i%3 == 0 {
			s.Addr = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, byte(i >> 8), byte(i), 0, 0, 15: byte(i)})
		}
		for range 1 + r.IntN(30) {
			add(&mail{class: "company", sender: fmt.Sprintf("person%c@company%d.example", 'a'+r.IntN(4), i), from: func() Sender { return s }, retries: [][]time.Duration{postfix, exim, sendmail}[i%3]})
		}
	}
	for i := range 8 { // large senders, whose next try comes from anywhere in their pool
		pool := func() Sender {
			return Sender{Addr: v4(0x640000+i<<8+r.IntN(40), r.IntN(256)), SPFDomain: fmt.Sprintf("pool%d.example", i), SPFNarrow: true}
		}
		for range 300 {
			add(&mail{class: "pool", sender: fmt.Sprintf("user%d@pool%d.example", r.IntN(1000), i), from: pool, retries: eager})
		}
	}
	for i := range 50 { // lists, with an address for each mail
		s := Sender{Addr: v4(0x0b0000+i, 25), PTROrg: fmt.Sprintf("list%d.example", i)}
		for n := range 40 {
			add(&mail{class: "list", sender: fmt.Sprintf("talk-return-%d-%x@list%d.example", n, r.Uint32(), i), from: func() Sender { return s }, retries: postfix})
		}
	}
	for i := range 6000 { // bots
		s := Sender{Addr: v4(0x300000+r.IntN(1<<18), r.IntN(256))}
		class, retries := "bot that forgets", []time.Duration(nil)
		if i%10 >= 7 {
			class, retries = "bot in haste", hasty
		}
		if i%10 == 9 {
			class, retries = "patient bot", exim
		}
		for range 1 + r.IntN(5) {
			add(&mail{class: class, sender: fmt.Sprintf("%c%c%c@victim%d.example", 'g'+r.IntN(20), 'g'+r.IntN(20), 'g'+r.IntN(20), r.IntN(1e6)), from: func() Sender { return s }, retries: retries})
		}
	}
	heap.Init(&q)
	return q
}

// play plays the week, and returns what became of each class and of each mail that was held after its identity had passed
// often enough.
func play(t *testing.T, identify func(Sender) Identity) map[string]*result {
	t.Helper()
	start := time.UnixMilli(1_795_000_000_000)
	q, k, store := traffic(start), keyer(t, 1), NewMemory(1<<20)
	results, exempt := map[string]*result{}, map[Identity]bool{}
	for len(q) > 0 {
		e := heap.Pop(&q).(event)
		m := e.mail
		res := results[m.class]
		if res == nil {
			res = &result{}
			results[m.class] = res
		}
		if m.try++; m.try == 1 {
			m.first = e.at
			res.mails++
		}
		id := identify(m.from())
		m.moved = m.moved || m.identity != "" && id != m.identity
		m.identity = id
		a, err := store.Try(context.Background(), k.Key(id, m.sender, m.rcpt), Settings{}, e.at)
		if err != nil {
			t.Fatal(err)
		}
		if a.Hold() && exempt[id] {
			t.Errorf("%s is held after %s passed often enough", m.sender, id)
		}
		exempt[id] = exempt[id] || a.Outcome == Exempt
		if !a.Hold() {
			delay := e.at.Sub(m.first)
			if res.passed++; a.Outcome == Exempt {
				res.exempt++
			}
			res.delays = append(res.delays, delay)
			if most := soonest(m.retries); !m.moved && delay > most {
				t.Errorf("%s waited for %v; its first retry after the delay was at %v", m.sender, delay, most)
			}
			continue
		}
		if m.try == 1 {
			res.held++
		}
		if m.try <= len(m.retries) {
			heap.Push(&q, event{m.first.Add(m.retries[m.try-1]), m})
		}
	}
	return results
}

// soonest returns when a schedule tries again after the delay.
func soonest(retries []time.Duration) time.Duration {
	for _, at := range retries {
		if at >= DefaultDelay {
			return at
		}
	}
	return 0
}

// TestWeek shows that all good mail passes, each with its server's first retry after the delay or sooner, that bots that
// do not wait do not pass but for a patient neighbour's sake, and what an identity is worth to a pool.
func TestWeek(t *testing.T) {
	results := play(t, Sender.Identity)
	byNetwork := play(t, func(s Sender) Identity { return Sender{Addr: s.Addr}.Identity() })
	for _, class := range []string{"company", "pool", "list", "bot that forgets", "bot in haste", "patient bot"} {
		t.Logf("%-16s %v", class, results[class])
	}
	t.Logf("%-16s %v", "pool, by network", byNetwork["pool"])
	for _, class := range []string{"company", "pool", "list"} {
		if r := results[class]; r.passed != r.mails {
			t.Errorf("%s: %d of %d mails passed", class, r.passed, r.mails)
		}
	}
	for _, class := range []string{"bot that forgets", "bot in haste"} {
		// One in a thousand has a patient neighbour in its network.
		if r := results[class]; r.passed != r.exempt || r.passed*1000 > r.mails || r.mails < 1000 {
			t.Errorf("%s: %d of %d mails passed", class, r.passed, r.mails)
		}
	}
	// Two pairs each wait before a pool is known; by network, hundreds do, and longer.
	pool, other := results["pool"], byNetwork["pool"]
	if pool.held > 8*10 || pool.held*5 > other.held || pool.at(1) > 7*time.Minute || other.at(1) <= pool.at(1) {
		t.Errorf("pool: %v; by network: %v", pool, other)
	}
	// A list's numbers do not make it new: two recipients' first mails, and those that come meanwhile.
	if list := results["list"]; list.held > 50*10 {
		t.Errorf("list: %v", list)
	}
}
