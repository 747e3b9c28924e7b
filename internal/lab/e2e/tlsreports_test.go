package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"gatepost/gateway/reports"
	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/store"
	"gatepost/tls/tlsrpt"
)

// tlsReportZones are two domains of next hops, both of which want reports; one shows another's certificate. PORT is that of
// the server that takes reports by https.
const tlsReportZones = `
example.org.                MX 10 mail.example.org.
owner.test.                 MX 10 mx.owner.test.
mx.owner.test.              A 127.0.0.1
reports.owner.test.         A 127.0.0.1
_smtp._tls.owner.test.      TXT "v=TLSRPTv1; rua=mailto:d@owner.test,https://reports.owner.test:PORT/in"
fine.test.                  MX 10 mx.fine.test.
mx.fine.test.               A 127.0.0.1
_smtp._tls.fine.test.       TXT "v=TLSRPTv1; rua=mailto:d@fine.test"
`

// tlsReportsWorld is a daemon with a way to a host that shows another's certificate, one to a host that shows its own, a
// Postfix that relays for it, and a key to sign with. posts gets what arrives by https.
func tlsReportsWorld(t *testing.T) (w *world, smarthost *lab.Postfix, key *rsa.PrivateKey, posts chan []byte) {
	t.Helper()
	smarthost = labtest.Postfix(t, lab.PostfixOptions{Name: "smarthost.test", Mailboxes: []string{"d@owner.test", "d@fine.test"}})
	files := labtest.Dir(t)
	put := func(name string, text []byte) string {
		file := filepath.Join(files, name)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	dkimFile := put("dkim.pem", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	certificate, certificateKey, err := lab.NewCertificate("mx.fine.test", "reports.owner.test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, certificateKey)
	if err != nil {
		t.Fatal(err)
	}
	ca := put("ca.pem", certificate)
	shows := &tls.Config{Certificates: []tls.Certificate{pair}}
	posts = make(chan []byte, 10)
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/in" || r.Header.Get("Content-Type") != "application/tlsrpt+gzip" {
			t.Errorf("%v %s %s %v", err, r.Method, r.URL, r.Header)
		}
		posts <- raw
	}))
	web.TLS = shows.Clone()
	web.StartTLS()
	t.Cleanup(web.Close)
	w = newWorld(t, setup{offers: "-", clamav: "off", spamd: "off", env: []string{"SSL_CERT_FILE=" + ca},
		routes: []route{
			{name: "owner", domains: []string{"served.test"}, addr: labtest.NextHop(t, lab.NextHopOptions{TLS: shows}).Addr(), lines: fmt.Sprintf("server_name = \"mx.owner.test\"\nca_file = %q\nrecipients = \"none\"", ca)},
			{name: "fine", addr: labtest.NextHop(t, lab.NextHopOptions{TLS: shows}).Addr(), lines: fmt.Sprintf("server_name = \"mx.fine.test\"\nca_file = %q\nrecipients = \"none\"", ca)},
		},
		policy: fmt.Sprintf("[reports.dmarc]\nfrom = \"dmarc@reports.test\"\norg = \"The Gate\"\nvia = %q\nwindow = \"1m\"\ndkim_selector = \"s1\"\ndkim_key = %q\n"+
			"[tlsrpt]\nfrom = \"tls@reports.test\"\ncontact = \"https://reports.test/who\"\n", smarthost.Addr, dkimFile)})
	w.policy = strings.ReplaceAll(w.policy, "tls = \"none\"", "tls = \"required\"")
	w.policy = strings.Replace(w.policy, "host = \"127.0.0.1\"", "mx = \"owner.test\"", 1)
	w.policy = strings.Replace(w.policy, "host = \"127.0.0.1\"", "mx = \"fine.test\"", 1)
	_, port, err := net.SplitHostPort(web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.dns.SetZones(dnslab.Text(strings.ReplaceAll(tlsReportZones, "PORT", port))); err != nil {
		t.Fatal(err)
	}
	return w, smarthost, key, posts
}

// TestTLSReports: connections of a real daemon to a host with another's certificate, and to one with its own, are counted, are
// there after a kill, and are told two days later, to each who asks for it, once: by a real Postfix, signed, and by https.
func TestTLSReports(t *testing.T) {
	t.Parallel()
	ctx := labtest.Context(t)
	w, smarthost, key, posts := tlsReportsWorld(t)
	w.start(t)
	sendsTo(t, w, "bob@served.test", "451")
	sendsTo(t, w, "bob@fine.test", "250")
	for _, when := range []string{"running", "killed"} {
		owner, fine := countedSessions(ctx, t, w, "owner.test"), countedSessions(ctx, t, w, "fine.test")
		d := owner.Policies[0].Failures
		if len(owner.Policies) != 1 || owner.Policies[0].Policy.Kind != tlsrpt.NoPolicy || owner.Policies[0].Summary.Successful != 0 || len(d) != 1 ||
			d[0].Result != tlsrpt.HostName || d[0].MXHostname != "mx.owner.test" || d[0].ReceivingIP.String() != "127.0.0.1" || d[0].Count != owner.Policies[0].Summary.Failed || d[0].Count < 1 {
			t.Errorf("%s: %+v", when, owner)
		}
		if len(fine.Policies) != 1 || fine.Policies[0].Summary.Failed != 0 || fine.Policies[0].Summary.Successful < 1 || fine.Organization != "The Gate" || fine.Contact != "https://reports.test/who" {
			t.Errorf("%s: %+v", when, fine)
		}
		if err := w.daemon.Kill(); err != nil {
			t.Fatal(err)
		}
		if when == "running" {
			w.daemon = labtest.Gatepost(t, w.dir, w.options)
		}
	}
	age(ctx, t, filepath.Join(lab.StateDir(w.dir), "tlsreports.db"))
	w.daemon = labtest.Gatepost(t, w.dir, w.options)
	got, err := smarthost.Maildir("d@owner.test").Await(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	byMail := receivedTLSReport(t, got[0], key)
	var byWeb tlsrpt.Report
	select {
	case raw := <-posts:
		byWeb = unpackedTLS(t, bytes.NewReader(raw))
	case <-ctx.Done():
		t.Fatal("nothing came by https")
	}
	if fmt.Sprint(byMail) != fmt.Sprint(byWeb) || byMail.Policies[0].Failures[0].Result != tlsrpt.HostName {
		t.Errorf("by mail %+v\nby https %+v", byMail, byWeb)
	}
	if got, err = smarthost.Maildir("d@fine.test").Await(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if r := receivedTLSReport(t, got[0], key); r.Policies[0].Summary.Failed != 0 || r.Domain() != "fine.test" {
		t.Errorf("%+v", r)
	}
	day := byMail.Range.Start.Format(time.DateOnly)
	want := []string{day + " owner.test: ", ", done\n", "sent  d@owner.test", "HTTP 200 OK", "https://reports.owner.test:"}
	for said := ""; ; time.Sleep(50 * time.Millisecond) {
		text, _, code, err := w.daemon.Command(ctx, "tlsrpt", "report", "--day", day, "--domain", "owner.test")
		if err != nil || code != 0 || ctx.Err() != nil {
			t.Fatalf("%d %v %s (%s)", code, err, text, said)
		}
		said = strings.Join(strings.Fields(text), " ")
		found := 0
		for _, part := range want {
			if strings.Contains(said, strings.Join(strings.Fields(part), " ")) {
				found++
			}
		}
		if found == len(want) {
			break
		}
	}
	select { // neither again
	case <-posts:
		t.Error("posted twice")
	default:
	}
	if all, err := smarthost.Maildir("d@owner.test").Messages(); err != nil || len(all) != 1 {
		t.Errorf("%d mails, %v", len(all), err)
	}
}

// sendsTo sends a mail, whose reply after the dot, or at RCPT, must begin with want.
func sendsTo(t *testing.T, w *world, to, want string) {
	t.Helper()
	c := w.dial(t)
	c.want("250", "EHLO client.example.org")
	c.want("250", "MAIL FROM:<ann@example.org>")
	if said := c.say("RCPT TO:<" + to + ">"); !strings.HasPrefix(said, "250") {
		if !strings.HasPrefix(said, want) {
			t.Errorf("%s: %s", to, said)
		}
		return
	}
	c.want("354", "DATA")
	c.send("From: Ann <ann@example.org>\r\nTo: Bob <" + to + ">\r\nSubject: hello\r\nDate: Thu, 26 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nHello\r\n.\r\n")
	if said := c.reply(); !strings.HasPrefix(said, want) {
		t.Errorf("%s: %s", to, said)
	}
}

// countedSessions waits until the daemon tells what it would report of a domain today.
func countedSessions(ctx context.Context, t *testing.T, w *world, domain string) (r tlsrpt.Report) {
	t.Helper()
	for said := ""; ; time.Sleep(50 * time.Millisecond) {
		text, _, code, err := w.daemon.Command(ctx, "tlsrpt", "report", "--dry-run", "--json", "--domain", domain)
		var o reports.Overview
		if err != nil || code != 0 || json.Unmarshal([]byte(text), &o) != nil || ctx.Err() != nil {
			t.Fatalf("%d %v %s (%s)", code, err, text, said)
		}
		if said = text; len(o.Subjects) == 0 {
			continue // it is counted within half a second
		}
		if err := json.Unmarshal(o.Subjects[0].Report, &r); err != nil || len(r.Policies) == 0 || r.Domain() != domain || len(o.Subjects[0].Deliveries) == 0 {
			t.Fatalf("%v %s", err, text)
		}
		return r
	}
}

// age makes of what was counted what was counted two days ago: whatever the time of day, its report is due.
func age(ctx context.Context, t *testing.T, file string) {
	t.Helper()
	old, err := store.OpenTLSReports(ctx, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := old.All(ctx, "", nil, 10)
	if err != nil || len(ids) < 2 {
		t.Fatal(ids, err)
	}
	var all []reports.Counted
	for _, id := range ids {
		u, err := old.Subject(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := old.Lines(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		u.Day = reports.DayOf(time.Now()) - 2
		for _, l := range lines {
			all = append(all, reports.Counted{Subject: u.Subject, Line: l})
		}
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(file + end); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	s, err := store.OpenTLSReports(ctx, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if lost, err := s.Count(ctx, all); err != nil || lost > 0 {
		t.Fatal(lost, err)
	}
}

func unpackedTLS(t *testing.T, packed io.Reader) (r tlsrpt.Report) {
	t.Helper()
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(unpacked)
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	return r
}

// receivedTLSReport looks at a mail as its reader does.
func receivedTLSReport(t *testing.T, raw []byte, key *rsa.PrivateKey) tlsrpt.Report {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	checked, err := dkim.VerifyWithOptions(bytes.NewReader(bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))), &dkim.VerifyOptions{LookupTXT: func(string) ([]string, error) {
		return []string{"v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(spki)}, nil
	}})
	if err != nil || len(checked) != 1 || checked[0].Err != nil || checked[0].Domain != "reports.test" || !strings.Contains(strings.Join(checked[0].HeaderKeys, " "), "TLS-Report-Domain") {
		t.Errorf("DKIM: %v %+v", err, checked)
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if m.Header.Get("Return-Path") != "<tls@reports.test>" || m.Header.Get("TLS-Report-Submitter") != hostname || m.Header.Get("TLS-Required") != "No" {
		t.Errorf("%v", m.Header)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "tlsrpt" {
		t.Fatal(kind, params, err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	if _, err := parts.NextPart(); err != nil {
		t.Fatal(err)
	}
	p, err := parts.NextPart()
	if err != nil || !strings.HasPrefix(p.FileName(), hostname+"!"+m.Header.Get("TLS-Report-Domain")+"!") || !strings.HasSuffix(p.FileName(), ".json.gz") {
		t.Fatal(err)
	}
	return unpackedTLS(t, base64.NewDecoder(base64.StdEncoding, p))
}
