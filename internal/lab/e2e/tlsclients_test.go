package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

var testsslFlag = flag.String("testssl", "", "the `program` testssl.sh, which looks at the listener for minutes in TestTLSClients")

// tlsClients is a daemon with a certificate of each kind, and what its clients are.
type tlsClients struct {
	*world
	dir       string
	cert, key string // of the client
	pin       string // its SHA-256
}

func beginTLSClients(t *testing.T) *tlsClients {
	c := &tlsClients{dir: labtest.Dir(t)}
	files := &certbot{dir: c.dir}
	young, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	files.renew(t, hostname, "ecdsa", young)
	pair := func(name string) string {
		return fmt.Sprintf("certificate = %q\nkey = %q\n", files.file(name, "fullchain"), files.file(name, "privkey"))
	}
	ecdsaPair := pair(hostname)
	both := &certbot{dir: filepath.Join(c.dir, "rsa")}
	both.renew(t, hostname, "rsa", old)
	files.renew(t, "client.sender.test", "client.sender.test", young)
	c.cert, c.key = files.file("client.sender.test", "fullchain"), files.file("client.sender.test", "privkey")
	text, err := os.ReadFile(c.cert)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	c.pin = fmt.Sprintf("%x", sha256.Sum256(block.Bytes))
	c.world = begin(t, setup{offers: "-", clamav: "off", spamd: "off", trusted: `"127.0.0.0/8"`,
		policy:    noGreylist + fmt.Sprintf("[[tls_required]]\ndomains = [\"secure.fresh.test\"]\n[[tls_required]]\ndomains = [\"pinned.fresh.test\"]\npins = [%q]\n", c.pin),
		bootstrap: "[tls]\n" + ecdsaPair + fmt.Sprintf("[[tls.file]]\ncertificate = %q\nkey = %q\n", both.file(hostname, "fullchain"), both.file(hostname, "privkey"))})
	var ca bytes.Buffer
	for _, f := range []string{files.file(hostname, "fullchain"), both.file(hostname, "fullchain")} {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		ca.Write(text)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "ca.pem"), ca.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return c
}

// run runs a client to its end.
func (c *tlsClients) run(t *testing.T, input, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if len(out) == 0 {
		t.Fatalf("%s: %v", name, err)
	}
	return string(out)
}

// TestTLSClients: the clients that others wrote, against the program: each version, certificate and group, tickets, client
// certificates, mandatory and verified TLS; docs/tls-interop.md tells of it.
func TestTLSClients(t *testing.T) {
	t.Parallel()
	c := beginTLSClients(t)
	t.Run("openssl", func(t *testing.T) { c.openssl(t) })
	t.Run("gnutls-cli", func(t *testing.T) { c.gnutls(t) })
	t.Run("swaks", func(t *testing.T) { c.swaks(t) })
	t.Run("Postfix", func(t *testing.T) { c.postfix(t) })
	t.Run("Exim", func(t *testing.T) { c.exim(t) })
	if *testsslFlag != "" {
		t.Run("testssl.sh", func(t *testing.T) { c.testssl(t) })
	}
}

func (c *tlsClients) openssl(t *testing.T) {
	session := filepath.Join(c.dir, "session")
	connect := []string{"s_client", "-starttls", "smtp", "-connect", c.addr(), "-servername", hostname, "-CAfile", filepath.Join(c.dir, "ca.pem"), "-verify_hostname", hostname}
	for _, tt := range []struct {
		name string
		args []string
		want string // a regular expression; with ! in front it must not match
	}{
		{"TLS 1.0", []string{"-tls1", "-cipher", "DEFAULT@SECLEVEL=0"}, `(?i)alert protocol version|unsupported protocol`},
		{"TLS 1.1", []string{"-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"}, `(?i)alert protocol version|unsupported protocol`},
		{"TLS 1.2", []string{"-tls1_2"}, `(?s)New, TLSv1.2, Cipher is ECDHE-ECDSA.*Verify return code: 0 \(ok\)`},
		{"TLS 1.2, RSA", []string{"-tls1_2", "-cipher", "aRSA"}, `(?s)New, TLSv1.2, Cipher is ECDHE-RSA.*Verify return code: 0 \(ok\)`},
		{"TLS 1.2, no forward secrecy", []string{"-tls1_2", "-cipher", "AES128-GCM-SHA256:AES128-SHA@SECLEVEL=0"}, `(?i)handshake failure`},
		{"TLS 1.2, renegotiation", []string{"-tls1_2"}, `Secure Renegotiation IS supported`},
		{"TLS 1.3", []string{"-tls1_3"}, `(?s)New, TLSv1.3, Cipher is TLS_.*Verify return code: 0 \(ok\)`},
		{"TLS 1.3, RSA", []string{"-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"}, `(?s)Peer signature type: (RSA-PSS|rsa_pss).*Verify return code: 0 \(ok\)`},
		{"TLS 1.3, P-256", []string{"-tls1_3", "-groups", "P-256"}, `(?s)(prime256v1|secp256r1|P-256).*Verify return code: 0 \(ok\)`},
		{"TLS 1.3, early data", []string{"-tls1_3"}, `Early data was not sent|Max Early Data: 0`},
		{"a new session", []string{"-tls1_3", "-sess_out", session}, `New, TLSv1.3`},
		{"goes on by ticket", []string{"-tls1_3", "-sess_in", session}, `Reused, TLSv1.3`},
		{"a new session of 1.2", []string{"-tls1_2", "-sess_out", session}, `New, TLSv1.2`},
		{"1.2 goes on by ticket", []string{"-tls1_2", "-sess_in", session}, `Reused, TLSv1.2`},
		{"asks for a certificate", []string{"-tls1_3"}, `Requested Signature Algorithms`},
		{"gets one", []string{"-tls1_3", "-cert", c.cert, "-key", c.key}, `Verify return code: 0 \(ok\)`},
	} {
		// The reply to EHLO is waited for, behind which the tickets of TLS 1.3 are there.
		out := c.run(t, "EHLO client.lab.test\nQUIT\n", "openssl", append(append([]string{}, connect...), append(tt.args, "-ign_eof", "-crlf")...)...)
		if !regexp.MustCompile(tt.want).MatchString(out) {
			t.Errorf("%s: no %s in\n%s", tt.name, tt.want, out)
		}
	}
	c.awaitEvent(t, "connection", "tls^TLS1.3", "tls_resumed=true")
	c.awaitEvent(t, "connection", "tls^TLS1.2", "tls_resumed=true")
	c.awaitEvent(t, "connection", "tls_cert="+c.pin)
}

func (c *tlsClients) gnutls(t *testing.T) {
	host, port, _ := strings.Cut(c.addr(), ":")
	for priority, want := range map[string]string{
		"NORMAL": "TLS1.3", "NORMAL:-VERS-ALL:+VERS-TLS1.2": "TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.2:-ECDHE-ECDSA": `\(ECDHE-[^)]*\)-\(RSA-`,
		"NORMAL:-VERS-ALL:+VERS-TLS1.1:%COMPAT": "(?i)alert|error",
	} {
		out := c.run(t, "QUIT\n", "gnutls-cli", "--starttls-proto=smtp", "--x509cafile", filepath.Join(c.dir, "ca.pem"), "--sni-hostname", hostname,
			"--verify-hostname", hostname, "--crlf", "--priority", priority, "-p", port, host)
		if !regexp.MustCompile(want).MatchString(out) || strings.Contains(out, "Handshake was completed") == strings.Contains(want, "alert") {
			t.Errorf("%s: no %s in\n%s", priority, want, out)
		}
	}
}

func (c *tlsClients) swaks(t *testing.T) {
	for _, tt := range []struct {
		name, from string
		tls        bool
		args       []string
		want       string
	}{
		{"in clear", "a@secure.fresh.test", false, nil, "530 5.7.10 Must issue a STARTTLS command first: mail of the domain secure.fresh.test"},
		{"encrypted", "a@secure.fresh.test", true, nil, "250 2.0.0 "},
		{"no certificate", "a@pinned.fresh.test", true, nil, "550 5.7.1 Refused: mail of the domain pinned.fresh.test is taken only with a client certificate"},
		{"its certificate", "a@pinned.fresh.test", true, []string{"--tls-cert", c.cert, "--tls-key", c.key}, "250 2.0.0 "},
		{"verified", "a@other.fresh.test", true, []string{"--tls-verify", "--tls-ca-path", filepath.Join(c.dir, "ca.pem"), "--tls-sni", hostname}, "250 2.0.0 "},
	} {
		r, err := lab.Swaks{Server: c.addr(), From: tt.from, To: []string{"b@served.test"}, TLS: tt.tls, Args: tt.args}.Send(t.Context())
		if err != nil || !strings.HasPrefix(r.Reply, tt.want) {
			t.Errorf("%s: %v, %q\n%s", tt.name, err, r.Reply, r.Transcript)
		}
	}
	e := c.awaitEvent(t, "transaction", "from=a@pinned.fresh.test", "verdict=reject", "reason=tls.no_certificate")
	c.awaitCommand(t, `tls_required.2.domains = "pinned.fresh.test" (policy.toml:`, "trace", e.text("id"))
}

// postfix sends by a Postfix that takes no server without a certificate that it can verify.
func (c *tlsClients) postfix(t *testing.T) {
	p := labtest.Postfix(t, lab.PostfixOptions{Name: "mta.sender.test", Mailboxes: []string{"a@pinned.fresh.test"}, Relay: c.addr(), Settings: []string{
		"smtp_tls_security_level = verify", "smtp_tls_verify_cert_match = " + hostname, "smtp_tls_CAfile = " + filepath.Join(c.dir, "ca.pem"),
		"smtp_tls_cert_file = " + c.cert, "smtp_tls_key_file = " + c.key, "smtp_tls_loglevel = 1"}})
	if err := p.Send(t.Context(), "a@pinned.fresh.test", []string{"p@served.test"}, []byte("From: <a@pinned.fresh.test>\nSubject: verified\n\ntext\n")); err != nil {
		t.Fatal(err)
	}
	e := c.awaitEvent(t, "transaction", "rcpts=p@served.test", "verdict=accept", "tls^TLS1.3", "tls_cert="+c.pin)
	if log, err := os.ReadFile(p.MailLog()); err != nil || !bytes.Contains(log, []byte("Verified TLS connection established to")) {
		t.Errorf("%v: %s", err, log)
	}
	c.received(t, e, `(Client CN "client.sender.test",`)
}

// exim does the same by GnuTLS, which Debian's Exim is built with.
func (c *tlsClients) exim(t *testing.T) {
	p := labtest.Peer(t, lab.StartExim, lab.PeerOptions{Mailboxes: []string{"a@pinned.fresh.test"}, Relay: &lab.PeerRelay{Addr: c.addr(), Name: hostname,
		CAFile: filepath.Join(c.dir, "ca.pem"), Certificate: c.cert, Key: c.key}})
	r, err := lab.Swaks{Server: p.Addr, From: "a@pinned.fresh.test", To: []string{"e@served.test"}}.Send(t.Context())
	if err != nil || r.Code != 0 {
		t.Fatalf("%v, %s", err, r.Transcript)
	}
	c.received(t, c.awaitEvent(t, "transaction", "rcpts=e@served.test", "verdict=accept", "tls^TLS1.3", "tls_cert="+c.pin), "(using TLSv1.3 with cipher TLS_")
}

// known are what testssl.sh finds that is not OK, and why it stays so: docs/tls-interop.md.
var known = regexp.MustCompile(`^(cipherlist_AVERAGE|LUCKY13|TLS_session_ticket|DNS_CAArecord|cert_.*)$`)

// testssl has testssl.sh look for what is weak.
func (c *tlsClients) testssl(t *testing.T) {
	file := filepath.Join(c.dir, "testssl.json")
	cmd := exec.CommandContext(t.Context(), *testsslFlag, "--quiet", "--color", "0", "--warnings", "batch", "--add-ca", filepath.Join(c.dir, "ca.pem"),
		"--jsonfile", file, "-t", "smtp", c.addr())
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	text, readErr := os.ReadFile(file)
	if readErr != nil {
		t.Fatalf("%v, %v", err, readErr)
	}
	var found []struct{ ID, Severity, Finding string }
	if err := json.Unmarshal(text, &found); err != nil {
		t.Fatal(err)
	}
	looked := 0
	for _, f := range found {
		id, _, _ := strings.Cut(f.ID, " ")
		switch f.Severity {
		case "OK", "INFO":
			looked++
		default:
			if !known.MatchString(id) {
				t.Errorf("%s: %s: %s", f.Severity, f.ID, f.Finding)
			}
		}
	}
	if looked < 80 {
		t.Errorf("only %d findings", looked)
	}
}

// received holds our Received field of a message against what is to be in it.
func (c *tlsClients) received(t *testing.T, e event, want string) {
	t.Helper()
	for _, m := range c.hop(t).Messages() {
		if bytes.Contains(m.Body, []byte(" id "+e.text("id"))) && bytes.Contains(m.Body, []byte(want)) {
			return
		}
	}
	t.Errorf("no message has %q", want)
}
