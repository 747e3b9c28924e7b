package dns

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/lab/labtest"
)

const updateZone = `$ORIGIN example.org.
@ 60 SOA ns host 1 3600 600 86400 5
@ 60 NS ns
@ 60 NS ns2
ns 60 A 127.0.0.1
ns2 60 A 127.0.0.1
deep.er 60 TXT "there already"
`

// newUpdates makes Updates towards a server, with a resolver that asks near.
func newUpdates(t *testing.T, server, near string, change ...func(*UpdateOptions)) *Updates {
	t.Helper()
	r, err := New(Options{Servers: []string{near}, Deadline: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	o := UpdateOptions{Server: server, Key: lab.KnotKey, Algorithm: lab.KnotAlgorithm, Secret: lab.KnotSecret(), Resolver: r}
	for _, c := range change {
		c(&o)
	}
	u, err := NewUpdates(o)
	if err != nil {
		t.Fatal(err)
	}
	u.pause = 50 * time.Millisecond
	return u
}

// texts asks a server for the TXT records of a name.
func texts(t *testing.T, server, name string) (out []string) {
	t.Helper()
	m := new(wire.Msg)
	m.SetQuestion(name+".", wire.TypeTXT)
	reply, _, err := (&wire.Client{Net: "tcp"}).Exchange(m, server)
	if err != nil {
		t.Fatal(err)
	}
	for _, rr := range reply.Answer {
		out = append(out, rr.(*wire.TXT).Txt[0])
	}
	return out
}

// TestUpdates changes a zone of a real name server, beside records that are none of ours, and waits for its secondary.
func TestUpdates(t *testing.T) {
	first, second := port(t), port(t)
	knot := labtest.Knot(t, lab.KnotOptions{Zones: map[string]string{"example.org": updateZone}, Tell: second.Addr()}, first)
	other := labtest.Knot(t, lab.KnotOptions{From: first.Addr(), Transfers: []string{"example.org"}}, second)
	near := dnslab.New(t, dnslab.Text("ns.example.org. A 127.0.0.1\nns2.example.org. A 127.0.0.1\n_acme-challenge.mx.example.net. CNAME mx.acme.example.org.\n"))
	u := newUpdates(t, knot.Addr, near.Addr())
	u.port = uint16(second.Number)
	ctx := labtest.Context(t)
	owner, err := u.Owner(ctx, "_acme-challenge.mx.example.net")
	if err != nil || owner != "mx.acme.example.org" {
		t.Fatal(owner, err)
	}
	for _, name := range []string{owner, "deep.er.example.org"} {
		for _, text := range []string{"one", "two"} {
			if err := u.AddTXT(ctx, name, text); err != nil {
				t.Fatal(err)
			}
		}
		if err := u.AwaitTXT(ctx, name, "two"); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(texts(t, other.Addr, name), " "); !strings.Contains(got, "two") {
			t.Errorf("the secondary was not waited for: %s", got)
		}
		for _, text := range []string{"one", "two", "never there"} {
			if err := u.RemoveTXT(ctx, name, text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := texts(t, knot.Addr, "deep.er.example.org"); len(got) != 1 || got[0] != "there already" {
		t.Errorf("a record of others was touched: %q", got)
	}
	if got := texts(t, knot.Addr, owner); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}

func port(t *testing.T) *lab.Port {
	t.Helper()
	p, err := lab.ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Release)
	return p
}

func TestUpdatesRefused(t *testing.T) {
	knot := labtest.Knot(t, lab.KnotOptions{Zones: map[string]string{"example.org": updateZone}}, nil)
	near := dnslab.New(t, dnslab.Text(""))
	for _, c := range []struct {
		name   string
		change func(*UpdateOptions)
		zone   string
		want   string
	}{
		{"another secret", func(o *UpdateOptions) { o.Secret = base64.StdEncoding.EncodeToString(make([]byte, 32)) }, "a.example.org", "the secret is another (BADSIG)"},
		{"another key", func(o *UpdateOptions) { o.Key = "other" }, "a.example.org", "it knows no key of this name and algorithm (BADKEY)"},
		{"another algorithm", func(o *UpdateOptions) { o.Algorithm = "hmac-sha512" }, "a.example.org", "does not take the key"},
		{"another zone", func(*UpdateOptions) {}, "a.example.net", "has no zone for a.example.net: it answers REFUSED"},
	} {
		err := newUpdates(t, knot.Addr, near.Addr(), c.change).AddTXT(labtest.Context(t), c.zone, "x")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := newUpdates(t, knot.Addr, "127.0.0.1:9").Owner(labtest.Context(t), "a.example.org"); err == nil {
		t.Error("DNS that does not tell was taken for no CNAME")
	}
	for _, bad := range []UpdateOptions{{Server: "ns.example.org", Key: "k", Algorithm: "hmac-sha256", Secret: lab.KnotSecret()},
		{Server: "127.0.0.1", Algorithm: "hmac-sha256", Secret: lab.KnotSecret()}, {Server: "127.0.0.1", Key: "k", Algorithm: "hmac-md5", Secret: lab.KnotSecret()},
		{Server: "127.0.0.1", Key: "k", Algorithm: "hmac-sha256", Secret: "c2hvcnQ="}} {
		if _, err := NewUpdates(bad); err == nil || bad.Secret != "" && strings.Contains(err.Error(), bad.Secret) {
			t.Errorf("%s: %v", bad.Key, err)
		}
	}
}

// TestUpdatesHostile has name servers that answer with anything but a signed yes: none of it may pass for one.
func TestUpdatesHostile(t *testing.T) {
	soa := &wire.SOA{Hdr: wire.RR_Header{Name: "example.org.", Rrtype: wire.TypeSOA, Class: wire.ClassINET}, Ns: "ns.", Mbox: "h."}
	for name, serve := range map[string]func(w wire.ResponseWriter, m *wire.Msg){
		"unsigned": func(w wire.ResponseWriter, m *wire.Msg) {
			r := new(wire.Msg)
			r.SetReply(m)
			r.Authoritative = true
			if m.Opcode != wire.OpcodeUpdate {
				r.Answer = []wire.RR{soa}
			}
			w.WriteMsg(r)
		},
		"no zone": func(w wire.ResponseWriter, m *wire.Msg) { r := new(wire.Msg); r.SetReply(m); w.WriteMsg(r) },
		"another's": func(w wire.ResponseWriter, m *wire.Msg) {
			r := new(wire.Msg)
			r.SetQuestion("other.", 1)
			r.Id = m.Id
			r.Response = true
			w.WriteMsg(r)
		},
		"closes":  func(w wire.ResponseWriter, m *wire.Msg) { w.Close() },
		"garbage": func(w wire.ResponseWriter, m *wire.Msg) { w.Write([]byte("not DNS")) },
		"wrong child": func(w wire.ResponseWriter, m *wire.Msg) {
			r := new(wire.Msg)
			r.SetReply(m)
			r.Authoritative = true
			far := *soa
			far.Hdr.Name = "elsewhere.test."
			r.Ns = []wire.RR{&far}
			w.WriteMsg(r)
		},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &wire.Server{Listener: l, Handler: wire.HandlerFunc(serve), TsigSecret: map[string]string{lab.KnotKey + ".": lab.KnotSecret()},
			MsgAcceptFunc: func(wire.Header) wire.MsgAcceptAction { return wire.MsgAccept }}
		go s.ActivateAndServe()
		near := dnslab.New(t, dnslab.Text(""))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err = newUpdates(t, l.Addr().String(), near.Addr()).AddTXT(ctx, "a.b.example.org", "x")
		if err == nil {
			t.Errorf("%s: taken for a yes", name)
		}
		t.Logf("%s: %v", name, err)
		cancel()
		s.Shutdown()
	}
}

// TestAwaitSkipsTheSilent has name servers of the zone that are closed, and one that does not know the zone: they are not
// waited for.
func TestAwaitSkipsTheSilent(t *testing.T) {
	knot := labtest.Knot(t, lab.KnotOptions{Zones: map[string]string{"example.org": updateZone}}, nil)
	near := dnslab.New(t, dnslab.Text("ns.example.org. A 127.0.0.1\nns2.example.org. A 127.0.0.2\n"))
	u := newUpdates(t, knot.Addr, near.Addr())
	u.port = netip.MustParseAddrPort(near.Addr()).Port() // at 127.0.0.1 answers without authority, at 127.0.0.2 nobody
	ctx := labtest.Context(t)
	if err := u.AddTXT(ctx, "a.example.org", "x"); err != nil {
		t.Fatal(err)
	}
	if err := u.AwaitTXT(ctx, "a.example.org", "x"); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := u.AwaitTXT(ctx, "a.example.org", "never made"); err == nil || !strings.Contains(err.Error(), "does not show the new record of a.example.org") {
		t.Error(err)
	}
}

// TestUpdatesEnd has a name server that says nothing: who gives up does not wait for it.
func TestUpdatesEnd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if c, err := l.Accept(); err == nil {
			defer c.Close()
			var b [1]byte
			c.Read(b[:]) // the question has come
			cancel()
			<-t.Context().Done()
		}
	}()
	if err := newUpdates(t, l.Addr().String(), l.Addr().String()).AddTXT(ctx, "a.example.org", "x"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
