package relay

import (
	"bytes"
	"context"
	"crypto/x509"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/lab"
)

// A real Postfix as next hop: under STARTTLS, by DATA and by BDAT, known, unknown and mixed recipients.
func TestPostfix(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	dir, err := lab.NewDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p, err := lab.StartPostfix(ctx, dir, lab.PostfixOptions{Name: "inner.lab.test", TLS: true,
		Mailboxes: []string{"data@lab.test", "bdat@lab.test"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	}()
	host, text, err := net.SplitHostPort(p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(p.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	body := "From: a@example.org\r\nTo: b@lab.test\r\nSubject: dots\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\n" +
		strings.Repeat("..two\r\n.one\r\n.\r\nand a line that is long enough to be one\r\n", 3000)
	for name, chunking := range map[string]bool{"data@lab.test": false, "bdat@lab.test": true} {
		r := newRelay(t, Route{Hops: []Hop{{Host: host, Port: port}}, TLS: Required, RootCAs: roots, ServerName: "inner.lab.test",
			Timeouts: long(), Chunking: chunking})
		for range 3 {
			got := r.Relay(ctx, delivery(body, name))
			if got.Result != gateway.Delivered || got.Reply.Enhanced != "2.0.0" || !strings.HasSuffix(got.TLS, ", verified") {
				t.Fatalf("%s: %+v\n%s", name, got, p.Log())
			}
		}
		messages, err := p.Maildir(name).Await(ctx, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			if !bytes.HasSuffix(m, []byte(strings.ReplaceAll(body, "\r\n", "\n"))) {
				t.Errorf("%s: the mailbox has another message of %d octets", name, len(m))
			}
		}
		from, known, unknown := address("a@example.org"), address(name), address("nobody@lab.test")
		for range 2 {
			if v := r.Verify(ctx, "inner", from, known); v.Result != Takes {
				t.Errorf("known: %+v", v)
			}
			if v := r.Verify(ctx, "inner", gateway.Address{}, unknown); v.Result != Refuses || v.Reply.Code != 550 || v.Reply.Enhanced != "5.1.1" {
				t.Errorf("unknown: %+v", v)
			}
		}
		if h := r.Health()[0]; h.Dials != 1 {
			t.Errorf("%d connections for 3 messages and 4 questions", h.Dials)
		}
		got := r.Relay(ctx, delivery(body, name, "nobody@lab.test"))
		if got.Result != gateway.MixedByHop || got.Reply.Code != 451 || len(got.Rcpts) != 2 || got.Rcpts[1].Enhanced != "5.1.1" {
			t.Errorf("mixed: %+v", got)
		}
		c := r.Carries("inner")
		if !c.Known || !c.EightBit || !c.UTF8 || !c.Chunking || !c.DSN || c.Size == 0 {
			t.Errorf("carries %+v", c)
		}
		if messages, err := p.Maildir(name).Messages(); err != nil || len(messages) != 3 {
			t.Errorf("%s has %d messages, %v", name, len(messages), err)
		}
	}
}

type panics struct{}

func (panics) Read([]byte) (int, error) { panic("a fault of ours") }

// A panic while the message is read passes through, and takes no connection and no breaker with it.
func TestPanic(t *testing.T) {
	f := newFake(t, everything...)
	r := newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: None, Timeouts: long(), PoolSize: 1})
	d := delivery("")
	d.Content = gateway.Content{Parts: []io.Reader{panics{}}, Size: 10}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was lost")
			}
		}()
		r.Relay(t.Context(), d)
	}()
	if got := r.Relay(t.Context(), delivery(small)); got.Result != gateway.Delivered {
		t.Errorf("after it: %+v", got)
	}
	if messages, _, _ := f.seen(); len(messages) != 1 {
		t.Errorf("messages %q", messages)
	}
}
