package accounts_test

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/accounts"
)

func address(n int) accounts.Client {
	return accounts.Client{Address: netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})}
}

// TestDelays shows that waits of an account and an address grow, are told, and end with a login.
func TestDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, name := range []string{"anna", "nobody"} { // one is as the other
			from := address(len(name))
			var waits []time.Duration
			for range 14 {
				_, err := w.Begin(t.Context(), name, "wrong", from)
				w.refused(err, accounts.Wrong)
				d := err.(*accounts.Refusal).Wait
				waits = append(waits, d)
				if d > 0 {
					before := w.Hashes()
					time.Sleep(d - time.Millisecond)
					_, err := w.Begin(t.Context(), name, good, from)
					w.refused(err, accounts.Wait)
					if w.Hashes() != before {
						t.Fatal("a hash was made for who shall wait")
					}
				}
				time.Sleep(time.Millisecond)
			}
			want := []time.Duration{0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900}
			for i := range want {
				if waits[i] != want[i]*time.Second {
					t.Fatalf("%s: %v", name, waits)
				}
			}
		}
		time.Sleep(15 * time.Minute)
		_, err := w.Begin(t.Context(), "anna", good, address(4))
		w.ok(err)
		_, err = w.Begin(t.Context(), "anna", "wrong", address(4))
		w.refused(err, accounts.Wrong)
		if d := err.(*accounts.Refusal).Wait; d != 0 {
			t.Errorf("after a login the first failure waits %s", d)
		}
	})
}

// TestNoLockout shows that whoever guesses at an account, from one address or from thousands, keeps its owner out neither of an
// address from which he logged in before, nor for long of another.
func TestNoLockout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.login("anna")
		looked := 0
		for i := range 20_000 {
			_, err := w.Begin(t.Context(), "anna", "wrong", address(i))
			if accounts.Is(err, accounts.Wrong) {
				looked++
			}
			if i%1000 == 0 {
				_, err := w.Begin(t.Context(), "anna", good, here)
				w.ok(err)
			}
			time.Sleep(time.Second)
		}
		if looked > 20_000/5+60 {
			t.Errorf("%d guesses of 20,000 were looked at", looked)
		}
		again, err := accounts.New(accounts.Options{Store: w.store, Key: make([]byte, accounts.KeySize), Params: cheap}) // a restart
		w.ok(err)
		for i := range 100 {
			_, _ = again.Begin(t.Context(), "anna", "wrong", address(i))
		}
		_, err = again.Begin(t.Context(), "anna", good, here)
		w.ok(err)
		_, err = w.Begin(t.Context(), "anna", good, there)
		if accounts.Is(err, accounts.Wait) {
			time.Sleep(5 * time.Second)
			_, err = w.Begin(t.Context(), "anna", good, there)
		}
		w.ok(err)
	})
}

// TestOneNetwork shows that all of an IPv6 /64 is one address, and an IPv4 address one in either form.
func TestOneNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var err error
		for i := range 20 {
			a := netip.MustParseAddr("2001:db8::").As16()
			a[15] = byte(i)
			if _, err = w.Begin(t.Context(), "anna", "wrong", accounts.Client{Address: netip.AddrFrom16(a)}); accounts.Is(err, accounts.Wait) {
				break
			}
		}
		w.refused(err, accounts.Wait)
		for _, a := range []string{"192.0.2.77", "::ffff:192.0.2.77", "192.0.2.77"} {
			_, err = w.Begin(t.Context(), "anna", "wrong", accounts.Client{Address: netip.MustParseAddr(a)})
			w.refused(err, accounts.Wrong)
		}
		_, err = w.Begin(t.Context(), "anna", "wrong", accounts.Client{Address: netip.MustParseAddr("::ffff:192.0.2.77")})
		w.refused(err, accounts.Wait)
	})
}

// TestManyNames shows that an address that goes through names waits too.
func TestManyNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := 0
		for i := range 100 {
			_, err := w.Begin(t.Context(), string(rune('a'+i%26))+string(rune('a'+i/26)), "wrong", there)
			if accounts.Is(err, accounts.Wait) {
				break
			}
			n++
		}
		if n != 10 {
			t.Errorf("%d names were tried", n)
		}
	})
}

// TestCrowd shows that a hundred tries at once are a hundred tries.
func TestCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		before := w.Hashes()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { _, _ = w.Begin(t.Context(), "anna", "wrong", there) })
		}
		wg.Wait()
		if n := w.Hashes() - before; n > 3 {
			t.Errorf("%d hashes", n)
		}
	})
}

// TestBusy shows that hashes wait for each other, in a queue that is short, and that who waited in vain was not charged for it.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		free := w.HoldHash()
		before := w.Hashes()
		var wg sync.WaitGroup
		var mu sync.Mutex
		kinds := map[bool]int{}
		start := time.Now()
		for i := range 40 {
			wg.Go(func() {
				_, err := w.Begin(t.Context(), "anna", good, address(i))
				mu.Lock()
				defer mu.Unlock()
				kinds[accounts.Is(err, accounts.Busy)]++
			})
		}
		wg.Wait()
		if kinds[true] != 40 || w.Hashes() != before || time.Since(start) != 5*time.Second {
			t.Errorf("%v in %s", kinds, time.Since(start))
		}
		free()
		for range 4 {
			_, err := w.Begin(t.Context(), "anna", good, address(1))
			w.ok(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		free = w.HoldHash()
		_, err := w.Begin(ctx, "anna", good, address(1))
		w.refused(err, accounts.Busy)
		free()
	})
}

// TestRandomLogins does random things to a user and holds what sessions and tokens do against a model that is written out.
func TestRandomLogins(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 10))
			w := newWorld(t)
			w.add("bert", access.Operator)
			type open struct {
				token string
				seen  time.Time
				born  time.Time
			}
			var sessions []open
			password, disabled := good, false
			for range 200 {
				time.Sleep(time.Duration(rnd.IntN(int(10 * time.Minute))).Truncate(time.Millisecond))
				switch rnd.IntN(8) {
				case 0, 1, 2:
					try := []string{good, other}[rnd.IntN(2)]
					step, err := w.Begin(t.Context(), "bert", try, here)
					if accounts.Is(err, accounts.Wait) {
						break
					}
					if (err == nil) != (try == password && !disabled) {
						t.Fatalf("seed %d: login: %v", seed, err)
					}
					if err == nil {
						sessions = append(sessions, open{step.Token, time.Now(), time.Now()})
					}
				case 3:
					_, _, err := w.Disable(t.Context(), root, "bert", !disabled)
					w.ok(err)
					disabled, sessions = !disabled, nil
				case 4:
					_, code, err := w.Reset(t.Context(), root, "bert", false)
					w.ok(err)
					sessions = nil
					password = ""
					next := []string{good, other}[rnd.IntN(2)]
					if step, err := w.Redeem(t.Context(), code, next, here); err == nil {
						password = next
						sessions = append(sessions, open{step.Token, time.Now(), time.Now()})
					} else if !disabled && !accounts.Is(err, accounts.Wait) {
						t.Fatalf("seed %d: redeem: %v", seed, err)
					}
				case 5:
					role := access.Roles()[1+rnd.IntN(3)]
					before, after, err := w.changeTo(root, accounts.Profile{Name: "bert", Role: role})
					w.ok(err)
					if before.Role != after.Role {
						sessions = nil
					}
				default:
					for i := range sessions {
						s := &sessions[i]
						_, _, err := w.FromSession(t.Context(), s.token, here.Address)
						idle := time.Since(s.seen)
						alive := time.Since(s.born) < accounts.LongestTime && idle < accounts.IdleTime
						if newer := len(sessions) - i; newer > 16 {
							alive = false
						}
						if (err == nil) != alive {
							t.Fatalf("seed %d: session of %s, idle %s: %v", seed, time.Since(s.born), idle, err)
						}
						if err == nil && idle >= time.Minute {
							s.seen = time.Now()
						}
					}
				}
			}
		})
	}
}
