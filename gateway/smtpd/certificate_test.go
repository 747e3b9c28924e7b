package smtpd

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// aClientCertificate makes one that nobody vouches for.
func aClientCertificate(t *testing.T, name string) tls.Certificate {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(nil, cert, cert, public, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// TestClientCertificate: a client is asked for a certificate only where policy can use one; what it gives is told and refuses
// nobody, nor does having none.
func TestClientCertificate(t *testing.T) {
	for _, c := range []struct{ asked, gives bool }{{false, true}, {true, true}, {true, false}} {
		bubble(t, func(t *testing.T, w *world) {
			w.offerTLS()
			if c.asked {
				w.snap.AskCertificate = func(a netip.Addr) bool { return strings.HasPrefix(stranger, a.String()+":") }
			}
			s := w.dialByHand(t)
			s.ask("")
			s.ask("EHLO client.example")
			s.ask("STARTTLS")
			mine := aClientCertificate(t, "client\r\n.example")
			asked := false
			client := tls.Client(s.conn, &tls.Config{InsecureSkipVerify: true, ServerName: "mx.example.org",
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					if asked = true; c.gives {
						return &mine, nil
					}
					return &tls.Certificate{}, nil
				}})
			if err := client.Handshake(); err != nil {
				t.Fatal(err)
			}
			s.conn = client
			s.ask("EHLO client.example")
			s.ask("MAIL FROM:<a@sender.example>")
			s.ask("RCPT TO:<b@example.org>")
			s.ask("DATA")
			if got := s.ask("Subject: x\r\n\r\ntext\r\n."); !strings.HasPrefix(got, "250 ") {
				t.Errorf("message: %q", got)
			}
			s.ask("QUIT")
			synctest.Wait()
			e := w.journal.events[0]
			got := e.Session.TLS
			if asked != c.asked || got.Group != "X25519MLKEM768" || got.Resumed {
				t.Errorf("asked %t, %+v", asked, got)
			}
			whole, key := sha256.Sum256(mine.Leaf.Raw), sha256.Sum256(mine.Leaf.RawSubjectPublicKeyInfo)
			wantCert, wantKey := hex.EncodeToString(whole[:]), hex.EncodeToString(key[:])
			if !c.asked || !c.gives {
				wantCert, wantKey = "", ""
			}
			if got.Certificate != wantCert || got.Key != wantKey || e.Record.Cert != wantCert || e.Record.CertKey != wantKey {
				t.Errorf("digests %q %q, record %q %q", got.Certificate, got.Key, e.Record.Cert, e.Record.CertKey)
			}
			if wantCert != "" && (strings.ContainsAny(got.Client, "\r\n") || !strings.HasPrefix(got.Client, "CN=client") || !strings.Contains(got.Doubt, "unknown authority")) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestHostileCertificates: whatever a client shows, it is taken for a certificate that does not verify, or ends the handshake;
// what is kept of it is bounded, and no secret of ours depends on it.
func TestHostileCertificates(t *testing.T) {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // in a bubble
	made := func(change func(*x509.Certificate)) []byte {
		c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "c"}, NotBefore: began.Add(-time.Hour), NotAfter: began.Add(time.Hour),
			IsCA: true, BasicConstraintsValid: true}
		change(c)
		der, err := x509.CreateCertificate(nil, c, c, public, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	plain := made(func(*x509.Certificate) {})
	chain := [][]byte{plain}
	for i := range 100 { // each could have signed each
		chain = append(chain, made(func(c *x509.Certificate) { c.SerialNumber = big.NewInt(int64(i + 2)) }))
	}
	for name, c := range map[string]struct {
		chain [][]byte
		taken bool
		doubt string
	}{
		"expired":            {[][]byte{made(func(c *x509.Certificate) { c.NotAfter = began.Add(-time.Minute) })}, true, "expired"},
		"of the future":      {[][]byte{made(func(c *x509.Certificate) { c.NotBefore = began.Add(time.Minute) })}, true, "expired or is not yet valid"},
		"no names":           {[][]byte{made(func(c *x509.Certificate) { c.Subject = pkix.Name{} })}, true, "unknown authority"},
		"a long name":        {[][]byte{made(func(c *x509.Certificate) { c.Subject.CommonName = strings.Repeat("x\r\n", 5000) })}, true, "unknown authority"},
		"many names":         {[][]byte{made(func(c *x509.Certificate) { c.DNSNames = strings.Split(strings.Repeat("a.example ", 3000)+"b", " ") })}, true, "unknown authority"},
		"a long chain":       {chain, true, "unknown authority"},
		"what it cannot do":  {[][]byte{made(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} })}, true, ""},
		"no certificate":     {[][]byte{[]byte("nothing")}, false, ""},
		"cut off":            {[][]byte{plain[:len(plain)-1]}, false, ""},
		"too big":            {[][]byte{made(func(c *x509.Certificate) { c.Subject.CommonName = strings.Repeat("x", 300_000) })}, false, ""},
		"garbage behind one": {[][]byte{plain, []byte("nothing")}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.offerTLS()
				w.snap.AskCertificate = func(netip.Addr) bool { return true }
				s := w.dialByHand(t)
				s.ask("")
				s.ask("EHLO client.example")
				s.ask("STARTTLS")
				client := tls.Client(s.conn, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: c.chain, PrivateKey: key}}})
				if err := client.Handshake(); (err == nil) != c.taken {
					t.Fatalf("handshake: %v", err)
				}
				if c.taken {
					s.conn = client
					if got := s.ask("QUIT"); !strings.HasPrefix(got, "221 ") {
						t.Errorf("%q", got)
					}
				}
				_ = s.conn.Close()
				time.Sleep(10 * time.Second)
				synctest.Wait()
				got := w.journal.events[0].Session
				if c.taken && (got.TLS.Certificate == "" || got.TLS.Doubt == "" || !strings.Contains(got.TLS.Doubt, c.doubt)) || !c.taken && got.End != "tls" {
					t.Errorf("%+v", got)
				}
				if n := len(got.TLS.Client) + len(got.TLS.Issuer) + len(got.TLS.Doubt); n > 2*maxCertName+200 || strings.ContainsAny(got.TLS.Client+got.TLS.Issuer+got.TLS.Doubt, "\r\n") {
					t.Errorf("%d octets: %+v", n, got.TLS)
				}
			})
		})
	}
}
