package ldapdir

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// server is a fake LDAP server. answer is called for each request, and may do what it likes to the connection.
type server struct {
	addr   string
	tls    *tls.Config
	roots  *x509.CertPool
	answer func(s *exchange)
	all    sync.WaitGroup

	mu    sync.Mutex
	binds []string // passwords that were told
}

// exchange is one request and the connection that it came on.
type exchange struct {
	net.Conn
	srv     *server
	id      int64
	op      ber.Tag
	request *ber.Packet
	n       int // searches before this one, of this connection
	over    bool
}

// start serves on loopback until the test ends. secure has it speak TLS from the beginning.
func start(t testing.TB, secure bool, answer func(*exchange)) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: l.Addr().String(), answer: answer}
	s.tls, s.roots = certificate(t, "ldap.example.org")
	s.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.all.Go(func() {
				defer c.Close()
				if secure {
					over := tls.Server(c, s.tls)
					if over.Handshake() != nil {
						return
					}
					s.serve(over, true)
					return
				}
				s.serve(c, false)
			})
		}
	})
	t.Cleanup(func() { l.Close(); s.all.Wait() })
	return s
}

func (s *server) serve(c net.Conn, over bool) {
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	for n := 0; ; {
		p, err := ber.ReadPacket(c)
		if err != nil || len(p.Children) < 2 {
			return
		}
		id, _ := p.Children[0].Value.(int64)
		e := &exchange{Conn: c, srv: s, id: id, op: p.Children[1].Tag, request: p, n: n, over: over}
		switch e.op {
		case ldap.ApplicationUnbindRequest:
			return
		case ldap.ApplicationBindRequest:
			s.mu.Lock()
			s.binds = append(s.binds, p.Children[1].Children[2].Data.String())
			s.mu.Unlock()
		case ldap.ApplicationSearchRequest:
			n++
		}
		s.answer(e)
		if e.Conn != c { // it began TLS
			c, over = e.Conn, true
		}
	}
}

func (s *server) told() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.binds
}

// send sends one message with this operation.
func (e *exchange) send(op *ber.Packet, controls ...ldap.Control) {
	p := ber.NewSequence("")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, e.id, ""))
	p.AppendChild(op)
	if len(controls) > 0 {
		list := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
		for _, c := range controls {
			list.AppendChild(c.Encode())
		}
		p.AppendChild(list)
	}
	_, _ = e.Write(p.Bytes())
}

// done ends an operation with a result code, and a search with the cookie of the next page.
func (e *exchange) done(code int64, cookie string) {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, map[ber.Tag]ber.Tag{ldap.ApplicationBindRequest: ldap.ApplicationBindResponse,
		ldap.ApplicationSearchRequest: ldap.ApplicationSearchResultDone, ldap.ApplicationExtendedRequest: ldap.ApplicationExtendedResponse}[e.op], nil, "")
	op.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""))
	for _, text := range []string{"", "words of the server"} {
		op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, text, ""))
	}
	var controls []ldap.Control
	if e.op == ldap.ApplicationSearchRequest {
		paging := ldap.NewControlPaging(0)
		paging.SetCookie([]byte(cookie))
		controls = append(controls, paging)
	}
	e.send(op, controls...)
}

// entry sends an entry with the values of one attribute.
func (e *exchange) entry(attributes map[string][]string) {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "cn=x", ""))
	list := ber.NewSequence("")
	for name, values := range attributes {
		a := ber.NewSequence("")
		a.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, name, ""))
		set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		for _, v := range values {
			set.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, v, ""))
		}
		a.AppendChild(set)
		list.AppendChild(a)
	}
	op.AppendChild(list)
	e.send(op)
}

// referral sends a reference to another server.
func (e *exchange) referral() {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultReference, nil, "")
	op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "ldap://elsewhere.example.org/dc=x", ""))
	e.send(op)
}

// certificate makes a server certificate for a name, and who believes it.
func certificate(t testing.TB, name string) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

// config is what asks the server over TLS.
func (s *server) config(scheme string) *Config {
	return &Config{Servers: []string{scheme + "://" + s.addr}, RootCAs: s.roots, ServerName: "ldap.example.org", BindDN: "cn=gatepost",
		Password: func() (string, error) { return "secret", nil }, Base: "dc=example", Filter: FilterAD, Attributes: AttributesAD()}
}

// read reads all that a configuration gives.
func read(ctx context.Context, c *Config) (got []string, told string, err error) {
	told, err = c.Read(ctx, func(a string) error {
		got = append(got, a)
		return nil
	})
	return got, told, err
}
