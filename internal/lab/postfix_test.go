package lab

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/smtp"
	"net/textproto"
	"os"
	"strings"
	"testing"
)

const testMail = "From: a@example.org\r\nTo: b@lab.test\r\nSubject: hello\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nline one\r\n.dot\r\n"

func TestPostfixDelivers(t *testing.T) {
	ctx := testContext(t)
	p, err := StartPostfix(ctx, testDir(t), PostfixOptions{Mailboxes: []string{"b@lab.test", `"two words"@lab.test`, "grün@lab.test"}})
	if err != nil {
		t.Fatal(err)
	}
	defer stopped(t, p.Process)
	for _, to := range []string{"b@lab.test", `"two words"@lab.test`} {
		if err := smtp.SendMail(p.Addr, nil, "a@example.org", []string{to}, []byte(testMail)); err != nil {
			t.Fatalf("%s: %v\n%s", to, err, p.Log())
		}
		messages, err := p.Maildir(to).Await(ctx, 1)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasSuffix(messages[0], []byte("\n\nline one\n.dot\n")) || !bytes.Contains(messages[0], []byte("Return-Path: <a@example.org>\n")) {
			t.Errorf("%s: got %q", to, messages[0])
		}
	}
	for to, want := range map[string]string{"nobody@lab.test": "5.1.1", "a@elsewhere.test": "5.7.1"} {
		err = smtp.SendMail(p.Addr, nil, "a@example.org", []string{to}, []byte(testMail))
		var reply *textproto.Error
		if !errors.As(err, &reply) || !strings.HasPrefix(reply.Msg, want) {
			t.Errorf("%s: got %v, want %s", to, err, want)
		}
	}
}

// Two at a time: one as a company's internal MTA, one as the MTA of a sender.
func TestPostfixSendsToPostfix(t *testing.T) {
	ctx := testContext(t)
	inside, err := StartPostfix(ctx, testDir(t), PostfixOptions{Name: "inside.lab.test", Mailboxes: []string{"b@lab.test"}, TLS: true})
	if err != nil {
		t.Fatal(err)
	}
	defer stopped(t, inside.Process)
	outside, err := StartPostfix(ctx, testDir(t), PostfixOptions{Name: "outside.lab.test", Relay: inside.Addr})
	if err != nil {
		t.Fatal(err)
	}
	defer stopped(t, outside.Process)

	if err := outside.Send(ctx, "a@example.org", []string{"b@lab.test"}, []byte(testMail)); err != nil {
		t.Fatal(err)
	}
	messages, err := inside.Maildir("b@lab.test").Await(ctx, 1)
	if err != nil {
		t.Fatalf("%v\n%s", err, outside.Log())
	}
	for _, want := range []string{"by inside.lab.test (Postfix) with ESMTPS", "by outside.lab.test (Postfix", "line one\n.dot\n"} {
		if !bytes.Contains(messages[0], []byte(want)) {
			t.Errorf("no %q in %s", want, messages[0])
		}
	}
	if err := outside.AwaitEmptyQueue(ctx); err != nil {
		t.Error(err)
	}

	// The next hop hangs: the mail waits in the sender's queue and comes after.
	if err := inside.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := outside.Send(ctx, "a@example.org", []string{"b@lab.test"}, []byte(testMail)); err != nil {
		t.Fatal(err)
	}
	err = poll(ctx, func() (bool, error) {
		queue, err := outside.Queue(ctx)
		return strings.Contains(queue, `"queue_name": "deferred"`), err
	})
	if err != nil {
		t.Errorf("not deferred: %v\n%s", err, outside.Log())
	}
	if err := outside.Flush(ctx); err != nil {
		t.Error(err)
	}
}

func TestPostfixOffersTLS(t *testing.T) {
	p, err := StartPostfix(testContext(t), testDir(t), PostfixOptions{Mailboxes: []string{"b@lab.test"}, TLS: true})
	if err != nil {
		t.Fatal(err)
	}
	defer stopped(t, p.Process)
	pem, err := os.ReadFile(p.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	c, err := smtp.Dial(p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.StartTLS(&tls.Config{RootCAs: pool, ServerName: p.Name}); err != nil {
		t.Fatalf("%v\n%s", err, p.Log())
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
}
