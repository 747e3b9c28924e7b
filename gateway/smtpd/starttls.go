package smtpd

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"gatepost/gateway"
)

// startTLS encrypts the session (RFC 3207). Nothing that was sent in clear behind the command is ever executed: it ends
// the session. Nothing that was said in clear is believed behind it: the client must say EHLO again.
func (c *session) startTLS(string) gateway.Reply {
	if c.Session.TLS.On() {
		return gateway.SayTLSAlready.Reply()
	}
	if c.srv.TLS == nil || !c.Snapshot.Offers.StartTLS {
		return gateway.SayNoTLS.Reply()
	}
	ask := c.Snapshot.AskCertificate
	config := c.srv.TLS(ask != nil && ask(c.Client.Addr()))
	if config == nil {
		return gateway.SayTLSNotNow.Reply()
	}
	if c.r.Buffered() > 0 {
		c.End = gateway.EndProtocol
		return gateway.SayInClear.Reply()
	}
	c.say(gateway.SayStartTLS.Reply())
	c.flush()
	if c.failed != nil {
		c.End = gateway.EndClosed
		return gateway.Reply{}
	}
	server := tls.Server(c.raw, config)
	_ = c.raw.SetDeadline(time.Now().Add(c.limits.HandshakeTimeout))
	facts, err := handshake(server)
	if err != nil {
		c.End = gateway.EndTLS // never on in clear
		return gateway.Reply{}
	}
	_ = c.raw.SetDeadline(time.Time{})
	c.conn = server
	c.r.Reset(server)
	c.Session.TLS = facts
	c.Helo, c.offer = gateway.Hello{}, offer{}
	return gateway.Reply{}
}

// handshake runs in a goroutine of its own, whose deep stack goes with it: that of the session would stay as large for as
// long as the client does. Who ends a session closes its connection, which ends the handshake.
func handshake(server *tls.Conn) (facts gateway.TLS, err error) {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("tls: panic: %v", p)
			}
		}()
		err := server.Handshake()
		if err == nil {
			facts = describe(server.ConnectionState())
		}
		done <- err
	}()
	err = <-done
	return facts, err
}

// maxCertName bounds what is kept of a name in a client's certificate.
const maxCertName = 255

func describe(s tls.ConnectionState) gateway.TLS {
	t := gateway.TLS{Version: strings.ReplaceAll(tls.VersionName(s.Version), " ", ""), Resumed: s.DidResume,
		Cipher: tls.CipherSuiteName(s.CipherSuite), ServerName: gateway.CleanText(s.ServerName, 255)}
	if s.CurveID != 0 {
		t.Group = strings.TrimPrefix(s.CurveID.String(), "Curve")
	}
	if len(s.PeerCertificates) == 0 {
		return t
	}
	leaf := s.PeerCertificates[0]
	whole, key := sha256.Sum256(leaf.Raw), sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	t.Client, t.Issuer = gateway.CleanText(leaf.Subject.String(), maxCertName), gateway.CleanText(leaf.Issuer.String(), maxCertName)
	t.Certificate, t.Key = hex.EncodeToString(whole[:]), hex.EncodeToString(key[:])
	if err := verifies(s.PeerCertificates); err != nil {
		t.Doubt = gateway.CleanText(strings.TrimPrefix(err.Error(), "x509: "), 200)
	}
	return t
}

// verifies holds a client's certificate against the authorities that the machine knows. It says whether there is a known
// issuer who vouches for what it is called, and nothing of whether that is the client's own name: a fact to be shown, which
// refuses nobody. A certificate for servers is as good: authorities no longer make others for mail hosts.
func verifies(chain []*x509.Certificate) error {
	o := x509.VerifyOptions{Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(o)
	return err
}
