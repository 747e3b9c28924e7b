package certs

import (
	"crypto/tls"
	"net"
	"testing"
)

func shownAs(m *made) *tls.Certificate {
	return &tls.Certificate{Certificate: [][]byte{m.Raw}, Leaf: m.Certificate, PrivateKey: m.key}
}

// handshake returns what a real client is shown.
func handshake(t *testing.T, s *Set, client *tls.Config) string {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	go tls.Server(b, NewEdge(s).Config(false)).Handshake()
	client.InsecureSkipVerify = true
	c := tls.Client(a, client)
	if err := c.Handshake(); err != nil {
		return err.Error()
	}
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// TestWhoIsShownWhat shows what clients get of certificates for two names, with a key of each kind for one of them.
func TestWhoIsShownWhat(t *testing.T) {
	var s Set
	if got := handshake(t, &s, &tls.Config{}); got == "" {
		t.Error("something is shown where there is nothing")
	}
	rsa := rsaOf(t, 2048)
	s.Put("first", shownAs(issue(t, wish{subject: "org ecdsa", names: []string{"mx.example.org", "mta-sts.example.org"}})),
		shownAs(issue(t, wish{subject: "org rsa", names: []string{"mx.example.org"}, key: rsa})))
	s.Put("second", shownAs(issue(t, wish{subject: "net rsa", names: []string{"*.example.net"}, key: rsa})))
	s.Put("third", shownAs(issue(t, wish{subject: "net ecdsa", names: []string{"mx.example.net"}})))
	for name, want := range map[string]bool{"mx.example.org": true, "mx.example.net.": true, "a.example.net": true, "example.net": false, "mx.example.com": false} {
		if s.Covers(name) != want {
			t.Errorf("covers %s: %v", name, !want)
		}
	}
	old := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	young := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	for _, tt := range []struct {
		name   string
		client *tls.Config
		want   string
	}{
		{"no name", &tls.Config{}, "org ecdsa"},
		{"no name, RSA only", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: old}, "org rsa"},
		{"the first name", &tls.Config{ServerName: "mx.example.org"}, "org ecdsa"},
		{"its other case", &tls.Config{ServerName: "MX.Example.ORG"}, "org ecdsa"},
		{"the first name, RSA only", &tls.Config{ServerName: "mx.example.org", MaxVersion: tls.VersionTLS12, CipherSuites: old}, "org rsa"},
		{"a name with one kind, and the other wanted", &tls.Config{ServerName: "mta-sts.example.org", MaxVersion: tls.VersionTLS12, CipherSuites: old}, "org rsa"},
		{"a wildcard", &tls.Config{ServerName: "other.example.net"}, "net rsa"},
		{"the one that was put first", &tls.Config{ServerName: "mx.example.net"}, "net rsa"},
		{"ECDSA only", &tls.Config{ServerName: "mx.example.net", MaxVersion: tls.VersionTLS12, CipherSuites: young}, "net ecdsa"},
		{"nobody's name", &tls.Config{ServerName: "mx.example.com"}, "org ecdsa"},
		{"nobody's name, RSA only", &tls.Config{ServerName: "mx.example.com", MaxVersion: tls.VersionTLS12, CipherSuites: old}, "org rsa"},
	} {
		if got := handshake(t, &s, tt.client); got != tt.want {
			t.Errorf("%s: shown is %s, want %s", tt.name, got, tt.want)
		}
	}
}
