package smtpd

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

// FuzzGrammar writes whole sessions from a grammar of commands, bodies, chunks, smuggling tries, broken line ends and
// garbage, sends them in bursts that are cut anywhere, and reads the replies beside an interpreter of its own (oracle),
// which shares no code with the engine. What must be true of each session:
//   - one reply for each command, message and chunk, in order, and nothing behind the end;
//   - a message is delivered when, and only when, the reply to its end is 250: once, with exactly its content, to as many
//     as RCPT took, none of whom is unknown or elsewhere;
//   - the same octets cut elsewhere get the same replies;
//   - no goroutine and no body stays.
func FuzzGrammar(f *testing.F) {
	f.Add([]byte{0, 0, 2, 4, 8, 9, 18})
	f.Add([]byte{3, 0, 2, 4, 8, 10, 0, 9, 2, 4, 18})
	f.Add([]byte{0, 0, 2, 4, 12, 5, 13, 5, 2, 4, 14, 16, 13, 0, 18})
	f.Add([]byte{9, 0, 2, 4, 8, 27, 10, 1, 10, 2, 11, 4, 17})
	f.Add([]byte{1, 21, 0, 21, 2, 21, 4, 21, 8, 9, 21, 18})
	f.Add([]byte{1, 21, 0, 2, 4})
	f.Add([]byte{0, 0, 2, 5, 6, 7, 4, 8, 29, 9, 2, 4, 15, 3, 18})
	f.Add([]byte{5, 0, 20, 27, 0, 2, 4, 8})
	f.Add([]byte{0, 0, 20, 0, 2, 4, 8})
	f.Add([]byte{0, 0, 2, 4, 19, 12, 'D', 'A', 'T', 'A', ' ', '\r', '\n', 'x', '\r', '\n', '.', '\n', 11, 25})
	f.Add([]byte{0, 0, 2, 22, 4, 23, 4, 24, 26, 0, 26, 1, 28, 31, 8, 30, 9, 1, 17})
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) < 2 || len(ops) > 300 {
			return
		}
		g := &grammar{ops: ops[1:]}
		bursts := g.write()
		newline := gateway.ActionDrop
		if ops[0]&1 == 1 {
			newline = gateway.ActionScore
		}
		stream := strings.Join(bursts, "")
		replies := play(t, bursts, stream, newline)
		if cutMatters.MatchString(stream) {
			return
		}
		if again := play(t, cutUp(stream, int(ops[0])), stream, newline); again != replies {
			t.Errorf("%q cut elsewhere:\n%s\nnot\n%s", stream, again, replies)
		}
	})
}

// cutMatters: what lies behind STARTTLS in the same packet ends the session; and the beginning of an unknown verb may be
// taken for a method of HTTP.
var cutMatters = regexp.MustCompile(`(?i)STARTTLS|GET|HEAD|POST|PUT|DELETE|OPTIONS|CONNECT|TRACE|PATCH|PRI`)

func cutUp(stream string, seed int) (bursts []string) {
	for n := seed%11 + 1; stream != ""; n = n*7%61 + 1 {
		n = min(n, len(stream))
		bursts = append(bursts, stream[:n])
		stream = stream[n:]
	}
	return bursts
}

// play sends the bursts, each when nothing happens any more, and holds what is heard against the oracle.
func play(t *testing.T, bursts []string, stream string, newline gateway.Action) (replies string) {
	synctest.Test(t, func(t *testing.T) {
		w := fuzzWorld(t)
		w.offerTLS()
		w.snap.Limits.ErrorDelay, w.snap.Limits.JunkCommands, w.snap.Policy.Delays.UnknownRecipient = 0, 30, 0
		w.snap.Policy.Checks["newline"] = gateway.CheckPolicy{Action: newline}
		w.snap.Policy.Checks["verb"] = gateway.CheckPolicy{Action: gateway.ActionObserve}
		c := w.dial(stranger)
		var heard strings.Builder
		heard.WriteString(c.heard())
		for _, b := range bursts {
			c.send(b)
			heard.WriteString(c.heard())
		}
		gone := c.gone()
		o := &oracle{t: t, stream: stream, replies: codes(heard.String()), gone: gone, lax: newline != gateway.ActionDrop,
			delivered: w.deliver.messages(), said: heard.String()}
		o.run()
		for line := range strings.SplitSeq(heard.String(), "\r\n") {
			if strings.Count(line, "Reference ") > 1 || strings.HasPrefix(line, "5") && !strings.Contains(line, "Reference ") {
				o.fail("a refusal has one reference: %q", line)
			}
		}
		c.hangUp()
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := w.srv.Sessions(); n != 0 || w.bodies != 0 {
			t.Errorf("%d sessions, %d bodies stay", n, w.bodies)
		}
		replies = withoutReferences(heard.String())
	})
	return replies
}

// codes returns the codes of whole replies; behind a TLS alert there are none.
func codes(heard string) (out []string) {
	for line := range strings.SplitSeq(strings.TrimSuffix(heard, "\r\n"), "\r\n") {
		if len(line) > 3 && line[3] == ' ' {
			out = append(out, line[:3])
		}
	}
	return out
}

// oracle reads the client's octets as RFC 5321 and RFC 3030 do, one by one, beside the replies that came.
type oracle struct {
	t         *testing.T
	stream    string
	replies   []string
	said      string
	gone, lax bool
	delivered []delivered

	lines    int
	lfClient bool // its first line ended in a bare LF
	greeted  bool
	extended bool
	inMail   bool
	to       int
	chunks   []byte
	chunked  bool
	messages int
	over     bool // the reply before was the last
}

func (o *oracle) fail(format string, args ...any) {
	o.t.Helper()
	o.t.Fatalf("%s\nclient %q\nserver %q\ndelivered %+v", fmt.Sprintf(format, args...), o.stream, o.said, o.delivered)
}

// next takes the next reply. There is none when the session ended with the one before.
func (o *oracle) next(what string) (code string) {
	if len(o.replies) == 0 {
		if !o.gone {
			o.fail("no reply to %.60q", what)
		}
		o.over = true
		return ""
	}
	code, o.replies = o.replies[0], o.replies[1:]
	if code == "421" {
		o.over = true
	}
	return code
}

func (o *oracle) run() {
	if code := o.next("connecting"); code != "220" {
		o.fail("the banner is %s", code)
	}
	rest := o.stream
	for rest != "" && !o.over {
		rest = o.line(rest)
	}
	if len(o.replies) == 1 && o.replies[0] == "421" && o.gone {
		o.replies = nil
	}
	if len(o.replies) > 0 {
		o.fail("more replies than commands: %s", o.replies)
	}
	if o.messages != len(o.delivered) {
		o.fail("%d messages were accepted, %d delivered", o.messages, len(o.delivered))
	}
}

func (o *oracle) drop() { o.inMail, o.to, o.chunks, o.chunked = false, 0, nil, false }

// last takes a reply that ends the session.
func (o *oracle) last(what, want string) string {
	if code := o.next(what); code != want && code != "421" || !o.gone { // or the errors before were too many
		o.fail("%.60q is answered by %s, closed %t", what, code, o.gone)
	}
	o.over = true
	return ""
}

func (o *oracle) line(s string) (rest string) {
	const methods = " GET HEAD POST PUT DELETE OPTIONS CONNECT TRACE PATCH PRI "
	first := s[0]
	if first < ' ' && first != '\r' && first != '\n' && first != '\t' || first >= 0x7f {
		return o.last(s, "554")
	}
	end := strings.IndexByte(s, '\n')
	word, _, _ := strings.Cut(s[:max(end, 0)], " ")
	if word = strings.TrimSuffix(word, "\r"); strings.Contains(methods, " "+word+" ") && word != "" {
		return o.last(s, "554")
	}
	if end < 0 { // not whole: no reply; but the beginning may be enough to see what it is not
		if len(o.replies) > 0 && o.replies[0] == "554" && o.gone {
			o.next(s)
		}
		return ""
	}
	text, rest := s[:end], s[end+1:]
	lf := !strings.HasSuffix(text, "\r")
	if o.lines++; o.lines == 1 {
		o.lfClient = lf
	}
	whole := end + 1
	text = strings.TrimSuffix(text, "\r")
	broken := strings.ContainsAny(text, "\r\x00") || whole > 200
	if strings.HasPrefix(text, "GET") || strings.HasPrefix(text, "P") || strings.HasPrefix(text, "HEAD") || strings.HasPrefix(text, "DELETE") ||
		strings.HasPrefix(text, "OPTIONS") || strings.HasPrefix(text, "CONNECT") || strings.HasPrefix(text, "TRACE") {
		if len(o.replies) == 1 && o.replies[0] == "554" && o.gone { // cut behind the method
			return o.last(s, "554")
		}
	}
	switch {
	case lf && (broken || !o.lfClient || !o.lax), !lf && o.lfClient:
		return o.last(text, "554")
	case broken:
		if o.chunked {
			o.drop()
		}
		o.expect(text, "500")
		return rest
	}
	return o.command(text, rest)
}

func (o *oracle) expect(text string, want ...string) (code string) {
	code = o.next(text)
	for _, w := range want {
		if code == w || o.over {
			return code
		}
	}
	o.fail("%.60q is answered by %s", text, code)
	return ""
}

func (o *oracle) command(text, rest string) string {
	verb, arg, _ := strings.Cut(text, " ")
	verb, arg = strings.ToUpper(verb), strings.Trim(arg, " \t")
	if strings.ContainsFunc(arg, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		verb = "" // no command has a control octet
	}
	if o.chunked && verb != "BDAT" && verb != "RSET" && verb != "NOOP" && verb != "QUIT" {
		o.drop()
		o.expect(text, "503", "500")
		return rest
	}
	switch verb {
	case "EHLO", "HELO":
		if o.expect(text, "250", "501", "500") == "250" {
			o.greeted, o.extended = true, verb == "EHLO"
			o.drop()
		}
	case "MAIL":
		if o.expect(text, "250", "501", "503", "552", "553", "555", "500") == "250" {
			if !o.greeted || o.inMail {
				o.fail("%q is taken, greeted %t, in a transaction %t", text, o.greeted, o.inMail)
			}
			o.inMail = true
		}
	case "RCPT":
		if o.expect(text, "250", "452", "501", "503", "550", "552", "553", "554", "555", "500") == "250" {
			if low := strings.ToLower(text); !o.inMail || strings.Contains(low, "unknown") || strings.Contains(low, "elsewhere") {
				o.fail("%q is taken", text)
			}
			o.to++
		}
	case "DATA":
		return o.data(text, rest)
	case "BDAT":
		return o.chunk(arg, rest)
	case "RSET":
		if o.expect(text, "250", "501", "500") == "250" {
			o.drop()
		}
	case "QUIT":
		if o.expect(text, "221", "500") == "221" {
			o.over = true
		}
	case "STARTTLS":
		switch o.expect(text, "220", "454", "501", "502", "503", "554", "500") {
		case "220", "554": // what follows is no handshake, and never SMTP
			o.over = true
			if len(o.replies) > 0 {
				o.fail("replies behind STARTTLS: %s", o.replies)
			}
		}
	case "NOOP", "VRFY", "EXPN", "HELP", "AUTH", "TURN", "ETRN":
		o.expect(text, "250", "252", "214", "502", "501", "503", "500")
	default:
		o.expect(text, "500")
	}
	return rest
}

func (o *oracle) data(text, rest string) string {
	if o.expect(text, "354", "501", "503", "554", "500") != "354" {
		return rest
	}
	if o.to == 0 || o.chunked {
		o.fail("354 without a recipient, or within chunks")
	}
	end := strings.Index("\r\n"+rest, "\r\n.\r\n")
	if end < 0 {
		return ""
	}
	raw := rest[:end]
	var content strings.Builder
	for line := range strings.SplitAfterSeq(raw, "\r\n") {
		content.WriteString(strings.TrimPrefix(line, "."))
	}
	o.ended(content.String(), false)
	return rest[end+3:]
}

var chunkArg = regexp.MustCompile(`^([0-9]{1,18})(?: (?i:LAST))?$`)

func (o *oracle) chunk(arg, rest string) string {
	m := chunkArg.FindStringSubmatch(arg)
	if m == nil {
		code := o.next("BDAT " + arg)
		if o.over {
			return "" // by the errors before
		}
		if code != "501" && code != "500" || !o.gone && code == "501" {
			o.fail("BDAT %s is answered by %s", arg, code)
		}
		o.over = o.over || code == "501"
		return rest
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || n > int64(len(rest)) {
		if len(o.replies) > 0 { // too big to be read at all
			if code := o.next(arg); code != "421" && code != "552" || !o.gone {
				o.fail("an unfinished chunk %q is answered by %s", arg, code)
			}
		}
		return ""
	}
	payload, rest := rest[:n], rest[n:]
	if strings.HasSuffix(strings.ToUpper(arg), "LAST") && o.to > 0 {
		content := string(o.chunks) + payload
		if content != "" && !strings.HasSuffix(content, "\r\n") {
			content += "\r\n"
		}
		o.ended(content, true)
		return rest
	}
	before := o.to
	switch code := o.next("BDAT " + arg); {
	case o.over:
	case code == "250":
		if before == 0 {
			o.fail("a chunk without a recipient is taken")
		}
		o.chunks, o.chunked = append(o.chunks, payload...), true
	default:
		o.drop()
	}
	return rest
}

// ended holds the reply to the end of a message against what was delivered.
func (o *oracle) ended(content string, chunks bool) {
	bad := strings.Contains(content, "\x00") || bytes.ContainsAny([]byte(strings.ReplaceAll(content, "\r\n", "")), "\r\n")
	if chunks && strings.HasSuffix(strings.TrimSuffix(content, "\r\n"), "\r") {
		bad = true
	}
	code := o.next("the end of a message")
	switch {
	case code == "250":
		if bad || len(content) > 502 || o.messages >= len(o.delivered) {
			o.fail("a message is accepted: bad %t, %d octets, %d delivered", bad, len(content), len(o.delivered))
		}
		m := o.delivered[o.messages]
		if m.content != content || len(m.to) != o.to {
			o.fail("delivered %+v, not %q to %d", m, content, o.to)
		}
		for _, to := range m.to {
			if strings.HasPrefix(to, "unknown") || !strings.HasSuffix(to, "example.org") && !strings.HasSuffix(to, "other.example") {
				o.fail("delivered to %q", to)
			}
		}
		o.messages++
	case code < "400" && !o.over:
		o.fail("the end of a message is answered by %s", code)
	case chunks && !o.extended && code == "502": // CHUNKING was not offered
	case !bad && len(content) <= 498 && !o.over:
		o.fail("a good message is answered by %s: %q", code, content)
	case bad && !chunks && len(o.replies) == 0 && o.gone:
		o.over = true
	}
	o.drop()
}
