package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"gatepost/internal/lab"
	"gatepost/internal/lab/mails"
)

// realGoSMTP: the go-smtp library, which others wrote, is a client and a next hop, in clear and in TLS.
func realGoSMTP(ctx context.Context, t *testing.T, p *realParts) {
	pair := keyPair(t)
	hop, err := lab.StartGoSMTP(&tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hop.Close)
	host, port, err := net.SplitHostPort(hop.Addr())
	if err != nil {
		t.Fatal(err)
	}
	w := p.gate(t, setup{policy: fmt.Sprintf("[[route]]\nname = \"library\"\ntls = \"fingerprint\"\nfingerprints = [\"%x\"]\n"+
		"[[route.next_hop]]\nhost = %q\nport = %s\n[[domain]]\nname = \"library.test\"\nroute = \"library\"\n",
		sha256.Sum256(pair.Certificate[0]), host, port)})
	n := 0
	for _, m := range append(mails.All(mails.Options{To: "carla@library.test"}), mails.Big(mails.Options{To: "carla@library.test", Date: time.Now()}, 3_000_000)) {
		for _, secure := range []*tls.Config{nil, {InsecureSkipVerify: true}} {
			said, err := lab.GoSMTPSend{From: m.From, To: []string{m.To}, Body: m.Body, TLS: secure, Mail: &smtp.MailOptions{UTF8: m.UTF8}}.Send(ctx, w.addr())
			var refused *smtp.SMTPError
			if m.Kind != mails.Clean {
				if !errors.As(err, &refused) || refused.Code != 550 || refused.EnhancedCode != (smtp.EnhancedCode{5, 7, 1}) {
					t.Errorf("%s: %q, %v", m.Name, said, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", m.Name, err)
				continue
			}
			n++
			all, err := hop.Await(ctx, n)
			if err != nil {
				t.Fatal(err)
			}
			last := all[n-1]
			if !bytes.HasSuffix(last.Body, append([]byte("\r\n"), m.Body...)) || last.From != m.From || strings.Join(last.To, " ") != m.To || last.MailOptions.UTF8 != m.UTF8 {
				t.Errorf("%s: from %q to %q %+v, %d octets of %d", m.Name, last.From, last.To, last.MailOptions, len(last.Body), len(m.Body))
			}
		}
	}
	if all := hop.Messages(); len(all) != n {
		t.Errorf("%d messages arrived, not %d", len(all), n)
	}
}

// keyPair is a new certificate with its key.
func keyPair(t testing.TB) tls.Certificate {
	t.Helper()
	certificate, key, err := lab.NewCertificate("hop.library.test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// realSwaks: what a mail admin tests with, in its own ways of speaking.
func realSwaks(ctx context.Context, t *testing.T, p *realParts, w *world) {
	for _, tt := range []struct {
		name   string
		secure bool
		args   []string
		with   string
	}{
		{"in clear", false, nil, "with ESMTP "},
		{"pipelining", false, []string{"--pipeline"}, "with ESMTP "},
		{"TLS", true, nil, "with ESMTPS "},
		{"TLS and pipelining", true, []string{"--pipeline"}, "with ESMTPS "},
		{"HELO", false, []string{"--protocol", "SMTP"}, "with SMTP "},
	} {
		m := letter(mailbox)
		r, err := lab.Swaks{Server: w.addr(), Hello: "mta.sender.test", From: m.From, To: []string{m.To, "paul@lab.test"}, Data: m.Body, TLS: tt.secure, Args: tt.args}.Send(ctx)
		if err != nil || r.Code != 0 || !strings.HasPrefix(r.Reply, "250 2.0.0 Accepted") {
			t.Errorf("%s: %v %q\n%s", tt.name, err, r.Reply, r.Transcript)
			continue
		}
		for _, to := range []string{m.To, "paul@lab.test"} {
			if above := arrives(ctx, t, p.inside.Maildir(to), m.Body); !strings.Contains(above[len(above)-1], tt.with) {
				t.Errorf("%s: %q", tt.name, above[len(above)-1])
			}
		}
		w.story(ctx, t, reference.FindString(r.Reply))
	}
	// A notice from nowhere, and a message that swaks makes itself.
	notice := letter(mailbox)
	r, err := lab.Swaks{Server: w.addr(), To: []string{mailbox}, Data: notice.Body}.Send(ctx)
	if err != nil || r.Code != 0 {
		t.Errorf("null reverse-path: %v\n%s", err, r.Transcript)
	} else if above := arrives(ctx, t, p.inside.Maildir(mailbox), notice.Body); fieldOf(above, "Return-Path") != "<>" {
		t.Errorf("null reverse-path: %q", above)
	}
	r, err = lab.Swaks{Server: w.addr(), From: sender, To: []string{mailbox}}.Send(ctx)
	if err != nil || r.Code != 0 {
		t.Errorf("swaks' own message: %v\n%s", err, r.Transcript)
	}
	// What is refused before DATA costs no message.
	r, err = lab.Swaks{Server: w.addr(), From: sender, To: []string{"a@elsewhere.test"}, Args: []string{"--pipeline"}}.Send(ctx)
	if err != nil || r.Code == 0 || !strings.HasPrefix(r.Reply, "550 5.7.1 Relaying denied") {
		t.Errorf("relay: %v %q\n%s", err, r.Reply, r.Transcript)
	}
}
