package filters

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	"gatepost/internal/dns"
	signing "gatepost/internal/lab/signer"
)

// round is how long the resolver of these tests takes for an answer that it does not have. Time is synctest's, so that the
// time of a stage counts the questions that had to be asked one after another.
const round = 50 * time.Millisecond

// distant is a resolver that is far from everything. A question that was asked before, or is on its way, is not asked again.
type distant struct {
	zone  map[string][]string // "TXT name" -> records
	mu    sync.Mutex
	asked map[string]chan struct{}
	log   []string
	began time.Time
}

func newDistant(records string) *distant {
	d := &distant{zone: map[string][]string{}, asked: map[string]chan struct{}{}, began: time.Now()}
	for line := range strings.Lines(strings.TrimSpace(records)) {
		name, rest, _ := strings.Cut(strings.ReplaceAll(strings.TrimSpace(line), `"`, ""), " ")
		name = strings.TrimSuffix(name, ".")
		kind, data, _ := strings.Cut(rest, " ")
		d.zone[kind+" "+name] = append(d.zone[kind+" "+name], data)
	}
	return d
}

// exists reports whether there is anything at a name or below it.
func (d *distant) exists(name string) bool {
	for k := range d.zone {
		_, owner, _ := strings.Cut(k, " ")
		if owner == name || strings.HasSuffix(owner, "."+name) {
			return true
		}
	}
	return false
}

func askDistant[T any](ctx context.Context, d *distant, kind, name string, read func(string) T) dns.Answer[T] {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	key := kind + " " + name
	d.mu.Lock()
	done, ok := d.asked[key]
	if !ok {
		done = make(chan struct{})
		d.asked[key] = done
		d.log = append(d.log, time.Since(d.began).String()+" "+key)
		time.AfterFunc(round, func() { close(done) })
	}
	d.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
		return dns.Answer[T]{Kind: dns.Timeout, Name: name}
	}
	a := dns.Answer[T]{Status: dns.Found, Name: name, TTL: time.Minute}
	for _, data := range d.zone[key] {
		a.Records = append(a.Records, read(data))
	}
	if len(a.Records) == 0 {
		a.Status, a.Kind = dns.None, dns.NXDomain
		if d.exists(name) {
			a.Kind = dns.NoData
		}
	}
	return a
}

func (d *distant) A(ctx context.Context, name string) dns.Answer[netip.Addr] {
	return askDistant(ctx, d, "A", name, netip.MustParseAddr)
}

func (d *distant) AAAA(ctx context.Context, name string) dns.Answer[netip.Addr] {
	return askDistant(ctx, d, "AAAA", name, netip.MustParseAddr)
}

func (d *distant) TXT(ctx context.Context, name string) dns.Answer[string] {
	return askDistant(ctx, d, "TXT", name, func(s string) string { return s })
}

func (d *distant) MX(ctx context.Context, name string) dns.Answer[dns.MX] {
	return askDistant(ctx, d, "MX", name, func(s string) dns.MX { return dns.MX{Host: s, Pref: 10} })
}

func (d *distant) PTR(ctx context.Context, addr netip.Addr) dns.Answer[string] {
	return askDistant(ctx, d, "PTR", dns.ReverseName(addr), func(s string) string { return s })
}

// distantWorld is a sender as they are: its host has another name than the domain, its SPF record includes that of its
// provider, its key and its policy are published.
const distantWorld = `
7.2.0.192.in-addr.arpa PTR out7.provider.example
out7.provider.example A 192.0.2.7
sender.example MX mx.provider.example
mx.provider.example A 192.0.2.25
sender.example TXT v=spf1 include:_spf.provider.example -all
_spf.provider.example TXT v=spf1 ip4:192.0.2.0/24 -all
out.provider.example A 192.0.2.7
_dmarc.sender.example TXT v=DMARC1; p=reject
`

// roundsOf returns how many rounds of questions one after another the stages up to MAIL take from MAIL on, and those after
// the message from its end on, with nothing known before the client connects. Client, HELO and MAIL come at once.
func roundsOf(t *testing.T, world, message string) (mail, data float64, log []string) {
	synctest.Test(t, func(t *testing.T) {
		r := newDistant(world)
		d := &Deps{Resolver: r, Only: append(AuthChecks(), "access.sender", "sender", "shape")}
		pl := build(t, "[[checks.access.sender.entry]]\nreverse = \"blocked.example\"\n", d)
		s := from("192.0.2.7", "out.provider.example")
		s.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl, Hostname: d.Hostname}
		e := dataOf(t, message)
		e.From = mailFrom(t, "<news@sender.example>")
		in := input(s, e)
		began := time.Now()
		pl.Begin(t.Context(), s)
		pl.Run(t.Context(), gateway.Helo, in)
		pl.Run(t.Context(), gateway.Mail, in)
		mail = float64(time.Since(began)) / float64(round)
		began = time.Now()
		pl.Run(t.Context(), gateway.Data, in)
		data = float64(time.Since(began)) / float64(round)
		for _, f := range e.Findings {
			if f.Result == gateway.Unknown || f.Check == "dkim" && f.Result == gateway.Fail {
				t.Errorf("%s: %s %s %v", f.Check, f.Result, f.Reason, f.Evidence)
			}
		}
		log = r.log
	})
	return mail, data, log
}

// TestFirstDecisionTakesTwoRounds: what a stage asks is asked at the same time, so that with nothing known the decision is
// there two rounds after its last input: an answer that a question depends on, and that question's.
func TestFirstDecisionTakesTwoRounds(t *testing.T) {
	key, err := signing.Ed25519("sender.example", "k")
	if err != nil {
		t.Fatal(err)
	}
	other := key.For("list.example", "l")
	world := distantWorld
	for _, k := range []*signing.Key{key, other} {
		world += k.Record()
	}
	mail := func(author string) []byte {
		return []byte("From: News <news@" + author + ">\r\nTo: anna@served.example\r\nSubject: x\r\nDate: Thu, 26 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@sender.example>\r\n\r\ntext\r\n")
	}
	signed, err := key.Sign(mail("sender.example"))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := other.Seal(signed, "none", "dmarc=pass header.from=sender.example")
	if err != nil {
		t.Fatal(err)
	}
	twice, err := other.Sign(sealed)
	if err != nil {
		t.Fatal(err)
	}
	for about, message := range map[string][]byte{"unsigned": mail("sender.example"), "signed": signed, "signed twice and sealed": twice,
		"an author seven labels below": mail("a.b.c.d.e.f.g.sender.example"), "an author that does not exist": mail("none.sender.example"),
		"another author": mail("nothing.test")} {
		mail, data, log := roundsOf(t, world, string(message))
		if mail > 2 || data > 2 {
			t.Errorf("%s: MAIL took %v rounds, the message %v:\n%s", about, mail, data, strings.Join(log, "\n"))
		}
	}
}

// silent is a resolver that never answers anything.
type silent struct{}

func never[T any](ctx context.Context, name string) dns.Answer[T] {
	<-ctx.Done()
	return dns.Answer[T]{Kind: dns.Timeout, Name: name}
}

func (silent) A(ctx context.Context, name string) dns.Answer[netip.Addr] {
	return never[netip.Addr](ctx, name)
}
func (silent) AAAA(ctx context.Context, name string) dns.Answer[netip.Addr] {
	return never[netip.Addr](ctx, name)
}
func (silent) TXT(ctx context.Context, name string) dns.Answer[string] {
	return never[string](ctx, name)
}
func (silent) MX(ctx context.Context, name string) dns.Answer[dns.MX] {
	return never[dns.MX](ctx, name)
}
func (silent) PTR(ctx context.Context, a netip.Addr) dns.Answer[string] {
	return never[string](ctx, a.String())
}

// TestSilentDNS: whatever a message makes us ask, a stage ends within the deadline of its rows, what could not be told is
// not passed, and all stages together wait no longer than two rows of the plan may.
func TestSilentDNS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &Deps{Resolver: silent{}, Only: append(AuthChecks(), "access.sender", "sender", "shape")}
		pl := build(t, "", d)
		s := from("192.0.2.7", "out.provider.example")
		policy := *d.Policy
		policy.Mode = gateway.ObserveOnly // so that no row is left out
		s.Snapshot = &gateway.Snapshot{Policy: &policy, Pipeline: pl, Hostname: d.Hostname}
		e := dataOf(t, hostileAuth())
		e.From = mailFrom(t, "<news@sender.example>")
		in := input(s, e)
		pl.Begin(t.Context(), s)
		const row = 8 * time.Second // the deadline of the rows that ask DNS
		began := time.Now()
		for _, stage := range []gateway.Stage{gateway.Helo, gateway.Mail, gateway.Data} {
			began := time.Now()
			pl.Run(t.Context(), stage, in)
			if took := time.Since(began); took > row {
				t.Errorf("%s took %v", stage, took)
			}
		}
		if took := time.Since(began); took > 2*row {
			t.Errorf("all stages took %v", took)
		}
		for _, f := range e.Findings {
			if f.Result == gateway.Pass && f.Check != "author" && f.Check != "shape" && f.Check != "access.sender" {
				t.Errorf("%s passed with no answer at all: %+v", f.Check, f)
			}
		}
	})
}

// hostileAuth is a message that makes a verifier ask for as much as a message can: eight signatures by as many domains, and
// an ARC set.
func hostileAuth() string {
	var b strings.Builder
	const hash = "bh=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=; b=" +
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\r\n"
	b.WriteString("ARC-Seal: i=1; a=rsa-sha256; cv=none; d=sealer.example; s=k; t=1; b=AAAA\r\n" +
		"ARC-Message-Signature: i=1; a=rsa-sha256; c=relaxed/relaxed; d=sealer.example; s=k; h=from; " + hash +
		"ARC-Authentication-Results: i=1; sealer.example; dmarc=pass header.from=sender.example\r\n")
	for _, n := range strings.Fields("a b c d e f g h") {
		b.WriteString("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=" + n + ".example; s=k; h=from; " + hash)
	}
	return b.String() + "From: News <news@sender.example>\r\nDate: Thu, 26 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@x.example>\r\n\r\ntext\r\n"
}
