package smtpd

import (
	"strings"
	"testing"

	"gatepost/gateway"
)

// smuggled is a whole second transaction that stands behind a false end of the message.
const smuggled = "MAIL FROM:<evil@sender.example>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nevil\r\n.\r\n"

// TestSmuggling sends one message with a sequence that some server somewhere takes for its end, and a transaction behind
// it, in one write. Only CRLF.CRLF ends a message: there is one message, or none.
func TestSmuggling(t *testing.T) {
	tests := []struct {
		name, sequence string
		refused        bool // the message; else it is one message with everything in it
	}{
		{"lf-dot-lf", "\n.\n", true},
		{"lf-dot-crlf", "\n.\r\n", true},
		{"cr-dot-cr", "\r.\r", true},
		{"cr-dot-crlf", "\r.\r\n", true},
		{"crlf-dot-lf", "\r\n.\n", true},
		{"crlf-dot-cr-text", "\r\n.\rtext", true},
		{"cr-crlf-dot-crlf", "\r\r\n.\r\n", true}, // ends the message, which has a bare CR
		{"crlf-dot-cr-crlf", "\r\n.\r\r\n", true},
		{"nul-before-dot", "\r\n\x00.\r\n", true},
		{"nul-after-dot", "\r\n.\x00\r\n", true},
		{"dot-dot", "\r\n..\r\n", false},
		{"dot-text", "\r\n.x\r\n", false},
		{"dot-space", "\r\n. \r\n", false},
		{"vt", "\r\n.\v\r\n", false},
		{"ff", "\f.\f\r\n", false},
		{"u0085", "\u0085.\u0085\r\n", false},
		{"u2028", "\u2028.\u2028\r\n", false},
	}
	for _, normalise := range []bool{false, true} {
		for _, tt := range tests {
			name := tt.name
			if normalise {
				name += "-normalised"
			}
			t.Run(name, func(t *testing.T) {
				bubble(t, func(t *testing.T, w *world) {
					w.snap.Normalise = func(*gateway.Session) bool { return normalise }
					c := w.dial(stranger)
					c.say("EHLO client.example")
					c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>", "DATA")
					c.send("Subject: outer\r\n\r\ntext" + tt.sequence + smuggled)
					got := c.heard()
					msgs := w.deliver.messages()
					switch {
					case normalise && tt.name == "cr-crlf-dot-crlf": // a true CRLF.CRLF: what follows is a second message by right
						if len(msgs) != 2 || strings.Contains(msgs[0].content, "evil") {
							t.Errorf("replies %q, messages %+v", got, msgs)
						}
					case tt.refused && !normalise:
						if len(msgs) != 0 || !strings.HasPrefix(got, "550 5.6.0 ") || strings.Count(got, "\n") != 1 || !c.gone() {
							t.Errorf("replies %q, messages %+v", got, msgs)
						}
					default:
						if len(msgs) != 1 || !strings.HasPrefix(got, "250 2.0.0 ") || strings.Count(got, "\n") != 1 {
							t.Fatalf("replies %q, messages %+v", got, msgs)
						}
						if m := msgs[0]; m.from != "a@sender.example" || len(m.to) != 1 || !strings.Contains(m.content, "evil") {
							t.Errorf("message %+v", m)
						}
					}
				})
			})
		}
	}
}

// TestChunksEndNowhereElse sends by BDAT what ends DATA: it is content.
func TestChunksEndNowhereElse(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		c := w.dial(stranger)
		c.say("EHLO client.example")
		c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>")
		body := "Subject: outer\r\n\r\ntext\r\n.\r\n" + smuggled
		c.send("BDAT " + itoa(len(body)) + " LAST\r\n" + body)
		got := c.heard()
		msgs := w.deliver.messages()
		if len(msgs) != 1 || msgs[0].content != body || got != "250 2.0.0 Accepted\r\n" {
			t.Errorf("replies %q, messages %+v", got, msgs)
		}
	})
}

// TestUnendedChunks: a message by BDAT whose last line has no end gets one, so that the next hop, the scanners and the
// journal see the same octets.
func TestUnendedChunks(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		c := w.dial(stranger)
		c.say("EHLO client.example")
		c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>")
		c.send("BDAT 14 LAST\r\nSubject: x\r\n\r\n" + "BDAT 3 LAST\r\nabc")
		if got := c.heard(); !strings.HasPrefix(got, "250 2.0.0 Accepted\r\n503 ") {
			t.Fatalf("replies %q", got)
		}
		c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>")
		c.send("BDAT 17 LAST\r\nSubject: x\r\n\r\nabc")
		if got := c.heard(); got != "250 2.0.0 Accepted\r\n" {
			t.Fatalf("replies %q", got)
		}
		if msgs := w.deliver.messages(); len(msgs) != 2 || msgs[1].content != "Subject: x\r\n\r\nabc\r\n" {
			t.Errorf("messages %+v", msgs)
		}
		if e := w.journal.events[1]; e.Record.Size != 19 {
			t.Errorf("size %d", e.Record.Size)
		}
	})
}
