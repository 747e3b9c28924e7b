package relay

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

// Everything that a next hop can say to STARTTLS in place of 220: a refusal means clear text where that is allowed, and
// nothing else does.
func TestStartTLSFaults(t *testing.T) {
	for _, fl := range faults() {
		if fl.name == "220" {
			continue
		}
		for _, mode := range []Mode{Opportunistic, Required} {
			t.Run(mode.String()+"/"+fl.name, func(t *testing.T) {
				t.Parallel()
				f := newFake(t, append([]string{"STARTTLS"}, everything...)...)
				f.set("STARTTLS", fl.act)
				f.plainSTARTTLS = true
				r := newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: mode, Timeouts: long()})
				got := r.Relay(t.Context(), delivery(small))
				messages, _, _ := f.seen()
				refused := false
				switch fl.name {
				case "450", "451 bare", "550", "554 bare", "503", "530", "555":
					refused = true
				}
				if refused && mode == Opportunistic {
					if got.Result != gateway.Delivered || got.TLS != "" || len(messages) != 1 {
						t.Errorf("got %+v", got)
					}
				} else if got.Result != gateway.NotDelivered || !strings.HasPrefix(got.Reply.String(), "451 4.4.1") || got.At != "ehlo" || len(messages) > 0 {
					t.Errorf("got %+v, %d messages", got, len(messages))
				}
			})
		}
	}
}

// Everything that can come in place of a handshake. The mode says whether the message goes on in clear, on a connection of
// its own, or not at all.
func TestHandshakeFaults(t *testing.T) {
	for name, shake := range map[string]act{
		"closes": closes, "resets": resets, "hangs": hang,
		"speaks SMTP":        say("250 2.0.0 Ok"),
		"garbage":            raw(strings.Repeat("\x16\x03\x01\xff\xff", 10)),
		"an alert":           raw("\x15\x03\x03\x00\x02\x02\x28"),
		"endless records":    endless("\x16\x03\x03\x00\x04\x0b\x00\x00\x00", 0),
		"an endless record":  then(raw("\x16\x03\x03\x40\x00"), endless("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 0)),
		"trickles":           endless("\x16\x03\x03\x40\x00\x02", 50*time.Millisecond),
		"ends in the middle": then(raw("\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03"), closes),
	} {
		for _, mode := range []Mode{Opportunistic, Required, Fingerprint} {
			t.Run(mode.String()+"/"+name, func(t *testing.T) {
				t.Parallel()
				f := newFake(t, append([]string{"STARTTLS"}, everything...)...)
				f.set("HANDSHAKE", func(s *fakeSession) bool { // nothing in clear may follow the 220: the hello comes first
					_, err := s.in.Peek(5)
					return err == nil && shake(s)
				})
				times := long()
				times.Connect = 2 * time.Second
				r := newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: mode, Timeouts: times, Fingerprints: make([]Digest, 1)})
				got := r.Relay(t.Context(), delivery(small))
				messages, _, conns := f.seen()
				if mode == Opportunistic {
					if got.Result != gateway.Delivered || got.TLS != "" || len(messages) != 1 || conns != 2 {
						t.Errorf("got %+v, %d messages over %d connections", got, len(messages), conns)
					}
				} else if got.Result != gateway.NotDelivered || !strings.HasPrefix(got.Reply.String(), "451 4.4.1") || len(messages) > 0 || conns != 1 {
					t.Errorf("got %+v, %d messages over %d connections", got, len(messages), conns)
				}
				if h := r.Health()[0]; h.InUse != 0 {
					t.Errorf("health %+v", h)
				}
			})
		}
	}
}

// What comes in clear behind the 220, before the handshake began, is nobody's answer: nothing goes on, not even in clear.
func TestSpeaksBehindStartTLS(t *testing.T) {
	for _, mode := range []Mode{Opportunistic, Required} {
		f := newFake(t, append([]string{"STARTTLS"}, everything...)...)
		f.set("STARTTLS", raw("220 Go on\r\n250 2.0.0 Ok\r\n"))
		f.plainSTARTTLS = true
		got := newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: mode, Timeouts: long()}).Relay(t.Context(), delivery(small))
		if messages, _, _ := f.seen(); got.Result != gateway.NotDelivered || got.Reply.Code != 451 || len(messages) > 0 {
			t.Errorf("%s: %+v", mode, got)
		}
	}
}

// oversized is a certificate with so many names, and chained with itself so many times.
func oversized(t *testing.T, ca *authority, names, times int) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "inner.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"inner.example"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for i := range names {
		template.DNSNames = append(template.DNSNames, fmt.Sprintf("name-%d.of-many.example", i))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Certificate{PrivateKey: key}
	for range times {
		c.Certificate = append(c.Certificate, der)
	}
	return c
}

// Certificates with thousands of names and chains of hundreds of kilobytes: what the TLS library still reads is good, what
// it does not is a failed handshake, and neither is more than that.
func TestHugeCertificates(t *testing.T) {
	ca := newAuthority(t)
	for _, tt := range []struct {
		name         string
		names, times int
		good         bool
	}{
		{"3,000 names", 3000, 1, true},
		{"a chain of 200 KB", 3000, 2, true},
		{"a chain of 600 KB", 3000, 6, false},
		{"10,000 names", 12000, 1, false},
	} {
		for _, mode := range []Mode{Opportunistic, Required} {
			t.Run(mode.String()+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				f := newFake(t, append([]string{"STARTTLS"}, everything...)...)
				f.tls = &tls.Config{Certificates: []tls.Certificate{oversized(t, ca, tt.names, tt.times)}}
				r := newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: mode, Timeouts: long(), RootCAs: ca.pool, ServerName: "inner.example"})
				got := r.Relay(t.Context(), delivery(small))
				want := gateway.Delivered
				if !tt.good && mode == Required {
					want = gateway.NotDelivered
				}
				if got.Result != want || (got.TLS != "") != (tt.good) {
					t.Errorf("got %+v", got)
				}
			})
		}
	}
}

// After a refusal the sender is told what the next hop said, whatever comes of the RSET; and the connection is used again
// only when that was answered with 250.
func TestResetFaults(t *testing.T) {
	for _, fl := range append(faults(), fault{"hangs", hang}) {
		if fl.name == "250" {
			continue
		}
		t.Run(fl.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, everything...)
			f.set("RSET", fl.act)
			f.set("MAIL", say("550 5.7.1 Never"))
			times := long()
			times.Command = 2 * time.Second
			r := newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: None, Timeouts: times})
			got := r.Relay(t.Context(), delivery(small))
			if got.Result != gateway.RefusedByHop || got.Reply.String() != "550 5.7.1 Never" {
				t.Errorf("got %+v", got)
			}
			f.set("MAIL", nil)
			inStepAfter(t, f, r, "RSET")
			if _, _, conns := f.seen(); conns != 2 {
				t.Errorf("%d connections, want 2", conns)
			}
		})
	}
}

// Whatever a next hop does at QUIT, nobody waits for it.
func TestQuitFaults(t *testing.T) {
	for _, fl := range append(faults(), fault{"hangs", hang}) {
		t.Run(fl.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, everything...)
			f.set("QUIT", fl.act)
			r := relayTo(t, f)
			for range maxUses + 1 {
				if got := r.Relay(t.Context(), delivery(small)); got.Result != gateway.Delivered {
					t.Fatalf("got %+v", got)
				}
			}
			if messages, _, conns := f.seen(); len(messages) != maxUses+1 || conns != 2 {
				t.Errorf("%d messages over %d connections", len(messages), conns)
			}
		})
	}
}

// A next hop that writes its replies octet by octet is only slow, as long as each is whole within its time.
func TestTricklesInTime(t *testing.T) {
	slowly := func(text string, pause time.Duration) act {
		return func(s *fakeSession) bool {
			for i := range len(text) {
				select {
				case <-time.After(pause):
				case <-s.f.done:
					return false
				}
				if _, err := io.WriteString(s.conn, text[i:i+1]); err != nil {
					return false
				}
			}
			return true
		}
	}
	for step, text := range map[string]string{"banner": "220 hello\r\n", "EHLO": "250-hi\r\n250 8BITMIME\r\n", "MAIL": "250 Ok\r\n",
		"RCPT": "250 Ok\r\n", "DATA": "354 Go\r\n", "DOT": "250-2.0.0 Ok\r\n250 2.0.0 queued\r\n"} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/late=%v", step, late), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := quietFake(everything...)
					within := 60 * time.Second
					if step == "DOT" {
						within = 300 * time.Second
					}
					pause := (within - time.Second) / time.Duration(len(text))
					if late {
						pause = within/time.Duration(len(text)) + time.Second
					}
					f.readsOn = true
					f.set(step, slowly(text, pause))
					r, err := New(NewPools(f.pipe, nil), []Route{{Name: "inner", Hostname: "mx", Hops: []Hop{{Host: "a.example"}}, TLS: None}})
					if err != nil {
						t.Fatal(err)
					}
					defer close(f.done)
					defer r.Close()
					got := r.Relay(t.Context(), delivery(small))
					want, took := gateway.Delivered, pause*time.Duration(len(text))
					if late {
						want, took = gateway.NotDelivered, within
						if step == "DOT" {
							want = gateway.OutcomeUnknown
						}
					}
					if got.Result != want || got.Took != took {
						t.Errorf("%+v after %s, want %s after %s", got, got.Took, want, took)
					}
				})
			})
		}
	}
}

// What never ends costs no memory: of each endless reply no more is kept than a reply may have.
func TestEndlessRepliesCostNothing(t *testing.T) {
	for _, fl := range faults() {
		if !strings.HasPrefix(fl.name, "endless") {
			continue
		}
		for step := range good {
			f := newFake(t, everything...)
			f.set(step, fl.act)
			r := relayTo(t, f)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := r.Relay(t.Context(), delivery(small))
			runtime.ReadMemStats(&after)
			if got.Result == gateway.Delivered || after.TotalAlloc-before.TotalAlloc > 2<<20 {
				t.Errorf("%s at %s: %s, %d octets of memory", fl.name, step, got.Result, after.TotalAlloc-before.TotalAlloc)
			}
		}
	}
}
