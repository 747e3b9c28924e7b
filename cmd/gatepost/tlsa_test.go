package main

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/dns"
	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
	"gatepost/tls/dane"
)

// tlsaWorld is a gateway with a certificate for mx.example.org, and its DNS.
type tlsaWorld struct {
	t    *testing.T
	lab  *dnslab.Server
	dir  string
	c    *config.Config
	live tls.Certificate
}

func newTLSAWorld(t *testing.T) *tlsaWorld {
	w := &tlsaWorld{t: t, lab: dnslab.New(t, nil)}
	cert, key, err := lab.NewCertificate("mx.example.org")
	if err != nil {
		t.Fatal(err)
	}
	if w.live, err = tls.X509KeyPair(cert, key); err != nil {
		t.Fatal(err)
	}
	files := t.TempDir()
	for name, text := range map[string][]byte{"cert.pem": cert, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(files, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.dir = documents(t, "[dns]\nservers = [\""+w.lab.Addr()+"\"]\n[tls]\ncertificate = \""+filepath.Join(files, "cert.pem")+"\"\nkey = \""+filepath.Join(files, "key.pem")+"\"\n", servesOne)
	var problems config.Problems
	if w.c, problems = config.Load(w.dir, sections()); w.c == nil {
		t.Fatal(problems)
	}
	return w
}

// publish puts records at a host, signed or not.
func (w *tlsaWorld) publish(signed bool, ttl string, records ...string) {
	w.t.Helper()
	zone := "example.org. MX 10 mx.example.org.\nexample.org. MX 20 other.example.org.\nmx.example.org. A 192.0.2.1\nother.example.org. A 192.0.2.2\n"
	for _, r := range records {
		zone += "_25._tcp.mx.example.org. " + ttl + " IN TLSA " + r + "\n"
	}
	if err := w.lab.SetZones(dnslab.Text(zone)); err != nil {
		w.t.Fatal(err)
	}
	w.lab.SetFault("*")
	if signed {
		w.lab.SetFault("*", dnslab.Fault{Kind: dnslab.AD})
	}
}

func tlsaRecord(t *testing.T, public crypto.PublicKey) string {
	t.Helper()
	r, err := dane.Own(public)
	if err != nil {
		t.Fatal(err)
	}
	return r.String()
}

// TestTLSAWithoutADaemon: the command finds the hosts that are ours, and tells what to paste and what to take away.
func TestTLSAWithoutADaemon(t *testing.T) {
	w := newTLSAWorld(t)
	own := tlsaRecord(t, w.live.Leaf.PublicKey)
	other := "3 1 1 " + strings.Repeat("ab", 32)
	var many []string
	for i := range 101 {
		many = append(many, fmt.Sprintf("3 1 1 %064x", i))
	}
	for _, c := range []struct {
		about   string
		signed  bool
		records []string
		fault   dnslab.Kind
		code    int
		state   dane.State
		says    string
	}{
		{"no DNSSEC", false, nil, dnslab.Honest, cli.Done, dane.NotSigned, "sign the zone first"},
		{"none", true, nil, dnslab.Honest, cli.Done, dane.NotPublished, "to let senders verify this gateway, publish the lines"},
		{"right", true, []string{own}, dnslab.Honest, cli.Done, dane.Right, ""},
		{"stale", true, []string{own, other}, dnslab.Honest, cli.Done, dane.Stale, "may be removed"},
		{"hidden by a stronger digest", true, []string{own, "3 1 2 " + strings.Repeat("ab", 64)}, dnslab.Honest, cli.Found, dane.Wrong, "ignored"},
		{"wrong", true, []string{other}, dnslab.Honest, cli.Found, dane.Wrong, "NOW: "},
		{"in a zone without signatures", false, []string{own}, dnslab.Honest, cli.Found, dane.NotValidated, "sign the zone"},
		{"bogus", true, []string{own}, dnslab.Bogus, cli.Found, dane.BogusZone, "NOW: "},
		{"no answer", true, []string{own}, dnslab.Refused, cli.Found, dane.CannotTell, "gives no answer"},
		{"more records than are looked at", true, many, dnslab.Honest, cli.Found, dane.CannotTell, "more records than are looked at"},
		{"an answer that cannot be read", true, []string{other}, dnslab.GarbageTail, cli.Found, dane.CannotTell, ""},
	} {
		t.Run(c.about, func(t *testing.T) {
			w.t = t
			w.publish(c.signed, "300", c.records...)
			if c.fault != dnslab.Honest {
				w.lab.SetFault("_25._tcp.mx.example.org", dnslab.Fault{Kind: c.fault})
				defer w.lab.SetFault("_25._tcp.mx.example.org")
			}
			code, out, errOut := gatepost(t, "tls", "tlsa", "--json", "--config", w.dir)
			var h tlsaHost
			if err := json.Unmarshal([]byte(out), &h); err != nil || strings.Count(out, "\n") != 1 {
				t.Fatalf("%v\n%s%s", err, out, errOut)
			}
			if code != c.code || h.State != c.state || h.Host != "mx.example.org" || !slices.Equal(h.Domains, []string{"example.org"}) || h.Alarm != h.State.Alarming() {
				t.Errorf("exit %d: %+v", code, h)
			}
			if len(h.Lines) != 1 || h.Lines[0].Line != "_25._tcp.mx.example.org. IN TLSA "+own || h.Lines[0].Published != (slices.Contains(c.records, own) && c.fault == dnslab.Honest && !h.Lines[0].Ignored) || h.Lines[0].Ignored != (c.says == "ignored") {
				t.Errorf("lines %+v", h.Lines)
			}
			if c.fault == dnslab.Honest && slices.Contains(c.records, other) != slices.Contains(h.Remove, "_25._tcp.mx.example.org. IN TLSA "+other) {
				t.Errorf("remove %q", h.Remove)
			}
			code, out, _ = gatepost(t, "tls", "tlsa", "--config", w.dir)
			if code != c.code || !strings.Contains(out, string(c.state)) || !strings.Contains(out, c.says) || !strings.Contains(out, "_25._tcp.mx.example.org. IN TLSA "+own) {
				t.Errorf("exit %d\n%s", code, out)
			}
		})
	}
}

// daemonOf is as much of a daemon as the watch needs.
func (w *tlsaWorld) daemon() *daemon {
	r, err := dns.New(resolverOptions(w.c.Bootstrap, slog.New(slog.DiscardHandler)))
	if err != nil {
		w.t.Fatal(err)
	}
	d := &daemon{bootstrap: w.c.Bootstrap, parts: &parts{resolver: r}, log: slog.New(slog.DiscardHandler)}
	d.document.Store(w.c)
	d.openTLSA()
	d.certificates.Put("test", &w.live)
	return d
}

// TestKeyIsHeldBack: a key is shown when its record has been seen for two TTLs, and not before; a restart in between does not
// make it earlier; and what is held is seen by the command.
func TestKeyIsHeldBack(t *testing.T) {
	w := newTLSAWorld(t)
	own := tlsaRecord(t, w.live.Leaf.PublicKey)
	_, key, err := lab.NewCertificate("mx.example.org")
	if err != nil {
		t.Fatal(err)
	}
	next := publicOf(t, key)
	names := []string{"mx.example.org"}
	w.publish(true, "1", own)
	d := w.daemon()
	if ok, why := d.tlsa.usable(names, next); ok || !strings.Contains(why, "_25._tcp.mx.example.org. IN TLSA "+tlsaRecord(t, next)) {
		t.Fatalf("%v: %s", ok, why)
	}
	if h := tlsaHosts(d.tlsa.hosts, &d.tlsa.watch, d.tlsa.keys(d.liveKeys())); len(h) != 1 || len(h[0].Lines) != 2 || h[0].Lines[1].Key != "next" || h[0].Lines[1].Published {
		t.Errorf("%+v", h)
	}
	if ok, detail := d.tlsaHealth(); !ok {
		t.Errorf("health: %s", detail)
	}
	w.publish(true, "1", own, tlsaRecord(t, next))
	var seen time.Time
	for {
		hosts := []string{"mx.example.org"}
		d.lookTLSA(t.Context(), hosts)
		d = w.daemon() // a restart
		d.lookTLSA(t.Context(), hosts)
		if since, there := d.tlsa.watch.State()[hosts[0]].Since[tlsaRecord(t, next)]; there && seen.IsZero() {
			seen = since
		}
		ok, why := d.tlsa.usable(names, next)
		now := time.Now()
		if ok {
			if seen.IsZero() || now.Sub(seen) < 2*time.Second {
				t.Errorf("shown %v after its record was seen: %s", now.Sub(seen), why)
			}
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if n := len(d.tlsa.keys(nil)); n != 0 {
		t.Errorf("%d keys wait", n)
	}
	// What was published for the key before stands for nothing once the next is shown.
	pair, err := tls.X509KeyPair(certificateOf(t, key), key)
	if err != nil {
		t.Fatal(err)
	}
	d.certificates.Put("test", &pair)
	if r := d.tlsaReports(); len(r) != 1 || r[0].State != dane.Stale || len(r[0].Remove) != 1 || r[0].Remove[0].String() != own {
		t.Errorf("%+v", r)
	}
	w.publish(true, "1", own)
	for time.Now().Before(d.tlsa.watch.Again("mx.example.org", time.Now()).Add(time.Second)) {
		time.Sleep(50 * time.Millisecond)
	}
	d.lookTLSA(t.Context(), []string{"mx.example.org"})
	if ok, detail := d.tlsaHealth(); ok || !strings.Contains(detail, "match nothing that it shows") {
		t.Errorf("health: %v, %s", ok, detail)
	}
}

// TestMailNames: a host of an MX is ours by name, by certificate or by address, and what cannot be told leaves what was known.
// TestFirstRecordIsSeen publishes the first record of a host a moment after it was seen that there was none: another key
// than the one in it would be shown to nobody's profit.
func TestFirstRecordIsSeen(t *testing.T) {
	w := newTLSAWorld(t)
	_, key, err := lab.NewCertificate("mx.example.org")
	if err != nil {
		t.Fatal(err)
	}
	next, names := publicOf(t, key), []string{"mx.example.org"}
	w.publish(true, "300")
	d := w.daemon()
	if ok, why := d.tlsa.usable(names, next); !ok {
		t.Fatal(why)
	}
	w.publish(true, "300", tlsaRecord(t, w.live.Leaf.PublicKey))
	if ok, why := d.tlsa.usable(names, next); ok || !strings.Contains(why, "is not published") {
		t.Errorf("%v: %s", ok, why)
	}
}

func TestMailNames(t *testing.T) {
	w := newTLSAWorld(t)
	zone := "example.org. MX 10 mx.example.org.\nexample.org. MX 10 same.example.org.\nexample.org. MX 20 other.example.org.\nexample.org. MX 30 gone.example.org.\n" +
		"mx.example.org. A 192.0.2.1\nsame.example.org. A 192.0.2.1\nother.example.org. A 192.0.2.2\n"
	if err := w.lab.SetZones(dnslab.Text(zone)); err != nil {
		t.Fatal(err)
	}
	d := w.daemon()
	names := func() (out []string) {
		d.nameTLSA(t.Context(), true)
		for _, h := range d.tlsa.hosts {
			out = append(out, h.Host)
			if !slices.Equal(h.Domains, []string{"example.org"}) || !slices.Equal(h.Unsigned, h.Domains) {
				t.Errorf("%+v", h)
			}
		}
		slices.Sort(out)
		return out
	}
	want := []string{"mx.example.org", "same.example.org"}
	if got := names(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	w.lab.SetFault("example.org", dnslab.Fault{Kind: dnslab.Refused})
	d.parts.resolver = w.daemon().parts.resolver // with nothing remembered
	if got := names(); !slices.Contains(got, "same.example.org") {
		t.Errorf("where MX cannot be told: %q", got)
	}
}

// TestMailNamesBeforeTheStart: an MX that no certificate names, and that DNS does not tell of at a start, was ours before: its
// records stand against a key, and since when they are seen is not forgotten.
func TestMailNamesBeforeTheStart(t *testing.T) {
	w := newTLSAWorld(t)
	own := tlsaRecord(t, w.live.Leaf.PublicKey)
	zone := "example.org. MX 10 same.test.\nsame.test. A 192.0.2.1\nmx.example.org. A 192.0.2.1\n_25._tcp.same.test. IN TLSA " + own + "\n"
	if err := w.lab.SetZones(dnslab.Text(zone)); err != nil {
		t.Fatal(err)
	}
	w.lab.SetFault("*", dnslab.Fault{Kind: dnslab.AD})
	_, key, err := lab.NewCertificate("mx.example.org")
	if err != nil {
		t.Fatal(err)
	}
	for _, lost := range []string{"", "example.org", "same.test", "mx.example.org"} {
		if lost != "" {
			w.lab.SetFault(lost, dnslab.Fault{Kind: dnslab.ServFail})
		}
		d := w.daemon()
		if ok, why := d.tlsa.usable([]string{"mx.example.org"}, publicOf(t, key)); ok || !strings.Contains(why, "_25._tcp.same.test") {
			t.Errorf("without %q: %v, %s", lost, ok, why)
		}
		if since := d.tlsa.watch.State()["same.test"].Since; len(since) != 1 {
			t.Errorf("without %q: seen %v", lost, since)
		}
		if wait := d.tlsa.whole; wait != (lost == "") {
			t.Errorf("without %q: whole %v", lost, wait)
		}
		if lost != "" {
			w.lab.SetFault(lost, dnslab.Fault{Kind: dnslab.AD})
		}
	}
}

// TestKeyOfAHostWithoutTLSA: where nothing is published a key is shown at once, and where that cannot be told it is not.
func TestKeyOfAHostWithoutTLSA(t *testing.T) {
	w := newTLSAWorld(t)
	_, key, err := lab.NewCertificate("mx.example.org")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		signed bool
		fault  dnslab.Kind
		at     string
		names  string
		want   bool
	}{
		{true, dnslab.Honest, "x", "mx.example.org", true},
		{false, dnslab.Honest, "x", "mx.example.org", true},
		{true, dnslab.Refused, "_25._tcp.mx.example.org", "mx.example.org", false},
		{true, dnslab.Bogus, "_25._tcp.mx.example.org", "mx.example.org", false},
		{true, dnslab.Refused, "_25._tcp.mx.example.org", "www.example.net", true}, // it is not shown at the MX
		{true, dnslab.Refused, "_25._tcp.mx.example.org", "*.example.org", false},
		{true, dnslab.Refused, "example.org", "mx.example.org", true}, // the certificate's own name is asked about all the same
	} {
		w.publish(c.signed, "300")
		w.lab.SetFault(c.at, dnslab.Fault{Kind: c.fault})
		d := w.daemon()
		if ok, why := d.tlsa.usable([]string{c.names}, publicOf(t, key)); ok != c.want || why == "" {
			t.Errorf("%+v: %v, %s", c, ok, why)
		}
		w.lab.SetFault(c.at)
	}
}

func TestTLSAFileIsRefusedWhole(t *testing.T) {
	w := newTLSAWorld(t)
	d := w.daemon()
	d.tlsa.watch.Saw("mx.example.org", dane.Observed{Outcome: dane.Found, TTL: time.Hour, Records: []dane.Record{{Usage: 3, Selector: 1, Matching: 1, Data: make([]byte, 32)}}}, time.Now())
	if err := writeTLSA(d.bootstrap.StateDir, d.tlsa.watch.State()); err != nil {
		t.Fatal(err)
	}
	name := tlsaFile(d.bootstrap.StateDir)
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info, err)
	}
	if kept, err := readTLSA(d.bootstrap.StateDir); err != nil || len(kept) != 1 || len(kept["mx.example.org"].Since) != 1 {
		t.Errorf("%v, %v", kept, err)
	}
	for about, text := range map[string]string{"half": `{"mx.example.org":{"at":"2026`, "too large": strings.Repeat(" ", mostTLSAFile) + "{}"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if kept, err := readTLSA(d.bootstrap.StateDir); err == nil || len(kept) != 0 {
			t.Errorf("%s: %v, %v", about, kept, err)
		}
		if again := w.daemon(); len(again.tlsa.watch.State()) != 0 {
			t.Errorf("%s is believed", about)
		}
	}
}

// publicOf is the public key of a private one in PEM.
func publicOf(t *testing.T, text []byte) crypto.PublicKey {
	t.Helper()
	pair, err := tls.X509KeyPair(certificateOf(t, text), text)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf.PublicKey
}

// certificateOf makes a certificate for mx.example.org of a key in PEM.
func certificateOf(t *testing.T, text []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{"mx.example.org"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.(crypto.Signer).Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
