package authres

import (
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
)

func TestClaims(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString([]byte(id))
	for _, value := range []string{
		"mx.example.org; dkim=pass", "mx.example.org", "mx.example.org ;none", "MX.Example.ORG; dkim=pass", "mx.example.org.; dkim=pass", "mx.example.org 1; dkim=pass",
		"mx.example.org/1; dkim=pass", "mx.example.org (x); dkim=pass", "mx.example.org(x); dkim=pass", "(x) mx.example.org; dkim=pass",
		"(a(b)\\)) \"mx.example.org\"", "(a=b; c=d) mx.example.org; dkim=pass", "\r\n\tmx.example.org;\r\n\tdkim=pass", "\r\n \r\n mx.example.org; dkim=pass",
		`"mx.example.org"; dkim=pass`, `"mx.\example.org"; dkim=pass`, `"MX".example.org; dkim=pass`, `" mx.example.org "; dkim=pass`, `mx\.example.org; dkim=pass`,
		"mx.(x)example.org; dkim=pass", "mx.example.org\x00; dkim=pass", "mx.exam\x00ple.org; dkim=pass", "mx.exam\u200bple.org; dkim=pass",
		"=?utf-8?q?mx=2Eexample=2Eorg?=; dkim=pass", "=?utf-8?b?" + b64 + "?=; dkim=pass", "=?iso-2022-jp?b?" + b64 + "?=; dkim=pass",
		"=?utf-8?q?mx.exam?= =?utf-8?q?ple.org?=; dkim=pass", "=?utf-8?q?mx.exam?=\r\n =?utf-8?q?ple.org?=; dkim=pass", "=?utf-8?q?mx.example.org=3B?= dkim=pass",
		"ｍｘ.example.org; dkim=pass", "mx。example．org; dkim=pass", "𝐦𝐱.example.org; dkim=pass",
		"dkim=pass header.d=bank.example", "; dkim=pass", "(mx) dkim=pass", "dkim = pass", "i=1; dkim=pass",
		"other.example; mx.example.org; dkim=pass", "other.example, mx.example.org; dkim=pass", "other.example mx.example.org; dkim=pass",
		"(mx.example.org) other.example; dkim=pass", "(x mx.example.org; dkim=pass", `"x mx.example.org; dkim=pass`, `(\) mx.example.org; dkim=pass`,
		"=?utf-8?q?other.example?=; dkim=pass", "<mx.example.org>; dkim=pass", "[mx.example.org]; dkim=pass", "'mx.example.org'; dkim=pass", "mx.example.org:25; dkim=pass", "mx.example.org, dkim=pass",
	} {
		if !Claims(value, id) || !Claims(value, "MX.example.org.") {
			t.Errorf("%q does not claim", value)
		}
	}
	for _, value := range []string{
		"", " \r\n\t", "other.example; dkim=pass", "xmx.example.org; dkim=pass", "mx.example.org.evil.example; dkim=pass", "mx-example.org; none", "a.mx.example.org; none",
		"mx.google.com; spf=pass (google.com: domain of a@mx.example.org designates 192.0.2.1) smtp.mailfrom=a@mx.example.org",
		"other.example; iprev=pass policy.iprev=192.0.2.1 (mx.example.org); spf=none", "other.example (Our mail); dkim=pass", "other.example; none",
		"other.example 1; arc=pass (i=1 spf=pass)",
	} {
		if Claims(value, id) {
			t.Errorf("%q claims", value)
		}
	}
	for _, value := range []string{"bücher.example; none", "BÜCHER.example; none", "xn--bcher-kva.example; none", "XN--BCHER-KVA.example.; none", "bu\u0308cher.example; none"} {
		if !Claims(value, "xn--bcher-kva.example") || !Claims(value, "bücher.example") || Claims(value, id) {
			t.Errorf("%q does not claim, or too much", value)
		}
	}
}

func TestNamed(t *testing.T) {
	for field, want := range map[string]string{
		"Authentication-Results: x":      " x",
		"AUTHENTICATION-results:x\r\n y": "x\r\n y",
		"Authentication-Results : x":     " x",
		"Authentication-Results\r\n\t:x": "x",
		" Authentication-Results:x":      "x",
		"Authentication-\x00Results:x":   "x",
		"Authentication -Results:x":      "x",
		"Authentication\u2011Results:x":  "x",
		"Authentication-Results\u200b:x": "x",
		"\xffAuthentication-Results:x":   "x",
		"Ａuthentication-Results:x":       "x",
		"Áuthentication-Results:x":       "x",
		"Authentication-Results：x":       "x",
		"Authentication-Results:":        "",
	} {
		if value, is := Named([]byte(field)); !is || string(value) != want {
			t.Errorf("%q: %q %v", field, value, is)
		}
	}
	for _, field := range []string{"", "ARC-Authentication-Results: i=1; x", "X-Authentication-Results: x", "Authentication-Results-Original: x",
		"Authentication-Result: x", "Authentication-Results", "A: x", "Auth: Authentication-Results: x", "Received: x"} {
		if value, is := Named([]byte(field)); is {
			t.Errorf("%q: %q", field, value)
		}
	}
}

// careless are readers that are in use, or were: they cut at semicolons, know no quotes and no comments, or only look for a
// few octets.
func careless(value string) (passes int) {
	for part := range strings.SplitSeq(strings.ToLower(value), ";") {
		part = strings.TrimSpace(part)
		if name, rest, ok := strings.Cut(part, "="); ok && !strings.ContainsAny(name, " .") && strings.HasPrefix(rest, "pass") {
			passes++
		}
	}
	return max(passes, len(regexp.MustCompile(`(?i)(^|[^.a-z])(spf|dkim|dmarc|arc|iprev|auth|bimi) *= *pass`).FindAllString(value, -1)))
}

// FuzzFormat shows that no value can add a result, end the field, or mislead a careless reader, and that what is written
// reads again as it was meant.
func FuzzFormat(f *testing.F) {
	f.Add("a@b.example", "reason", "comment", "d")
	f.Add(`"x\" ; dkim=pass"@evil.example`, "a\r\nb", ") ; dkim=pass (", "from")
	f.Add("bücher.example\x00", "dmarc = pass", "(((", "d=x;dkim")
	f.Add("\"=pass", "=\tpass", "\\", "iprev")
	f.Fuzz(func(t *testing.T, value, reason, comment, name string) {
		in := []Result{{Method: "spf", Result: "fail", Reason: reason, Comment: comment, Props: []Prop{{"smtp", "mailfrom", value}, {"header", name, value}}},
			{Method: name, Result: reason}, {Method: "dkim", Result: "neutral", Props: []Prop{{"header", "d", value}, {name, "i", "x"}}}}
		text := Format(id, in)
		for line := range strings.SplitSeq(text, "\r\n") {
			if len(line) > 998 || strings.ContainsAny(line, "\r\n\x00") || strings.Trim(line, " \t") == "" || !isASCII(line) {
				t.Fatalf("%q", text)
			}
		}
		got, err := Parse(text)
		if err != nil {
			if named := strings.ToLower(name); named == "mailfrom" || named == "d" || named == "i" || named == "dmarc" || named == "arc" {
				return // told twice: by the test, not by a value
			}
			t.Fatalf("%q: %v", text, err)
		}
		want := 2
		passes := 0
		if isKeyword(name) && isKeyword(reason) {
			want++
			if strings.HasPrefix(strings.ToLower(reason), "pass") {
				passes++
			}
		}
		if got.ID != id || len(got.Results) != want || got.Results[0].Method != "spf" || got.Results[0].Result != "fail" || got.Results[want-1].Result != "neutral" {
			t.Fatalf("%q: %+v", text, got)
		}
		if n := careless(unfold(text)); n != passes {
			t.Fatalf("a careless reader sees %d passes in %q", n, text)
		}
		if again := Format(id, got.Results); !strings.EqualFold(again, text) {
			t.Fatalf("%q, read and written again:\n%q", text, again)
		}
		if d := got.Results[want-1].Prop("header", "d"); plainEnough(value) && d != value {
			t.Fatalf("%q reads again as %q", value, d)
		}
		if !Claims(text, id) {
			t.Fatalf("our own field does not claim to be ours: %q", text)
		}
	})
}

// plainEnough reports a value that goes through unchanged.
func plainEnough(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == ';' || s[i] == '=' {
			return false
		}
	}
	return len(s) <= maxValue
}

// FuzzParse reads any text: it is an error, or has an id that claims and no method that may speak once twice.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"mx.example.org; none", "a 1; dkim=pass (x) reason=\"y\" header.d=z; dmarc=fail", "i=1; a; spf=none", "(", "a; spf/1=pass policy . x = \"\\\"\"", "mx.example.org;\r\n\tarc=none"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		field, err := Parse(s)
		if err == nil && (field.ID == "" || len(field.Of("dmarc")) > 1 || len(field.Of("arc")) > 1) {
			t.Fatalf("%q: %+v", s, field)
		}
		if err == nil && !Claims(s, field.ID) && regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*[A-Za-z0-9]$`).MatchString(field.ID) {
			t.Fatalf("%q is of %q and does not claim to be", s, field.ID)
		}
		for _, r := range field.Results {
			if !isKeyword(r.Method) || !isKeyword(r.Result) {
				t.Fatalf("%q: %+v", s, r)
			}
		}
		if n, again, err := ParseARC("i=7; " + s); err == nil && (n != 7 || again.ID != field.ID) {
			t.Fatalf("%q: %d %+v", s, n, again)
		}
		Named([]byte(s))
		if strings.ContainsAny(s, "()\\\"\r\n\x7f") || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0xfffd }) {
			return
		}
		// What stands in comments and quotes is no result.
		hidden, err := Parse("a.example (" + s + "); spf=fail (" + s + ") reason=\"" + s + "\" smtp.mailfrom=\"" + s + "\"@b.example (" + s + ")")
		if err != nil || len(hidden.Results) != 1 || hidden.Results[0].Result != "fail" || len(hidden.Results[0].Props) != 1 {
			t.Fatalf("%q: %+v %v", s, hidden, err)
		}
	})
}

func BenchmarkFormat(b *testing.B) {
	results := []Result{{Method: "iprev", Result: "pass", Props: []Prop{{"policy", "iprev", "192.0.2.7"}}},
		{Method: "spf", Result: "pass", Props: []Prop{{"smtp", "mailfrom", "anna@sender.example"}}},
		{Method: "dkim", Result: "pass", Props: []Prop{{"header", "d", "sender.example"}, {"header", "s", "s2026"}, {"header", "b", "AbCdEfGh"}}},
		{Method: "dmarc", Result: "pass", Props: []Prop{{"header", "from", "sender.example"}}}}
	room := make([]byte, 0, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		w := Begin(append(room[:0], "Authentication-Results: "...), id)
		for i := range results {
			w.Add(&results[i])
		}
		room = w.End()
	}
}

// TestClaimsIsLinear shows that the largest fields that a header section can hold are looked at once: what takes time with
// the square of its length is bounded. With the square these would take minutes.
func TestClaimsIsLinear(t *testing.T) {
	var names strings.Builder
	for i := range 300_000 {
		names.WriteRune(rune(0x4e00 + i%20_000))
	}
	for name, c := range map[string]struct {
		value  string
		claims bool
	}{
		"encoded words":    {"other.example; none " + strings.Repeat("=?a?q?xx", 100_000) + "\x00?=", true},
		"a name":           {names.String() + "; none", false},
		"comments":         {"other.example " + strings.Repeat("(", 400_000) + strings.Repeat(")", 400_000) + "; none", false},
		"quotes":           {strings.Repeat(`"\"`, 300_000) + "; none", false},
		"segments":         {"other.example" + strings.Repeat(";a=b", 200_000), false},
		"combining":        {"other.example" + strings.Repeat("\u0300\u0327", 200_000) + "; none", false},
		"invisible octets": {"other.example" + strings.Repeat("\x00\u200b", 200_000) + "; none", false},
	} {
		if got := Claims(c.value, id); got != c.claims {
			t.Errorf("%s: %v", name, got)
		}
		if _, err := Parse(c.value); err == nil && name != "segments" {
			t.Errorf("%s: read", name)
		}
		Named([]byte(c.value))
	}
}
