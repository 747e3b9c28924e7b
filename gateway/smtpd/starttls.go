package smtpd

import (
	"crypto/tls"
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
	config := c.srv.TLS()
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
	if err := handshake(server); err != nil {
		c.End = gateway.EndTLS // never on in clear
		return gateway.Reply{}
	}
	_ = c.raw.SetDeadline(time.Time{})
	c.conn = server
	c.r.Reset(server)
	c.Session.TLS = describe(server.ConnectionState())
	c.Helo, c.offer = gateway.Hello{}, offer{}
	return gateway.Reply{}
}

// handshake runs in a goroutine of its own, whose deep stack goes with it: that of the session would stay as large for as
// long as the client does. Who ends a session closes its connection, which ends the handshake.
func handshake(server *tls.Conn) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("tls: panic: %v", p)
			}
		}()
		done <- server.Handshake()
	}()
	return <-done
}

func describe(s tls.ConnectionState) gateway.TLS {
	t := gateway.TLS{Version: strings.ReplaceAll(tls.VersionName(s.Version), " ", ""),
		Cipher: tls.CipherSuiteName(s.CipherSuite), ServerName: gateway.CleanText(s.ServerName, 255)}
	if len(s.PeerCertificates) > 0 {
		t.Client = gateway.CleanText(s.PeerCertificates[0].Subject.String(), 255)
	}
	return t
}
