package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatepost/internal/config"
	"gatepost/internal/seats"
	"gatepost/tls/certs"
)

// publicAt serves the pages on both halves of a listener, and returns their addresses.
func publicAt(t *testing.T, p *public) (clear, secure string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	var at [2]string
	for i := range at {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		at[i] = l.Addr().String()
		go func() { ended <- p.serve(ctx, l, i == 1) }()
	}
	t.Cleanup(func() {
		stop()
		for range at {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	return at[0], at[1]
}

// publicPages are a page over HTTP and one over HTTPS, for a host each, with a certificate for both.
func publicPages(t *testing.T) (*public, *x509.CertPool) {
	t.Helper()
	cert, _, err := certs.SelfSigned(t.TempDir(), "mta-sts.example.org")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	only := func(want string) func(string) bool { return func(host string) bool { return host == want } }
	return &public{
		certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert, nil },
		pages: []publicPage{
			{name: "policy", secure: true, path: "/.well-known/mta-sts.txt", hosts: only("mta-sts.example.org"),
				text: func(host, below string) []byte { return []byte("policy of " + host) }},
			{name: "token", path: "/tokens/", hosts: only("mx.example.org"), text: func(_, below string) []byte {
				if below != "abc" {
					return nil
				}
				return []byte("token " + below)
			}},
		},
	}, roots
}

// TestPublicAnswers shows what strangers are told: the pages, each over its own protocol and for its own host, and nothing else.
func TestPublicAnswers(t *testing.T) {
	p, roots := publicPages(t)
	clear, secure := publicAt(t, p)
	for _, c := range []struct {
		request, host string
		secure        bool
		want          string // status, and the body
	}{
		{"GET /.well-known/mta-sts.txt", "mta-sts.example.org", true, "200 policy of mta-sts.example.org"},
		{"GET /.well-known/mta-sts.txt", "MTA-STS.Example.org:443", true, "200 policy of mta-sts.example.org"},
		{"HEAD /.well-known/mta-sts.txt", "mta-sts.example.org", true, "200 "},
		{"GET /.well-known/mta-sts.txt?x=1", "mta-sts.example.org", true, "200 policy of mta-sts.example.org"},
		{"POST /.well-known/mta-sts.txt", "mta-sts.example.org", true, "405 "},
		{"GET /.well-known/mta-sts.txt", "mx.example.org", true, "404 "}, // not the name of the handshake
		{"GET /.well-known/mta-sts.txt/", "mta-sts.example.org", true, "404 "},
		{"GET //.well-known/mta-sts.txt", "mta-sts.example.org", true, "404 "},
		{"GET /.well-known/x/../mta-sts.txt", "mta-sts.example.org", true, "404 "},
		{"GET /", "mta-sts.example.org", true, "404 "},
		{"GET /tokens/abc", "mta-sts.example.org", true, "404 "},
		{"GET /.well-known/mta-sts.txt", "mta-sts.example.org", false, "404 "}, // RFC 8461 wants HTTPS
		{"GET /tokens/abc", "mx.example.org", false, "200 token abc"},
		{"GET /tokens/abd", "mx.example.org", false, "404 "},
		{"GET /tokens/", "mx.example.org", false, "404 "},
		{"GET /tokens", "mx.example.org", false, "404 "},
		{"GET /tokens/abc", "mx.example.org.", false, "200 token abc"},
		{"GET /tokens/abc", "mx.example.org:x", false, "404 "},
		{"GET /tokens/abc", "127.0.0.1", false, "404 "},
		{"GET /tokens/abc", "[::1]:80", false, "404 "},
		{"GET /metrics", "mx.example.org", false, "404 "},
		{"OPTIONS *", "mx.example.org", false, "405 "},
	} {
		at, to := clear, net.Conn(nil)
		var err error
		if to, err = net.Dial("tcp", at); c.secure {
			to, err = tls.Dial("tcp", secure, &tls.Config{RootCAs: roots, ServerName: "mta-sts.example.org"})
		}
		if err != nil {
			t.Fatal(err)
		}
		method, path, _ := strings.Cut(c.request, " ")
		fmt.Fprintf(to, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", method, path, c.host)
		r, err := http.ReadResponse(bufio.NewReader(to), &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%s %s: %v", c.request, c.host, err)
		}
		body, _ := io.ReadAll(r.Body)
		if got := fmt.Sprint(r.StatusCode, " ", string(body)); got != c.want {
			t.Errorf("%s of %s (https %v): %q, want %q", c.request, c.host, c.secure, got, c.want)
		}
		if r.StatusCode == http.StatusOK && !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") || r.Header.Get("Server") != "" {
			t.Errorf("%s: header %v", c.request, r.Header)
		}
		_ = to.Close()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count[publicAnswer{"policy", "200"}] != 4 || p.count[publicAnswer{"token", "200"}] != 2 || p.count[publicAnswer{"none", "405"}] != 2 {
		t.Errorf("counted %v", p.count)
	}
}

// TestPublicHandshake shows that nobody is shown a certificate for a name without a page, nor TLS 1.1, nor HTTP/2.
func TestPublicHandshake(t *testing.T) {
	p, roots := publicPages(t)
	p.challenge = func(hello *tls.ClientHelloInfo) *tls.Config {
		if hello.ServerName != "proved.example.org" {
			return nil
		}
		return &tls.Config{NextProtos: []string{acmeALPN}, GetCertificate: p.certificate}
	}
	_, secure := publicAt(t, p)
	for _, c := range []struct {
		name string
		conf *tls.Config
		want string // of the error; empty for the protocol agreed
	}{
		{"ours", &tls.Config{ServerName: "mta-sts.example.org", RootCAs: roots, NextProtos: []string{"h2", "http/1.1"}}, ""},
		{"another", &tls.Config{ServerName: "www.example.org"}, "unrecognized name"},
		{"over http alone", &tls.Config{ServerName: "mx.example.org"}, "unrecognized name"},
		{"none", &tls.Config{InsecureSkipVerify: true}, "unrecognized name"},
		{"old", &tls.Config{ServerName: "mta-sts.example.org", RootCAs: roots, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, "protocol version"},
		{"proof", &tls.Config{ServerName: "proved.example.org", InsecureSkipVerify: true, NextProtos: []string{acmeALPN}}, ""},
		{"proof of another", &tls.Config{ServerName: "mta-sts.example.org", RootCAs: roots, NextProtos: []string{acmeALPN}}, "internal error"},
	} {
		conn, err := tls.Dial("tcp", secure, c.conf)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", c.name, err, c.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got, want := conn.ConnectionState().NegotiatedProtocol, map[bool]string{true: acmeALPN, false: "http/1.1"}[c.name == "proof"]; got != want {
			t.Errorf("%s: %q was agreed, want %q", c.name, got, want)
		}
		if c.name == "proof" { // ends by itself
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		_ = conn.Close()
	}
}

// TestPublicBounds shows that a client gets no more places than one may have, and gets them back.
func TestPublicBounds(t *testing.T) {
	p := &new(public).seats
	one, other := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/64")
	for i := range publicOfEachClient + 1 {
		if got := p.Enter(one, publicBounds()); got != (i < publicOfEachClient) {
			t.Errorf("connection %d of one: %v", i, got)
		}
	}
	p.Leave(one)
	if !p.Enter(one, publicBounds()) || p.Enter(one, publicBounds()) || !p.Enter(other, publicBounds()) {
		t.Error("a place that was left is not free, or is two")
	}
	near := netip.MustParsePrefix("127.0.0.1/32")
	open, _, _ := p.Counts()
	for i := open; i <= publicConnections; i++ {
		if got := p.Enter(near, publicBounds()); got != (i < publicConnections) {
			t.Errorf("connection %d: %v", i, got)
		}
	}
	for range publicOfEachClient {
		p.Leave(one)
	}
	p.Leave(other)
	for range publicConnections - open {
		p.Leave(near)
	}
	if open, clients, turned := p.Counts(); open != 0 || clients != 0 || turned != 3 {
		t.Errorf("%d connections and %d clients are kept, %d connections were turned away", open, clients, turned)
	}
	for at, want := range map[string]string{"192.0.2.1:5": "192.0.2.1/32", "[::ffff:192.0.2.1]:5": "192.0.2.1/32", "[2001:db8::1:2]:5": "2001:db8::/64", "[::1]:5": "::1/128"} {
		if got := seats.Client(netip.MustParseAddrPort(at).Addr().Unmap()); got.String() != want {
			t.Errorf("%s counts as %s, want %s", at, got, want)
		}
	}
}

// TestPublicHostile shows that a request that is too long, or never ends, does not stay.
func TestPublicHostile(t *testing.T) {
	p, _ := publicPages(t)
	clear, _ := publicAt(t, p)
	for name, request := range map[string]string{
		"a long header":  "GET / HTTP/1.1\r\nHost: mx.example.org\r\nX: " + strings.Repeat("x", 16<<10) + "\r\n\r\n",
		"a long line":    "GET /" + strings.Repeat("x", 16<<10) + " HTTP/1.1\r\nHost: mx.example.org\r\n\r\n",
		"a body":         "GET /tokens/abc HTTP/1.1\r\nHost: mx.example.org\r\nContent-Length: 1000000\r\n\r\n",
		"half a request": "GET /tokens/abc HTTP/1.1\r\nHost: mx.exa",
		"not HTTP":       "EHLO mx.example.org\r\n",
		"two hosts":      "GET /tokens/abc HTTP/1.1\r\nHost: mx.example.org\r\nHost: b.example.org\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", clear)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(time.Minute)) // far beyond what it takes
		go func() { _, _ = io.WriteString(conn, request) }()
		got, err := io.ReadAll(conn)
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
			t.Errorf("%s: the connection stays open", name)
		}
		if name != "a body" && strings.Contains(string(got), "200 OK") {
			t.Errorf("%s: %q", name, got)
		}
		_ = conn.Close()
	}
}

// TestPublicSockets shows that a port that is taken names the key, and that addresses are opened only where they are asked for.
func TestPublicSockets(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	any := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}
	b := &config.Bootstrap{Listeners: []config.Listener{{Name: "a", Addresses: any}}, Web: config.Web{PublicHTTP: any, PublicHTTPS: append(any, any...), Portal: any}}
	out, err := listen(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := addressesOf(out)
	if len(a.PublicHTTP) != 1 || len(a.PublicHTTPS) != 2 || len(a.Portal) != 1 || len(a.Listeners) != 1 {
		t.Errorf("%+v", a)
	}
	out.close()
	b.Web.PublicHTTPS = []netip.AddrPort{netip.MustParseAddrPort(taken.Addr().String())}
	if out, err = listen(b, nil); err == nil || !strings.HasPrefix(err.Error(), "web.public_https: ") || !strings.Contains(err.Error(), "ss -ltnp") {
		t.Errorf("%v", err)
	}
	if _, err := out.publicHTTP[0].Accept(); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("the first socket is still open: %v", err)
	}
}
