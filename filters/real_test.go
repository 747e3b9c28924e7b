package filters

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/clamd"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/spamd"
)

// attachment makes a message with a file, and the end of the message cut off where cut is set.
func attachment(name string, file []byte) string {
	coded := base64.StdEncoding.EncodeToString(file)
	var lines []string
	for len(coded) > 76 {
		lines, coded = append(lines, coded[:76]), coded[76:]
	}
	return strings.TrimSuffix(with("", "MIME-Version: 1.0", `Content-Type: multipart/mixed; boundary="b"`), "text\r\n") +
		message("--b", "Content-Type: text/plain", "", "see there", "--b", `Content-Type: application/octet-stream; name="`+name+`"`,
			"Content-Transfer-Encoding: base64", "", strings.Join(append(lines, coded), "\r\n"), "--b--")
}

// zipped packs a file, the given number of times.
func zipped(t *testing.T, file []byte, times int) []byte {
	t.Helper()
	for range times {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		w, err := z.Create("f.bin")
		if err == nil {
			_, err = w.Write(file)
		}
		if err == nil {
			err = z.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		file = b.Bytes()
	}
	return file
}

// TestRealClamAV judges what a real clamd finds by the policy that is built in.
func TestRealClamAV(t *testing.T) {
	daemon := labtest.Clamd(t, lab.ClamdOptions{
		Signatures: []string{"Gatepost.Test-1:0:*:" + hex("gatepost test signature"), "PUA.Gatepost.Test-2:0:*:" + hex("gatepost unwanted thing")},
		Settings:   []string{"MaxFileSize 1M", "MaxRecursion 5"}})
	d := &Deps{ClamAV: clamAVAt(t, "unix:"+daemon.Socket, 0, time.Minute)}
	err := d.ClamAV.Do(labtest.Context(t), func(ctx context.Context, c *clamd.Client) error {
		_, err := c.Version(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	pl := build(t, spamOff, d)
	eicar := []byte(lab.EICAR())
	for _, c := range []struct {
		name, text string
		reason     gateway.Reason
		outcome    gateway.Outcome
		reply      string
	}{
		{"clean", with(""), "", gateway.Accept, ""},
		{"EICAR in clear", with("") + lab.EICAR() + "\r\n", gateway.MalwareDoubtful, gateway.Reject, "550 5.7.1 Message refused: it looks like malware (Eicar-Test-Signature.UNOFFICIAL). Reference "},
		{"EICAR attached", attachment("e.com", eicar), gateway.MalwareDoubtful, gateway.Reject, "550 5.7.1 "},
		{"EICAR in a zip in a zip", attachment("e.zip", zipped(t, eicar, 2)), gateway.MalwareDoubtful, gateway.Reject, "550 5.7.1 "},
		{"unofficial", with("") + "gatepost test signature\r\n", gateway.MalwareDoubtful, gateway.Quarantine, ""},
		{"unwanted", with("") + "gatepost unwanted thing\r\n", gateway.MalwareDoubtful, gateway.Quarantine, ""},
		{"too deep", attachment("d.zip", zipped(t, eicar, 9)), gateway.MalwareLimits, gateway.Quarantine, ""},
		{"too big to look into", with("") + strings.Repeat("0123456789abcde\r\n", 100_000), gateway.MalwareLimits, gateway.Quarantine, ""},
	} {
		v, f := judge(t, d, pl, dataOf(t, c.text), "clamav")
		if f.Reason != c.reason || v.Outcome != c.outcome || !strings.HasPrefix(v.Reply.String(), c.reply) {
			t.Errorf("%s: %s %s, %s %s, %v", c.name, f.Result, f.Reason, v.Outcome, v.Reply, f.Evidence)
		}
		if scanner := evidence(f, gateway.EvidenceScanner); !strings.HasPrefix(scanner, "ClamAV 1.") {
			t.Errorf("%s: scanned by %q", c.name, scanner)
		}
	}
	if err := daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	<-daemon.Done()
	v, f := judge(t, d, pl, dataOf(t, with("")), "clamav")
	if f.Result != gateway.Unknown || !strings.HasPrefix(v.Reply.String(), "451 4.7.1 The message cannot be scanned right now") {
		t.Errorf("clamd is dead: %s, %s", f.Result, v.Reply)
	}
}

// hex is a text as a signature has it.
func hex(text string) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for i := range len(text) {
		b.WriteByte(digits[text[i]>>4])
		b.WriteByte(digits[text[i]&15])
	}
	return b.String()
}

// TestRealSpamAssassin judges what a real spamd reports by the policy that is built in.
func TestRealSpamAssassin(t *testing.T) {
	daemon := labtest.Spamd(t, lab.SpamdOptions{Settings: []string{
		"header GP_ENVELOPE EnvelopeFrom =~ /^a\\@b\\.example$/", "score GP_ENVELOPE 0.5",
		"header GP_CLIENT X-Spam-Relays-External =~ /^\\[ ip=192\\.0\\.2\\.1 /", "score GP_CLIENT 0.25",
		"body GP_LOTS /gatepost many points/", "score GP_LOTS 7.5"}})
	d := &Deps{SpamAssassin: spamAt(t, daemon.Addr, time.Minute)}
	err := d.SpamAssassin.Do(labtest.Context(t), func(ctx context.Context, c *spamd.Client) error {
		_, err := c.Version(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	pl := build(t, clamOff, d)
	today := "Date: " + time.Now().UTC().Format(time.RFC1123Z) // what is old has points
	for _, c := range []struct {
		name, text string
		outcome    gateway.Outcome
		result     gateway.Result
		rules      []string
	}{
		{"clean", with("Date", today, "To: anna@served.example"), gateway.Accept, gateway.Pass, []string{"GP_ENVELOPE", "GP_CLIENT"}},
		{"points", with("Date", today, "To: anna@served.example") + "gatepost many points\r\n", gateway.Quarantine, gateway.Fail, []string{"GP_LOTS"}},
		{"GTUBE", with("Date", today, "To: anna@served.example") + lab.GTUBE() + "\r\n", gateway.Reject, gateway.Fail, []string{"GTUBE"}},
		// Spam by SpamAssassin's own count; but what our own check shape prices is not paid twice.
		{"no Date", with("Date", "To: anna@served.example"), gateway.Accept, gateway.Fail, []string{"MISSING_DATE"}},
	} {
		v, f := judge(t, d, pl, dataOf(t, c.text), "spamassassin")
		if v.Outcome != c.outcome || f.Result != c.result {
			t.Errorf("%s: %s %s, %s, %v points: %v", c.name, f.Result, f.Reason, v.Outcome, v.Score, f.Evidence)
		}
		rules := "," + evidence(f, gateway.EvidenceRules) + ","
		for _, r := range c.rules {
			if !strings.Contains(rules, ","+r+",") {
				t.Errorf("%s: no %s among %s", c.name, r, rules)
			}
		}
		if !strings.HasPrefix(evidence(f, gateway.EvidenceScanner), "SpamAssassin 4.") || evidence(f, "report") != "" {
			t.Errorf("%s: %v", c.name, f.Evidence)
		}
	}
	if err := daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	<-daemon.Done()
	v, f := judge(t, d, pl, dataOf(t, with("")), "spamassassin")
	if f.Result != gateway.Unknown || v.Outcome != gateway.Tag || strings.Join(v.Marks, "") != "spamassassin" || v.Line != `checks.spamassassin.unknown = "tag" (default)` {
		t.Errorf("spamd is dead: %s, %s by %s, marks %v", f.Result, v.Outcome, v.Line, v.Marks)
	}
}
