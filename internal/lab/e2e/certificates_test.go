package e2e

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab/labtest"
)

// certbot is a folder as certbot keeps it: archive/NAME has every file that there ever was, live/NAME links to the newest.
type certbot struct {
	dir   string
	count int
}

// file is where a file of a name is for those who use it.
func (c *certbot) file(name, what string) string {
	return filepath.Join(c.dir, "live", name, what+".pem")
}

// renew writes new files and leads the links to them, one after the other.
func (c *certbot) renew(t *testing.T, name, subject string, key crypto.Signer) {
	t.Helper()
	c.count++
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(int64(c.count)), Subject: pkix.Name{CommonName: subject}, DNSNames: []string{name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(90 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for what, block := range map[string]*pem.Block{"privkey": {Type: "PRIVATE KEY", Bytes: keyDER}, "fullchain": {Type: "CERTIFICATE", Bytes: der}} {
		to := filepath.Join("archive", name, fmt.Sprintf("%s%d.pem", what, c.count))
		for _, dir := range []string{filepath.Dir(filepath.Join(c.dir, to)), filepath.Dir(c.file(name, what))} {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(c.dir, to), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(c.file(name, what)) // certbot removes the link too, and makes it anew
		if err := os.Symlink(filepath.Join("..", "..", to), c.file(name, what)); err != nil {
			t.Fatal(err)
		}
	}
}

// shown is the subject of the certificate that openssl is shown.
func (w *world) shown(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "openssl", append([]string{"s_client", "-starttls", "smtp", "-connect", w.addr(), "-showcerts"}, args...)...)
	var complaint bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader("QUIT\r\n"), &complaint
	out, err := cmd.Output()
	block, _ := pem.Decode(out)
	if block == nil {
		return fmt.Sprintf("none: %v, %s", err, complaint.String())
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c.Subject.CommonName
}

// shows waits until openssl is shown this one.
func (w *world) shows(t *testing.T, want string, args ...string) {
	t.Helper()
	got := ""
	for deadline := time.Now().Add(4 * clientTime); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if got = w.shown(t, args...); got == want {
			return
		}
	}
	t.Errorf("openssl %v is shown %s, want %s", args, got, want)
}

// TestCertificatesOfCertbot: files are read anew within the sandbox when certbot renews them, without a reload, and openssl is
// shown what its abilities and the name it asks for call for.
func TestCertificatesOfCertbot(t *testing.T) {
	t.Parallel()
	ec := func() crypto.Signer {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	files := &certbot{dir: labtest.Dir(t)}
	files.renew(t, hostname, "ecdsa-1", ec())
	files.renew(t, "mx.other.test", "rsa-1", old)
	w := begin(t, setup{offers: "-", bootstrap: fmt.Sprintf("[tls]\ncertificate = %q\nkey = %q\n[[tls.file]]\ncertificate = %q\nkey = %q\n",
		files.file(hostname, "fullchain"), files.file(hostname, "privkey"), files.file("mx.other.test", "fullchain"), files.file("mx.other.test", "privkey"))})
	w.partIs(t, "sandbox", "landlock version")
	w.partIs(t, "certificates", "good until ")
	rsaOnly := []string{"-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"}
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"ecdsa-1", []string{"-noservername"}},
		{"ecdsa-1", []string{"-servername", hostname}},
		{"rsa-1", []string{"-servername", "mx.other.test"}},
		{"ecdsa-1", []string{"-servername", "mx.unknown.test"}},
		{"rsa-1", append([]string{"-servername", hostname}, rsaOnly...)},
		{"rsa-1", append([]string{"-servername", "mx.unknown.test"}, rsaOnly...)},
	} {
		if got := w.shown(t, tt.args...); got != tt.want {
			t.Errorf("openssl %v is shown %s, want %s", tt.args, got, tt.want)
		}
	}
	files.renew(t, hostname, "ecdsa-2", ec())
	files.renew(t, "mx.other.test", "rsa-2", old) // the key stays, as with --reuse-key
	w.shows(t, "ecdsa-2", "-servername", hostname)
	w.shows(t, "rsa-2", "-servername", "mx.other.test")
	// A pair that does not fit is refused by a reload, which says why, and what was shown is still shown.
	if err := os.WriteFile(filepath.Join(files.dir, "other.pem"), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(files.dir, "other.pem"), files.file(hostname, "privkey")); err != nil {
		t.Fatal(err)
	}
	if _, complaint, code, err := w.daemon.Command(t.Context(), "reload"); err != nil || code != 1 || !strings.Contains(complaint, "privkey.pem: holds no private key in PEM") {
		t.Errorf("reload: exit %d, %s, %v", code, complaint, err)
	}
	if got := w.shown(t, "-servername", hostname); got != "ecdsa-2" {
		t.Errorf("after a refused reload %s is shown", got)
	}
	out, _, code, err := w.daemon.Command(t.Context(), "tls", "status")
	if err != nil || code != 0 || !strings.Contains(out, "ok   file:"+files.file(hostname, "fullchain")+": "+hostname+", ECDSA P-256, 89 days left") ||
		!strings.Contains(out, "shown to      clients that ask for mx.other.test") {
		t.Errorf("tls status: exit %d, %v\n%s", code, err, out)
	}
}
