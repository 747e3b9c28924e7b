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

// maxEarly bounds how many networks and reasons are told apart at once; the others are counted together.
const maxEarly = 4096

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

// networkOf is the network that a client is counted under: its /24, or its /64.
func networkOf(client netip.Addr) netip.Prefix {
	client = client.Unmap().WithZone("")
	bits := 64
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

// earlyLines tells of counts: a line for each minute and reason, with the five networks that came most.
func earlyLines(counts map[earlyKey]int) []*Line {
	type group struct {
		minute int64
		reason gateway.Reason
	}
	groups := make(map[group][]earlyKey)
	for k := range counts {
		g := group{k.minute, k.reason}
		groups[g] = append(groups[g], k)
	}
	order := slices.SortedFunc(maps.Keys(groups), func(a, b group) int {
		return cmp.Or(cmp.Compare(a.minute, b.minute), cmp.Compare(a.reason, b.reason))
	})
	var out []*Line
	for _, g := range order {
		keys, total := groups[g], 0
		for _, k := range keys {
			total += counts[k]
		}
		slices.SortFunc(keys, func(a, b earlyKey) int {
			return cmp.Or(cmp.Compare(counts[b], counts[a]), a.network.Addr().Compare(b.network.Addr()))
		})
		at := time.Unix(g.minute*60, 0)
		var o object
		o.moment("time", at)
		o.always("kind", string(Early))
		o.always("reason", string(g.reason))
		o.number("count", int64(total))
		o.key("networks")
		for i, k := range keys[:min(len(keys), 5)] {
			name := "other"
			if k.network.IsValid() {
				name = k.network.String()
			}
			o.b = append(appendText(append(o.b, "[,"[min(i, 1)], '['), name), ',')
			o.b = append(appendFloat(o.b, float64(counts[k])), ']')
		}
		o.b = append(o.b, ']')
		o.number("networks_more", int64(max(len(keys)-5, 0)))
		out = append(out, &Line{Time: at, Verb: Early, Reason: string(g.reason), JSON: o.end(), severity: severityNotice})
	}
	return out
}
