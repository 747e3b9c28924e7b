package mtasts

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// authority makes certificates.
type authority struct {
	t    *testing.T
	root *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	c := a.make(&x509.Certificate{Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour)})
	a.root, a.key = c.Leaf, c.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

func (a *authority) make(template *x509.Certificate) *tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	parent, signer := a.root, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) of(life time.Duration, names ...string) *tls.Certificate {
	return a.make(&x509.Certificate{Subject: pkix.Name{CommonName: "mta-sts.example.org"}, DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life)})
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.root)
	return pool
}

const goodPolicy = "version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 604800\n"

// answerWith is a policy host that reads a request and writes that answer.
func answerWith(text string) func(net.Conn) {
	return func(c net.Conn) {
		if _, err := c.Read(make([]byte, 4096)); err == nil {
			_, _ = io.WriteString(c, text)
		}
		_ = c.Close()
	}
}

func withHeader(status, header, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s", status, header, len(body), body)
}

// TestFetch asks policy hosts that are right, broken, slow, huge and hostile. Each fetch ends within FetchTime.
func TestFetch(t *testing.T) {
	const text = "Content-Type: text/plain\r\n"
	drip := func(first string, forEver byte) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, err := io.WriteString(c, first)
			for err == nil {
				time.Sleep(5 * time.Second)
				_, err = c.Write([]byte{forEver})
			}
		}
	}
	flood := func(first, forEver string) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, err := io.WriteString(c, first)
			for err == nil {
				_, err = io.WriteString(c, forEver)
			}
		}
	}
	names, year := []string{"mta-sts.example.org"}, 365*24*time.Hour
	for _, c := range []struct {
		name   string
		names  []string
		life   time.Duration
		serve  func(net.Conn)
		result string // "" for goodPolicy
		words  string
	}{
		{"right", names, year, answerWith(withHeader("200 OK", text, goodPolicy)), "", ""},
		{"right, a wildcard, a charset", []string{"*.example.org"}, year, answerWith(withHeader("200 OK", "content-type: Text/Plain; charset=utf-8\r\n", goodPolicy)), "", ""},
		{"right, no length", names, year, answerWith("HTTP/1.0 200 OK\r\n" + text + "\r\n" + goodPolicy), "", ""},
		{"redirect", names, year, answerWith(withHeader("301 Moved", text+"Location: https://mta-sts.example.org/other\r\n", goodPolicy)), FetchError, "status 301"},
		{"not found", names, year, answerWith(withHeader("404 Not Found", text, goodPolicy)), FetchError, "status 404"},
		{"no content", names, year, answerWith("HTTP/1.1 204 No Content\r\n" + text + "\r\n"), FetchError, "status 204"},
		{"html", names, year, answerWith(withHeader("200 OK", "Content-Type: text/html\r\n", goodPolicy)), FetchError, "text/plain"},
		{"no type", names, year, answerWith(withHeader("200 OK", "", goodPolicy)), FetchError, "text/plain"},
		{"HTTP/0.9", names, year, answerWith(goodPolicy), FetchError, "malformed HTTP"},
		{"SMTP", names, year, answerWith("220 mx.example.org ESMTP\r\n"), FetchError, "malformed HTTP"},
		{"nothing", names, year, answerWith(""), FetchError, "EOF"},
		{"cut off", names, year, answerWith("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n" + text + "\r\n" + goodPolicy), FetchError, "EOF"},
		{"gzip", names, year, answerWith(withHeader("200 OK", text+"Content-Encoding: gzip\r\n", "\x1f\x8b\x08")), PolicyInvalid, "line 1"},
		{"no policy", names, year, answerWith(withHeader("200 OK", text, "hello: world\n")), PolicyInvalid, "no version"},
		{"empty", names, year, answerWith(withHeader("200 OK", text, "")), PolicyInvalid, "no version"},
		{"says it is huge", names, year, answerWith("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n" + text + "\r\n" + goodPolicy), FetchError, "EOF"},
		{"endless body", names, year, flood("HTTP/1.1 200 OK\r\n"+text+"\r\n"+goodPolicy, strings.Repeat("x", 1000)), FetchError, "64 KiB"},
		{"endless header", names, year, flood("HTTP/1.1 200 OK\r\n", "X: "+strings.Repeat("x", 1000)+"\r\n"), FetchError, "header"},
		{"endless 100", names, year, flood("", "HTTP/1.1 100 Continue\r\n\r\n"), FetchError, "header"},
		{"body drips", names, year, drip("HTTP/1.1 200 OK\r\n"+text+"\r\n"+goodPolicy, 'x'), FetchError, "deadline"},
		{"header drips", names, year, drip("HTTP/1.1 200 OK\r\n", 'x'), FetchError, "deadline"},
		{"silent", names, year, drip("", 'x'), FetchError, "deadline"},
		{"expired", names, -time.Minute, answerWith(withHeader("200 OK", text, goodPolicy)), WebPKIInvalid, "expired"},
		{"another name", []string{"example.org", "mta-sts.example.com"}, year, answerWith(withHeader("200 OK", text, goodPolicy)), WebPKIInvalid, "not mta-sts.example.org"},
		{"a name in the subject alone", nil, year, answerWith(withHeader("200 OK", text, goodPolicy)), WebPKIInvalid, "certificate"},
	} {
		run := func(t *testing.T) {
			ca := newAuthority(t)
			asked := ""
			dial := policyHost(t, ca.of(c.life, c.names...), c.serve)
			f := Fetcher{Roots: ca.pool(), Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
				asked = address
				return dial(ctx, network, address)
			}}
			began := time.Now()
			p, err := f.Fetch(t.Context(), "example.org")
			if asked != "mta-sts.example.org:443" {
				t.Errorf("%s was asked", asked)
			}
			if c.result == "" {
				if err != nil || !reflect.DeepEqual(p, &Policy{Mode: Enforce, MX: []string{"mx.example.org"}, MaxAge: 604800 * time.Second}) {
					t.Fatalf("%+v, %v", p, err)
				}
				return
			}
			var fault *Fault
			if !errors.As(err, &fault) || fault.Result != c.result || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%v, want %s: %s", err, c.result, c.words)
			}
			if c.words == "deadline" { // it is virtual; the library may wait 5 s more to say that it closes
				if took := time.Since(began); took > FetchTime+5*time.Second {
					t.Errorf("it took %s", took)
				}
				time.Sleep(time.Minute) // until both sides have taken leave
			}
		}
		t.Run(c.name, func(t *testing.T) {
			if c.words == "deadline" {
				synctest.Test(t, run)
				return
			}
			run(t)
		})
	}
}

// policyHost is a TLS server that one connection can be made to: over TCP, or over a pipe where time is virtual.
func policyHost(t *testing.T, cert *tls.Certificate, serve func(net.Conn)) func(context.Context, string, string) (net.Conn, error) {
	t.Helper()
	answer := func(far net.Conn) {
		s := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{*cert}})
		if s.Handshake() == nil {
			serve(s)
		}
		_ = far.Close()
	}
	if time.Now().Year() == 2000 { // synctest's
		return func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			go answer(far)
			return near, nil
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if far, err := l.Accept(); err == nil {
			answer(far)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	}
}

// TestFetchUnsigned shows that an authority of nobody's is none, and that nothing is asked of a host that has no other.
func TestFetchUnsigned(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	cert := other.of(time.Hour, "mta-sts.example.org")
	heard := make(chan struct{}, 1)
	t.Cleanup(func() { // after the host has ended
		if len(heard) > 0 {
			t.Error("a host was asked whose certificate is not valid")
		}
	})
	f := Fetcher{Roots: ca.pool(), Dial: policyHost(t, cert, func(c net.Conn) {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			heard <- struct{}{}
		}
	})}
	var fault *Fault
	if _, err := f.Fetch(t.Context(), "example.org"); !errors.As(err, &fault) || fault.Result != WebPKIInvalid {
		t.Errorf("%v", err)
	}
}
