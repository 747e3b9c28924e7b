package limit

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Front is the first, cheap line: how fast one network may connect to this process, asked before anything is known of the
// client and without a Store. Its memory is the same whatever comes: a network has one of a few places, and takes that of the
// one which is furthest from its limit. A network that is forgotten so begins anew; none is ever refused for another's sake.
type Front struct {
	limit rate.Limit
	burst int
	seed  maphash.Seed
	locks [shards]sync.Mutex // of the sets whose number ends so
	sets  []places
}

// places are where a network may be.
type places [8]struct {
	network uint64 // 0: empty
	limiter *rate.Limiter
}

// DefaultNetworks is how many networks a Front knows by default, in about 6 MB.
const DefaultNetworks = 1 << 16

// NewFront returns a line for so many networks, rounded up to a multiple of 512; 0 is DefaultNetworks. The rate is best the
// most generous that any network has behind it: then the line refuses nothing that a Store would let pass, and only spares
// the Store a flood. It counts in floating point, so one more than the burst passes. A rate that is none limits nothing.
func NewFront(r Rate, networks int) *Front {
	if networks < 1 {
		networks = DefaultNetworks
	}
	f := &Front{limit: rate.Inf, seed: maphash.MakeSeed()}
	if r.Valid() {
		f.limit = rate.Limit(float64(time.Second/time.Microsecond) / float64(r.Interval))
		f.burst = int(r.Burst) + 1
		per := len(places{}) * shards
		f.sets = make([]places, (networks-1)/per*shards+shards)
	}
	return f
}

// Allow reports whether one more connection of the address's network (/26, /56) passes, and counts it if so.
func (f *Front) Allow(a netip.Addr) bool {
	if f.limit == rate.Inf {
		return true
	}
	network := packed(a)
	at := maphash.Comparable(f.seed, network) % uint64(len(f.sets))
	lock, set := &f.locks[at%shards], &f.sets[at]
	lock.Lock()
	defer lock.Unlock()
	now := time.Now()
	place, free := 0, -1.0
	for i := range set {
		p := &set[i]
		if p.network == network {
			return p.limiter.AllowN(now, 1)
		}
		left := float64(f.burst) + 1
		if p.network != 0 {
			left = p.limiter.TokensAt(now)
		}
		if left > free {
			place, free = i, left
		}
	}
	set[place].network, set[place].limiter = network, rate.NewLimiter(f.limit, f.burst)
	return set[place].limiter.AllowN(now, 1)
}

// packed is a network in eight octets, of which the last tells the families apart. No network is 0.
func packed(a netip.Addr) uint64 {
	n := PlacesOf(a).Network.Addr()
	switch {
	case n.Is4():
		four := n.As4()
		return uint64(binary.BigEndian.Uint32(four[:]))<<8 | 4
	case n.Is6():
		six := n.As16()
		return binary.BigEndian.Uint64(six[:8]) | 6 // the last octet is not of a /56
	}
	return 1
}
