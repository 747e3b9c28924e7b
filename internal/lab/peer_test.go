package lab

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"

	gosmtp "github.com/emersion/go-smtp"
)

// TestPeers: each takes mail for its mailboxes as it was sent, and refuses others at RCPT.
func TestPeers(t *testing.T) {
	for name, start := range map[string]func(context.Context, string, PeerOptions) (*Peer, error){
		"exim": StartExim, "opensmtpd": StartOpenSMTPD, "dovecot": StartDovecot,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			p, err := start(ctx, testDir(t), PeerOptions{Mailboxes: []string{"b@lab.test", "full@lab.test"}, Full: []string{"full@lab.test"}})
			if err != nil {
				t.Fatal(err)
			}
			defer stopped(t, p.Process)
			client := dialPeer(t, p)
			if err := client.Mail("a@example.org", nil); err != nil {
				t.Fatal(err)
			}
			var reply *gosmtp.SMTPError
			if err := client.Rcpt("nobody@lab.test", nil); !errors.As(err, &reply) || reply.Code != 550 {
				t.Errorf("unknown recipient: %v", err)
			}
			if err := client.Rcpt("b@lab.test", nil); err != nil {
				t.Fatalf("%v\n%s", err, p.Log())
			}
			w, err := client.Data()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(testMail)); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			messages, err := p.Maildir("b@lab.test").Await(ctx, 1)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasSuffix(messages[0], []byte("\n\nline one\n.dot\n")) || !bytes.HasPrefix(bytes.ToLower(messages[0]), []byte("return-path: <a@example.org>\n")) {
				t.Errorf("got %q", messages[0])
			}
		})
	}
}

func dialPeer(t *testing.T, p *Peer) *gosmtp.Client {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if p.LMTP {
		return gosmtp.NewClientLMTP(conn)
	}
	return gosmtp.NewClient(conn)
}
