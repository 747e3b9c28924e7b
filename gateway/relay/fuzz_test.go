package relay

import (
	"strings"
	"testing"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

// What the sender is told is a 5xx only when the next hop said 5xx, never a success, and never more than clean text.
func FuzzMapReply(f *testing.F) {
	for _, s := range []string{"250 2.0.0 Ok\r\n", "550 5.1.1 No such user\r\n", "550-5.7.1 two\r\n550 5.7.1 lines\r\n", "421 4.3.2 bye\r\n",
		"354 go\r\n", "503 5.5.1 no\r\n", "450\r\n", "554 4.1.1 liar\r\n", "299 2.0.0 odd\r\n", "550 5.1.1 \x1b[31mred\xff\r\n",
		"530 5.7.0 auth\r\n", "599 x\r\n", "550 " + strings.Repeat("long ", 300) + "\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := smtpwire.NewReader(strings.NewReader(text)).ReadReply()
		if err != nil {
			return
		}
		result, told := mapReply(r)
		switch {
		case told.Code < 400 || told.Code > 599 || told.Code == 421:
			t.Errorf("%q is told as %d", text, told.Code)
		case told.Code >= 500 && (r.Code < 500 || result != gateway.RefusedByHop):
			t.Errorf("%q is told as %d, %s", text, told.Code, result)
		case told.Code < 500 && result == gateway.RefusedByHop:
			t.Errorf("%q is refused with %d", text, told.Code)
		case result != gateway.RefusedByHop && result != gateway.DeferredByHop && result != gateway.NotDelivered:
			t.Errorf("%q is %s", text, result)
		case told.Enhanced == "" || int(told.Enhanced[0]-'0') != told.Code/100:
			t.Errorf("%q has the enhanced code %q with %d", text, told.Enhanced, told.Code)
		case told.Text == "" || len(told.Text) > maxLines*(maxText+1):
			t.Errorf("%q is told with %d octets", text, len(told.Text))
		}
		for _, c := range []byte(told.Text) {
			if (c < ' ' && c != '\n') || c > '~' {
				t.Fatalf("%q is told with octet %#x", text, c)
			}
		}
	})
}

// Whatever a next hop says to EHLO: limits are never negative, and only what was said counts.
func FuzzEHLO(f *testing.F) {
	for _, s := range []string{"250-x\r\n250-SIZE 1000\r\n250-pipelining\r\n250 8BITMIME\r\n", "250 PIPELINING\r\n", "250-x\r\n250-SIZE\r\n250 SIZE -1\r\n",
		"250-x\r\n250-SIZE 99999999999999999999999\r\n250-LIMITS RCPTMAX=10 MAILMAX=x\r\n250 starttls\r\n", "250-x\r\n250-LIMITS RCPTMAX=-1 rcptmax=+5\r\n250 STARTTLSX\r\n",
		"250-x\r\n250-AUTH=LOGIN\r\n250-\r\n250 SIZE=5\r\n", "250-x\r\n250-SMTPUTF8 CHUNKING\r\n250 dsn\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := smtpwire.NewReader(strings.NewReader(text)).ReadReply()
		if err != nil {
			return
		}
		o := parseEHLO(r.Lines)
		c := o.carries()
		if o.size < 0 || o.recipients < 0 || !c.Known || !o.extended {
			t.Errorf("%q: %+v", text, o)
		}
		upper := strings.ToUpper(strings.Join(r.Lines[1:], "\n"))
		for word, on := range map[string]bool{"PIPELINING": o.pipelining, "8BITMIME": o.eightBit, "SMTPUTF8": o.utf8,
			"CHUNKING": o.chunking, "DSN": o.dsn, "STARTTLS": o.starttls, "SIZE": o.sizeSaid, "RCPTMAX": o.recipients > 0} {
			if on && !strings.Contains(upper, word) {
				t.Errorf("%q: nobody said %s", text, word)
			}
		}
		for _, other := range []gateway.Carries{c, {}, {Known: true}} {
			b := both(c, other)
			if b != both(other, c) || other.Known && (b.UTF8 && !other.UTF8 || b.EightBit && !other.EightBit) {
				t.Errorf("%q: both are %+v", text, b)
			}
		}
	})
}

// A command never holds a second one, whatever the address.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"a@b.example", `"a b"@c.example`, "a@b>\r\nDATA", `"\`, "jürgen@x", `"a\"@b`, "", "postmaster", "a@[1.2.3.4]", `"a"b"@x`} {
		f.Add(s, "x", "y.example", true)
		f.Add(s, s, s, false)
	}
	f.Fuzz(func(t *testing.T, text, local, domain string, utf8 bool) {
		p, err := wirePath(gateway.Address{Text: text, Local: local, Domain: domain}, utf8)
		if err != nil {
			return
		}
		if p = "<" + p + ">"; !utf8 && !ascii(p) {
			t.Errorf("%q needs SMTPUTF8", p)
		}
		quoted := false
		for i := 1; i < len(p)-1; i++ {
			switch c := p[i]; {
			case c < ' ' || c == 127:
				t.Fatalf("%q has octet %#x", p, c)
			case c == '\\' && quoted:
				i++
			case c == '"':
				quoted = !quoted
			case !quoted && (c == ' ' || c == '>' || c == '<'):
				t.Fatalf("%q ends before its end", p)
			}
		}
		if quoted {
			t.Fatalf("%q is open", p)
		}
	})
}
