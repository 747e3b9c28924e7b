package certs

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// visit makes one session as a client and returns what came of it on both sides. It reads on, since a ticket of TLS 1.3
// comes behind the handshake.
func visit(t *testing.T, config *tls.Config, client *tls.Config) (ours, theirs tls.ConnectionState, err error) {
	t.Helper()
	a, b := net.Pipe()
	return visitBy(a, b, config, client)
}

// visitBy is visit over a connection.
func visitBy(a, b net.Conn, config *tls.Config, client *tls.Config) (ours, theirs tls.ConnectionState, err error) {
	server := tls.Server(b, config)
	done := make(chan error, 1)
	go func() {
		err := server.Handshake()
		if err == nil {
			_, err = server.Write([]byte("x"))
		}
		_ = server.Close()
		done <- err
	}()
	c := tls.Client(a, client)
	if err = c.Handshake(); err == nil {
		_, err = io.ReadAll(c)
	}
	theirs = c.ConnectionState()
	_ = a.Close()
	if other := <-done; err == nil {
		err = other
	}
	return server.ConnectionState(), theirs, err
}

func anEdge(t *testing.T) (*Edge, *Set) {
	t.Helper()
	c, _, err := SelfSigned(t.TempDir(), "mx.example.org")
	if err != nil {
		t.Fatal(err)
	}
	var set Set
	set.Put("test", c)
	return NewEdge(&set), &set
}

func TestEdgeVersions(t *testing.T) {
	e, _ := anEdge(t)
	for version, ok := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		_, _, err := visit(t, e.Config(false), &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		if (err == nil) != ok {
			t.Errorf("version %x: %v", version, err)
		}
	}
}

// TestEdgeGroups: what a client can do that has post-quantum key agreement is what it gets; one that has not is served too.
func TestEdgeGroups(t *testing.T) {
	e, _ := anEdge(t)
	for _, g := range [][]tls.CurveID{nil, {tls.X25519}, {tls.CurveP256}, {tls.CurveP384}, {tls.CurveP521}} {
		want := tls.X25519MLKEM768
		if len(g) > 0 {
			want = g[0]
		}
		ours, _, err := visit(t, e.Config(false), &tls.Config{InsecureSkipVerify: true, CurvePreferences: g})
		if err != nil || ours.CurveID != want {
			t.Errorf("%v: %v, %v", g, ours.CurveID, err)
		}
	}
}

// TestEdgeCiphers: of TLS 1.2 nothing is taken that has no forward secrecy, or that is broken.
func TestEdgeCiphers(t *testing.T) {
	e, _ := anEdge(t)
	for _, c := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if c.SupportedVersions[0] == tls.VersionTLS13 {
			continue
		}
		_, _, err := visit(t, e.Config(false), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{c.ID}})
		good := map[uint16]bool{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: true, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: true,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: true, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: true,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: true}[c.ID] // the key is ECDSA
		if (err == nil) != good {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
}

// TestTickets: a ticket is good over changes of the certificates and for a day, whatever the version; then a full handshake
// is made again. One of a session without a certificate is none where one is asked for, and the other way round.
func TestTickets(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		synctest.Test(t, func(t *testing.T) {
			e, set := anEdge(t)
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { e.Run(ctx); close(done) }()
			for _, step := range []struct {
				after   time.Duration
				ask     bool
				resumed bool
			}{{0, false, true}, {time.Second, true, false}, {3 * time.Hour, false, true}, {19 * time.Hour, false, true}, {25 * time.Hour, false, false}} {
				client := &tls.Config{InsecureSkipVerify: true, ServerName: "mx.example.org", MinVersion: version, MaxVersion: version,
					ClientSessionCache: tls.NewLRUClientSessionCache(4)}
				if _, _, err := visit(t, e.Config(false), client); err != nil {
					t.Fatal(err)
				}
				time.Sleep(step.after)
				other, _, err := SelfSigned(t.TempDir(), "mx.example.org")
				if err != nil {
					t.Fatal(err)
				}
				set.Put("test", other)
				ours, _, err := visit(t, e.Config(step.ask), client)
				if err != nil || ours.DidResume != step.resumed {
					t.Errorf("version %x, after %v, asked %t: resumed %t, %v", version, step.after, step.ask, ours.DidResume, err)
				}
			}
			stop()
			<-done
		})
	}
}

// TestTicketKeepsCertificate: a session that goes on by a ticket still has the certificate of its client.
func TestTicketKeepsCertificate(t *testing.T) {
	e, _ := anEdge(t)
	mine, _, err := SelfSigned(t.TempDir(), "client.example")
	if err != nil {
		t.Fatal(err)
	}
	client := &tls.Config{InsecureSkipVerify: true, ServerName: "mx.example.org", Certificates: []tls.Certificate{*mine},
		ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	l, err := net.Listen("tcp", "127.0.0.1:0") // a pipe holds nothing, and both sides write at once here
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := range 3 {
		a, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		b, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		ours, _, err := visitBy(a, b, e.Config(true), client)
		if err != nil || ours.DidResume != (i > 0) || len(ours.PeerCertificates) != 1 || !ours.PeerCertificates[0].Equal(mine.Leaf) {
			t.Errorf("session %d: resumed %t, %d certificates, %v", i, ours.DidResume, len(ours.PeerCertificates), err)
		}
	}
}
