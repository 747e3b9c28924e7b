package e2e

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab"
)

// day is one of a certificate's life.
const day = 24 * time.Hour

// again is another certificate for the same key: for a name, good from some time ago, for some time to come.
func (k ownKey) again(t *testing.T, name string, since, left time.Duration) ownKey {
	t.Helper()
	block, _ := pem.Decode(k.key)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	must(t, err)
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: now.Add(-since), NotAfter: now.Add(left)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.(crypto.Signer).Public(), key)
	must(t, err)
	k.leaf, err = x509.ParseCertificate(der)
	must(t, err)
	k.cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return k
}

// tlsSeen looks at what the console says of TLS (flow 13) while our host shows a key whose record the operator took away: that the records do
// not match; then, with the record there again, of a certificate that was not renewed, of one with another name, and of one that was
// renewed. A client that is connected the whole time notices none of the reloads.
func (w *world) tlsSeen(t *testing.T, signed *lab.Signed, files string, shown ownKey) {
	t.Helper()
	b := w.browse(t, lab.BrowserOptions{})
	w.signIn(t, b)
	c := w.hello(t)
	see := func(title, look string, texts ...string) (row map[string]string) {
		t.Helper()
		b.Step("tls.shows", map[string]any{"title": title, "texts": texts, "look": look}, &row)
		return row
	}
	row := see("TLSA records", "tls-mismatch", ownHost, "wrong")
	if !strings.Contains(row["do"], "its TLSA records match nothing that it shows") || !strings.Contains(row["do"], "publish the line of each key that is shown") ||
		!strings.Contains(row["lines"], shown.record.String()) {
		t.Errorf("records of another key: %q", row)
	}
	must(t, signed.Set(t.Context(), ownZone(shown)))
	see("TLSA records", "", ownHost, "right")
	for _, tt := range []struct {
		what          string
		pair          ownKey
		state, days   string
		why, do, look string
	}{
		{"expiring", shown.again(t, ownHost, 85*day, 5*day+time.Hour), "late", "5", "5 days are left, and its successor did not come", "have what renews its files run", "tls-late"},
		{"another name", shown.again(t, "mx.other.gp-lab", day, 89*day+time.Hour), "names", "89", "MX records lead senders here by " + ownHost + ", and no certificate covers that", "have a certificate issued that covers " + ownHost, "tls-names"},
		{"renewed", shown.again(t, ownHost, day, 88*day+time.Hour), "ok", "88", "", "", ""},
	} {
		tt.pair.write(t, files)
		w.command(t, 0, "reload")
		row := see("Certificates", tt.look, filepath.Join(files, "cert.pem"), tt.pair.leaf.DNSNames[0], tt.days)
		if row["state"] != tt.state || row["days left"] != tt.days || !strings.Contains(row["why"], tt.why) || !strings.Contains(row["do"], tt.do) || (tt.why == "") != (row["why"] == "") {
			t.Errorf("%s: %q", tt.what, row)
		}
		if chain := (&outsider{addr: w.addr, host: ownHost}).handshake(); len(chain) != 1 || !bytes.Equal(chain[0].Raw, tt.pair.leaf.Raw) {
			t.Errorf("%s: a new client is shown %v", tt.what, chain)
		}
		c.want("250", "NOOP")
	}
	c.want("221", "QUIT")
}
