package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"gatepost/gateway/reports"
	"gatepost/internal/dmarcreport"
	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/store"
)

// reportZones are the names of those who get reports, and of the gateway's own reporting address.
const reportZones = `
example.org.             MX 10 mail.example.org.
_dmarc.reports.test.     TXT "v=DMARC1; p=reject"
allowing.test.           TXT "no policy here"
owner.test._report._dmarc.allowing.test. TXT "v=DMARC1; rua=mailto:new@allowing.test"
`

// reportsWorld is a daemon whose store holds what was counted two days ago, and a Postfix that relays for it.
func reportsWorld(ctx context.Context, t *testing.T, format string) (w *world, smarthost *lab.Postfix, key *rsa.PrivateKey) {
	t.Helper()
	smarthost = labtest.Postfix(t, lab.PostfixOptions{Name: "smarthost.test", Mailboxes: []string{"d@owner.test", "new@allowing.test"}})
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(labtest.Dir(t), "dkim.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600); err != nil {
		t.Fatal(err)
	}
	w = newWorld(t, setup{offers: "-", clamav: "off", spamd: "off", policy: fmt.Sprintf("[reports.dmarc]\nfrom = \"dmarc@reports.test\"\norg = \"The Gate\"\n"+
		"via = %q\nwindow = \"1m\"\nformat = %q\ndkim_selector = \"s1\"\ndkim_key = %q\n", smarthost.Addr, format, file)})
	if err := w.dns.SetZones(dnslab.Text(reportZones)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(lab.StateDir(w.dir), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := store.OpenReports(ctx, filepath.Join(lab.StateDir(w.dir), "reports.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	day := reports.DayOf(time.Now()) - 2 // whatever the time of day, its report is due
	for i := range 3 {
		line, err := reports.DMARCLine(dmarcreport.Record{Source: netip.MustParseAddr("192.0.2.1"), Disposition: "reject", HeaderFrom: "owner.test", EnvelopeFrom: fmt.Sprintf("x%d.test", i), Count: 2})
		if err != nil {
			t.Fatal(err)
		}
		one := reports.Counted{Subject: reports.Subject{Day: day, Domain: "owner.test", Method: "treewalk",
			Record: "v=DMARC1; p=reject; rua=mailto:d@owner.test,mailto:nobody@owner.test,mailto:d@refusing.test,mailto:d@allowing.test"},
			Line: line}
		if lost, err := s.Count(ctx, []reports.Counted{one}); err != nil || lost > 0 {
			t.Fatal(lost, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	return w, smarthost, key
}

// TestDMARCReports: what was counted goes out by a real Postfix, signed, to those who asked for it and nobody else, once;
// and a daemon that is killed behind it does not send it again.
func TestDMARCReports(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"9990", "7489"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			ctx := labtest.Context(t)
			w, smarthost, key := reportsWorld(ctx, t, format)
			for _, address := range []string{"d@owner.test", "new@allowing.test"} {
				got, err := smarthost.Maildir(address).Await(ctx, 1)
				if err != nil {
					t.Fatal(err)
				}
				receivedReport(t, got[0], address, format, key)
			}
			want := []string{"sent d@owner.test 250", "refused nobody@owner.test 550", "dropped d@refusing.test the destination does not ask", "sent new@allowing.test 250"}
			awaitReports(ctx, t, w, want)
			if err := w.daemon.Kill(); err != nil {
				t.Fatal(err)
			}
			w.daemon = labtest.Gatepost(t, w.dir, w.options)
			awaitReports(ctx, t, w, want)
			if text, _, code, err := w.daemon.Command(ctx, "dmarc", "report"); err != nil || code != 0 || !strings.Contains(text, "owner.test: 6 messages in 3 lines, done\n") {
				t.Errorf("%d %v %s", code, err, text)
			}
			if err := smarthost.AwaitEmptyQueue(ctx); err != nil {
				t.Fatal(err)
			}
			for _, address := range []string{"d@owner.test", "new@allowing.test"} {
				if all, err := smarthost.Maildir(address).Messages(); err != nil || len(all) != 1 {
					t.Errorf("%s: %d mails, %v", address, len(all), err)
				}
			}
		})
	}
}

// receivedReport looks at a mail as its reader does.
func receivedReport(t *testing.T, raw []byte, to, format string, key *rsa.PrivateKey) {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	signed := bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))
	checked, err := dkim.VerifyWithOptions(bytes.NewReader(signed), &dkim.VerifyOptions{LookupTXT: func(string) ([]string, error) {
		return []string{"v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(spki)}, nil
	}})
	if err != nil || len(checked) != 1 || checked[0].Err != nil || checked[0].Domain != "reports.test" {
		t.Errorf("DKIM: %v %+v", err, checked)
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if m.Header.Get("Return-Path") != "<dmarc@reports.test>" || m.Header.Get("To") != "<"+to+">" || !strings.HasPrefix(m.Header.Get("Subject"), "Report Domain: owner.test Submitter: "+hostname) {
		t.Errorf("%v", m.Header)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	if _, err := parts.NextPart(); err != nil {
		t.Fatal(err)
	}
	p, err := parts.NextPart()
	if err != nil || !strings.HasPrefix(p.FileName(), hostname+"!owner.test!") {
		t.Fatal(err)
	}
	unpacked, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, p))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(unpacked)
	if err != nil || strings.Count(string(text), "<count>2</count>") != 3 || strings.Contains(string(text), dmarcreport.Namespace) != (format == "9990") ||
		!strings.Contains(string(text), "<org_name>The Gate</org_name>") {
		t.Errorf("%v\n%s", err, text)
	}
}

// awaitReports waits until the command line tells of these deliveries, and of no others.
func awaitReports(ctx context.Context, t *testing.T, w *world, want []string) {
	t.Helper()
	for last := ""; ; time.Sleep(50 * time.Millisecond) {
		text, _, code, err := w.daemon.Command(ctx, "dmarc", "report", "--json", "--domain", "owner.test")
		var o reports.Overview
		if err != nil || code != 0 || json.Unmarshal([]byte(text), &o) != nil {
			t.Fatalf("%d %v %s (%s)", code, err, text, last)
		}
		if last = text; len(o.Subjects) == 1 && len(o.Subjects[0].Deliveries) == len(want) {
			found := 0
			for _, d := range o.Subjects[0].Deliveries {
				for _, w := range want {
					if strings.HasPrefix(string(d.State)+" "+d.Address+" "+d.Said, w) {
						found++
					}
				}
			}
			if found == len(want) {
				return
			}
		}
		if ctx.Err() != nil {
			t.Fatalf("%s", last)
		}
	}
}

// countedZones are those of people.test, whose owner wants reports, and of quiet.test, whose owner wants none.
const countedZones = reportZones + `
people.test.          MX 10 mail.people.test.
people.test.          TXT "v=spf1 ip4:198.51.100.20 -all"
mail.people.test.     A 198.51.100.20
_dmarc.people.test.   TXT "v=DMARC1; p=reject; rua=mailto:d@people.test,mailto:d@refusing.test"
quiet.test.           MX 10 mail.people.test.
quiet.test.           TXT "v=spf1 ip4:198.51.100.20 -all"
_dmarc.quiet.test.    TXT "v=DMARC1; p=reject"
`

// TestDMARCCounted: what comes by SMTP is counted with its verdict, is shown as it would be reported, and is there after a kill.
func TestDMARCCounted(t *testing.T) {
	t.Parallel()
	ctx := labtest.Context(t)
	w := newWorld(t, setup{offers: "-", clamav: "off", spamd: "off",
		bootstrap: "[[listener]]\nname = \"proxied\"\naddresses = [\"127.0.0.1:0\"]\nproxy_from = [\"127.0.0.1\"]\n",
		policy:    noGreylist + "[reports.dmarc]\nfrom = \"dmarc@reports.test\"\nvia = \"127.0.0.1:1\"\n"})
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	zones := countedZones + "s1._domainkey.people.test. TXT \"v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public) + "\"\n"
	if err := w.dns.SetZones(dnslab.Text(zones)); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	for _, m := range []struct {
		client, domain string
		signed         bool
		want           string
	}{
		{"198.51.100.20", "people.test", false, "250"},
		{"198.51.100.20", "people.test", false, "250"},
		{"198.51.100.20", "quiet.test", false, "250"},
		{"198.51.100.66", "people.test", false, "550 5.7.1"},
		{"198.51.100.77", "people.test", true, "250"},
	} {
		mail := "From: Ann <ann@" + m.domain + ">\r\nTo: bob@served.test\r\nSubject: hello\r\nDate: Thu, 26 Nov 2026 12:00:00 +0000\r\nMessage-ID: <" + m.client + "@people.test>\r\n\r\nHello\r\n"
		if m.signed {
			var signed strings.Builder
			if err := dkim.Sign(&signed, strings.NewReader(mail), &dkim.SignOptions{Domain: "people.test", Selector: "s1", Signer: private}); err != nil {
				t.Fatal(err)
			}
			mail = signed.String()
		}
		c := w.proxied(t, "proxied", from(m.client))
		if got := c.reply(); !strings.HasPrefix(got, "220") {
			t.Fatal(got)
		}
		for _, line := range []string{"EHLO mail.people.test", "MAIL FROM:<ann@" + m.domain + ">", "RCPT TO:<bob@served.test>"} {
			c.want("250", line)
		}
		c.want("354", "DATA")
		c.send(mail + ".\r\n")
		if got := c.reply(); !strings.HasPrefix(got, m.want) {
			t.Errorf("%+v: %s", m, got)
		}
		c.want("221", "QUIT")
	}
	for _, when := range []string{"running", "killed"} {
		for text := ""; strings.Count(text, "<record>") < 3; time.Sleep(50 * time.Millisecond) {
			var said string
			var err error
			if text, said, _, err = w.daemon.Command(ctx, "dmarc", "report", "--dry-run"); err != nil || ctx.Err() != nil {
				t.Fatalf("%s: %v %s%s", when, err, text, said)
			}
			if strings.Count(text, "<record>") < 3 {
				continue
			}
			for _, want := range []string{"people.test: 4 messages in 3 lines, due at ", "waiting  d@people.test", "dropped  d@refusing.test",
				"<source_ip>198.51.100.20</source_ip>\n      <count>2</count>\n      <policy_evaluated>\n        <disposition>pass</disposition>\n        <dkim>fail</dkim>\n        <spf>pass</spf>\n      </policy_evaluated>",
				"<source_ip>198.51.100.66</source_ip>\n      <count>1</count>\n      <policy_evaluated>\n        <disposition>reject</disposition>\n        <dkim>fail</dkim>\n        <spf>fail</spf>\n      </policy_evaluated>",
				"<source_ip>198.51.100.77</source_ip>\n      <count>1</count>\n      <policy_evaluated>\n        <disposition>pass</disposition>\n        <dkim>pass</dkim>\n        <spf>fail</spf>\n      </policy_evaluated>",
				"<domain>people.test</domain>\n        <selector>s1</selector>\n        <result>pass</result>",
				"<domain>people.test</domain>\n        <scope>mfrom</scope>\n        <result>pass</result>"} {
				if !strings.Contains(text, want) {
					t.Errorf("%s: no %q in\n%s", when, want, text)
				}
			}
			if strings.Contains(text, "quiet.test") || strings.Contains(text, "bob") {
				t.Errorf("%s: it tells too much:\n%s", when, text)
			}
		}
		if when == "running" {
			if err := w.daemon.Kill(); err != nil {
				t.Fatal(err)
			}
			w.daemon = labtest.Gatepost(t, w.dir, w.options)
		}
	}
}
