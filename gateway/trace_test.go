package gateway

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestReceivedTellsOfTLS: what a client made of its names reaches no other field and ends no comment.
func TestReceivedTellsOfTLS(t *testing.T) {
	const hostile = "CN=a\\\"b)\r\nX-Evil: 1\\, (c,O=Ex\\,ample"
	for name, c := range map[string]struct {
		tls  TLS
		want string
	}{
		"clear": {TLS{}, ""},
		"1.3": {TLS{Version: "TLS1.3", Cipher: "TLS_AES_128_GCM_SHA256", Group: "X25519MLKEM768"},
			"\t(using TLSv1.3 with cipher TLS_AES_128_GCM_SHA256 (128 bits),\r\n\t group X25519MLKEM768)\r\n"},
		"1.2 resumed": {TLS{Version: "TLS1.2", Cipher: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", Resumed: true},
			"\t(using TLSv1.2 with cipher TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 (256 bits))\r\n"},
		"certificate": {TLS{Version: "TLS1.3", Cipher: "TLS_AES_256_GCM_SHA384", Group: "X25519", Certificate: "ab", Client: "CN=mx.a.example,O=A", Issuer: "CN=R3,O=CA"},
			"\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256 bits),\r\n\t group X25519)\r\n\t(Client CN \"mx.a.example\",\r\n\t Issuer \"R3\" (verified OK))\r\n"},
		"without a common name": {TLS{Version: "TLS1.3", Cipher: "x", Certificate: "ab", Client: "O=A", Issuer: "", Doubt: "expired"},
			"\t(using TLSv1.3 with cipher x)\r\n\t(Client CN \"O=A\",\r\n\t Issuer \"\" (not verified))\r\n"},
		"hostile": {TLS{Version: "TLS1.3", Cipher: "x", Certificate: "ab", Client: hostile, Issuer: "CN=" + strings.Repeat("x", 1000), Doubt: "no"},
			"\t(using TLSv1.3 with cipher x)\r\n\t(Client CN \"a??b?  X-Evil: 1?, ?c\",\r\n\t Issuer \"" + strings.Repeat("x", 100) + "\" (not verified))\r\n"},
	} {
		s := &Session{Client: netip.MustParseAddrPort("192.0.2.1:25"), Helo: Hello{Name: "a.example", Extended: true}, TLS: c.tls, Snapshot: &Snapshot{Hostname: "mx.example.org"}}
		got := Received(&Envelope{Session: s}, time.Unix(0, 0))
		_, got, _ = strings.Cut(got, "\r\n")
		got, _, _ = strings.Cut(got, "\tby ")
		if got != c.want {
			t.Errorf("%s:\n%q\nnot\n%q", name, got, c.want)
		}
	}
}
