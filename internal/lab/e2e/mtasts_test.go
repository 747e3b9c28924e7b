package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/lab/labtest"
	"gatepost/tls/mtasts"
)

// pairFor makes a certificate that is its own authority, and returns its files.
func pairFor(t *testing.T, names ...string) (certificate, key string, pair tls.Certificate) {
	t.Helper()
	certPEM, keyPEM, err := lab.NewCertificate(names...)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certificate, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := errors.Join(os.WriteFile(certificate, certPEM, 0o600), os.WriteFile(key, keyPEM, 0o600)); err != nil {
		t.Fatal(err)
	}
	if pair, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	return certificate, key, pair
}

// publicHTTPS is where the daemon shows pages to strangers.
func (w *world) publicHTTPS(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(lab.StateDir(w.dir), "addresses.json"))
	if err != nil {
		t.Fatal(err)
	}
	var a struct {
		HTTPS []string `json:"public_https"`
	}
	if err := json.Unmarshal(text, &a); err != nil || len(a.HTTPS) != 1 {
		t.Fatalf("%s: %v", text, err)
	}
	return a.HTTPS[0]
}

// TestPolicyPublished: others fetch the MTA-STS policy of a domain as the document has it, after a reload too; status says which
// TXT record belongs to it while DNS has another or none, and is content when DNS has it.
func TestPolicyPublished(t *testing.T) {
	t.Parallel()
	certificate, key, pair := pairFor(t, "mta-sts.served.test", hostname)
	w := newWorld(t, setup{web: "public_https = [\"127.0.0.1:0\"]\n", bootstrap: "[tls]\ncertificate = \"" + certificate + "\"\nkey = \"" + key + "\"\n"})
	hosted := func(mode string) string {
		return strings.Replace(w.policy, "name = \"served.test\"\n", "name = \"served.test\"\nmta_sts = { mode = \""+mode+"\", mx = [\"mx2.gatepost.test\"] }\n", 1)
	}
	plain := w.policy
	w.policy = hosted("testing")
	w.start(t)
	at := w.publicHTTPS(t)
	roots := x509.NewCertPool()
	roots.AddCert(pair.Leaf)
	fetch := func(domain string) (*mtasts.Policy, error) {
		f := mtasts.Fetcher{Roots: roots, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, at)
		}}
		return f.Fetch(labtest.Context(t), domain)
	}
	status := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(clientTime); ; time.Sleep(20 * time.Millisecond) {
			out, _, _, err := w.daemon.Command(t.Context(), "status")
			if err == nil && strings.Contains(out, want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("status has no %q: %s, %v", want, out, err)
			}
		}
	}
	is := func(mode mtasts.Mode, age time.Duration) string {
		t.Helper()
		p, err := fetch("served.test")
		if err != nil || p.Mode != mode || p.MaxAge != age || strings.Join(p.MX, " ") != "mx.gatepost.test mx2.gatepost.test" {
			t.Fatalf("fetched %+v, %v", p, err)
		}
		return p.ContentID()
	}
	id := is(mtasts.Testing, 24*time.Hour)
	status("paste _mta-sts.served.test. 3600 IN TXT \"v=STSv1; id=" + id + ";\"")
	out, _, code, err := w.daemon.Command(t.Context(), "mta-sts", "show")
	if err != nil || code != 1 || !strings.Contains(out, "WARN our own  served.test: mode testing, mx.gatepost.test, mx2.gatepost.test, kept for 1d, so since ") ||
		!strings.Contains(out, "_mta-sts.served.test. 3600 IN TXT \"v=STSv1; id="+id+";\"") {
		t.Errorf("mta-sts show: %d, %s, %v", code, out, err)
	}
	if out, _, code, err = w.daemon.Command(t.Context(), "mta-sts", "advise", "served.test"); err != nil || code != 1 ||
		!strings.Contains(out, "bad  TXT record: there is no TXT record") || !strings.Contains(out, "next enforce: not yet") {
		t.Errorf("mta-sts advise: %d, %s, %v", code, out, err)
	}
	if _, err := fetch("other.test"); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("a policy of a domain that is not ours: %v", err)
	}
	w.policy = plain
	w.reload(t, hosted("enforce"), "reload")
	next := is(mtasts.Enforce, 7*24*time.Hour)
	if next == id {
		t.Error("another policy has the same id")
	}
	if err := w.dns.SetZones(dnslab.Text(zones["."] + "_mta-sts.served.test. TXT \"v=STSv1; id=" + next + ";\"\n")); err != nil {
		t.Fatal(err)
	}
	w.reload(t, hosted("testing"), "reload")
	status("FAIL mta-sts") // DNS has the id of the policy before
	w.reload(t, hosted("enforce"), "reload")
	w.reload(t, plain, "reload")
	if _, err := fetch("served.test"); err == nil {
		t.Error("a policy that was taken away is still served")
	}
}

// TestPolicyEnforced: mail for a next hop whose domain has an MTA-STS policy, which was kept from before the start, goes to a
// host that is as it asks, and is deferred for one that is not.
func TestPolicyEnforced(t *testing.T) {
	t.Parallel()
	_, _, pair := pairFor(t, "in.hops.test")
	other, _, _ := pairFor(t, "in.hops.test")
	for _, c := range []struct {
		name, mx string
		trusted  bool
		want     string // of the reply
		tls      string // of the next hop in status
	}{
		{"right", "in.hops.test", true, "250 ", "verified, MTA-STS enforce"},
		{"nobody's certificate", "in.hops.test", false, "451 4.4.1 ", "unknown authority"},
		{"not named", "*.in.hops.test", true, "451 4.4.1 ", "is none of the mail hosts that the MTA-STS policy of the domain names (hops.test)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			hop := labtest.NextHop(t, lab.NextHopOptions{TLS: &tls.Config{Certificates: []tls.Certificate{pair}}})
			roots := other
			if c.trusted {
				roots = filepath.Join(t.TempDir(), "roots.pem")
				if err := os.WriteFile(roots, pemOf(pair), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			w := newWorld(t, setup{routes: []route{{name: "internal", domains: []string{"served.test"}, addr: hop.Addr()}}, offers: "-",
				env: []string{"SSL_CERT_FILE=" + roots, "SSL_CERT_DIR=/nonexistent"}})
			w.policy = strings.Replace(strings.Replace(w.policy, "host = \"127.0.0.1\"", "mx = \"hops.test\"", 1), "tls = \"none\"", "tls = \"opportunistic\"", 1)
			kept := filepath.Join(lab.StateDir(w.dir), "mta-sts", "hops.test.json")
			text, err := json.Marshal(map[string]any{"id": "1", "fetched": time.Now(), "policy": "version: STSv1\nmode: enforce\nmx: " + c.mx + "\nmax_age: 86400\n"})
			if err := errors.Join(err, os.MkdirAll(filepath.Dir(kept), 0o700), os.WriteFile(kept, text, 0o600)); err != nil {
				t.Fatal(err)
			}
			w.start(t)
			said := w.hello(t).deliver("bob@served.test", "text")
			if !strings.HasPrefix(said.last(), c.want) {
				t.Errorf("the client was told %q, want %s", said.last(), c.want)
			}
			if n := len(hop.Messages()); (n == 1) != (c.want == "250 ") {
				t.Errorf("%d messages arrived", n)
			}
			w.awaitCommand(t, c.tls, "status") // the session ends after the answer
		})
	}
}

func pemOf(c tls.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
}
