package smtpd

import (
	"strings"
	"testing"
)

func TestOneMessage(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		c := w.dial(stranger)
		defer c.hangUp()
		if got := c.heard(); got != "220 mx.example.org ESMTP Gatepost\r\n" {
			t.Fatalf("banner: %q", got)
		}
		if got := c.say("EHLO client.example"); !strings.HasPrefix(got, "250-mx.example.org\r\n") {
			t.Fatalf("EHLO: %q", got)
		}
		got := c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>", "DATA")
		want := "250 2.1.0 Sender noted\r\n250 2.1.5 Recipient noted\r\n354 Send the message; end it with a line that has only a dot\r\n"
		if got != want {
			t.Fatalf("flight: %q", got)
		}
		if got := c.say("Subject: x", "", "text", "..dot", "."); got != "250 2.0.0 Accepted\r\n" {
			t.Fatalf("end of data: %q", got)
		}
		if got := c.say("QUIT"); got != "221 2.0.0 Goodbye\r\n" || !c.gone() {
			t.Fatalf("QUIT: %q", got)
		}
		msgs := w.deliver.messages()
		if len(msgs) != 1 || msgs[0].from != "a@sender.example" || len(msgs[0].to) != 1 || msgs[0].to[0] != "b@example.org" ||
			msgs[0].content != "Subject: x\r\n\r\ntext\r\n.dot\r\n" {
			t.Errorf("delivered: %+v", msgs)
		}
		events := w.journal.all()
		if len(events) != 2 || events[0] != "transaction stage=data outcome=accept reason= reply=250 rcpts=1 octets=26 score=0" ||
			events[1] != "connection end=quit transactions=1 accepted=1 errors=0 commands=5 outcome=accept passed=true" {
			t.Errorf("journal: %q", events)
		}
	})
}
