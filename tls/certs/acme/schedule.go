package acme

import (
	"crypto/x509"
	"hash/fnv"
	"math"
	"slices"
	"time"
)

// shortLife is up to where a certificate is short-lived: it is renewed at half of its life.
const shortLife = 10 * 24 * time.Hour

// The window in which a certificate is renewed, in 24ths of its life. It ends before two thirds are over, where an alarm says
// that no renewal came: a day of failures is no reason for one.
const (
	parts      = 24
	longFirst  = 14
	longLast   = 15
	shortFirst = 10
	shortLast  = 12
)

// due is when a certificate is renewed: in its window, at a place that depends on the name alone, so that a thousand gateways
// that began together do not renew together.
func due(leaf *x509.Certificate, name string) time.Time {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	first, last := longFirst, longLast
	if life <= shortLife {
		first, last = shortFirst, shortLast
	}
	part := life / parts
	return leaf.NotBefore.Add(time.Duration(first)*part + time.Duration(spread(name)*float64(time.Duration(last-first)*part)))
}

// spread is a number from 0 to below 1 that a text always has.
func spread(text string) float64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // a hash takes everything
	return float64(mix(h.Sum64())>>11) / (1 << 53)
}

// mix spreads what FNV leaves in the low bits of short texts (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// Times between tries after failures.
const (
	backoffLeast = time.Minute
	backoffMost  = 12 * time.Hour
)

// backoff is how long to wait after so many failures, one or more: twice as long each time, give or take a fifth that depends on
// the name; never less than the authority asks for.
func backoff(failures int, name string, asked time.Duration) time.Duration {
	wait := backoffMost
	if doubled := float64(backoffLeast) * math.Exp2(float64(failures-1)); doubled < float64(backoffMost) {
		wait = time.Duration(doubled)
	}
	wait += time.Duration((spread(name) - 0.5) * 0.4 * float64(wait))
	return max(wait, asked)
}

// maxOrders bounds the orders of one entry in ordersWindow, whatever happens and whoever asks: more than all tries of a day
// that fails from its first minute to its last.
const (
	maxOrders    = 15
	ordersWindow = 24 * time.Hour
)

// recent drops the orders that are older than the window, and those of a clock that was ahead.
func recent(orders []time.Time, now time.Time) []time.Time {
	return slices.DeleteFunc(slices.Clone(orders), func(t time.Time) bool { return t.After(now) || now.Sub(t) >= ordersWindow })
}

// notBefore is the earliest time of a try that the memory of an entry allows; the zero time: now. What a clock that was ahead
// has left is not believed.
func (m *memory) notBefore(now time.Time) time.Time {
	at := m.Next
	if at.Sub(now) > laterMost {
		at = time.Time{}
	}
	if orders := recent(m.Orders, now); len(orders) >= maxOrders {
		if free := orders[len(orders)-maxOrders].Add(ordersWindow); free.After(at) {
			at = free
		}
	}
	return at
}
