package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/lab/labtest"
)

const acmeZone = `$ORIGIN example.org.
@ 60 SOA ns host 1 3600 600 86400 1
@ 60 NS ns
ns 60 A 127.0.0.1
mx 60 A 127.0.0.1
mta-sts 60 A 127.0.0.1
alpn 60 A 127.0.0.1
`

// certificateFor is what STARTTLS shows a client that asks for a name, in the middle of its session, with keys of a kind.
func certificateFor(t *testing.T, addr, name string, suites ...uint16) []*x509.Certificate {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(clientTime))
	c, err := smtp.NewClient(conn, name)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	o := &tls.Config{ServerName: name, InsecureSkipVerify: true, CipherSuites: suites}
	if suites != nil {
		o.MaxVersion = tls.VersionTLS12
	}
	if err := c.StartTLS(o); err != nil {
		t.Fatal(err)
	}
	state, _ := c.TLSConnectionState()
	return state.PeerCertificates
}

// TestACME has the daemon get certificates from a Pebble that wants an external account: by http-01, tls-alpn-01, and dns-01 at a
// Knot; for several names, ECDSA and RSA. They are shown by name, renewed when a person asks, and shown after a restart when
// the authority is away. No secret is seen anywhere.
func TestACME(t *testing.T) {
	t.Parallel()
	web, secure := reserve(t), reserve(t)
	knot := labtest.Knot(t, lab.KnotOptions{Zones: map[string]string{"example.org": acmeZone}}, nil)
	binding := base64.RawURLEncoding.EncodeToString([]byte("a key of an account elsewhere..."))
	pebble := labtest.Pebble(t, lab.PebbleOptions{DNS: knot.Addr, HTTP: web.Number, TLS: secure.Number, Bindings: map[string]string{"kid-1": binding}, RefuseNonces: 20, ReuseProofs: 50})
	root, err := pebble.Root(labtest.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	s := setup{clamav: "off", spamd: "off", dns: dnslab.New(t, dnslab.Text("example.org. MX 10 mx.example.org.\n")).Addr(),
		web: fmt.Sprintf("public_http = [%q]\npublic_https = [%q]\n", web.Addr(), secure.Addr())}
	w := newWorld(t, s)
	secrets := map[string]string{"eab": binding, "tsig": lab.KnotSecret()}
	for name, text := range secrets {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.config += fmt.Sprintf(`[acme]
directory = %q
ca_file = %q
email = "postmaster@example.org"
agree_terms = true
eab_key_id = "kid-1"
eab_key_file = %q
dns_server = %q
tsig_name = %q
tsig_secret_file = %q
[[tls.acme]]
names = ["mx.example.org", "mta-sts.example.org"]
key_type = "both"
[[tls.acme]]
names = ["alpn.example.org"]
challenge = "tls-alpn-01"
[[tls.acme]]
names = ["dns.example.org", "*.dns.example.org"]
challenge = "dns-01"
`, pebble.Directory, pebble.Authority, filepath.Join(w.dir, "eab"), knot.Addr, lab.KnotKey, filepath.Join(w.dir, "tsig"))
	w.start(t)
	names := []string{"mx.example.org", "mta-sts.example.org", "alpn.example.org", "dns.example.org", "any.dns.example.org"}
	shown := map[string]*x509.Certificate{}
	for _, name := range names {
		shown[name] = waitFor(t, w, root, name, nil)
	}
	rsa := certificateFor(t, w.addr(), "mx.example.org", tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)[0]
	if rsa.PublicKeyAlgorithm != x509.RSA || shown["mx.example.org"].PublicKeyAlgorithm != x509.ECDSA {
		t.Errorf("keys: %v and %v", rsa.PublicKeyAlgorithm, shown["mx.example.org"].PublicKeyAlgorithm)
	}

	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		text, err := os.ReadFile(filepath.Join(w.dir, "gatepost.log"))
		n := strings.Count(string(text), `"kind":"certificate"`)
		if err == nil && n == 3 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the journal tells of %d certificates, %v", n, err)
		}
	}

	// A person asks again: at most once an hour, unless he insists.
	if _, said, code, err := w.daemon.Command(t.Context(), "tls", "renew", "alpn.example.org"); err != nil || code != 1 || !strings.Contains(said, "less than an hour ago") {
		t.Errorf("renew: %v, exit %d, %s", err, code, said)
	}
	if _, said, code, err := w.daemon.Command(t.Context(), "tls", "renew", "mx.example.com"); err != nil || code != 1 || !strings.Contains(said, "no entry of [[tls.acme]]") {
		t.Errorf("renew of what is not there: %v, exit %d, %s", err, code, said)
	}
	if out, said, code, err := w.daemon.Command(t.Context(), "check", "--live"); err != nil || !strings.Contains(out, "ok   acme") {
		t.Errorf("check --live: %v, exit %d, %s%s", err, code, out, said)
	}
	if _, said, code, err := w.daemon.Command(t.Context(), "tls", "renew", "alpn.example.org", "--force"); err != nil || code != 0 {
		t.Fatalf("renew: %v, exit %d, %s", err, code, said)
	}
	again := waitFor(t, w, root, "alpn.example.org", shown["alpn.example.org"])
	if before := shown["alpn.example.org"]; bytes.Equal(again.RawSubjectPublicKeyInfo, before.RawSubjectPublicKeyInfo) {
		t.Error("the key was kept, where no TLSA record stands against the next")
	}
	shown["alpn.example.org"] = again

	// The authority goes, the daemon is restarted: what it has is shown.
	if err := pebble.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := w.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	if w.daemon, err = lab.StartGatepost(labtest.Context(t), w.dir, w.options); err != nil {
		t.Fatal(err)
	}
	defer w.daemon.Stop()
	for _, name := range names {
		if c := certificateFor(t, w.addr(), name)[0]; !c.Equal(shown[name]) {
			t.Errorf("%s: another certificate after a restart", name)
		}
	}
	_, page, err := w.daemon.Get(t.Context(), "/metrics")
	if err != nil || !strings.Contains(page, `gatepost_acme_failures{name="mx.example.org"} 0`) || !strings.Contains(page, `gatepost_acme_orders{name="alpn.example.org"} 2`) {
		t.Errorf("metrics: %v\n%s", err, grep(page, "acme"))
	}
	if out, said, code, err := w.daemon.Command(t.Context(), "tls", "status"); err != nil || code != 0 || strings.Count(out, "next renewal") != 4 || !strings.Contains(out, "ok   acme:dns.example.org") {
		t.Errorf("tls status: %v, exit %d\n%s%s", err, code, out, said)
	}
	status, _, _, err := w.daemon.Command(t.Context(), "status")
	if err != nil || !strings.Contains(status, "the next order is placed on") {
		t.Errorf("status: %v\n%s", err, status)
	}
	log, err := os.ReadFile(filepath.Join(w.dir, "gatepost.log"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range secrets {
		if strings.Contains(string(log)+page+status, text) {
			t.Errorf("the secret %s is told", name)
		}
	}
}

// reserve is a port that the daemon and the authority are told of before either runs.
func reserve(t *testing.T) *lab.Port {
	t.Helper()
	p, err := lab.ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Release)
	return p
}

// waitFor waits until a name has a certificate of an authority that is not the one before.
func waitFor(t *testing.T, w *world, root *x509.CertPool, name string, before *x509.Certificate) *x509.Certificate {
	t.Helper()
	for end := time.Now().Add(4 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		chain := certificateFor(t, w.addr(), name)
		between := x509.NewCertPool()
		for _, c := range chain[1:] {
			between.AddCert(c)
		}
		_, err := chain[0].Verify(x509.VerifyOptions{DNSName: name, Roots: root, Intermediates: between})
		if err == nil && (before == nil || !chain[0].Equal(before)) {
			return chain[0]
		}
		if time.Now().After(end) {
			_, page, _ := w.daemon.Get(t.Context(), "/healthz")
			t.Fatalf("%s gets no certificate: %s", name, page)
		}
	}
}

// grep is the lines of a text that have a word.
func grep(text, word string) (out string) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			out += line
		}
	}
	return out
}
