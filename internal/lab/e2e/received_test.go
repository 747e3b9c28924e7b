package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatepost/internal/dmarcreport"
	"gatepost/internal/store"
	"gatepost/tls/tlsrpt"
)

// reported is a message that brings a packed report.
func reported(t *testing.T, name string, report []byte) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(report); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	text.WriteString("From: reports@example.org\r\nTo: dmarc@served.test\r\nDate: " + time.Now().Format(time.RFC1123Z) + "\r\nMessage-ID: <" + name + "@example.org>\r\nSubject: report\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: application/gzip; name=\"" + name + "\"\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	encoded := base64.StdEncoding.EncodeToString(b.Bytes())
	for len(encoded) > 0 {
		n := min(76, len(encoded))
		text.WriteString(encoded[:n] + "\r\n")
		encoded = encoded[n:]
	}
	return text.String()
}

// TestReportsReceived: the mail of a route of kind report ends here: reports about our domains are read in a process of their
// own and are there after a restart, each once; what is no report is refused with words; the other recipient of the domain gets
// mail as ever.
func TestReportsReceived(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{clamav: "off", spamd: "off", policy: noGreylist + "[[route]]\nname = \"reports\"\nkind = \"report\"\n[[recipient]]\naddresses = [\"dmarc@served.test\"]\nroute = \"reports\"\n"})
	send := func(to, message string) string {
		c := w.hello(t)
		c.want("250", "MAIL FROM:<reports@example.org>")
		c.want("250", "RCPT TO:<"+to+">")
		c.want("354", "DATA")
		c.send(message + ".\r\n")
		said := c.reply()
		c.want("221", "QUIT")
		return said
	}
	dmarc := (&dmarcreport.Feedback{Org: "receiver.test", ID: "7", Begin: time.Unix(1764115200, 0), End: time.Unix(1764201599, 0), Policy: dmarcreport.Published{Domain: "served.test", P: "reject"},
		Records: []dmarcreport.Record{{Source: netip.MustParseAddr("192.0.2.77"), Count: 3, Disposition: "reject", HeaderFrom: "served.test"}}}).XML(dmarcreport.RFC7489)
	about := (&tlsrpt.Report{Organization: "sender.test", ID: "8", Range: tlsrpt.DateRange{Start: time.Unix(1764115200, 0), End: time.Unix(1764201599, 0)},
		Policies: []tlsrpt.PolicyReport{{Policy: tlsrpt.Policy{Kind: tlsrpt.STS, Domain: "served.test"}, Summary: tlsrpt.Summary{Successful: 5, Failed: 1}}}}).JSON()
	other := (&dmarcreport.Feedback{Org: "receiver.test", ID: "9", Policy: dmarcreport.Published{Domain: "stranger.test"},
		Records: []dmarcreport.Record{{Source: netip.MustParseAddr("192.0.2.77"), Count: 1}}}).XML(dmarcreport.RFC9990)
	for _, c := range []struct{ message, want string }{
		{reported(t, "a.xml.gz", dmarc), "250 "},
		{reported(t, "a2.xml.gz", dmarc), "250 "}, // the same report once more
		{reported(t, "b.json.gz", about), "250 "},
		{reported(t, "c.xml.gz", other), "550 5.7.1 The report is about stranger.test, which is not served here"},
		{reported(t, "d.xml.gz", []byte("<feedback><record>")), "550 5.6.0 The report cannot be read"},
		{mailTo("dmarc@served.test"), "550 5.6.0 No DMARC aggregate report and no TLS report was found"},
	} {
		if got := send("dmarc@served.test", c.message); !strings.HasPrefix(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if got := send("bob@served.test", mailTo("bob@served.test")); !strings.HasPrefix(got, "250 ") || len(w.hop(t).Accepted()) != 1 {
		t.Errorf("%q, and the next hop has %d messages", got, len(w.hop(t).Accepted()))
	}
	if err := w.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	out, errOut, code, err := w.daemon.Command(t.Context(), "reports", "list", "--json")
	if err != nil || code != 0 {
		t.Fatal(err, code, errOut)
	}
	var kinds []string
	for line := range strings.Lines(out) {
		var r store.ReceivedReport
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err, line)
		}
		kinds = append(kinds, string(r.Kind)+" "+r.Domain)
	}
	if strings.Join(kinds, ", ") != "tls served.test, dmarc served.test" {
		t.Errorf("%q are listed", kinds)
	}
	if out, _, _, err = w.daemon.Command(t.Context(), "reports", "show", "1"); err != nil || !strings.Contains(out, "192.0.2.77") || !strings.Contains(out, "receiver.test") {
		t.Errorf("%v: %s", err, out)
	}
	if _, errOut, code, _ = w.daemon.Command(t.Context(), "reports", "show", "99"); code != 1 || !strings.Contains(errOut, "there is no report 99") {
		t.Errorf("exit %d: %s", code, errOut)
	}
}

// mailTo is a letter.
func mailTo(to string) string {
	return "From: alice@example.org\r\nTo: " + to + "\r\nDate: " + time.Now().Format(time.RFC1123Z) + "\r\nMessage-ID: <letter@example.org>\r\nSubject: hello\r\n\r\nHello.\r\n"
}
