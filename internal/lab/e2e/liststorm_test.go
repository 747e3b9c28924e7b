package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab/bench/load"
	"gatepost/internal/lab/dnslab"
)

// The tests of this file are not run beside others: a crowd of clients makes all others late, and they it.

// listedFlag is few: the daemon of a test has the race detector, and a machine that is too busy to hear answers in time looks
// like an outage of DNS. scripts/soak has a thousand, and scripts/bench.
var listedFlag = flag.Int("listed", 100, "how many listed clients connect at the same time in TestListedNeverPass")

// The networks of clients: good ones have a reverse name and are in their domain's SPF record, listed ones do not.
func goodNetwork() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, 0}), 24)
}
func listedNetwork() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, 0, 0}), 15)
}

// goodZones are the names of good clients.
func goodZones() dnslab.Zones {
	text := "sender.test. MX 10 mail.sender.test.\nmail.sender.test. A 203.0.113.1\nsender.test. TXT \"v=spf1 ip4:203.0.113.0/24 -all\"\n" +
		load.Helo + ". A 203.0.113.2\n"
	for i := 1; i < 255; i++ {
		text += fmt.Sprintf("%d.113.0.203.in-addr.arpa. PTR mx%c.sender.test.\n", i, 'a'+i%26)
	}
	for i := range 26 {
		for k := i; k < 255; k += 26 {
			text += fmt.Sprintf("mx%c.sender.test. A 203.0.113.%d\n", 'a'+i, k)
		}
	}
	return dnslab.Text(text)
}

// listWorld is a daemon behind a proxy that asks lists, each of which refuses alone.
type listWorld struct {
	*world
	dns   *dnslab.Server
	lists []string
}

// beginLists starts a daemon that asks these lists, and waits until it refuses what the first of them lists.
func beginLists(t *testing.T, lists ...dnslab.List) *listWorld {
	t.Helper()
	w := &listWorld{dns: dnslab.New(t, goodZones())}
	policy := noGreylist + "[rbl]\nuse = \"non-commercial\"\n"
	for _, l := range lists {
		w.dns.SetList(l)
		w.lists = append(w.lists, l.Zone)
		name, _, _ := strings.Cut(l.Zone, ".")
		policy += fmt.Sprintf("[[rbl.own]]\nname = %q\nzone = %q\n[[rbl.own.rule]]\nanswer = \"127.0.0.2\"\nlabel = \"listed\"\nweight = 10\n", name, l.Zone)
	}
	for _, of := range []string{"client", "network", "wide-network"} {
		policy += fmt.Sprintf("[[rate]]\nof = %q\nunit = \"connections\"\nunknown = \"900000/1m\"\nknown = \"900000/1m\"\nbad = \"900000/1m\"\n", of)
	}
	w.world = begin(t, setup{clamav: "off", spamd: "off", dns: w.dns.Addr(), policy: policy,
		bootstrap: "[[listener]]\nname = \"proxied\"\naddresses = [\"127.0.0.1:0\"]\nproxy_from = [\"127.0.0.1\"]\n",
		limits:    noWaits + "connections = 10000\nconnections_per_client = 10000\nconnections_per_network = 10000\nconnections_per_wide_network = 10000\n"})
	for end := time.Now().Add(clientTime); w.come(t, listedNetwork(), 0, 1).Refused == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no listed client is refused\n%s", w.daemon.Log())
		}
	}
	return w
}

// come lets clients come, all at the same time, from a process of their own.
func (w *listWorld) come(t *testing.T, from netip.Prefix, first, n int) (met load.Met) {
	t.Helper()
	job, err := json.Marshal(load.Listed{Addr: w.daemon.Addr("proxied"), From: from, First: first, Connections: n, Timeout: clientTime, Proxy: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*clientTime)
	defer cancel()
	if err := startCrowd(ctx, t, "listed "+string(job)).out.Decode(&met); err != nil {
		t.Fatalf("clients: %v\n%s", err, w.daemon.Log())
	}
	if met.Sessions != int64(n) {
		t.Fatalf("%d sessions of %d: %+v", met.Sessions, n, met)
	}
	return met
}

func (w *listWorld) set(lists ...dnslab.List) {
	for _, l := range lists {
		w.dns.SetList(l)
	}
}

// TestListedNeverPass: crowds of listed clients at the same time, all of them new, and none gets in: neither when the lists
// answer at once, nor when the answers come late, or too late, or from one list alone while others are silent. Who hears 451
// because a list was late is refused when he comes again.
func TestListedNeverPass(t *testing.T) {
	one := dnslab.List{Zone: "first.test", Networks: []netip.Prefix{listedNetwork()}}
	lists := []dnslab.List{one, {Zone: "second.test"}, {Zone: "third.test"}, {Zone: "fourth.test"}}
	w := beginLists(t, lists...)
	first, n := 1, *listedFlag
	wave := func(what string, again bool, change func(i int, l *dnslab.List)) load.Met {
		for i := range lists {
			l := lists[i]
			change(i, &l)
			w.set(l)
		}
		if !again {
			first += n
		}
		met := w.come(t, listedNetwork(), first, n)
		t.Logf("%s: %d refused, %d deferred, in %v", what, met.Refused, met.Deferred, met.Elapsed.Round(10*time.Millisecond))
		if met.LetIn > 0 {
			t.Errorf("%s: %d of %d listed clients were let in", what, met.LetIn, n)
		}
		if met.Deferred > 0 && !strings.HasPrefix(met.Deferral, "451 4.4.3 A list that this host asks about ") {
			t.Errorf("%s: deferred with %q", what, met.Deferral)
		}
		return met
	}
	wave("answers at once", false, func(int, *dnslab.List) {})
	wave("the one that knows them is 1 s late", false, func(i int, l *dnslab.List) {
		if i == 0 {
			l.Late = time.Second
		}
	})
	if met := wave("the one that knows them is 4 s late", false, func(i int, l *dnslab.List) {
		if i == 0 {
			l.Late = 4 * time.Second
		}
	}); met.Refused > 0 {
		t.Errorf("%d were refused before the list had answered", met.Refused)
	}
	for end := time.Now().Add(clientTime); ; time.Sleep(time.Second) {
		if wave("the same clients again", true, func(int, *dnslab.List) {}).Refused == int64(n) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("clients whose answers came late are not refused when they come again")
		}
	}
	// On a machine that is busy some of its answers may be late as well; that others are silent must not make it so for good.
	for end := time.Now().Add(clientTime); ; time.Sleep(time.Second) {
		met := wave("all others are silent", false, func(i int, l *dnslab.List) {
			if i > 0 {
				l.State = dnslab.ListDead
			}
		})
		if met.Refused == int64(n) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d were refused by the list that answers", met.Refused, n)
		}
	}
}

// TestSickLists: lists that die, fail, refuse, say by error codes that they do not answer, list the world, are parked, gone,
// or come and go refuse no good client, whether they were sick from the start or fell sick after they had proved themselves.
// All of them are asked by one daemon, beside one that is well, whose listings refuse all the time.
func TestSickLists(t *testing.T) {
	const n = 20
	well := dnslab.List{Zone: "well.test", Networks: []netip.Prefix{listedNetwork()}}
	every := func(states []dnslab.ListState) []dnslab.List {
		lists := []dnslab.List{well}
		for i, s := range states {
			lists = append(lists, dnslab.List{Zone: fmt.Sprintf("sick%d.test", i), State: s, Networks: []netip.Prefix{listedNetwork()}})
		}
		return lists
	}
	listed := 1
	// come is a wave of good clients beside some that are listed.
	come := func(t *testing.T, w *listWorld, what string, first int) load.Met {
		t.Helper()
		met := w.come(t, goodNetwork(), first, n)
		t.Logf("%s: of %d good clients %d were let in, %d deferred", what, n, met.LetIn, met.Deferred)
		if met.Refused > 0 {
			t.Errorf("%s: %d good clients were refused: %q", what, met.Refused, met.Refusal)
		}
		if met.Deferred > 0 && !strings.HasPrefix(met.Deferral, "451 4.4.3 A list that this host asks about ") {
			t.Errorf("%s: deferred with %q", what, met.Deferral)
		}
		if bad := w.come(t, listedNetwork(), listed, 5); bad.LetIn > 0 || bad.Refused+bad.Deferred != 5 {
			t.Errorf("%s: listed clients: %+v", what, bad)
		}
		listed += 5
		return met
	}
	t.Run("from the start", func(t *testing.T) {
		states := slices.DeleteFunc(dnslab.ListStates(), func(s dnslab.ListState) bool { return s == dnslab.ListFlaps }) // it may prove itself
		w := beginLists(t, every(states)...)
		if met := come(t, w, "sick from the start", 0); met.Deferred > 0 {
			t.Errorf("%d were deferred for lists that never proved themselves: %s", met.Deferred, met.Deferral)
		}
		if said := w.forge(t, "203.0.113.5", load.From, "sender.test", ""); !strings.HasPrefix(said, "250 ") {
			t.Errorf("good mail was told %q", said)
		}
	})
	t.Run("later", func(t *testing.T) {
		// What suddenly lists the world is found by its control, before a listing counts that rests on a look longer ago than
		// some seconds: rbl has that with a clock of its own.
		states := slices.DeleteFunc(dnslab.ListStates(), func(s dnslab.ListState) bool {
			return s == dnslab.ListWorld || s == dnslab.ListWorldButPoints || s == dnslab.ListWell || s == dnslab.ListFlaps
		})
		lists := every(make([]dnslab.ListState, len(states)+1)) // the last will come and go
		w := beginLists(t, lists...)
		if met := come(t, w, "all are well", 0); met.Deferred > 0 {
			t.Errorf("%d were deferred", met.Deferred)
		}
		for i := range states {
			lists[1+i].State = states[i]
		}
		w.set(lists...)
		// Those that do not answer are off as soon as their test points were silent twice; clients who are known to nobody wait until then.
		late := come(t, w, "the first after they fell sick", n).Deferred
		for wave, end := 2, time.Now().Add(2*clientTime); ; wave++ {
			met := come(t, w, "the next", n*(2+wave%9))
			if late += met.Deferred; met.Deferred == 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("clients are deferred still: %d\n%s", late, w.daemon.Log())
			}
			time.Sleep(time.Second)
		}
		t.Logf("%d good sessions were deferred until the breakers had opened", late)
		// One that answers now and then keeps its breaker shut: whom it says nothing of waits, and nobody is refused.
		lists[len(lists)-1].State = dnslab.ListFlaps
		w.set(lists...)
		come(t, w, "one comes and goes", n*11)
	})
}
