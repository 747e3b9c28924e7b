package tlsrpt

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
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// issue makes a certificate; a nil parent makes it its own authority.
func issue(t *testing.T, parent *tls.Certificate, change func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{"mx.a.example"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true}
	if change != nil {
		change(c)
	}
	by, signer := c, key
	if parent != nil {
		by, signer = parent.Leaf, parent.PrivateKey.(*ecdsa.PrivateKey)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// handshake is what a client that knows an authority says of a server.
func handshake(t *testing.T, authority *x509.Certificate, server *tls.Config) error {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	a, b := net.Pipe()
	defer a.Close()
	go func() {
		defer b.Close()
		s := tls.Server(b, server)
		if s.Handshake() == nil {
			_, _ = io.Copy(io.Discard, s)
		}
	}()
	return tls.Client(a, &tls.Config{RootCAs: roots, ServerName: "mx.a.example"}).Handshake()
}

// TestExplain: the errors of real handshakes, by their type.
func TestExplain(t *testing.T) {
	ca := issue(t, nil, func(c *x509.Certificate) { c.IsCA, c.DNSNames, c.KeyUsage = true, nil, x509.KeyUsageCertSign })
	other := issue(t, nil, func(c *x509.Certificate) { c.IsCA, c.DNSNames, c.KeyUsage = true, nil, x509.KeyUsageCertSign })
	narrow := issue(t, ca, func(c *x509.Certificate) {
		c.DNSNames = nil
		c.PermittedDNSDomains = []string{"b.example"}
		c.IsCA = true
		c.KeyUsage = x509.KeyUsageCertSign
	})
	below := issue(t, narrow, nil)
	below.Certificate = append(below.Certificate, narrow.Certificate...)
	shows := func(c *tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{*c}} }
	for name, c := range map[string]struct {
		server *tls.Config
		want   Result
		code   string
	}{
		"host name": {shows(issue(t, ca, func(c *x509.Certificate) { c.DNSNames = []string{"b.example"} })), HostName, "b.example"},
		"expired": {shows(issue(t, ca, func(c *x509.Certificate) {
			c.NotAfter = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
			c.NotBefore = c.NotAfter.AddDate(0, -1, 0)
		})), Expired, "certificate is valid from 2024-12-01T00:00:00Z to 2025-01-01T00:00:00Z"},
		"not yet valid":  {shows(issue(t, ca, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })), Expired, "valid from"},
		"another's":      {shows(issue(t, other, nil)), NotTrusted, "unknown authority"},
		"self-signed":    {shows(issue(t, nil, nil)), NotTrusted, "unknown authority"},
		"no server":      {shows(issue(t, ca, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })), NotTrusted, "usage"},
		"constraint":     {shows(below), NotTrusted, "not permitted"},
		"no certificate": {&tls.Config{}, Validation, "tls: unrecognized name"},
		"too old":        {&tls.Config{Certificates: []tls.Certificate{*issue(t, ca, nil)}, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}, Validation, "tls: protocol version not supported"},
	} {
		err := handshake(t, ca.Leaf, c.server)
		if err == nil {
			t.Errorf("%s: the handshake did not fail", name)
			continue
		}
		got, code := Explain(fmt.Errorf("TLS failed: %w", err))
		again, same := Explain(handshake(t, ca.Leaf, c.server))
		if got != c.want || !strings.Contains(strings.ToLower(code), c.code) && !strings.Contains(code, c.code) || !got.Known() || again != got || same != code {
			t.Errorf("%s: %s %q (%v), then %s %q", name, got, code, err, again, same)
		}
	}
	if err := handshake(t, ca.Leaf, shows(issue(t, ca, nil))); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

// TestExplainEnds: how connections end has no ports in its words.
func TestExplainEnds(t *testing.T) {
	for _, c := range []struct {
		err  error
		code string
	}{
		{io.EOF, "connection closed"},
		{&net.OpError{Op: "read", Err: io.ErrUnexpectedEOF}, "connection closed"},
		{&net.OpError{Op: "read", Addr: &net.TCPAddr{Port: 4711}, Err: os.NewSyscallError("read", syscall.ECONNRESET)}, "connection reset"},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, "timed out"},
		{context.DeadlineExceeded, "timed out"},
		{tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, "first record does not look like a TLS handshake"},
		{errors.New("read tcp 127.0.0.1:4711: strange"), ""},
	} {
		if got, code := Explain(c.err); got != Validation || code != c.code {
			t.Errorf("%v: %s %q", c.err, got, code)
		}
	}
	if Result("odd").Known() || Result("").Known() {
		t.Error("a word that RFC 8460 does not have")
	}
}
