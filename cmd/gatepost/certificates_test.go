package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/gateway/journal"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/tls/certs"
)

const day = 24 * time.Hour

// certificateFiles writes a pair into a folder; its life begins and ends at times from now.
func certificateFiles(t *testing.T, dir, file string, from, to time.Duration, names ...string) certs.Pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: file}, DNSNames: names,
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(to)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p := certs.Pair{Certificate: filepath.Join(dir, file+".pem"), Key: filepath.Join(dir, file+".key")}
	for name, block := range map[string]*pem.Block{p.Certificate: {Type: "CERTIFICATE", Bytes: der}, p.Key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func tlsTable(all ...certs.Pair) string {
	text := fmt.Sprintf("[tls]\ncertificate = %q\nkey = %q\n", all[0].Certificate, all[0].Key)
	for _, p := range all[1:] {
		text += fmt.Sprintf("[[tls.file]]\ncertificate = %q\nkey = %q\n", p.Certificate, p.Key)
	}
	return text
}

// TestCheckCertificates shows what check says of certificates: what cannot be used is refused, the rest is a warning.
func TestCheckCertificates(t *testing.T) {
	dir := t.TempDir()
	good := certificateFiles(t, dir, "good", -day, 80*day, "mx.example.org")
	other := certificateFiles(t, dir, "other", -day, 80*day, "mx.example.net")
	gone := certificateFiles(t, dir, "gone", -90*day, -day, "mx.example.org")
	open := certificateFiles(t, dir, "open", -day, 80*day, "mx.example.org")
	if err := os.Chmod(open.Key, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		all  []certs.Pair
		code int
		says string // "": nothing but that it can be used
	}{
		{"good", []certs.Pair{good}, cli.Done, ""},
		{"one more, for another name", []certs.Pair{good, other}, cli.Done, ""},
		{"none for our name", []certs.Pair{other}, cli.Done, "warning: tls: no certificate covers mx.example.org"},
		{"expired", []certs.Pair{gone}, cli.Done, "warning: tls: certificate " + gone.Certificate + ": expired on "},
		{"a key that all may read", []certs.Pair{open}, cli.Done, "warning: tls: key " + open.Key + ": every user of this system can read it (mode 0644)"},
		{"the key of another", []certs.Pair{{Certificate: good.Certificate, Key: other.Key}}, cli.Found, "tls: certificate " + good.Certificate + ": the file holds one certificate, and none of it is that of the key " + other.Key},
		{"not there", []certs.Pair{good, {Certificate: "/nowhere/c.pem", Key: other.Key}}, cli.Found, "/nowhere/c.pem: no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, _, errOut := gatepost(t, "check", "--config", documents(t, tlsTable(tt.all...), servesOne))
			if code != tt.code || !strings.Contains(errOut, tt.says) || tt.says == "" && strings.Contains(errOut, "tls:") {
				t.Errorf("exit %d: %s", code, errOut)
			}
		})
	}
}

// TestTLSStatusWithoutDaemon shows what the files hold, and says that it is no more than that.
func TestTLSStatusWithoutDaemon(t *testing.T) {
	dir := t.TempDir()
	good := certificateFiles(t, dir, "good", -day, 80*day-time.Minute, "mx.example.org", "mta-sts.example.org")
	other := certificateFiles(t, dir, "other", -day, 80*day, "mx.example.org", "mx.example.net")
	late := certificateFiles(t, dir, "late", -80*day, 10*day, "mx.example.org")

	documentsOf := func(all ...certs.Pair) string { return documents(t, tlsTable(all...), servesOne) }
	code, out, errOut := gatepost(t, "tls", "status", "--json", "--config", documentsOf(good, other))
	var got []certificateState
	for line := range strings.Lines(out) {
		var c certificateState
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err, out)
		}
		got = append(got, c)
	}
	if code != cli.Done || len(got) != 2 || !strings.Contains(errOut, "the daemon does not run: this is what the files hold") {
		t.Fatalf("exit %d: %s%s", code, out, errOut)
	}
	if a := got[0]; a.Source != "file:"+good.Certificate || !a.Default || a.Days != 79 || a.State != certificateOK || a.Key != "ECDSA P-256" || a.Chain != certs.ChainSelfSigned ||
		!slices.Equal(a.SNI, []string{"mx.example.org", "mta-sts.example.org"}) {
		t.Errorf("%+v", a)
	}
	if b := got[1]; b.Default || !slices.Equal(b.SNI, []string{"mx.example.net"}) || len(b.Names) != 2 || len(b.Old) > 0 || b.OldToo {
		t.Errorf("%+v", b)
	}
	code, out, _ = gatepost(t, "tls", "status", "--config", documentsOf(late))
	if code != cli.Found || !strings.Contains(out, "FAIL file:"+late.Certificate) || !strings.Contains(out, "its successor did not come") {
		t.Errorf("exit %d: %s", code, out)
	}
	code, out, _ = gatepost(t, "tls", "status", "--config", documents(t, "", servesOne))
	if code != cli.Done || !strings.Contains(out, "there is no certificate yet") {
		t.Errorf("exit %d: %s", code, out)
	}
	code, _, errOut = gatepost(t, "tls", "status", "--config", documentsOf(certs.Pair{Certificate: good.Certificate, Key: other.Key}))
	if code != cli.Found || !strings.Contains(errOut, "is that of the key") {
		t.Errorf("exit %d: %s", code, errOut)
	}
}

// TestWhoIsShownACertificate shows the words for who gets which.
func TestWhoIsShownACertificate(t *testing.T) {
	one := func(key string, names ...string) certs.Facts {
		return certs.Facts{Key: key, Names: names, NotAfter: time.Now().Add(day)}
	}
	all := []certs.Facts{one("ECDSA P-256", "a.example", "b.example"), one("RSA 2048", "b.example", "c.example"), one("RSA 4096", "b.example"), one("ECDSA P-384", "c.example")}
	shown := make([]certs.Shown, len(all))
	for i := range shown {
		shown[i] = certs.Shown{Source: sourceSelfSigned, Certificate: &tls.Certificate{}}
	}
	var got []string
	for _, c := range statesOf(shown, all, time.Now()) {
		got = append(got, strings.Join(c.who(), "; "))
	}
	unnamed := "clients that ask for no name, or for one that no certificate has"
	if want := []string{"clients that ask for a.example, b.example; " + unnamed,
		"clients that ask for c.example; clients that ask for b.example and can verify RSA only; " + unnamed + ", and can verify RSA only",
		"nobody: others come before it", "clients that ask for c.example and can verify ECDSA only"}; !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestCertificateHealth shows what is an alarm, and what metrics and the journal tell.
func TestCertificateHealth(t *testing.T) {
	dir := t.TempDir()
	good := certificateFiles(t, dir, "good", -day, 80*day, "mx.example.org")
	late := certificateFiles(t, dir, "late", -80*day, 10*day, "mx.example.org")
	gone := certificateFiles(t, dir, "gone", -90*day, -day, "mx.example.org")
	soon := certificateFiles(t, dir, "soon", day, 90*day, "mx.example.org")
	other := certificateFiles(t, dir, "other", -day, 80*day, "mx.example.net")
	for _, tt := range []struct {
		name  string
		of    certs.Pair
		hosts []mailName
		ok    bool
		says  string
	}{
		{"good", good, []mailName{{Host: "mx.example.org", Domains: []string{"example.org"}}}, true, "good until "},
		{"a third is left", late, nil, false, "late.pem: 9 days are left, and its successor did not come"},
		{"expired", gone, nil, false, "gone.pem: expired on "},
		{"not yet", soon, nil, false, "soon.pem: is not good before "},
		{"a name is missing", other, []mailName{{Host: "mx.example.org", Domains: []string{"example.org"}}, {Host: "mx.example.net", Domains: []string{"example.org"}}}, false,
			"other.pem: MX records lead senders here by mx.example.org, and no certificate covers that"},
		{"our own name is missing, and no MX names it", other, []mailName{{Host: "mx.example.org"}}, true, "good until "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &daemon{bootstrap: &config.Bootstrap{Hostname: "mx.example.org"}, log: slog.New(slog.DiscardHandler)}
			d.files.Set, d.files.Pairs = &d.certificates, []certs.Pair{tt.of}
			if err := d.files.Open(); err != nil {
				t.Fatal(err)
			}
			d.tlsa.hosts = tt.hosts
			if ok, says := d.certificateHealth(); ok != tt.ok || !strings.Contains(says, tt.says) {
				t.Errorf("%v: %s", ok, says)
			}
		})
	}
}

// TestCertificateOfOurOwnIsNoAlarm shows that nobody is asked to renew what nobody verifies.
func TestCertificateOfOurOwnIsNoAlarm(t *testing.T) {
	p := certificateFiles(t, t.TempDir(), "own", -90*day, day, "mx.example.org")
	c, _, err := p.Read()
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{bootstrap: &config.Bootstrap{Hostname: "mx.example.org"}}
	d.certificates.Fallback(sourceSelfSigned, c)
	d.tlsa.hosts = []mailName{{Host: "mx.example.com", Domains: []string{"example.com"}}}
	if ok, says := d.certificateHealth(); !ok {
		t.Error(says)
	}
}

// TestCertificateMetricsAndJournal shows what is told of a change, and what a scrape gets.
func TestCertificateMetricsAndJournal(t *testing.T) {
	var said strings.Builder
	d := &daemon{bootstrap: &config.Bootstrap{Hostname: "mx.example.org"}, log: slog.New(slog.DiscardHandler)}
	d.journal = journal.New(journal.Options{Sinks: []journal.Sink{journal.NewWriter("test", &said, 0)}})
	p := certificateFiles(t, t.TempDir(), "mx", -day, 80*day, "mx.example.org")
	c, _, err := p.Read()
	if err != nil {
		t.Fatal(err)
	}
	d.certificates.Put("acme:mx.example.org", c)
	d.renewal = func(source string) (time.Time, string) { return c.Leaf.NotAfter.Add(-30 * day), "of " + source }
	d.certificateInstruments(d.journal.Metrics())
	w := httptest.NewRecorder()
	d.journal.HTTP().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	labels := `{key="ECDSA P-256",name="mx.example.org",source="acme:mx.example.org"}`
	for _, want := range []string{"gatepost_certificate_not_after_seconds" + labels + " 1.", "gatepost_certificate_well" + labels + " 1\n", "gatepost_certificate_held_back" + labels + " 0\n",
		`gatepost_part_up{part="certificates"} 1`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %q in the metrics", want)
		}
	}
	if s := d.certificateStates(time.Now())[0]; s.Told != "of acme:mx.example.org" || s.Renewal.IsZero() {
		t.Errorf("renewal %+v", s)
	}
	next := &tls.Certificate{Leaf: c.Leaf}
	d.tellCertificate(certs.Change{Source: "file:a", What: certs.Replaced, Leaf: c})
	d.tellCertificate(certs.Change{Source: "file:b", What: certs.Held, Leaf: c, Next: next, Why: "its TLSA record is not there"})
	d.tellCertificate(certs.Change{Source: "file:c", What: certs.Failed, Leaf: c, Err: errors.New("it does not fit")})
	if err := d.journal.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"kind":"certificate","source":"file:a","until":`, `"kind":"certificate_held","source":"file:b"`, `"detail":"its TLSA record is not there"`,
		`"kind":"certificate_failed","source":"file:c"`, `"detail":"it does not fit"`} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("no %s in\n%s", want, said.String())
		}
	}
}

// TestUnreadable shows what is said of a file that only root may read.
func TestUnreadable(t *testing.T) {
	err := unreadable(fmt.Errorf("key /nowhere/key.pem: %w", &fs.PathError{Op: "open", Path: "/nowhere/key.pem", Err: fs.ErrPermission}))
	if want := "key /nowhere/key.pem: open /nowhere/key.pem: permission denied; the user of the daemon must be able to read it, and to enter its folders"; err.Error() != want || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v", err)
	}
	if err := unreadable(fs.ErrNotExist); err != fs.ErrNotExist {
		t.Errorf("%v", err)
	}
}

// TestNewKeyOfFileIsHeldBack shows that a certificate which replaces another in its files waits for the TLSA record of its key.
func TestNewKeyOfFileIsHeldBack(t *testing.T) {
	w := newTLSAWorld(t)
	w.publish(true, "3600", tlsaRecord(t, w.live.Leaf.PublicKey))
	d := w.daemon()
	d.certificates.Put("test") // its place is taken by the files
	if err := d.openCertificates(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); d.files.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	p := pairs(w.c.Bootstrap)[0]
	made := certificateFiles(t, filepath.Dir(p.Certificate), "next", -day, 80*day, "mx.example.org")
	if err := errors.Join(os.Rename(made.Certificate, p.Certificate), os.Rename(made.Key, p.Key)); err != nil {
		t.Fatal(err)
	}
	next, _, err := p.Read()
	if err != nil {
		t.Fatal(err)
	}
	show, err := d.files.Reread()
	if err != nil {
		t.Fatal(err)
	}
	show()
	var c certificateState
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if c = d.certificateStates(time.Now())[0]; c.Next != nil && c.Next.Why != "" {
			break
		}
	}
	if c.Next == nil || !strings.Contains(c.Next.Why, "_25._tcp.mx.example.org. IN TLSA "+tlsaRecord(t, next.Leaf.PublicKey)) || c.Next.KeyPrint == c.KeyPrint || c.State != certificateOK {
		t.Errorf("%+v, next %+v", c, c.Next)
	}
	if all := d.certificates.All(); len(all) != 1 || !all[0].Certificate.Leaf.Equal(w.live.Leaf) {
		t.Error("the new certificate is shown")
	}
}
