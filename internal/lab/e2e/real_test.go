package e2e

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"gatepost/internal/lab"
	"gatepost/internal/lab/mails"
)

// TestReal sends mail from a Postfix through the daemon to another Postfix, scanned by a real clamd and a real spamd.
func TestReal(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), realTime())
	defer cancel()
	p := startReal(t)
	log := listenSyslog(t)
	w := p.gate(t, setup{limits: noWaits + "message_size = \"50M\"\n", bootstrap: "[log]\nsyslog = \"udp:" + log.addr() + "\"\n", policy: p.secureRoutes(t)})
	out := p.sends(t, w, "smtp_tls_security_level = encrypt")

	t.Run("mails", func(t *testing.T) { realMails(ctx, t, p, w, out) })
	t.Run("header", func(t *testing.T) { realHeader(ctx, t, p, w, out) })
	t.Run("delivery status", func(t *testing.T) { realDSN(ctx, t, p, out) })
	t.Run("refusals", func(t *testing.T) { realRefusals(ctx, t, p, w, out) })
	t.Run("recipients", func(t *testing.T) { realRecipients(ctx, t, p, w, out) })
	t.Run("tls onwards", func(t *testing.T) { realSecureRoutes(ctx, t, p, w, out) })
	t.Run("wrong certificate", func(t *testing.T) { realWrongCertificate(ctx, t, p) })
	t.Run("go-smtp", func(t *testing.T) { realGoSMTP(ctx, t, p) })
	t.Run("swaks", func(t *testing.T) { realSwaks(ctx, t, p, w) })
	t.Run("reload under load", func(t *testing.T) { realLoad(ctx, t, p, w, out) })
	t.Run("watched", func(t *testing.T) { realWatch(ctx, t, p, w, log) })
	t.Run("conduct", func(t *testing.T) { realConduct(t, w) })
}

// realConduct: none of the real senders that were here did what the tests inside a session look for.
func realConduct(t *testing.T, w *world) {
	connections := 0
	for _, e := range w.lines(t) {
		if e.text("kind") == "connection" {
			connections++
		}
		for _, check := range []string{"pipelining", "newline", "verb"} {
			if strings.Contains(e.text("findings"), check) {
				t.Errorf("a mail server is taken for a bot: %v", e)
			}
		}
	}
	if connections < 20 {
		t.Errorf("%d connections", connections)
	}
}

// The fields above a mail that came the whole way, from the top. In between are those of the daemon.
const (
	fieldsOfInside  = "Return-Path X-Original-To Delivered-To Received"
	fieldsOfGate    = "X-Gatepost-Verdict X-Gatepost-Trace X-Gatepost-Scanned X-Spam-Flag X-Spam-Score X-Spam-Status Authentication-Results Received"
	fieldsOfOutside = "Received"
)

// realMails: each mail lies in the mailbox octet for octet as it was written.
func realMails(ctx context.Context, t *testing.T, p *realParts, w *world, out *lab.Postfix) {
	sent := []mails.Mail{mails.Big(mails.Options{To: "big@lab.test"}, 30_000_000)}
	for _, m := range mails.All(mails.Options{}) {
		if m.Kind == mails.Clean {
			sent = append(sent, m)
		}
	}
	for _, m := range sent {
		send(ctx, t, out, m)
	}
	for _, m := range sent {
		above := arrives(ctx, t, p.inside.Maildir(m.To), m.Body)
		if got, want := fieldNames(above), fieldsOfInside+" "+fieldsOfGate+" "+fieldsOfOutside; got != want {
			t.Errorf("%s: fields\n%s, want\n%s", m.Name, got, want)
			continue
		}
		if got := fieldOf(above, "Return-Path"); got != "<"+m.From+">" {
			t.Errorf("%s: Return-Path %s", m.Name, got)
		}
		// The protocol words of RFC 3848 and RFC 6531 say that it came in TLS.
		with := " with ESMTPS "
		if m.UTF8 {
			with = " with UTF8SMTPS "
		}
		if ours := above[len(above)-2]; !strings.Contains(ours, "from mta.sender.test (unknown [127.0.0.1]) ") || !strings.Contains(ours, with) {
			t.Errorf("%s: our Received is %q", m.Name, ours)
		}
		if scanned := fieldOf(above, "X-Gatepost-Scanned"); !strings.Contains(scanned, "ClamAV") || !strings.Contains(scanned, "SpamAssassin") {
			t.Errorf("%s: scanned by %q", m.Name, scanned)
		}
		w.awaitEvent(t, "transaction", "message_id=<"+messageID(t, m.Body)+">", "verdict=accept", "relay=delivered", "reply^250 2.0.0", "tls^TLS1.3")
	}
	if queue, err := out.Queue(ctx); err != nil || queue != "" {
		t.Errorf("left in the queue: %s %v", queue, err)
	}
}

// realHeader: what a sender wrote into the header section comes as it was, whatever its folding, white space and case, so
// that its signature holds; what only we may say is taken out.
func realHeader(ctx context.Context, t *testing.T, p *realParts, w *world, out *lab.Postfix) {
	signed := "DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d=sender.test;\n\ts=one; h=from : to:\n  subject;\tbh=AAAA=;\n\tb=BBBB\n\t  CCCC==\n" +
		"From:   \"Berg,  Anna\"\t<anna@sender.test>\nTO: post@lab.test,\n\t Paul  <paul@lab.test> \n" +
		"Subject: folded \n \tand  =?utf-8?q?gr=C3=BCn?=  \nDate: " + time.Now().Format(time.RFC1123Z) + "\n"
	id := "Message-ID: <header-" + strings.ReplaceAll(time.Now().Format("150405.000000"), ".", "-") + "@sender.test>\nX-Empty:\nX-Long: " + strings.Repeat("x", 900) + "\n"
	forged := "X-Spam-Flag: NO\nx-gatepost-VERDICT: accept\nX-MS-Exchange-Organization-SCL:\n -1\nAuthentication-Results: " + hostname + "; spf=pass\n"
	stranger := "Authentication-Results: mx.elsewhere.test; spf=pass\n"
	const body = "\nfirst\n\n.\n.. dots\ntrailing white space \t\nFrom here\n\n\n"
	if err := out.Send(ctx, sender, []string{mailbox}, []byte(signed+forged+id+stranger+body)); err != nil {
		t.Fatal(err)
	}
	above := arrives(ctx, t, p.inside.Maildir(mailbox), []byte(signed+id+stranger+body))
	if got, want := fieldNames(above), fieldsOfInside+" "+fieldsOfGate+" "+fieldsOfOutside; got != want {
		t.Errorf("fields\n%s, want\n%s", got, want)
	}
	story := w.story(ctx, t, fieldOf(above, "X-Gatepost-Trace"))
	for _, name := range []string{"X-Spam-Flag", "x-gatepost-VERDICT", "X-MS-Exchange-Organization-SCL", "Authentication-Results"} {
		if !strings.Contains(story, name) {
			t.Errorf("the trace does not say that %s was removed:\n%s", name, story)
		}
	}
}

// realDSN: what a sender asks for about notices (RFC 3461) reaches the internal MTA, which alone acts on it: its notice, on
// its own way back, names the envelope and the recipient as the sender did.
func realDSN(ctx context.Context, t *testing.T, p *realParts, out *lab.Postfix) {
	m := letter(mailbox)
	_, err := lab.GoSMTPSend{
		From: sender, To: []string{m.To}, Body: m.Body,
		Mail: &smtp.MailOptions{Return: smtp.DSNReturnHeaders, EnvelopeID: "QQ+314=159"},
		Rcpt: &smtp.RcptOptions{
			Notify:                []smtp.DSNNotify{smtp.DSNNotifySuccess, smtp.DSNNotifyFailure},
			OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "Bob+tag@Example.COM",
		},
	}.Send(ctx, out.Addr)
	if err != nil {
		t.Fatal(err)
	}
	notices, err := out.Maildir(sender).Await(ctx, 1)
	if err != nil {
		t.Fatalf("%v\n%s", err, p.inside.Log())
	}
	for _, want := range []string{
		"\nReporting-MTA: dns; inside.lab.test\n", "\nAction: delivered\n", "\nOriginal-Envelope-Id: QQ+314=159\n",
		"\nOriginal-Recipient: RFC822;Bob+tag@Example.COM\n", "\nContent-Type: text/rfc822-headers\n", "\nMessage-ID: <" + messageID(t, m.Body) + ">\n",
	} {
		if !bytes.Contains(notices[0], []byte(want)) {
			t.Errorf("the notice has no %q:\n%s", want, notices[0])
		}
	}
}

// realRefusals: what the daemon refuses never arrives, and its sender learns why, with a reference that tells the story.
func realRefusals(ctx context.Context, t *testing.T, p *realParts, w *world, out *lab.Postfix) {
	o := func(to string) mails.Options { return mails.Options{From: sender, To: to, Date: time.Now()} }
	tests := []struct {
		name string
		m    mails.Mail
		says string
	}{
		{"unknown recipient", mails.ASCII(o("nobody@lab.test")), "550 5.1.1 No such recipient here"},
		{"relay", mails.ASCII(o("somebody@elsewhere.test")), "550 5.7.1 Relaying denied"},
		{"GTUBE", mails.GTUBE(o(mailbox)), "550 5.7.1 Message refused as spam"},
		{"EICAR", mails.EICAR(o(mailbox)), "550 5.7.1 Message refused: it looks like malware"},
		{"EICAR in zips", mails.EICARInZips(o(mailbox)), "550 5.7.1 Message refused: it looks like malware"},
		{"EICAR in tar", mails.EICARInTar(o(mailbox)), "550 5.7.1 Message refused: it looks like malware"},
	}
	before, err := out.Maildir(sender).Messages()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		send(ctx, t, out, tt.m)
	}
	bounces, err := out.Maildir(sender).Await(ctx, len(before)+len(tests))
	if err != nil {
		t.Fatalf("%v\n%s", err, out.Log())
	}
	for _, tt := range tests {
		id := messageID(t, tt.m.Body)
		var bounce string
		for _, b := range bounces {
			if bytes.Contains(b, []byte("Message-ID: <"+id+">")) {
				bounce = strings.Join(strings.Fields(string(b)), " ")
			}
		}
		if !strings.Contains(bounce, tt.says) {
			t.Errorf("%s: the bounce does not say %q: %.3000s", tt.name, tt.says, bounce)
			continue
		}
		if found := copies(t, p.inside.Maildir(mailbox), id); len(found) > 0 {
			t.Errorf("%s arrived", tt.name)
		}
		if story := w.story(ctx, t, reference.FindString(bounce)); !strings.Contains(story, tt.says[:9]) || !strings.Contains(story, tt.m.To) {
			t.Errorf("%s: the story has not what the sender was told:\n%s", tt.name, story)
		}
	}
}

// realRecipients: each recipient of a mail gets one copy; one who does not exist costs the others nothing.
func realRecipients(ctx context.Context, t *testing.T, p *realParts, w *world, out *lab.Postfix) {
	m := letter(mailbox)
	send(ctx, t, out, m, "paul@lab.test", "nobody@lab.test", "petra@lab.test")
	drains(ctx, t, out)
	for _, to := range []string{mailbox, "paul@lab.test", "petra@lab.test"} {
		arrives(ctx, t, p.inside.Maildir(to), m.Body)
	}
	id := messageID(t, m.Body)
	if err := eventually(ctx, func() (string, bool) {
		bounces := 0
		all, err := out.Maildir(sender).Messages()
		for _, b := range all {
			if bytes.Contains(b, []byte(id)) && bytes.Contains(b, []byte("<nobody@lab.test>")) && !bytes.Contains(b, []byte("<paul@lab.test>")) {
				bounces++
			}
		}
		return "no bounce", err == nil && bounces == 1
	}); err != nil {
		t.Error(err)
	}
	w.awaitEvent(t, "transaction", "message_id=<"+id+">", "rcpts~nobody@lab.test", "verdict=accept", "relay=delivered")
}
