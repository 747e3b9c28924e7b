package smtpd

import (
	"fmt"
	"strings"
)

// grammar writes a session from octets.
type grammar struct {
	ops    []byte
	n      int
	bursts []string
	burst  strings.Builder
}

func (g *grammar) op() byte {
	if len(g.ops) == 0 {
		return 0
	}
	b := g.ops[0]
	g.ops = g.ops[1:]
	return b
}

// write writes it all, in bursts.
func (g *grammar) write() []string {
	for len(g.ops) > 0 {
		g.burst.WriteString(g.token(g.op() % 32))
	}
	g.cut()
	return g.bursts
}

func (g *grammar) cut() {
	if g.burst.Len() > 0 {
		g.bursts = append(g.bursts, g.burst.String())
		g.burst.Reset()
	}
}

// tries are ends of a message that are none, and what makes one of them dangerous.
var tries = []string{"\n.\r\n", "\r.\r\n", "\r\n.\n", "\r\n.\r", "\n.\n", "\r.\r", "\r\n.\r\r\n", "\r\n.\x00\r\n", "\x00\r\n.\r\n", "\r\r\n.\r\n",
	"\n\n.\r\n", "\r\n\x00.\r\n", "\r\n..\r\n", "\r\n.", "\r\n\r\n.\r\n.\r\n"}

func (g *grammar) token(op byte) string {
	g.n++
	switch op {
	case 0:
		return "EHLO client.example\r\n"
	case 1:
		return "helo client.example\r\n"
	case 2:
		return "MAIL FROM:<a@sender.example>\r\n"
	case 3:
		return "MAIL FROM:<> SIZE=" + itoa(int(g.op())*4) + " BODY=8BITMIME\r\n"
	case 4, 5, 6, 7:
		return fmt.Sprintf([]string{"RCPT TO:<b%d@example.org>\r\n", "RCPT TO:<unknown%d@example.org>\r\n", "RCPT TO:<b%d@elsewhere.example>\r\n",
			"rcpt to:<b%d@other.example>\r\n"}[op-4], g.n)
	case 8:
		return "DATA\r\n"
	case 9:
		return fmt.Sprintf("Subject: m%d\r\n\r\n.dot\r\n..dots\r\n.\r\n", g.n)
	case 10:
		return "x" + tries[int(g.op())%len(tries)] + "MAIL FROM:<evil@sender.example>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nevil\r\n"
	case 11:
		return ".\r\n"
	case 12, 13, 14, 15:
		return g.chunk(op)
	case 16:
		return "RSET\r\n"
	case 17:
		return "NOOP\r\n"
	case 18:
		return "QUIT\r\n"
	case 19:
		n := min(int(g.op()), len(g.ops))
		raw := string(g.ops[:n])
		g.ops = g.ops[n:]
		return raw
	case 20:
		return "STARTTLS\r\n"
	case 21:
		return strings.ReplaceAll(g.token(g.op()%21), "\r\n", "\n")
	case 22:
		return strings.ReplaceAll(g.token(g.op()%21), "\r\n", "\r")
	case 23:
		return strings.Replace(g.token(g.op()%21), " ", "\x00", 1)
	case 24:
		return strings.Repeat("x", 150+int(g.op())) + "\r\n"
	case 25:
		return "GET / HTTP/1.1\r\n"
	case 26:
		return []string{"VRFY b\r\n", "HELP\r\n", "EXPN b\r\n", "AUTH PLAIN\r\n", "FOO\r\n", "\r\n", "DATA x\r\n", "BDAT\r\n", "RSET x\r\n", "QUIT x\r\n"}[int(g.op())%10]
	case 27:
		g.cut()
		return ""
	case 28:
		return "Subject: x\r\n\r\n"
	case 29:
		return strings.Repeat("big ", int(g.op())) + "\r\n"
	case 30:
		return strings.Repeat(".", int(g.op()%5)) + "\r\n"
	}
	return "MAIL FROM:<broken\r\n"
}

// chunk writes BDAT and its octets: commands among them, and too few or too many.
func (g *grammar) chunk(op byte) string {
	text := fmt.Sprintf("X: m%d\r\n", g.n)
	declared, last := len(text), ""
	switch op {
	case 13:
		last = " LAST"
	case 14:
		text = []string{"QUIT\r\n.\r\nRSET\r\n", "a\rb", "\n", "\r", "x\x00", ""}[int(g.op())%6]
		declared = len(text)
	case 15:
		by := int(g.op())
		declared, last = by/2, []string{"", " LAST"}[by%2]
	}
	return "BDAT " + itoa(declared) + last + "\r\n" + text
}
