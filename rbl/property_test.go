package rbl

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestNeverWrong runs clients by the dozen through lists whose answers change at random under them, test points too, for hours,
// and holds each result against all that the world could have answered: no client is listed that no list ever listed by a documented code, and
// none is "not listed" whose name always had an answer or a failure.
func TestNeverWrong(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(6, seed))
			var entries []Entry
			w := newWorld(map[string]reply{})
			for _, name := range []string{"spamcop", "psbl", "mailspike", "dnswl", "spamhaus-zen-dqs"} {
				entries = append(entries, entry(t, name))
			}
			zoneOf := func(e *Entry) string { z, _ := e.List.zone(e.Key); return z }
			bad := []reply{{}, {addrs: "127.255.255.254"}, {addrs: "203.0.113.1"}, {addrs: "127.0.0.1"}, {addrs: "127.0.0.99"}, {err: servFail("x")},
				{err: errors.New("x")}, {after: time.Hour}, {addrs: "127.0.0.2 127.255.255.255"}, {addrs: "127.0.0.255 192.0.2.1"}}
			// Clients 0 to 9 have bad answers only, 10 to 19 none, 20 to 29 listings and bad ones.
			good := map[string]string{"spamcop": "127.0.0.2", "psbl": "127.0.0.2", "mailspike": "127.0.0.11", "dnswl": "127.0.9.1", "spamhaus-zen-dqs": "127.0.0.4"}
			change := func() {
				for i := range entries {
					e := &entries[i]
					for n := range 30 {
						r := bad[rnd.IntN(len(bad))]
						if n >= 20 && rnd.IntN(3) > 0 {
							r = reply{addrs: good[e.List.Name], after: time.Duration(rnd.IntN(3)) * time.Second}
						}
						if n < 10 || n >= 20 {
							q := question{addr: client(n).Client}
							name, _ := q.name(zoneOf(e))
							w.set(name, r)
						}
					}
					w.set("2.0.0.127."+zoneOf(e), reply{addrs: good[e.List.Name]})
					if rnd.IntN(4) == 0 {
						w.set("2.0.0.127."+zoneOf(e), bad[rnd.IntN(len(bad))])
					}
				}
			}
			change()
			s, err := NewSupervisor(entries, nil)
			if err != nil {
				t.Fatal(err)
			}
			var mu sync.Mutex
			seen := map[Verdict]int{}
			for range 60 {
				s.Probe(t.Context(), w, time.Now())
				var wg sync.WaitGroup
				for range 20 {
					n := rnd.IntN(30)
					wg.Go(func() {
						for _, res := range s.Check(t.Context(), w, time.Now(), client(n)) {
							mu.Lock()
							seen[res.Verdict]++
							mu.Unlock()
							if res.Verdict == Listed && n < 20 || res.Verdict == NotListed && (n < 10 || n >= 20) || (res.Weight != 0) != (res.Verdict == Listed) {
								t.Errorf("client %d: %+v", n, res)
							}
						}
					})
				}
				wg.Wait()
				change()
				time.Sleep(time.Duration(rnd.IntN(600)) * time.Second)
			}
			if seen[Listed] == 0 || seen[NotListed] == 0 || seen[Unknown] == 0 || seen[Unhealthy] == 0 {
				t.Errorf("seed %d saw %v", seed, seen)
			}
		})
	}
}

// TestEverySubject asks at random about strangers' words: nothing is asked outside the list's zone, and nothing too long.
func TestEverySubject(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	const octets = "abz09-_.@[]*\x00 \r\nÄ"
	dbl := entry(t, "spamhaus-dbl")
	for range 3000 {
		var word strings.Builder
		for range rnd.IntN(300) {
			word.WriteByte(octets[rnd.IntN(len(octets))])
		}
		w := newWorld(map[string]reply{})
		for _, text := range []string{word.String(), strings.Repeat("a1.", rnd.IntN(90)) + "example"} {
			Check(t.Context(), w, []Entry{dbl}, Subject{Client: netip.MustParseAddr("192.0.2.1"), Helo: text, From: text})
		}
		for name := range w.asked {
			if !strings.HasSuffix(name, ".dbl.spamhaus.org") || len(name) > maxName || strings.ContainsAny(name, "@[]* \x00\r\n") {
				t.Errorf("asked for %q", name)
			}
		}
	}
}
