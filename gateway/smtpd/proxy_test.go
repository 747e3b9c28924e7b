package smtpd

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/pires/go-proxyproto"

	"gatepost/gateway"
)

// header is a PROXY header of the protocol's own library.
func header(t testing.TB, version byte, from, to string) []byte {
	h := proxyproto.HeaderProxyFromAddrs(version, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from)), net.TCPAddrFromAddrPort(netip.MustParseAddrPort(to)))
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestProxied: what the header says is the client everywhere: in caps, trust and journal. The proxy's own address is kept.
func TestProxied(t *testing.T) {
	for _, version := range []byte{1, 2} {
		bubble(t, func(t *testing.T, w *world) {
			w.proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} // trusted: the proxy, not its clients
			w.snap.Limits.PerClient, w.snap.Limits.PerNetwork = 1, 1
			come := func(from string) (*client, string) {
				c := w.dial("127.0.0.1:999")
				c.send(string(header(t, version, from, "192.0.2.99:2525")))
				return c, c.heard()
			}
			first, got := come("198.51.100.7:1234")
			if !strings.HasPrefix(got, "220 ") {
				t.Fatalf("%q", got)
			}
			if _, got := come("198.51.100.7:1235"); !strings.HasPrefix(got, "421 4.7.0 Too many connections at once from your address; at most 1") {
				t.Errorf("the second of one client: %q", got)
			}
			for range 3 {
				if _, got := come("127.0.0.5:1"); !strings.HasPrefix(got, "220 ") {
					t.Errorf("a trusted client: %q", got)
				}
			}
			if _, got := come("[2001:db8::1]:1"); !strings.HasPrefix(got, "220 ") {
				t.Errorf("a client of IPv6: %q", got)
			}
			first.say("EHLO client.example")
			first.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@elsewhere.example>", "QUIT")
			e := w.journal.events[0]
			if e.Record.Client != netip.MustParseAddr("198.51.100.7") || e.Record.Trusted ||
				e.Session.Client.String() != "198.51.100.7:1234" || e.Session.Proxy.String() != "127.0.0.1:999" {
				t.Errorf("journal: %+v, %+v", e.Record, e.Session)
			}
		})
	}
}

// TestProxyFlood: connections that keep their header back are bounded too, and cost nobody a reply.
func TestProxyFlood(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		w.snap.Limits.Connections = 3
		var silent []*client
		for range 3 {
			silent = append(silent, w.dial("10.0.0.1:1"))
		}
		if c := w.dial("10.0.0.1:1"); !c.gone() {
			t.Error("the fourth is waited for")
		}
		for _, c := range silent {
			if c.gone() {
				t.Error("one of the first is closed")
			}
			c.hangUp()
		}
		synctest.Wait()
		if n := w.srv.heading.Load(); n != 0 {
			t.Errorf("%d are still waited for", n)
		}
		if got := w.journal.all(); len(got) != 4 || got[0] != "early "+string(gateway.TooManyConnections) {
			t.Errorf("%q", got)
		}
	})
}

// TestHealthCheckWhileDraining: a proxy is told that this host goes.
func TestHealthCheckWhileDraining(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		if err := w.srv.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		c := w.dial("10.0.0.1:1")
		if got := c.say("PROXY UNKNOWN"); !strings.HasPrefix(got, "421 4.3.2 ") || !c.gone() {
			t.Errorf("%q", got)
		}
		if w.srv.HealthChecks() != 1 || len(w.journal.all()) != 0 {
			t.Errorf("%d health checks, journal %q", w.srv.HealthChecks(), w.journal.all())
		}
	})
}

// FuzzProxyHeader: however the octets come in, the same is read of them; nothing behind the header is lost or taken for a
// part of it; and what the protocol's own library writes is understood.
func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 198.51.100.7 192.0.2.1 50000 25\r\nEHLO early.example\r\n"))
	f.Add([]byte("PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte("PROXY " + strings.Repeat("x", 200)))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\xff\xff\xff"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\xd8" + strings.Repeat("/", 216)))
	f.Add(append(header(f, 2, "198.51.100.7:1", "192.0.2.1:25"), "\x16\x03\x01"...))
	f.Add(append(header(f, 2, "[2001:db8::1]:1", "[2001:db8::2]:25"), "EHLO x\r\n"...))
	f.Add(append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x0f\xf0"), make([]byte, 5000)...))
	f.Fuzz(func(t *testing.T, in []byte) {
		all := bytes.NewReader(in)
		h, err := readProxyHeader(all)
		drip := bytes.NewReader(in)
		d, dripErr := readProxyHeader(iotest.OneByteReader(drip))
		if (err == nil) != (dripErr == nil) || errors.Is(err, errBadProxyHeader) != errors.Is(dripErr, errBadProxyHeader) {
			t.Fatalf("at once %v, in octets %v", err, dripErr)
		}
		if len(in)-all.Len() > maxProxyV2+headRead {
			t.Fatalf("%d octets were taken", len(in)-all.Len())
		}
		if err != nil {
			return
		}
		left, _ := io.ReadAll(all)
		left = append(bytes.Clone(h.rest), left...)
		dripped, _ := io.ReadAll(drip)
		if len(d.rest) != 0 || !bytes.Equal(left, dripped) {
			t.Fatalf("behind the header: at once %q, in octets %q %q", left, d.rest, dripped)
		}
		if h.client != d.client || h.local != d.local || h.health != d.health {
			t.Fatalf("at once %+v, in octets %+v", h, d)
		}
		if !h.health && (!h.client.Addr().IsValid() || h.client.Addr().IsUnspecified() || h.client.Addr().Is4In6()) {
			t.Fatalf("no client: %v", h.client)
		}
	})
}
