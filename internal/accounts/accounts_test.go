package accounts_test

import (
	"context"
	"encoding/base32"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/accounts"
	"gatepost/internal/accounts/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) accounts.Store { return &storetest.Memory{} })
}

const (
	good  = "three brown herons wade"
	other = "seven green kettles sing"
)

var (
	here  = accounts.Client{Address: netip.MustParseAddr("192.0.2.1"), Agent: "a browser"}
	there = accounts.Client{Address: netip.MustParseAddr("198.51.100.7")}
	root  = access.Actor{Name: "root", Role: access.Owner, Via: access.BySocket}
	cheap = accounts.Params{Memory: 64, Time: 1, Threads: 1}
)

// world is Accounts with users; "anna" is an owner with a password.
type world struct {
	*accounts.Accounts
	t      *testing.T
	store  *storetest.Memory
	events *[]accounts.Event
}

func empty(t *testing.T) world {
	t.Helper()
	var mu sync.Mutex
	w := world{t: t, store: &storetest.Memory{}, events: &[]accounts.Event{}}
	var err error
	w.Accounts, err = accounts.New(accounts.Options{Store: w.store, Key: make([]byte, accounts.KeySize), Params: cheap, Site: site, Notice: func(_ context.Context, e accounts.Event) {
		mu.Lock()
		defer mu.Unlock()
		*w.events = append(*w.events, e)
	}})
	w.ok(err)
	return w
}

func newWorld(t *testing.T) world {
	t.Helper()
	w := empty(t)
	w.add("anna", access.Owner)
	return w
}

func (w world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// changeTo writes a whole profile.
func (w world) changeTo(who access.Actor, p accounts.Profile) (before, after accounts.User, err error) {
	return w.Change(w.t.Context(), who, p.Name, "", func(accounts.Profile) (accounts.Profile, error) { return p, nil })
}

func (w world) refused(err error, k accounts.Kind) {
	w.t.Helper()
	if !accounts.Is(err, k) {
		w.t.Fatalf("%v (%T), not kind %d", err, err, k)
	}
}

// add makes a user with the password.
func (w world) add(name string, role access.Role, domains ...string) {
	w.t.Helper()
	_, code, err := w.Add(w.t.Context(), root, accounts.Profile{Name: name, Role: role, Domains: domains})
	w.ok(err)
	_, err = w.Redeem(w.t.Context(), code, good, accounts.Client{})
	w.ok(err)
}

// login is the actor of a new session without a second factor.
func (w world) login(name string) (access.Actor, string) {
	w.t.Helper()
	step, err := w.Begin(w.t.Context(), name, good, here)
	w.ok(err)
	return w.actor(step.Token), step.Token
}

func (w world) actor(token string) access.Actor {
	w.t.Helper()
	who, _, err := w.FromSession(w.t.Context(), token, here.Address)
	w.ok(err)
	return who
}

// enrol gives a user TOTP, and returns the secret, the recovery codes and the session.
func (w world) enrol(who access.Actor) (secret []byte, codes []string, token string) {
	w.t.Helper()
	e, err := w.StartTOTP(w.t.Context(), who)
	w.ok(err)
	secret, err = base32.StdEncoding.DecodeString(e.Secret)
	w.ok(err)
	token, codes, err = w.ConfirmTOTP(w.t.Context(), who, e.Ticket, now(secret))
	w.ok(err)
	return secret, codes, token
}

func now(secret []byte) string { return accounts.CodeAt(secret, time.Now().Unix()/30) }

// TestSameAnswer shows that an unknown name, a wrong password, an account that is disabled and one without a password get one
// answer after one hash, and the right password one hash too.
func TestSameAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.add("bert", access.Operator)
		_, _, err := w.Disable(t.Context(), root, "bert", true)
		w.ok(err)
		_, _, err = w.Add(t.Context(), root, accounts.Profile{Name: "carl", Role: access.Auditor})
		w.ok(err)
		var answers []string
		for _, c := range []struct{ name, password string }{
			{"nobody", good}, {"anna", "wrong"}, {"bert", good}, {"bert", "wrong"}, {"carl", ""}, {"carl", good}, {"", ""}, {"anna", strings.Repeat("x", 2000)},
			{"anna", "\xff"}, {strings.Repeat("a", 10_000), good}, {"' OR 1=1 --", good}, {"anna\x00", good}, {"\xff", good},
		} {
			before := w.Hashes()
			_, err := w.Begin(t.Context(), c.name, c.password, accounts.Client{Address: netip.MustParseAddr("203.0.113.9")})
			w.refused(err, accounts.Wrong)
			if n := w.Hashes() - before; n != 1 {
				t.Errorf("%.20q %.20q: %d hashes", c.name, c.password, n)
			}
			answers = append(answers, err.Error())
			time.Sleep(time.Hour)
		}
		if len(slices.Compact(answers)) != 1 {
			t.Errorf("answers differ: %q", answers)
		}
		before := w.Hashes()
		step, err := w.Begin(t.Context(), "  Anna ", good, here)
		w.ok(err)
		if w.Hashes()-before != 1 || step.Token == "" || step.Pending != "" {
			t.Errorf("%+v", step)
		}
		for _, e := range *w.events {
			if e.What == "login failed" && e.User != "" && e.User != "anna" && e.User != "bert" && e.User != "carl" {
				t.Errorf("what may be a password was told: %+v", e)
			}
		}
	})
}

// TestSetup shows that the first owner comes in by the code of the machine, once, and nobody after him.
func TestSetup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := empty(t)
		old, err := w.SetupCode(t.Context())
		w.ok(err)
		code, err := w.SetupCode(t.Context())
		w.ok(err)
		p := accounts.Profile{Name: "anna", Role: access.HelpDesk, Domains: []string{"example.org"}}
		for _, c := range []string{old, "", "aaaa-aaaa-aaaa-aaaa"} {
			_, err = w.FirstOwner(t.Context(), c, p, good, here)
			w.refused(err, accounts.Wrong)
			time.Sleep(time.Minute)
		}
		_, err = w.FirstOwner(t.Context(), code, p, "short", here)
		w.refused(err, accounts.Bad)
		var won atomic.Int32
		var wg sync.WaitGroup
		for _, name := range []string{"anna", "eve"} {
			wg.Go(func() {
				q := p
				q.Name = name
				step, err := w.FirstOwner(t.Context(), strings.ToUpper(code), q, good, here)
				if err == nil {
					won.Add(1)
					if who := w.actor(step.Token); who.Role != access.Owner || !who.Everywhere() {
						t.Errorf("%+v", who)
					}
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d first owners", won.Load())
		}
		time.Sleep(time.Hour)
		_, err = w.FirstOwner(t.Context(), code, accounts.Profile{Name: "eve2"}, good, here)
		w.refused(err, accounts.Wrong)
		if code, err := w.SetupCode(t.Context()); code != "" || err != nil {
			t.Errorf("a code beside a user: %q %v", code, err)
		}
	})
}

// TestRedeem shows that a code to set a password works once, for a while, and leaves the second factor asked.
func TestRedeem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		who, _ := w.login("anna")
		secret, _, token := w.enrol(who)
		_, code, err := w.Reset(t.Context(), root, "anna", false)
		w.ok(err)
		_, _, err = w.FromSession(t.Context(), token, here.Address)
		w.refused(err, accounts.Wrong)
		_, err = w.Begin(t.Context(), "anna", good, there)
		w.refused(err, accounts.Wrong)
		_, err = w.Redeem(t.Context(), code, "password1234", here)
		w.refused(err, accounts.Bad)
		step, err := w.Redeem(t.Context(), code, other, here)
		w.ok(err)
		if step.Token != "" || !slices.Equal(step.Methods, []string{"code", "recovery"}) {
			t.Fatalf("%+v", step)
		}
		time.Sleep(30 * time.Second)
		_, err = w.Second(t.Context(), step.Pending, now(secret), here)
		w.ok(err)
		_, err = w.Redeem(t.Context(), code, good, here)
		w.refused(err, accounts.Wrong)
		_, late, err := w.Reset(t.Context(), root, "anna", true)
		w.ok(err)
		time.Sleep(accounts.CodeTime)
		_, err = w.Redeem(t.Context(), late, other, here)
		w.refused(err, accounts.Wrong)
		_, code, err = w.Reset(t.Context(), root, "anna", true)
		w.ok(err)
		step, err = w.Redeem(t.Context(), code, other, here)
		w.ok(err)
		if step.Token == "" {
			t.Error("the second factor was to be gone")
		}
	})
}

// TestSecond shows what a code is taken for, and how often.
func TestSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		who, first := w.login("anna")
		secret, recovery, _ := w.enrol(who)
		if _, _, err := w.FromSession(t.Context(), first, here.Address); !accounts.Is(err, accounts.Wrong) {
			t.Fatalf("the session kept its token when the second factor changed: %v", err)
		}
		begin := func() string {
			t.Helper()
			step, err := w.Begin(t.Context(), "anna", good, here)
			w.ok(err)
			if step.Token != "" || step.Pending == "" {
				t.Fatalf("%+v", step)
			}
			_, _, err = w.FromSession(t.Context(), step.Pending, here.Address)
			w.refused(err, accounts.Wrong)
			return step.Pending
		}
		pending := begin()
		_, err := w.Second(t.Context(), pending, now(secret), here)
		w.refused(err, accounts.Wrong) // it confirmed the enrolment
		time.Sleep(30 * time.Second)
		code := now(secret)
		step, err := w.Second(t.Context(), pending, code[:3]+" "+code[3:], here)
		w.ok(err)
		if step.Token == pending {
			t.Fatal("the token was there before the login")
		}
		w.actor(step.Token)
		_, err = w.Second(t.Context(), pending, code, here)
		w.refused(err, accounts.Wrong)
		pending = begin()
		for _, c := range []string{code, accounts.CodeAt(secret, time.Now().Unix()/30+2), accounts.CodeAt(secret, time.Now().Unix()/30-2), "", "12345", "abcdef", strings.Repeat("1", 1000)} {
			_, err = w.Second(t.Context(), pending, c, here)
			w.refused(err, accounts.Wrong)
			time.Sleep(4 * time.Second)
		}
		time.Sleep(time.Minute)
		early := accounts.CodeAt(secret, time.Now().Unix()/30+1)
		_, err = w.Second(t.Context(), pending, early, here)
		w.ok(err)
		pending = begin()
		_, err = w.Second(t.Context(), pending, now(secret), here)
		w.refused(err, accounts.Wrong) // a later one was used
		step, err = w.Second(t.Context(), pending, strings.ToUpper(recovery[3]), here)
		w.ok(err)
		if step.Left != 9 {
			t.Errorf("%d recovery codes are left", step.Left)
		}
		_, err = w.Second(t.Context(), begin(), recovery[3], here)
		w.refused(err, accounts.Wrong)
		pending = begin()
		time.Sleep(accounts.PendingTime)
		_, err = w.Second(t.Context(), pending, recovery[4], here)
		w.refused(err, accounts.Wrong)
	})
}

// TestSecondGuesses shows that codes cannot be guessed by whoever has the password, from any number of addresses.
func TestSecondGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		who, _ := w.login("anna")
		w.enrol(who)
		looked := 0
		end := time.Now().Add(24 * time.Hour)
		for i := 0; time.Now().Before(end); i++ {
			from := accounts.Client{Address: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})}
			step, err := w.Begin(t.Context(), "anna", good, from)
			if err != nil {
				time.Sleep(time.Minute)
				continue
			}
			_, err = w.Second(t.Context(), step.Pending, "aaaa", from)
			if accounts.Is(err, accounts.Wrong) {
				looked++
			}
			time.Sleep(20 * time.Second)
		}
		if looked < 50 || looked > 120 {
			t.Errorf("%d guesses were looked at in a day", looked)
		}
	})
}

// TestSessionTimes shows that a session ends when nobody uses it, and after half a day in any case, and that a store is not
// written at each request.
func TestSessionTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, idle := w.login("anna")
		_, used := w.login("anna")
		start := time.Now()
		for time.Since(start) < accounts.LongestTime-25*time.Minute {
			time.Sleep(25 * time.Minute)
			w.actor(used)
		}
		time.Sleep(25 * time.Minute)
		for _, token := range []string{idle, used, "", "x", strings.Repeat("A", 43)} {
			_, _, err := w.FromSession(t.Context(), token, here.Address)
			w.refused(err, accounts.Wrong)
		}
		_, token := w.login("anna")
		time.Sleep(accounts.IdleTime - time.Millisecond)
		w.actor(token)
		time.Sleep(accounts.IdleTime)
		_, _, err := w.FromSession(t.Context(), token, here.Address)
		w.refused(err, accounts.Wrong)
		time.Sleep(time.Millisecond)
		w.ok(w.Sweep(t.Context()))
		if all, err := w.store.Sessions(t.Context(), mustUser(w, "anna").ID); err != nil || len(all) != 0 {
			t.Errorf("%d %v", len(all), err)
		}
	})
}

func mustUser(w world, name string) accounts.User {
	w.t.Helper()
	u, err := w.User(w.t.Context(), name)
	w.ok(err)
	return u
}

// TestSessionsEnd shows what ends sessions: their user, another who may, a change of rights, of the password; and what does not.
func TestSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.add("bert", access.Operator)
		dead := func(token string) {
			t.Helper()
			_, _, err := w.FromSession(t.Context(), token, here.Address)
			w.refused(err, accounts.Wrong)
		}
		boss, _ := w.login("anna")
		bert, one := w.login("bert")
		_, two := w.login("bert")
		w.add("carl", access.HelpDesk)
		carl, _ := w.login("carl")
		_, err := w.EndSession(t.Context(), carl, "bert", bert.Session)
		w.refused(err, accounts.Forbidden)
		_, err = w.EndSession(t.Context(), bert, "bert", "")
		w.ok(err)
		dead(two)
		w.actor(one)
		_, err = w.EndSession(t.Context(), boss, "bert", bert.Session)
		w.ok(err)
		dead(one)
		_, err = w.EndSession(t.Context(), boss, "bert", bert.Session)
		w.refused(err, accounts.Missing)
		_, one = w.login("bert")
		_, _, err = w.changeTo(boss, accounts.Profile{Name: "bert", Role: access.Operator, Display: "Bert B."})
		w.ok(err)
		w.actor(one)
		_, _, err = w.changeTo(boss, accounts.Profile{Name: "bert", Role: access.Auditor})
		w.ok(err)
		dead(one)
		bert, one = w.login("bert")
		_, two = w.login("bert")
		_, err = w.SetPassword(t.Context(), bert, "wrong", other)
		w.refused(err, accounts.Wrong)
		three, err := w.SetPassword(t.Context(), bert, good, other)
		w.ok(err)
		dead(one)
		dead(two)
		w.actor(three)
		w.ok(w.Logout(t.Context(), three, here))
		w.ok(w.Logout(t.Context(), three, here))
		dead(three)
		for range 20 {
			_, err := w.Begin(t.Context(), "bert", other, here)
			w.ok(err)
			time.Sleep(time.Second)
		}
		if all, err := w.Sessions(t.Context(), "bert"); err != nil || len(all) != 16 {
			t.Errorf("%d sessions: %v", len(all), err)
		}
	})
}

// TestProve shows that a session is not enough for long for what is dangerous, and that a proof renews it.
func TestProve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.add("bert", access.Operator)
		who, old := w.login("anna")
		w.ok(w.Fresh(t.Context(), who))
		time.Sleep(accounts.ProofTime)
		for name, do := range map[string]func() error{
			"add": func() error {
				_, _, err := w.Add(t.Context(), who, accounts.Profile{Name: "x", Role: access.Auditor})
				return err
			},
			"change": func() error {
				_, _, err := w.changeTo(who, accounts.Profile{Name: "bert", Role: access.Auditor})
				return err
			},
			"disable": func() error { _, _, err := w.Disable(t.Context(), who, "bert", true); return err },
			"remove":  func() error { _, err := w.Remove(t.Context(), who, "bert"); return err },
			"reset":   func() error { _, _, err := w.Reset(t.Context(), who, "bert", true); return err },
			"token": func() error {
				_, _, err := w.AddToken(t.Context(), who, "anna", accounts.NewToken{Name: "x", Expires: time.Now().Add(time.Hour)})
				return err
			},
			"totp":  func() error { _, err := w.StartTOTP(t.Context(), who); return err },
			"drop":  func() error { _, err := w.DropTOTP(t.Context(), who); return err },
			"codes": func() error { _, err := w.NewRecovery(t.Context(), who); return err },
		} {
			if err := do(); !accounts.Is(err, accounts.Prove) {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, err := w.Prove(t.Context(), who, "wrong")
		w.refused(err, accounts.Wrong)
		token, err := w.Prove(t.Context(), who, good)
		w.ok(err)
		if _, _, err := w.FromSession(t.Context(), old, here.Address); !accounts.Is(err, accounts.Wrong) {
			t.Error("the old token still works")
		}
		who = w.actor(token)
		secret, _, token := w.enrol(who)
		who = w.actor(token)
		_, err = w.Prove(t.Context(), who, good)
		w.refused(err, accounts.Wrong)
		time.Sleep(30 * time.Second)
		_, err = w.Prove(t.Context(), who, now(secret))
		w.ok(err)
		byToken := access.Actor{Name: "anna", Role: access.Owner, Via: access.ByToken}
		for _, f := range []func() error{
			func() error { _, err := w.SetPassword(t.Context(), byToken, good, other); return err },
			func() error { _, err := w.StartTOTP(t.Context(), byToken); return err },
			func() error { _, err := w.DropTOTP(t.Context(), byToken); return err },
			func() error {
				_, _, err := w.AddToken(t.Context(), byToken, "anna", accounts.NewToken{Name: "x", Expires: time.Now().Add(time.Hour)})
				return err
			},
		} {
			w.refused(f(), accounts.Forbidden)
		}
	})
}
