package smtpd

import (
	"slices"
	"strings"
	"testing"

	"gatepost/gateway"
)

// lending is a body that lends its memory, as often as it may.
type lending struct {
	memory
	rooms, most int
}

func (l *lending) Room(most int) ([]byte, error) {
	if l.rooms++; l.rooms > l.most {
		return nil, errFull
	}
	l.hold(true)
	l.b = slices.Grow(l.b, most)
	return l.b[len(l.b):][:most], nil
}

func (l *lending) Keep(n int) { l.b = l.b[:len(l.b)+n] }

// TestMessageIsReadToWhereItStays: a large message is read into the memory of its body, and so is one whose body finds no
// more room on the way: it is given back while its sender is still sending.
func TestMessageIsReadToWhereItStays(t *testing.T) {
	text := "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n.\r\n..two\r\n", 3000)
	for _, most := range []int{1000, 2} {
		bubble(t, func(t *testing.T, w *world) {
			body := &lending{memory: memory{w: w}, most: most}
			w.newBody = func() gateway.BodyWriter { return body }
			c := w.dial(stranger)
			c.say("EHLO client.example")
			c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>")
			c.say("DATA")
			stuffed := strings.ReplaceAll(text, "\n.", "\n..")
			c.send(stuffed)
			if got := c.heard(); got != "" || (w.bodies == 1) != (most == 1000) || body.rooms < 3 {
				t.Errorf("%q, %d bodies, %d times lent", got, w.bodies, body.rooms)
			}
			c.send(".\r\nNOOP\r\n")
			got, all := c.heard(), w.deliver.messages()
			if most == 1000 {
				if !strings.HasPrefix(got, "250 2.0.0 ") || len(all) != 1 || all[0].content != text {
					t.Errorf("%q, %d messages", got, len(all))
				}
			} else if !strings.HasPrefix(got, "452 4.3.1 ") || len(all) != 0 || body.rooms != 3 {
				t.Errorf("without room: %q, %d messages, %d times lent", got, len(all), body.rooms)
			}
			if lines := strings.Split(strings.TrimSpace(got), "\n"); !strings.HasPrefix(lines[len(lines)-1], "250 2.0.0 ") {
				t.Errorf("the command behind it: %q", got)
			}
			c.say("QUIT")
		})
	}
}
