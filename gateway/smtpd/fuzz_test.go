package smtpd

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"gatepost/gateway"
)

// FuzzSession plays sessions of verbs, bodies, chunks and garbage, and holds them to what must be true of each:
//   - one reply for each command and each message, nothing more, but a 421 before the end;
//   - a message is delivered when, and only when, the reply to its end is 250: whole, once, to those whose RCPT got 250;
//   - the same octets in one stream, cut anywhere, get the same replies.
func FuzzSession(f *testing.F) {
	f.Add([]byte{0, 2, 4, 8, 22})
	f.Add([]byte{0, 2, 4, 11, 11, 12, 2, 4, 9})
	f.Add([]byte{0, 2, 4, 11, 8, 12, 13, 2, 4, 11, 15, 12})
	f.Add([]byte{0, 2, 6, 12, 4, 8, 2, 5, 4, 7, 4, 20, 10})
	f.Add([]byte{1, 19, 4, 12, 8, 17, 5, 'D', 'A', 'T', 'A', ' ', 8, 22, 22})
	f.Add([]byte{0, 2, 4, 14, 12, 3, 4, 21, 8, 18, 23, 2, 2, 4, 8})
	f.Add([]byte{0, 2, 4, 24, 25, 12, 26, 16})
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 200 {
			return
		}
		var stream, replies string
		synctest.Test(t, func(t *testing.T) {
			w := fuzzWorld(t)
			m := &model{t: t, w: w, c: w.dial("127.0.0.1:4000")}
			m.expect("", 1)
			for len(ops) > 0 && !m.over {
				ops = m.step(ops)
			}
			stream, replies = m.stream.String(), m.replies.String()
		})
		synctest.Test(t, func(t *testing.T) {
			w := fuzzWorld(t)
			c := w.dial("127.0.0.1:4000")
			cut := len(stream)%7 + 1
			for rest := stream; rest != ""; cut = cut*5%97 + 1 {
				n := min(cut, len(rest))
				c.send(rest[:n])
				rest = rest[n:]
			}
			if got := withoutReferences(c.heard()); got != replies {
				t.Errorf("as a stream:\n%s\nnot\n%s", got, replies)
			}
		})
	})
}

func fuzzWorld(t *testing.T) *world {
	w := newWorld(t)
	w.snap.Policy.Thresholds = gateway.Thresholds{} // a stream is not judged for being one
	w.snap.Limits.MessageSize = 500
	w.snap.Limits.CommandLine = 200
	w.snap.Limits.Errors = 40
	return w
}

var reference = regexp.MustCompile(`Reference [0-9A-Z-]{16}`)

func withoutReferences(s string) string { return reference.ReplaceAllString(s, "Reference") }

// model is what the client knows of the session.
type model struct {
	t       *testing.T
	w       *world
	c       *client
	stream  strings.Builder
	replies strings.Builder
	n       int
	to      []string // accepted in the transaction
	chunks  string   // accepted in the transaction
	over    bool
}

// expect sends and returns the codes of what comes back, which must be n replies, or fewer and the end.
func (m *model) expect(send string, n int) (code string) {
	m.stream.WriteString(send)
	if send != "" {
		m.c.send(send)
	}
	got := m.c.heard()
	m.replies.WriteString(withoutReferences(got))
	var codes []string
	for line := range strings.SplitSeq(strings.TrimSuffix(got, "\r\n"), "\r\n") {
		if len(line) > 3 && line[3] == ' ' {
			codes = append(codes, line[:3])
		}
	}
	m.over = m.c.gone()
	if extra := len(codes) - n; extra > 1 || extra < 0 || extra == 1 && !(m.over && codes[n] == "421") {
		m.t.Fatalf("%q is answered by %q, closed is %v", send, got, m.over)
	}
	return codes[0]
}

func (m *model) step(ops []byte) (rest []byte) {
	m.n++
	op, rest := ops[0]%27, ops[1:]
	switch op {
	case 0, 1:
		if m.expect([]string{"EHLO", "HELO"}[op]+" client.example\r\n", 1) == "250" {
			m.to, m.chunks = nil, ""
		}
	case 2:
		m.expect("MAIL FROM:<a@sender.example>\r\n", 1)
	case 3:
		m.expect("MAIL FROM:<a@sender.example> SIZE=100000\r\n", 1)
	case 19:
		m.expect("mail from:<> body=8bitmime\r\n", 1)
	case 4, 5, 6, 7:
		to := []string{"b%d@example.org", "unknown%d@example.org", "b%d@elsewhere.example", "b%d@other.example"}[op-4]
		to = fmt.Sprintf(to, m.n)
		if m.expect("RCPT TO:<"+to+">\r\n", 1) == "250" {
			m.to = append(m.to, to)
		}
	case 8, 9, 10, 20, 24:
		m.data(op)
	case 11, 12, 13, 14, 25, 26:
		m.chunk(op)
	case 15:
		m.expect("RSET\r\n", 1)
		m.to, m.chunks = nil, ""
	case 16:
		m.expect("NOOP\r\n", 1)
		return rest // the only other that leaves chunks in peace
	case 17:
		rest = m.garbage(rest)
	case 18:
		m.expect("VRFY b\r\n", 1)
	case 21:
		m.expect("NOOP "+strings.Repeat("x", 300)+"\r\n", 1)
	case 22:
		m.expect("QUIT\r\n", 1)
	case 23:
		m.expect("HELP\r\n", 1)
	}
	if op < 11 || op > 14 && op < 25 {
		if m.chunks != "" { // the transaction is gone
			m.to, m.chunks = nil, ""
		}
	}
	return rest
}

func (m *model) data(op byte) {
	before := len(m.w.deliver.messages())
	if m.expect("DATA\r\n", 1) != "354" {
		return
	}
	content := fmt.Sprintf("Subject: m%d\r\n\r\n", m.n)
	switch op {
	case 9:
		content += "bare\nlf\r\n"
	case 10:
		content += ".\x00"[:1] + "dot\r\n..two\r\n"
	case 20:
		content += "VIRUS\r\n"
	case 24:
		content += strings.Repeat("big ", 200) + "\r\n"
	default:
		content += "text\r\n"
	}
	stuffed := strings.ReplaceAll(content, "\n.", "\n..")
	m.ended(m.expect(stuffed+".\r\n", 1), before, content)
}

func (m *model) chunk(op byte) {
	before := len(m.w.deliver.messages())
	text, last := fmt.Sprintf("X: m%d\r\n", m.n), ""
	switch op {
	case 12:
		last = " LAST"
	case 13:
		text, last = "", " LAST"
	case 14:
		text = strings.Repeat("RSET\r\n", 100)
	case 25:
		text = "QUIT\r\nNOOP\r\n.\r\n"
	case 26:
		text = "NOOP\rNOOP\n"
	}
	code := m.expect(fmt.Sprintf("BDAT %d%s\r\n%s", len(text), last, text), 1)
	if code == "250" && last == "" {
		if len(m.w.deliver.messages()) != before {
			m.t.Fatalf("a message was delivered before its last chunk")
		}
		m.chunks += text
		return
	}
	m.ended(code, before, m.chunks+text)
}

// ended holds the end of a message against what was delivered.
func (m *model) ended(code string, before int, content string) {
	msgs := m.w.deliver.messages()[before:]
	want := 0
	if code == "250" {
		want = 1
	}
	if len(msgs) != want {
		m.t.Fatalf("%s, and %d messages", code, len(msgs))
	}
	if want == 1 && (msgs[0].content != content || !slices.Equal(msgs[0].to, m.to) || len(m.to) == 0) {
		m.t.Fatalf("delivered %+v, not %q to %q", msgs[0], content, m.to)
	}
	m.to, m.chunks = nil, ""
}

// garbage sends a line of any octets.
func (m *model) garbage(ops []byte) (rest []byte) {
	if len(ops) == 0 {
		return nil
	}
	n := min(int(ops[0]), len(ops)-1)
	line := strings.Map(func(r rune) rune {
		if r == '\n' {
			return -1
		}
		return r
	}, string(ops[1:1+n]))
	switch verb, _, _ := strings.Cut(strings.ToUpper(line)+" ", " "); verb {
	case "BDAT", "DATA", "RCPT", "RSET", "EHLO", "HELO", "NOOP", "MAIL":
		line = "X" + line // the model must know what these do
	}
	m.expect(line+"\r\n", 1)
	return ops[1+n:]
}
