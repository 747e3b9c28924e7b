package rbl

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// caching is a world behind a cache that keeps what it heard for five minutes, and can be asked past it.
type caching struct {
	*world
	kept *sync.Map // of cached, by name
	past bool
}

type cached struct {
	addrs []netip.Addr
	err   error
	until time.Time
}

func (r caching) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if old, ok := r.kept.Load(host); ok && !r.past && time.Now().Before(old.(cached).until) {
		return old.(cached).addrs, old.(cached).err
	}
	addrs, err := r.world.LookupNetIP(ctx, network, host)
	r.kept.Store(host, cached{addrs, err, time.Now().Add(5 * time.Minute)})
	return addrs, err
}

func (r caching) Anew() Resolver {
	r.past = true
	return r
}

// TestProofIsAskedFor: no proof is read from a cache. A list that refused, or listed the world, is back when it is tried again,
// and one that was well a moment ago and no longer is refuses nobody; mail is answered from the cache all the same.
func TestProofIsAskedFor(t *testing.T) {
	for what, spoiled := range map[string]reply{"refuses": {addrs: "127.255.255.254"}, "lists the world": {addrs: "127.0.0.2"}} {
		synctest.Test(t, func(t *testing.T) {
			good := healthy(zone)
			r := caching{world: newWorld(map[string]reply{"*." + zone: spoiled}), kept: new(sync.Map)}
			s, _ := supervise(t, entry(t, "spamcop"))
			s.Probe(t.Context(), r, time.Now())
			if st := s.Status(time.Now())[0]; st.State == Armed {
				t.Errorf("%s: %+v", what, st)
			}
			*r.world = world{names: good.names, asked: map[string]int{}}
			time.Sleep(firstRetry)
			s.Probe(t.Context(), r, time.Now())
			if st := s.Status(time.Now())[0]; st.State != Armed {
				t.Errorf("%s, and works again: %v, %v %s", what, st.State, st.Cause, st.Detail)
			}
			r.set("9.1.0.198."+zone, reply{addrs: "127.0.0.2"})
			for range 3 {
				if res := s.Check(t.Context(), r, time.Now(), client(1))[0]; res.Verdict != Listed {
					t.Errorf("%s, and works again: %+v", what, res)
				}
			}
			if n := r.count("9.1.0.198." + zone); n != 1 {
				t.Errorf("mail asked %d times", n)
			}
			time.Sleep(fresh)
			r.drop("2.0.0.127." + zone)
			if res := s.Check(t.Context(), r, time.Now(), client(1))[0]; res.Verdict != Unhealthy || res.Cause != Missing {
				t.Errorf("a list that is gone lists by what is remembered: %+v", res)
			}
		})
	}
}
