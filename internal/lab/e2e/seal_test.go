package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/arc"
	"gatepost/internal/dkim"
	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
)

// sealZone are the names of these tests, and the keys that are published.
func sealZone(keys map[string]string) dnslab.Zones {
	text := "example.org. MX 10 mail.example.org.\nmail.example.org. A 192.0.2.10\nclient.example.org. A 192.0.2.20\n"
	for name, record := range keys {
		half := len(record) / 2
		text += name + ". TXT \"" + record[:half] + "\" \"" + record[half:] + "\"\n"
	}
	return dnslab.Text(text)
}

// pythonVerifies has python3-dkim verify the chain of a message.
func pythonVerifies(t *testing.T, message []byte, keys map[string]string) (cv string, seals int) {
	t.Helper()
	question, err := json.Marshal(map[string]any{"do": "verify", "message": message, "zone": keys})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "../../arc/testdata/oracle.py")
	cmd.Stdin = bytes.NewReader(append(question, '\n'))
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("python3-dkim (scripts/test installs it): %v", err)
	}
	var said struct {
		CV, Why, Error string
		Seals          []bool
	}
	if err := json.Unmarshal(out, &said); err != nil {
		t.Fatal(err)
	}
	if said.CV != "pass" {
		t.Errorf("python3-dkim says %+v of\n%s", said, message)
	}
	return said.CV, len(said.Seals)
}

// signingKey makes a key as gatepost dkim key make does, and publishes it.
func signingKey(t *testing.T, keys map[string]string, name string) (pem []byte) {
	t.Helper()
	pem, err := arc.MakeKey(arc.RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	k, err := arc.ReadKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	if keys[name], err = arc.Record(k); err != nil {
		t.Fatal(err)
	}
	return pem
}

// TestSealed sends mail through the daemon that tags its subject: what arrives has an ARC set over the message as it
// arrived, by the judgement of python3-dkim. Mail that is not changed has none. The key is read within the sandbox, also by
// a reload.
func TestSealed(t *testing.T) {
	t.Parallel()
	keys := map[string]string{}
	own, list := signingKey(t, keys, "gatepost1._domainkey.served.test"), signingKey(t, keys, "s._domainkey.lists.example")
	w := newWorld(t, setup{dns: dnslab.New(t, sealZone(keys)).Addr(), clamav: "off", spamd: "off", body: "memory = \"4K\"",
		policy: "[checks.access.sender]\naction = \"tag\"\n[[checks.access.sender.entry]]\naddress = \"spammer@example.org\"\n[tag]\nsubject = \"[SPAM] \"\nsigned = true\n[arc]\nseal = \"changed\"\ndomain = \"served.test\"\nselector = \"gatepost1\"\n"})
	name := filepath.Join(lab.StateDir(w.dir), "dkim", "gatepost1._domainkey.served.test.pem")
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, own, 0o600); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	if out, errOut, code, err := w.daemon.Command(t.Context(), "dkim", "key", "show"); err != nil || code != 0 || !strings.Contains(errOut, "published: DNS has this key") {
		t.Fatalf("%v, exit %d, %s%s", err, code, out, errOut)
	}
	sets, reply := 0, ""
	send := func(message string, tagged bool) (arrived string) {
		t.Helper()
		from := "alice"
		if tagged {
			from = "spammer"
		}
		c := w.dial(t)
		c.want("250", "EHLO client.example.org")
		for _, line := range []string{"MAIL FROM:<" + from + "@example.org>", "RCPT TO:<bob@served.test>"} {
			c.want("250", line)
		}
		c.want("354", "DATA")
		c.send(strings.ReplaceAll(message, "\r\n.", "\r\n..") + ".\r\n")
		if reply = c.replyWithin(time.Minute); !strings.HasPrefix(reply, "250") {
			t.Fatalf("told %q", reply)
		}
		all := w.hop(t).Accepted()
		arrived = string(all[len(all)-1].Body)
		if strings.Contains(arrived, "Subject: [SPAM] ") != tagged {
			t.Fatalf("tagged is not %t:\n%.3000s", tagged, arrived)
		}
		if !tagged {
			return arrived
		}
		sets++
		if !strings.HasPrefix(arrived, "ARC-Seal: i=") || !strings.Contains(arrived, "\r\nARC-Authentication-Results: i=") {
			t.Fatalf("no set above:\n%.3000s", arrived)
		}
		return arrived
	}
	plain := head + "text\r\n"
	if got := send(plain, false); strings.Contains(got, "ARC-") {
		t.Errorf("what was not changed was sealed:\n%s", got)
	}
	for name, message := range map[string]string{
		"plain":         plain,
		"dots":          head + ".\r\n..\r\n.text\r\n\r\n\r\n",
		"white space":   strings.Replace(head, "hello", "=?utf-8?q?h=C3=A4?=\r\n\t folded ", 1) + " a \t b  \r\n\t\r\n",
		"on disk":       head + strings.Repeat(strings.Repeat("x", 78)+"\r\n", 20000),
		"without body":  head,
		"removed field": "X-Spam-Flag: NO\r\n" + plain,
	} {
		arrived := send(message, true)
		if cv, n := pythonVerifies(t, []byte(arrived), keys); cv != "pass" || n != 1 {
			t.Errorf("%s: %s of %d", name, cv, n)
		}
	}
	// A chain that comes in goes on by one set.
	chained := sealedBy(t, list, "lists.example", plain)
	if _, n := pythonVerifies(t, []byte(send(chained, true)), keys); n != 2 {
		t.Errorf("%d sets", n)
	}
	if _, errOut, code, err := w.daemon.Command(t.Context(), "reload"); err != nil || code != 0 {
		t.Fatalf("reload: %v, exit %d, %s", err, code, errOut)
	}
	if arrived := send(chained, true); !strings.Contains(arrived, "cv=pass; d=served.test; s=gatepost1;") {
		t.Errorf("after a reload:\n%s", arrived)
	}
	if _, text, err := w.daemon.Get(t.Context(), "/metrics"); err != nil || metric(t, text, `gatepost_seals_total{result="sealed"}`) != float64(sets) {
		t.Errorf("%d sealed, %v; the metrics say otherwise:\n%s", sets, err, text)
	}
	w.storyTells(t, reply, "sealed i=2")
}

// storyTells waits for the story of a message to be kept, and wants it to tell of a change.
func (w *world) storyTells(t *testing.T, reply, edit string) {
	t.Helper()
	_, id, _ := strings.Cut(strings.TrimSpace(reply), "Accepted, ")
	for deadline := time.Now().Add(clientTime); ; time.Sleep(20 * time.Millisecond) {
		out, errOut, code, err := w.daemon.Command(t.Context(), "trace", id)
		if err == nil && code == 0 && strings.Contains(out, edit) {
			return
		}
		if err != nil || code == 0 || time.Now().After(deadline) {
			t.Fatalf("%v, exit %d, no %q in the story of %s: %s%s", err, code, edit, id, out, errOut)
		}
	}
}

// sealedBy puts the set of a list above a message, with its own word about DMARC.
func sealedBy(t *testing.T, pem []byte, domain, message string) string {
	t.Helper()
	key, err := arc.ReadKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	h := gateway.ParseHeader([]byte(message))
	var fields []dkim.Field
	for _, f := range h.Fields {
		fields = append(fields, dkim.Field{Name: f.Name, Raw: h.Raw[f.Start:f.End]})
	}
	set, _, err := (&arc.Sealer{Domain: domain, Selector: "s", Key: key}).Seal(&arc.Draft{Header: fields, Body: strings.NewReader(message[h.BodyStart:]),
		Results: domain + "; dmarc=pass header.from=bank.example", Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return string(set) + message
}

// TestTrustedSealer has mail of a bank that asks for reject come by lists: the word of one that policy trusts lets it in,
// that of another is counted, and without any it is refused. What is let in still reads dmarc=fail.
func TestTrustedSealer(t *testing.T) {
	t.Parallel()
	keys := map[string]string{}
	trusted, other := signingKey(t, keys, "s._domainkey.lists.example"), signingKey(t, keys, "s._domainkey.other.example")
	z := sealZone(keys)
	z["."] += "_dmarc.bank.example. TXT \"v=DMARC1; p=reject\"\nbank.example. MX 10 mail.example.org.\n"
	w := begin(t, setup{dns: dnslab.New(t, z).Addr(), clamav: "off", spamd: "off",
		bootstrap: "[[listener]]\nname = \"proxied\"\naddresses = [\"127.0.0.1:0\"]\nproxy_from = [\"127.0.0.1\"]\n",
		policy:    noGreylist + markQuarantined + "[[checks.arc.sealer]]\ndomain = \"lists.example\"\nowner = \"anna\"\nreason = \"our lists\"\n"})
	mail := "From: boss@bank.example\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nSubject: [list] hello\r\n\r\ntext\r\n"
	for _, tt := range []struct {
		name, message, told, verdict string
	}{
		{"trusted", sealedBy(t, trusted, "lists.example", mail), "250 ", "accept"},
		{"not trusted", sealedBy(t, other, "other.example", mail), "250 ", "quarantine"},
		{"changed behind the trusted", sealedBy(t, trusted, "lists.example", mail) + "more\r\n", "250 ", "quarantine"},
		{"no seal", mail, "550 5.7.1 Refused: the domain bank.example asks to reject", ""},
	} {
		c := w.proxied(t, "proxied", from("198.51.100.7"))
		if banner := c.reply(); !strings.HasPrefix(banner, "220 ") {
			t.Fatalf("%s: %q", tt.name, banner)
		}
		for _, line := range []string{"EHLO client.example.org", "MAIL FROM:<bounces@example.org>", "RCPT TO:<bob@served.test>"} {
			c.want("250", line)
		}
		c.want("354", "DATA")
		c.send(tt.message + ".\r\n")
		if told := c.reply(); !strings.HasPrefix(told, tt.told) {
			t.Errorf("%s: told %q", tt.name, told)
		}
		all := w.hop(t).Accepted()
		if tt.verdict == "" {
			if len(all) != 3 {
				t.Errorf("%s: %d messages arrived", tt.name, len(all))
			}
			continue
		}
		a, err := readArrival(all[len(all)-1])
		if err != nil {
			t.Fatal(err)
		}
		verdict, _ := a.field("X-Gatepost-Verdict")
		results, _ := a.field("Authentication-Results")
		if verdict != tt.verdict || !strings.Contains(results, " dmarc=fail ") || strings.Contains(results, "dmarc=pass") {
			t.Errorf("%s: %s, %s", tt.name, verdict, results)
		}
	}
	for deadline := time.Now().Add(clientTime); ; time.Sleep(20 * time.Millisecond) {
		list := w.sealers(t)
		if strings.Contains(list, `"domain":"other.example"`) && !strings.Contains(list, "lists.example") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("proposed are %s", list)
		}
	}
}
