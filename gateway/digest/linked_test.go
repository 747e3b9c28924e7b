package digest

import (
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
)

// TestLinkToken: a token names both addresses, each of them for itself, and is none for anything else; nor is a token for anything
// else one by which an address is linked.
func TestLinkToken(t *testing.T) {
	long := strings.Repeat("x", maxRcpt)
	for _, pair := range [][2]string{{"info@served.test", "ann@served.test"}, {"jörg@served.test", `"a b"@served.test`}, {long, long}} {
		want := &Token{ID: 7, Rcpt: pair[0], Owner: pair[1], Action: Link, Expires: now().Add(time.Hour)}
		text := Make(testKey(1), want)
		if len(text) > 1024 {
			t.Errorf("%d octets are more than the pages take", len(text))
		}
		if got, err := Read(testKey(1), text, Link, now()); err != nil || *got != *want {
			t.Errorf("%+v, %v", got, err)
		}
		for _, other := range []Action{Release, Login, Session} {
			if _, err := Read(testKey(1), text, other, now()); !errors.Is(err, ErrForged) {
				t.Errorf("as %d: %v", other, err)
			}
			same := *want
			same.Action = other
			if _, err := Read(testKey(1), Make(testKey(1), &same), Link, now()); !errors.Is(err, ErrForged) {
				t.Errorf("of %d: %v", other, err)
			}
		}
	}
	for what, bad := range map[string]Token{"nobody's": {Rcpt: "info@served.test"}, "too long": {Rcpt: "info@served.test", Owner: long + "x"}} {
		bad.Action, bad.Expires = Link, now().Add(time.Hour)
		if got, err := Read(testKey(1), Make(testKey(1), &bad), Link, now()); !errors.Is(err, ErrForged) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
}

// TestLinkMail: each mail names both addresses and where to go, in both languages, with no mistake of our own formats in it, and
// says who asked and how long, or who ended it.
func TestLinkMail(t *testing.T) {
	for _, language := range Languages() {
		for news, wants := range map[News][]string{LinkAsked: {"60"}, LinkMade: nil, LinkEnded: {"info@served.test (Portal)"}} {
			m := LinkMail{Host: "mx.served.test", To: gateway.Address{Text: "info@served.test", Local: "info", Domain: "served.test"}, Language: language, Date: now(), News: news,
				Owner: "ann@served.test", Address: "info@served.test", By: "info@served.test (Portal)", Link: "https://q.served.test/link/TOKEN", Valid: time.Hour}
			raw, utf8 := m.Make()
			msg, err := mail.ReadMessage(strings.NewReader(string(raw)))
			if err != nil || utf8 {
				t.Fatal(err, utf8)
			}
			text, err := io.ReadAll(quotedprintable.NewReader(msg.Body))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range append(wants, "ann@served.test", "info@served.test", m.Link) {
				if !strings.Contains(string(text), want) {
					t.Errorf("%s %d: %q is missing in\n%s", language, news, want, text)
				}
			}
			subject, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
			if err != nil || subject != linkWords(language)[news][0] || strings.Contains(string(text), "%!") || msg.Header.Get("To") != "<info@served.test>" || msg.Header.Get("Auto-Submitted") != "auto-generated" {
				t.Errorf("%s %d: %v, %v\n%s", language, news, msg.Header, err, text)
			}
		}
	}
}

// TestSessionFurther: a session comes back with the further addresses that there is room for, and no other token has any.
func TestSessionFurther(t *testing.T) {
	var many []string
	for i := range MaxFurther + 3 {
		many = append(many, strings.Repeat("x", i)+"y@served.test")
	}
	long := strings.Repeat("z", maxRcpt)
	for _, c := range []struct {
		in   []string
		held int
	}{{nil, 0}, {many[:1], 1}, {many, MaxFurther}, {[]string{long, long, long, long, "a@served.test"}, 3}} {
		further, n := JoinFurther(c.in)
		want := &Token{ID: 7, Rcpt: long, Further: further, Action: Session, Expires: now().Add(time.Hour)}
		text := Make(testKey(1), want)
		got, err := Read(testKey(1), text, Session, now())
		if err != nil || *got != *want || n != c.held || len(SplitFurther(got.Further)) != n || len(text) > 2560 {
			t.Errorf("%d of %d, %d octets, %v", n, len(c.in), len(text), err)
		}
		for i, a := range SplitFurther(further) {
			if a != c.in[i] {
				t.Errorf("%q, want %q", a, c.in[i])
			}
		}
	}
	login := &Token{ID: 7, Rcpt: "a@served.test", Further: "b@served.test", Action: Login, Expires: now().Add(time.Hour)}
	if got, err := Read(testKey(1), Make(testKey(1), login), Login, now()); err != nil || got.Further != "" || got.Rcpt != "a@served.test" {
		t.Errorf("%+v, %v", got, err)
	}
}
