package author

import (
	"io"
	"math/rand/v2"
	"mime"
	"strings"
	"testing"
)

// client is a way to find the author in an unfolded From field: none that the RFC has, and each in use somewhere. It returns
// what it takes for the address, or "".
type client func(value string) string

// clients are all of them: what one shows another may not.
func clients() map[string]client {
	plain := map[string]client{
		"first brackets":            func(s string) string { return brackets(s, true, true, false) },
		"last brackets":             func(s string) string { return brackets(s, false, true, false) },
		"first, quotes without \\":  func(s string) string { return brackets(s, true, false, false) },
		"last, quotes without \\":   func(s string) string { return brackets(s, false, false, false) },
		"first, without comments":   func(s string) string { return brackets(s, true, true, true) },
		"first part of a list":      func(s string) string { return part(s, true) },
		"last part of a list":       func(s string) string { return part(s, false) },
		"no brackets, first word":   func(s string) string { return word(s, true) },
		"no brackets, last word":    func(s string) string { return word(s, false) },
		"behind the brackets first": behind,
	}
	all := map[string]client{}
	for name, c := range plain {
		all[name] = c
		all[name+", decoded before"] = func(s string) string {
			d := mime.WordDecoder{CharsetReader: func(string, io.Reader) (io.Reader, error) { return nil, io.ErrUnexpectedEOF }}
			decoded, err := d.DecodeHeader(s)
			if err != nil || decoded == s {
				return ""
			}
			return c(decoded)
		}
	}
	return all
}

// outside calls f with each octet that stands outside of quotes.
func outside(s string, escapes bool, f func(i int, c byte)) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && escapes:
			i++
		case c == '"':
			quoted = !quoted
		case !quoted:
			f(i, c)
		}
	}
}

func brackets(s string, first, escapes, comments bool) (address string) {
	if comments {
		s = uncommented(s)
	}
	open, done := -1, false
	outside(s, escapes, func(i int, c byte) {
		switch {
		case done:
		case c == '<':
			open = i + 1
		case c == '>' && open >= 0:
			address = s[open:i]
			open, done = -1, first && strings.Contains(address, "@")
		}
	})
	return address
}

// uncommented drops comments, for who knows no nested ones.
func uncommented(s string) string {
	for {
		from := strings.IndexByte(s, '(')
		if from < 0 {
			return s
		}
		n := strings.IndexByte(s[from:], ')')
		if n < 0 {
			return s
		}
		s = s[:from] + s[from+n+1:]
	}
}

// part is an element of a list by commas and semicolons that names an address.
func part(s string, first bool) (address string) {
	from := 0
	take := func(to int) {
		one := s[from:to]
		if from = to + 1; strings.Contains(one, "<") {
			one = brackets(one, true, true, false)
		} else {
			one = strings.TrimSpace(one)
		}
		if strings.Contains(one, "@") && !strings.ContainsAny(one, " \t\"(") && (address == "" || !first) {
			address = one
		}
	}
	outside(s, true, func(i int, c byte) {
		if c == ',' || c == ';' {
			take(i)
		}
	})
	take(len(s))
	return address
}

// word is one that looks like an address, where there are no brackets.
func word(s string, first bool) (address string) {
	if strings.ContainsAny(s, "<>") {
		return ""
	}
	for _, w := range strings.Fields(s) {
		if strings.Contains(w, "@") && !strings.ContainsAny(w, `"()`) && (address == "" || !first) {
			address = w
		}
	}
	return strings.TrimRight(address, ",;")
}

// behind is an address without brackets that stands before or behind some.
func behind(s string) string {
	if i := strings.LastIndexByte(s, '>'); i >= 0 {
		return word(strings.NewReplacer("<", "", ">", "").Replace(s[i:]), false)
	}
	return ""
}

// others returns what clients show that is of another domain than that of the author.
func others(value, domain string) map[string]string {
	out := map[string]string{}
	for name, c := range clients() {
		address := c(value)
		at := strings.LastIndexByte(address, '@')
		if at < 1 || !strings.Contains(address[at:], ".") { // no address of the Internet
			continue
		}
		host, wrong := toDomain(strings.Trim(address[at+1:], " \t"), true)
		if wrong == 0 && !below(host, domain) {
			out[name] = address
		}
	}
	return out
}

// TestClientsAgree shows that whatever reads as one author is the same for every client, and that the clients of this test
// do differ where it matters.
func TestClientsAgree(t *testing.T) {
	for _, value := range plainValues() {
		value = strings.TrimSpace(strings.ReplaceAll(value, "\r\n", ""))
		a := Of([]byte("From: "+value+"\r\n"), false)
		if o := others(value, a.Domain); len(o) > 0 {
			t.Errorf("%q is of %s: %v", value, a.Domain, o)
		}
	}
	differ := map[string]bool{}
	for _, value := range []string{"<a@one.example> <b@two.example>", "a@one.example, b@two.example", "<a@one.example>b@two.example", `"a\" <a@one.example> \"" <b@two.example>`,
		"(<a@one.example>) <b@two.example>", b64("<a@one.example>") + ",<b@two.example>", "a@one.example b@two.example"} {
		for name := range others(value, "two.example") {
			differ[name] = true
		}
		for name := range others(value, "one.example") {
			differ[name] = true
		}
	}
	if len(differ) < 12 {
		t.Errorf("only %d clients differ: %v", len(differ), differ)
	}
}

// TestClientsAgreeOnPieces puts fields together at random from what attacks are made of. Whatever still reads as one author
// is the same for every client.
func TestClientsAgreeOnPieces(t *testing.T) {
	pieces := []string{"<a@one.example>", "a@one.example", "<b@two.example>", "b@two.example", `"`, `\"`, `\`, "(", ")", ",", ";", ":", "<", ">", "@", " ", "x", ".",
		`"a@one.example"`, `"<a@one.example>"`, "(a@one.example)", "(<a@one.example>)", b64("<a@one.example>"), b64("a@one.example"), b64("a@one.example,"), b64("<"), b64(">"),
		"=?utf-8?q?a=40one.example?=", "=?utf-8?q?x?=", "one.example", "two.example", "\u202e", "\xff", "[", "]", `"x, y"`, "Anna"}
	random := rand.New(rand.NewPCG(1, 2))
	one := 0
	for range 40_000 {
		var b strings.Builder
		for range 1 + random.IntN(7) {
			b.WriteString(pieces[random.IntN(len(pieces))])
			if random.IntN(2) == 0 {
				b.WriteByte(' ')
			}
		}
		if random.IntN(2) == 0 {
			b.WriteString("<b@two.example>")
		}
		value := strings.TrimSpace(b.String())
		a := Of([]byte("From: "+value+"\r\n"), false)
		if len(a.Problems) > 0 {
			continue
		}
		one++
		if o := others(value, a.Domain); len(o) > 0 {
			t.Errorf("%q is of %s: %v", value, a.Domain, o)
		}
	}
	if one < 2000 {
		t.Errorf("only %d fields read as one author", one)
	}
}
