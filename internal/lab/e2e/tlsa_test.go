package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/internal/dns"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
	"gatepost/tls/dane"
)

// ownTTL is that of the TLSA records in this story.
const ownTTL = time.Second

// ownHost is the mail host of a signed zone that leads to the daemon.
const ownHost = "mx.own.gp-lab"

// ownKey is a certificate of our host and its key.
type ownKey struct {
	cert, key []byte
	record    dane.Record
	leaf      *x509.Certificate
}

func newOwnKey(t *testing.T) ownKey {
	t.Helper()
	cert, key, err := lab.NewCertificate(ownHost)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(cert)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	r, err := dane.Own(leaf.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return ownKey{cert, key, r, leaf}
}

// write puts a pair where the daemon reads it, as those do who renew certificates: one file after the other.
func (k ownKey) write(t *testing.T, dir string) {
	t.Helper()
	for name, text := range map[string][]byte{"cert.pem": k.cert, "key.pem": k.key} {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name+".new", text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
}

func ownZone(keys ...ownKey) lab.Zone {
	text := "@ MX 10 mx\nmx A 127.0.0.1\n"
	for _, k := range keys {
		text += fmt.Sprintf("_25._tcp.mx %d TLSA %s\n", int(ownTTL.Seconds()), k.record)
	}
	return lab.Zone{Name: "own", Text: text}
}

// outsider is a sender that verifies us by DANE, all the time, with records that it keeps for as long as their TTL allows.
type outsider struct {
	resolver string
	addr     func() string
	host     string
	suites   []uint16 // of TLS 1.2, which choose the kind of key; nil: all, up to TLS 1.3

	mu    sync.Mutex
	kept  []keptRecords
	shown *x509.Certificate // the last one
	good  int
	bad   []string
}

type keptRecords struct {
	at      time.Time
	records []dane.Record
}

// try asks DNS and the daemon once, and verifies what is shown with every set of records that a cache may still have. What
// cannot be asked at the moment is no failure of ours.
func (o *outsider) try(t *testing.T) {
	r, err := dns.New(dns.Options{Servers: []string{o.resolver}, Timeout: time.Second, Attempts: 1})
	if err != nil {
		t.Error(err)
		return
	}
	began := time.Now()
	a := r.Query(t.Context(), "_25._tcp."+o.host, dns.TypeTLSA)
	var records []dane.Record
	for _, rec := range a.Records {
		records = append(records, dane.Record{Usage: rec.Usage, Selector: rec.Selector, Matching: rec.Matching, Data: rec.Data})
	}
	chain := o.handshake()
	if chain == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.shown = chain[0]
	if a.Status == dns.Found && a.AD {
		o.kept = append(o.kept, keptRecords{began, records})
	}
	for len(o.kept) > 0 && began.Sub(o.kept[0].at) >= ownTTL {
		o.kept = o.kept[1:]
	}
	for _, k := range o.kept {
		if _, err := dane.Verify(k.records, chain, []string{o.host}, time.Now()); err != nil {
			o.bad = append(o.bad, fmt.Sprintf("%v: %v with %v of %v before", time.Now(), err, k.records, began.Sub(k.at)))
			continue
		}
		o.good++
	}
}

func (o *outsider) handshake() []*x509.Certificate {
	conn, err := net.DialTimeout("tcp", o.addr(), time.Second)
	if err != nil {
		return nil // it restarts
	}
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(5*time.Second)) != nil {
		return nil
	}
	how := &tls.Config{ServerName: o.host, InsecureSkipVerify: true, CipherSuites: o.suites}
	if o.suites != nil {
		how.MaxVersion = tls.VersionTLS12
	}
	c, err := smtp.NewClient(conn, o.host)
	if err != nil || c.StartTLS(how) != nil {
		return nil
	}
	state, _ := c.TLSConnectionState()
	_ = c.Quit() // what it says does not matter
	return state.PeerCertificates
}

// watch tries all the time, until it is told to end.
func (o *outsider) watch(t *testing.T, pause time.Duration) (end func()) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(pause):
				o.try(t)
			}
		}
	}()
	end = sync.OnceFunc(func() {
		close(stop)
		<-done
	})
	t.Cleanup(end)
	return end
}

// awaits waits until the daemon shows a certificate that is as wanted.
func (o *outsider) awaits(t *testing.T, most time.Duration, what string, wanted func(*x509.Certificate) bool) *x509.Certificate {
	t.Helper()
	for deadline := time.Now().Add(most); ; time.Sleep(20 * time.Millisecond) {
		o.mu.Lock()
		shown := o.shown
		o.mu.Unlock()
		if shown != nil && wanted(shown) {
			return shown
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s shows no certificate of %s", o.host, what)
		}
	}
}

// sees waits until the daemon shows a key.
func (o *outsider) sees(t *testing.T, k ownKey) {
	t.Helper()
	o.awaits(t, clientTime, k.record.String(), k.leaf.Equal)
}

// ownState is what gatepost tls tlsa --json says of our host.
type ownState struct {
	Host   string
	State  string
	Alarm  bool
	Remove []string
	Lines  []struct {
		Line, Key string
		Published bool
		Shown     time.Time
	}
}

func (w *world) ownTLSA(t *testing.T, host string) (s ownState, code int) {
	t.Helper()
	out, errOut, code, err := w.daemon.Command(t.Context(), "tls", "tlsa", "--json")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("%v: %s%s", err, out, errOut)
		}
		if s.Host == host {
			return s, code
		}
		s = ownState{}
	}
	t.Fatalf("no word of %s: %s%s", host, out, errOut)
	return s, code
}

// TestTLSARollover is the whole story of a change of keys under DANE, with a real signed zone behind a real validating
// resolver: a new pair arrives while only the old one's record is published, is held back, over a restart too, its record is
// published, and it is shown when no cache can be without that record. A sender that verifies the whole time never finds a
// certificate that does not match.
func TestTLSARollover(t *testing.T) {
	t.Parallel()
	first, second, third := newOwnKey(t), newOwnKey(t), newOwnKey(t)
	signed := labtest.Signed(t, ownZone(first))
	files := labtest.Dir(t)
	first.write(t, files)
	w := newWorld(t, setup{console: "127.0.0.1:0", dns: signed.Resolver, clamav: "off", spamd: "off", routes: []route{{name: "own", domains: []string{"own.gp-lab"}}},
		bootstrap: fmt.Sprintf("[tls]\ncertificate = %q\nkey = %q\n", filepath.Join(files, "cert.pem"), filepath.Join(files, "key.pem"))})
	w.start(t)
	o := &outsider{resolver: signed.Resolver, addr: w.addr, host: ownHost}
	end := o.watch(t, 50*time.Millisecond)
	o.sees(t, first)
	if s, code := w.ownTLSA(t, ownHost); s.State != "right" || code != 0 || len(s.Lines) != 1 {
		t.Errorf("at first: %+v, exit %d", s, code)
	}
	second.write(t, files)
	if err := w.daemon.Reload(w.config, w.policy); err != nil {
		t.Fatal(err)
	}
	w.awaitLine(t, "kind=certificate_held")
	s, code := w.ownTLSA(t, ownHost)
	if s.State != "right" || code != 0 || len(s.Lines) != 2 || s.Lines[1].Key != "next" || s.Lines[1].Published ||
		s.Lines[1].Line != "_25._tcp."+ownHost+". IN TLSA "+second.record.String() {
		t.Errorf("held back: %+v, exit %d", s, code)
	}
	if err := w.daemon.Stop(); err != nil { // the old pair outlives a restart
		t.Fatal(err)
	}
	w.start(t)
	o.mu.Lock()
	o.shown = nil
	o.mu.Unlock()
	o.sees(t, first)
	began := time.Now()
	if err := signed.Set(t.Context(), ownZone(first, second)); err != nil {
		t.Fatal(err)
	}
	o.sees(t, second)
	if after := time.Since(began); after < 2*ownTTL {
		t.Errorf("the second key is shown %v after its record was published", after)
	}
	if s, code := w.ownTLSA(t, ownHost); s.State != "stale" || code != 0 || len(s.Remove) != 1 || s.Remove[0] != "_25._tcp."+ownHost+". IN TLSA "+first.record.String() {
		t.Errorf("after the change: %+v, exit %d", s, code)
	}
	if err := signed.Set(t.Context(), ownZone(second)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(ownTTL) // senders with the records before
	if s, code := w.ownTLSA(t, ownHost); s.State != "right" || code != 0 {
		t.Errorf("the old record is gone: %+v, exit %d", s, code)
	}
	// The pair is replaced while no daemon runs: the one whose record is published is shown all the same.
	if err := w.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	third.write(t, files)
	w.start(t)
	o.mu.Lock()
	o.shown = nil
	o.mu.Unlock()
	o.sees(t, second)
	end()
	if len(o.bad) > 0 || o.good < 3 { // how many is a matter of the machine
		t.Errorf("verified %d times; not: %s", o.good, strings.Join(o.bad, "\n"))
	}
	if s, code := w.ownTLSA(t, ownHost); s.State != "right" || code != 0 || len(s.Lines) != 2 {
		t.Errorf("at last: %+v, exit %d", s, code)
	}
	// The operator publishes another key's record: mail of those who verify is lost from now on, and that is told.
	if err := signed.Set(t.Context(), ownZone(first)); err != nil {
		t.Fatal(err)
	}
	if s, code := w.ownTLSA(t, ownHost); s.State != "wrong" || code != 1 || !s.Alarm {
		t.Errorf("wrong: %+v, exit %d", s, code)
	}
	if out, _, code, err := w.daemon.Command(t.Context(), "status"); err != nil || code != 1 || !strings.Contains(out, "FAIL tlsa") {
		t.Errorf("status: %v, exit %d\n%s", err, code, out)
	}
	w.tlsSeen(t, signed, files, second)
}
