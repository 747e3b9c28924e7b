package journal

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"gatepost/gateway"
)

const (
	// maxEarly bounds how many networks and reasons are told apart at once; the others are counted together.
	maxEarly = 4096
	// keptEarly bounds how many networks of a minute and reason are kept, those that came most: a flood from everywhere must
	// not become a flood of rows.
	keptEarly = 256
)

// earlyKey is what early refusals are counted by. The zero network is all that there was no room to tell apart.
type earlyKey struct {
	minute  int64
	network netip.Prefix
	reason  gateway.Reason
}

// tally counts connections that were refused before the banner.
type tally struct {
	mu     sync.Mutex
	counts map[earlyKey]int
}

func (t *tally) add(now time.Time, client netip.Addr, reason gateway.Reason) {
	k := earlyKey{now.Unix() / 60, networkOf(client), reason}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = make(map[earlyKey]int)
	}
	if _, ok := t.counts[k]; !ok && len(t.counts) >= maxEarly {
		k.network = netip.Prefix{}
	}
	t.counts[k]++
}

// networkOf is the network that a client is counted under: its /24, or its /48, which is what one site has of IPv6.
func networkOf(client netip.Addr) netip.Prefix {
	client = client.Unmap().WithZone("")
	bits := 48
	if client.Is4() {
		bits = 24
	}
	p, _ := client.Prefix(bits) // not valid for an address that is none
	return p
}

// take removes the counts of the minutes before one.
func (t *tally) take(before int64) map[earlyKey]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make(map[earlyKey]int)
	for k, n := range t.counts {
		if k.minute < before {
			out[k] = n
			delete(t.counts, k)
		}
	}
	return out
}

// earlyGroup is what came in a minute for a reason, the networks that came most first.
type earlyGroup struct {
	minute int64
	reason gateway.Reason
	total  int
	of     []earlyCount
}

// earlyCount is of one network; one that is not valid stands for all that are not named.
type earlyCount struct {
	network netip.Prefix
	n       int
}

// groupEarly puts counts together, in the order of time.
func groupEarly(counts map[earlyKey]int) []*earlyGroup {
	type key struct {
		minute int64
		reason gateway.Reason
	}
	groups := make(map[key]*earlyGroup)
	for k, n := range counts {
		g := groups[key{k.minute, k.reason}]
		if g == nil {
			g = &earlyGroup{minute: k.minute, reason: k.reason}
			groups[key{k.minute, k.reason}] = g
		}
		g.total += n
		g.of = append(g.of, earlyCount{k.network, n})
	}
	order := slices.SortedFunc(maps.Values(groups), func(a, b *earlyGroup) int {
		return cmp.Or(cmp.Compare(a.minute, b.minute), cmp.Compare(a.reason, b.reason))
	})
	for _, g := range order {
		slices.SortFunc(g.of, func(a, b earlyCount) int {
			return cmp.Or(cmp.Compare(b.n, a.n), a.network.Addr().Compare(b.network.Addr()))
		})
	}
	return order
}

// kept are the counts as they are stored: what comes behind the first is put together with what has no name.
func (g *earlyGroup) kept() []earlyCount {
	out := make([]earlyCount, 0, min(len(g.of), keptEarly)+1)
	others := 0
	for _, c := range g.of {
		if len(out) < keptEarly && c.network.IsValid() {
			out = append(out, c)
		} else {
			others += c.n
		}
	}
	if others > 0 {
		out = append(out, earlyCount{n: others})
	}
	return out
}

// earlyLines tells of counts: a line for each minute and reason, with the five networks that came most.
func earlyLines(groups []*earlyGroup) []*Line {
	var out []*Line
	for _, g := range groups {
		at := time.Unix(g.minute*60, 0)
		var o object
		o.moment("time", at)
		o.always("kind", string(Early))
		o.always("reason", string(g.reason))
		o.number("count", int64(g.total))
		o.key("networks")
		for i, c := range g.of[:min(len(g.of), 5)] {
			name := "other"
			if c.network.IsValid() {
				name = c.network.String()
			}
			o.b = append(appendText(append(o.b, "[,"[min(i, 1)], '['), name), ',')
			o.b = append(appendFloat(o.b, float64(c.n)), ']')
		}
		o.b = append(o.b, ']')
		o.number("networks_more", int64(max(len(g.of)-5, 0)))
		out = append(out, &Line{Time: at, Verb: Early, Reason: string(g.reason), JSON: o.end(), severity: severityNotice})
	}
	return out
}
