package relay

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
)

// authority makes certificates for tests.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, pool: x509.NewCertPool()}
	c := a.issue("authority", time.Now().Add(time.Hour), nil)
	a.cert, a.key = c.Leaf, c.PrivateKey.(*ecdsa.PrivateKey)
	a.pool.AddCert(a.cert)
	return a
}

// issue makes a certificate for a name until a time; without an authority it signs itself.
func (a *authority) issue(name string, until time.Time, by *authority) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: until.Add(-48 * time.Hour), NotAfter: until, DNSNames: []string{name}, IsCA: by == nil,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestTLS(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	later, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	good := ca.issue("inner.example", later, ca)
	expired := ca.issue("inner.example", past, ca)
	wrong := ca.issue("other.example", later, ca)
	self := ca.issue("inner.example", later, nil)
	foreign := ca.issue("inner.example", later, stranger)
	whole := func(c tls.Certificate) Digest { return sha256.Sum256(c.Leaf.Raw) }
	key := func(c tls.Certificate) Digest { return sha256.Sum256(c.Leaf.RawSubjectPublicKeyInfo) }
	const ok, no = gateway.Delivered, gateway.NotDelivered
	for _, tt := range []struct {
		name  string
		cert  *tls.Certificate // nil: STARTTLS is not offered
		mode  Mode
		pins  []Digest
		want  gateway.RelayResult
		how   string // at the end of Relayed.TLS
		conns int
	}{
		{"none", &good, None, nil, ok, "", 1},
		{"opportunistic", &good, Opportunistic, nil, ok, "not verified", 1},
		{"opportunistic, any certificate", &self, Opportunistic, nil, ok, "not verified", 1},
		{"opportunistic, not offered", nil, Opportunistic, nil, ok, "", 1},
		{"required", &good, Required, nil, ok, ", verified", 1},
		{"required, not offered", nil, Required, nil, no, "", 1},
		{"required, wrong name", &wrong, Required, nil, no, "", 1},
		{"required, expired", &expired, Required, nil, no, "", 1},
		{"required, self-signed", &self, Required, nil, no, "", 1},
		{"required, unknown authority", &foreign, Required, nil, no, "", 1},
		{"pinned certificate", &self, Fingerprint, []Digest{whole(good), whole(self)}, ok, "pinned", 1},
		{"pinned key", &self, Fingerprint, []Digest{key(self)}, ok, "pinned", 1},
		{"pinned, wrong name and expired", &expired, Fingerprint, []Digest{whole(expired)}, ok, "pinned", 1},
		{"pinned another", &good, Fingerprint, []Digest{whole(self), key(self)}, no, "", 1},
		{"pinned, not offered", nil, Fingerprint, []Digest{whole(self)}, no, "", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			offers := everything
			if tt.cert != nil {
				offers = append([]string{"starttls"}, everything...)
			}
			f := newFake(t, offers...)
			if tt.cert != nil {
				f.tls = &tls.Config{Certificates: []tls.Certificate{*tt.cert}}
			}
			r := newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: tt.mode, Fingerprints: tt.pins, RootCAs: ca.pool,
				ServerName: "inner.example", Timeouts: long()})
			for range 2 {
				got := r.Relay(t.Context(), delivery(small))
				if got.Result != tt.want || !strings.HasSuffix(got.TLS, tt.how) || (tt.how == "") != (got.TLS == "") {
					t.Fatalf("got %+v", got)
				}
				if tt.want == no {
					if got.Reply.Code != 451 || got.At != "ehlo" {
						t.Errorf("got %+v", got)
					}
					break
				}
			}
			messages, commands, conns := f.seen()
			if conns != tt.conns || len(messages) > 0 != (tt.want == ok) {
				t.Errorf("%d messages over %d connections", len(messages), conns)
			}
			if tt.want == no && slices.ContainsFunc(commands, func(c string) bool { return strings.HasPrefix(c, "MAIL") }) {
				t.Errorf("mail was begun: %q", commands)
			}
		})
	}
}

// A handshake that fails is answered by a connection in clear, once and for a while, in the mode Opportunistic only.
func TestOpportunisticFallsBack(t *testing.T) {
	junk := func(s *fakeSession) bool {
		_, _ = io.WriteString(s.conn, "220 Go on\r\n")
		time.Sleep(50 * time.Millisecond) // apart from the reply, or it would be injected text
		_, _ = io.WriteString(s.conn, "this is no TLS\r\n")
		return hang(s)
	}
	for name, tt := range map[string]struct {
		step  act
		mode  Mode
		conns int
		want  gateway.RelayResult
	}{
		"handshake fails":           {junk, Opportunistic, 2, gateway.Delivered},
		"closes":                    {then(say("220 Go on"), closes), Opportunistic, 2, gateway.Delivered},
		"handshake fails, required": {junk, Required, 2, gateway.NotDelivered},
		"refused":                   {say("454 4.7.0 Not now"), Opportunistic, 1, gateway.Delivered},
		"refused, required":         {say("454 4.7.0 Not now"), Required, 2, gateway.NotDelivered},
		"wrong code":                {say("250 Ok"), Opportunistic, 2, gateway.NotDelivered},
		"injected, an empty line":   {raw("220 Go on\r\n\r\n"), Opportunistic, 2, gateway.NotDelivered},
		"injected, one octet":       {raw("220 Go on\r\n2"), Opportunistic, 2, gateway.NotDelivered},
		"injected, required":        {raw("220 Go on\r\n250-inner.example\r\n250 REQUIRETLS\r\n"), Required, 2, gateway.NotDelivered},
		"injected, many":            {raw("220 Go on\r\n" + strings.Repeat("250 Ok\r\n", 1000)), Required, 2, gateway.NotDelivered},
		"injected":                  {raw("220 Go on\r\n250 inner.example\r\n"), Opportunistic, 2, gateway.NotDelivered},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, append([]string{"STARTTLS"}, everything...)...)
			f.set("STARTTLS", then(tt.step, func(s *fakeSession) bool { return !strings.HasPrefix(name, "injected") }))
			f.plainSTARTTLS = true
			r := newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: tt.mode, Timeouts: long()})
			for range 2 {
				got := r.Relay(t.Context(), delivery(small))
				if got.Result != tt.want || got.TLS != "" {
					t.Fatalf("got %+v", got)
				}
			}
			if _, _, conns := f.seen(); conns != tt.conns {
				t.Errorf("%d connections, want %d", conns, tt.conns)
			}
		})
	}
}

func TestParseDigest(t *testing.T) {
	want := Digest(sha256.Sum256([]byte("x")))
	plain := want.String()
	colons := ""
	for i := 0; i < len(plain); i += 2 {
		colons += ":" + strings.ToUpper(plain[i:i+2])
	}
	for _, text := range []string{plain, " " + colons[1:] + "\n"} {
		if got, err := ParseDigest(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", plain[2:], plain + "00", "z" + plain[1:]} {
		if _, err := ParseDigest(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// TestInjectedBeforeTLS: replies that somebody on the way puts before the handshake, in a packet of their own, are no replies
// to what is said behind it: the handshake fails, and no message goes out over a connection that must be encrypted. What was
// offered in clear counts for nothing.
func TestInjectedBeforeTLS(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.issue("inner.example", time.Now().Add(time.Hour), ca)
	for name, c := range map[string]struct {
		step  string
		sends act
		want  gateway.RelayResult
	}{
		"behind the 220": {"STARTTLS", func(s *fakeSession) bool {
			_, _ = io.WriteString(s.conn, "220 Go on\r\n")
			time.Sleep(50 * time.Millisecond)
			_, _ = io.WriteString(s.conn, "250-inner.example\r\n250 REQUIRETLS\r\n250 Ok\r\n250 Ok\r\n354 Go on\r\n250 Ok\r\n")
			return hang(s)
		}, gateway.NotDelivered},
		"behind the reply to EHLO": {"EHLO", raw("250-inner.example\r\n250 STARTTLS\r\n220 Go on\r\n"), gateway.NotDelivered},
		"behind the banner":        {"banner", raw("220 inner.example ESMTP\r\n250-inner.example\r\n250 STARTTLS\r\n220 Go on\r\n"), gateway.NotDelivered},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, append([]string{"STARTTLS"}, everything...)...)
			f.tls = &tls.Config{Certificates: []tls.Certificate{cert}}
			f.set(c.step, c.sends)
			r := newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: Required, RootCAs: ca.pool, ServerName: "inner.example", Timeouts: long()})
			if got := r.Relay(t.Context(), delivery(small)); got.Result != c.want || got.Reply.Code != 451 {
				t.Errorf("got %+v", got)
			}
			messages, commands, _ := f.seen()
			if len(messages) > 0 || slices.ContainsFunc(commands, func(c string) bool { return strings.HasPrefix(c, "MAIL") }) {
				t.Errorf("%d messages after %q", len(messages), commands)
			}
		})
	}
}
