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
