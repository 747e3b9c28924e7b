package labtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/emersion/go-smtp"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dialog"
	"gatepost/internal/lab/mails"
)

// Whatever the demo sends, the lab's Postfix keeps octet by octet: what an
// end-to-end test finds changed, the gateway has changed.
func TestPostfixKeepsOctets(t *testing.T) {
	p := Postfix(t, lab.PostfixOptions{Mailboxes: []string{"post@lab.test"}, TLS: true})
	for i, m := range append(mails.All(mails.Options{}), mails.Big(mails.Options{}, 30_000_000)) {
		send := lab.GoSMTPSend{From: m.From, To: []string{m.To}, Body: m.Body, Mail: &smtp.MailOptions{UTF8: m.UTF8}}
		if i%2 == 1 {
			send.TLS = &tls.Config{InsecureSkipVerify: true}
		}
		if _, err := send.Send(Context(t), p.Addr); err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
		messages, err := p.Maildir(m.To).Await(Context(t), i+1)
		if err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
		if !bytes.HasSuffix(messages[i], bytes.ReplaceAll(m.Body, []byte("\r\n"), []byte("\n"))) {
			t.Errorf("%s: other octets: %.3000q", m.Name, messages[i])
		}
	}
}

func TestFakes(t *testing.T) {
	closed := ClosedAddr(t)
	if conn, err := net.Dial("tcp", closed); err == nil {
		conn.Close()
		t.Errorf("somebody listens at %s", closed)
	}
	for _, addr := range []string{FakeClamd(t, 0).Addr(), FakeSpamd(t).Addr()} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	h := NextHop(t, lab.NextHopOptions{})
	file := filepath.Join(Dir(t), "hello.dialog")
	if err := os.WriteFile(file, []byte("S: 220 ...\nC: QUIT\nS: 221 ...\n-- expect-closed\n-- nexthop got 0 messages\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	Dialog(t, file, dialog.Hooks{
		Dial: func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", h.Addr())
		},
		Do: map[string]func(context.Context, []string) error{"nexthop": h.Directive},
	})
}
