package doctor

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"strings"
	"sync"
)

// elsewhere is a domain that nobody serves (RFC 2606): mail for it is never ours.
const elsewhere = "relay-test.example"

// notation is one way to write a recipient elsewhere.
type notation struct {
	to   string // of RCPT TO, with its angle brackets
	here bool   // its domain is one that is served: whoever takes everybody there takes it too
}

// notations are the ways by which relays were and are fooled (the tests of mail-abuse.org, abuse.net and their kind). domain is
// one that is served, host the gateway's name, ip its address.
func notations(domain, host, ip string, serves func(string) bool) []notation {
	const user = "relaytest"
	list := []notation{
		{"<" + user + "@" + elsewhere + ">", false},
		{"<postmaster@" + elsewhere + ">", false},
		{user + "@" + elsewhere, false}, // without brackets
		{"<" + user + "@" + elsewhere + ".>", false},
		{"<" + strings.ToUpper(user+"@"+elsewhere) + ">", false},
		{"<" + user + "@[192.0.2.1]>", false},
		{"<" + user + "@[IPv6:2001:db8::1]>", false},
		{"<" + user + "%" + elsewhere + "@" + domain + ">", true},
		{"<" + user + "%" + elsewhere + "@" + host + ">", false},
		{"<" + user + "%" + elsewhere + ">", false},
		{"<@" + domain + ":" + user + "@" + elsewhere + ">", false},
		{"<@" + host + ":" + user + "@" + elsewhere + ">", false},
		{"<@" + domain + ",@" + host + ":" + user + "@" + elsewhere + ">", false},
		{"<" + elsewhere + "!" + user + "@" + domain + ">", true},
		{"<" + elsewhere + "!" + user + ">", false},
		{"<\"" + user + "@" + elsewhere + "\">", false},
		{"<\"" + user + "@" + elsewhere + "\"@" + domain + ">", true},
		{"<\"" + user + "%" + elsewhere + "\">", false},
		{"<\"" + user + "%" + elsewhere + "\"@" + domain + ">", true},
		{"<" + user + "@" + elsewhere + "@" + domain + ">", true},
		{"<" + user + "@" + domain + "@" + elsewhere + ">", false},
		{"<" + user + "@" + elsewhere + "," + user + "@" + domain + ">", false},
		{"<" + user + "@" + domain + "." + elsewhere + ">", false},
		{"<" + user + "@" + elsewhere + ":" + domain + ">", false},
	}
	if below := elsewhere + "." + domain; serves == nil || !serves(below) {
		list = append(list, notation{"<" + user + "@" + below + ">", false})
	}
	if a, err := netip.ParseAddr(ip); err == nil {
		literal := a.Unmap().String()
		if !a.Unmap().Is4() {
			literal = "IPv6:" + literal
		}
		list = append(list, notation{"<" + user + "%" + elsewhere + "@[" + literal + "]>", false},
			notation{"<\"" + user + "@" + elsewhere + "\"@[" + literal + "]>", false})
	}
	return list
}

// perDialog is how many recipients one connection asks for: after a few refusals servers become slow, then hang up.
const perDialog = 4

// relayed is what became of one try.
type relayed struct {
	from string
	notation
	verdict Verdict // OK: refused
	early   bool    // with its sender, before the recipient was told
	said    string
}

// relaying looks whether a server takes mail from a stranger for elsewhere. DATA is never sent.
func (w *World) relaying(ctx context.Context, p part, address string) {
	const id = "listener.relay"
	domain := w.Hostname
	if len(w.Domains) > 0 {
		domain = w.Domains[0].Name
	}
	var tries []relayed
	for _, n := range notations(domain, w.Hostname, hostOf(address), w.Serves) {
		for _, from := range []string{"<>", "<postmaster@" + domain + ">"} {
			tries = append(tries, relayed{from: from, notation: n})
		}
	}
	// Nobody has this name: whoever takes it takes everybody of the domain, and what stands before the @ proves nothing.
	control := relayed{from: "<>", notation: notation{"<gatepost-doctor-" + strings.ToLower(rand.Text()[:12]) + "@" + domain + ">", true}}
	tries = append(tries, control)
	from := w.tryAll(ctx, address, tries)
	control, tries = tries[len(tries)-1], tries[:len(tries)-1]
	var taken, open, untold []relayed
	early := 0
	for _, t := range tries {
		if t.early {
			early++
		}
		switch {
		case t.verdict == OK:
		case t.verdict == Fail && t.here && control.verdict == Fail:
			open = append(open, t)
		case t.verdict == Fail:
			taken = append(taken, t)
		default:
			untold = append(untold, t)
		}
	}
	switch {
	case len(taken) > 0:
		p.fail(id, address, fmt.Sprintf("OPEN RELAY: RCPT TO:%s from %s was answered %s, and %d of %d other ways were taken too", taken[0].to, taken[0].from, taken[0].said, len(taken)-1, len(tries)-1),
			"close it now: take port 25 off the internet until it is; Gatepost itself relays for nobody, so look at what answers at "+address+" and at the domains and aliases in policy.toml")
	case early == len(tries):
		p.unknown(id, address, "no recipient could be asked for: "+tries[0].said)
	case len(untold) > 0:
		p.unknown(id, address, fmt.Sprintf("%d of %d ways were neither refused nor taken, as %s: %s", len(untold), len(tries), untold[0].to, untold[0].said), "gatepost doctor --only listener, once more in ten minutes")
	case len(open) > 0:
		p.warn(id, address, fmt.Sprintf("refused, but every recipient of %s is taken, such as %s too: whether the next hop reads that as a way on is up to it", domain, open[0].to),
			"let recipients be verified (docs/recipients.md), and have the next hop refuse such local parts")
	default:
		p.ok(id, address, fmt.Sprintf("no relay: %d ways to write a recipient elsewhere were refused to %s", len(tries), from))
	}
}

// tryAll asks for each recipient, a few on one connection, and returns the address that was asked from.
func (w *World) tryAll(ctx context.Context, address string, tries []relayed) (from string) {
	const connections = 4 // at once
	var mu sync.Mutex
	var all sync.WaitGroup
	slots := make(chan struct{}, connections)
	for begin := 0; begin < len(tries); begin += perDialog {
		slots <- struct{}{}
		some := tries[begin:min(begin+perDialog, len(tries))]
		all.Go(func() {
			defer func() { <-slots }()
			local := w.trySome(ctx, address, some)
			mu.Lock()
			defer mu.Unlock()
			from = local
		})
	}
	all.Wait()
	return from
}

func (w *World) trySome(ctx context.Context, address string, tries []relayed) (local string) {
	for i := range tries {
		tries[i].said = "not asked"
	}
	d, err := w.connect(ctx, address)
	if err != nil {
		tries[0].said = clean(err.Error(), 200)
		return ""
	}
	defer d.close()
	local = hostOf(d.nc.LocalAddr().String())
	if err := d.hello("EHLO", w.Hostname); err != nil {
		tries[0].said = clean(err.Error(), 200)
		return local
	}
	for i := range tries {
		t := &tries[i]
		r, at, err := d.rcpt(t.from, t.to)
		switch {
		case err != nil:
			t.said = clean(err.Error(), 200)
			return local
		case at == "MAIL":
			t.early, t.said = true, "the sender was not taken: "+said(r)
			if r.Code/100 == 5 {
				t.verdict = OK
			}
		case r.Code/100 == 5:
			t.verdict, t.said = OK, said(r)
		case r.Is(250) || r.Is(251):
			t.verdict, t.said = Fail, said(r)
		default:
			t.said = said(r)
		}
		if r.Is(421) {
			return local
		}
	}
	return local
}
