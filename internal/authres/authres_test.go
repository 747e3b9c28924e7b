package authres

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

const id = "mx.example.org"

// unfold is what a reader sees.
func unfold(s string) string { return strings.ReplaceAll(s, "\r\n", "") }

func TestFormat(t *testing.T) {
	for name, c := range map[string]struct {
		results []Result
		want    string
	}{
		"nothing": {nil, "mx.example.org; none"},
		"plain": {[]Result{{Method: "iprev", Result: "pass", Props: []Prop{{"policy", "iprev", "192.0.2.7"}}}},
			"mx.example.org;\tiprev=pass policy.iprev=192.0.2.7"},
		"IPv6": {[]Result{{Method: "iprev", Result: "fail", Props: []Prop{{"policy", "iprev", "2001:db8::1"}}}}, `mx.example.org;	iprev=fail policy.iprev="2001:db8::1"`},
		"all of it": {[]Result{{Method: "dkim", Result: "pass", Reason: "good key", Comment: "2048-bit key", Props: []Prop{{"header", "d", "a.example"}, {"header", "b", "AbCd/+=="}}},
			{Method: "spf", Result: "none"}}, `mx.example.org;	dkim=pass (2048-bit key) reason="good key" header.d=a.example	header.b="AbCd/+==";	spf=none`},
		"U-labels":      {[]Result{{Method: "spf", Result: "pass", Props: []Prop{{"smtp", "mailfrom", "a@bücher.example"}, {"smtp", "helo", "BÜCHER.example"}}}}, "mx.example.org;	spf=pass smtp.mailfrom=a@xn--bcher-kva.example	smtp.helo=xn--bcher-kva.example"},
		"8-bit":         {[]Result{{Method: "spf", Result: "pass", Comment: "für", Props: []Prop{{"smtp", "mailfrom", "ä@b.example"}}}}, `mx.example.org;	spf=pass (f??r) smtp.mailfrom="??@b.example"`},
		"escapes":       {[]Result{{Method: "spf", Result: "pass", Props: []Prop{{"smtp", "mailfrom", `"a\"b"@c.example`}}}}, `mx.example.org;	spf=pass smtp.mailfrom="\"a\\\"b\"@c.example"`},
		"empty":         {[]Result{{Method: "spf", Result: "pass", Props: []Prop{{"smtp", "mailfrom", ""}}}}, `mx.example.org;	spf=pass smtp.mailfrom=""`},
		"single quote":  {[]Result{{Method: "spf", Result: "pass", Props: []Prop{{"smtp", "mailfrom", "any@bank.example'@any.evil.example"}}}}, `mx.example.org;	spf=pass smtp.mailfrom="any@bank.example'@any.evil.example"`},
		"parenthesis":   {[]Result{{Method: "dkim", Result: "fail", Props: []Prop{{"header", "d", "bank.example(.evil.example"}}}}, `mx.example.org;	dkim=fail header.d="bank.example(.evil.example"`},
		"NUL":           {[]Result{{Method: "dkim", Result: "fail", Props: []Prop{{"header", "d", "bank.example\x00.evil.example"}}}}, `mx.example.org;	dkim=fail header.d="bank.example?.evil.example"`},
		"injection":     {[]Result{{Method: "spf", Result: "pass", Props: []Prop{{"smtp", "mailfrom", `"x"; dkim=pass header.d=bank.example`}}}}, `mx.example.org;	spf=pass smtp.mailfrom="\"x\"? dkim?pass header.d=bank.example"`},
		"line end":      {[]Result{{Method: "spf", Result: "pass", Reason: "x\r\nFrom: y", Comment: "a) (dmarc = PASS\n b\\"}}, "mx.example.org;	spf=pass (a] [dmarc ? PASS? b/) reason=\"x??From: y\""},
		"no words":      {[]Result{{Method: "sp f", Result: "pass"}, {Method: "spf", Result: "pass; dkim=pass"}, {Method: "spf"}, {Method: "arc", Result: "none", Props: []Prop{{"header ", "d", "x"}, {"header", "d=x; dkim", "x"}}}}, "mx.example.org;	arc=none"},
		"much too long": {[]Result{{Method: "spf", Result: "pass", Props: []Prop{{"smtp", "mailfrom", strings.Repeat("a", 451)}, {"smtp", "helo", "h.example"}}}}, "mx.example.org;	spf=pass smtp.helo=h.example"},
		"long text":     {[]Result{{Method: "spf", Result: "pass", Comment: strings.Repeat("a", 300)}}, "mx.example.org;	spf=pass	(" + strings.Repeat("a", 200) + ")"},
	} {
		got := Format(id, c.results)
		if unfold(got) != c.want {
			t.Errorf("%s:\n%s, want\n%s", name, unfold(got), c.want)
		}
		if strings.Contains(strings.ReplaceAll(got, "\r\n\t", ""), "\n") {
			t.Errorf("%s: %q", name, got)
		}
	}
	many := make([]Result, 200)
	for i := range many {
		many[i] = Result{Method: "dkim", Result: "fail"}
	}
	if n := strings.Count(Format(id, many), "dkim="); n != maxResults {
		t.Errorf("%d results", n)
	}
	long := Format(strings.Repeat("h", 250), []Result{{Method: "spf", Result: "pass", Props: []Prop{{"smtp", "mailfrom", strings.Repeat(`"`, 450)}}}})
	for line := range strings.SplitSeq(long, "\r\n") {
		if len(line) > 998 {
			t.Errorf("a line of %d octets", len(line))
		}
	}
}

func TestParse(t *testing.T) {
	one := func(r Result) []Result { return []Result{r} }
	for value, want := range map[string]Field{
		"mx.example.org; none":                            {ID: id, Version: 1},
		"mx.example.org 1; none":                          {ID: id, Version: 1},
		" (x) \"mx.example.org\" 2 (y) ;none\r\n":         {ID: id, Version: 2},
		"mx.example.org; spf=pass;":                       {ID: id, Version: 1, Results: one(Result{Method: "spf", Result: "pass"})},
		"mx.example.org;; SPF / 1 = Pass ":                {ID: id, Version: 1, Results: one(Result{Method: "spf", Result: "pass"})},
		"example.com; spf=pass smtp.mailfrom=example.net": {ID: "example.com", Version: 1, Results: one(Result{Method: "spf", Result: "pass", Props: []Prop{{"smtp", "mailfrom", "example.net"}}})}, // RFC 8601 appendix B.3
		"example.com;\r\n\t(comment; dkim=pass) auth=pass (cram-md5) smtp.auth=sender@example.net": {ID: "example.com", Version: 1,
			Results: one(Result{Method: "auth", Result: "pass", Comment: "cram-md5", Props: []Prop{{"smtp", "auth", "sender@example.net"}}})},
		`foo.example.net (foobar) 1 (baz); dkim (Because I like it) / 1 (One yay) = (wait for it) fail policy (A dot can go here) . (like that) expired (this surprised me) = (as I wasn't expecting it) 1362471462`: {ID: "foo.example.net", Version: 1,
			Results: one(Result{Method: "dkim", Result: "fail", Props: []Prop{{"policy", "expired", "1362471462"}}})}, // appendix B.7
		"mx.google.com;\r\n       dkim=pass header.i=@gmail.com header.s=20230601 header.b=bq/R+Q==;\r\n       spf=pass (google.com: domain of a@b designates 1.2.3.4; as permitted) smtp.mailfrom=a@b.example": {ID: "mx.google.com", Version: 1,
			Results: []Result{{Method: "dkim", Result: "pass", Props: []Prop{{"header", "i", "@gmail.com"}, {"header", "s", "20230601"}, {"header", "b", "bq/R+Q=="}}},
				{Method: "spf", Result: "pass", Comment: "google.com: domain of a@b designates 1.2.3.4; as permitted", Props: []Prop{{"smtp", "mailfrom", "a@b.example"}}}}},
		"mx.microsoft.com 1; spf=pass smtp.mailfrom=b.example; dmarc=pass action=none header.from=b.example; arc=none": {ID: "mx.microsoft.com", Version: 1,
			Results: []Result{{Method: "spf", Result: "pass", Props: []Prop{{"smtp", "mailfrom", "b.example"}}},
				{Method: "dmarc", Result: "pass", Props: []Prop{{"", "action", "none"}, {"header", "from", "b.example"}}}, {Method: "arc", Result: "none"}}},
		"y.example; dmarc=pass(p=REJECT,sp=REJECT) header.from=b.example;": {ID: "y.example", Version: 1,
			Results: one(Result{Method: "dmarc", Result: "pass", Comment: "p=REJECT,sp=REJECT", Props: []Prop{{"header", "from", "b.example"}}})},
		`x.example; dkim=fail reason="a; \"dkim=pass\" (b" header.d=b.example`: {ID: "x.example", Version: 1,
			Results: one(Result{Method: "dkim", Result: "fail", Reason: `a; "dkim=pass" (b`, Props: []Prop{{"header", "d", "b.example"}}})},
		`x.example; spf=none smtp.mailfrom="a b"@c.example`: {ID: "x.example", Version: 1, Results: one(Result{Method: "spf", Result: "none", Props: []Prop{{"smtp", "mailfrom", `"a b"@c.example`}}})},
		"x.example; spf=none smtp.mailfrom=":                {ID: "x.example", Version: 1, Results: one(Result{Method: "spf", Result: "none", Props: []Prop{{"smtp", "mailfrom", ""}}})},
		"bücher.example; none":                              {ID: "bücher.example", Version: 1},
	} {
		if f, err := Parse(value); err != nil || !reflect.DeepEqual(f, want) {
			t.Errorf("%q:\n%+v %v, want\n%+v", value, f, err, want)
		}
	}
}

// TestParseRefuses shows that nothing is read out of a text that is wrong, cut off or ambiguous.
func TestParseRefuses(t *testing.T) {
	for value, want := range map[string]error{
		"":                                       ErrNoID,
		"mx.example.org":                         ErrSyntax,
		"mx.example.org;":                        ErrSyntax,
		"dkim=pass":                              ErrNoID,
		"; dkim=pass":                            ErrNoID,
		"dkim=pass; mx.example.org":              ErrNoID,
		"mx.example.org dkim=pass":               ErrSyntax,
		"mx.example.org; dkim":                   ErrSyntax,
		"mx.example.org; dkim=":                  ErrSyntax,
		"mx.example.org; =pass":                  ErrSyntax,
		"mx.example.org; dkim/2=pass":            ErrSyntax,
		"mx.example.org; dkim=pass'":             ErrSyntax,
		"mx.example.org; dkim=pass\"x\"":         ErrSyntax,
		"mx.example.org; none; dkim=pass":        ErrAmbiguous,
		"mx.example.org; dkim=pass; none":        ErrAmbiguous,
		"mx.example.org; dmarc=fail; dmarc=pass": ErrAmbiguous,
		"mx.example.org; arc=fail; ARC=pass":     ErrAmbiguous,
		"mx.example.org; dmarc=pass header.from=a.example header.from=b.example":             ErrAmbiguous,
		"mx.example.org; dkim=fail reason=a reason=b":                                        ErrAmbiguous,
		"mx.example.org; spf=pass smtp.mailfrom= smtp.helo=x":                                ErrAmbiguous,
		"mx.example.org; dkim=pass (x":                                                       ErrSyntax,
		"mx.example.org; dkim=fail (x\\)":                                                    ErrSyntax,
		"mx.example.org; dkim=fail reason=\"x":                                               ErrSyntax,
		"mx.example.org; dkim=fail\x00; spf=pass":                                            ErrSyntax,
		"mx.example.org; dkim=fail (\x00) header.d=x":                                        ErrSyntax,
		"mx.example.org; dkim=fail\r\nX: y":                                                  ErrSyntax,
		"mx.example.org; dkim=fail\nX: y":                                                    ErrSyntax,
		"mx.example.org; dkim=fail\r\n":                                                      nil,
		"mx.example.org; dkim=fail \xff=x":                                                   ErrSyntax,
		"mx.example.org; dkim=fail header.d=x\"y\"":                                          ErrSyntax,
		"mx.example.org; dkim=fail x.y.z=a":                                                  ErrSyntax,
		"mx.example.org; " + strings.Repeat("(", 30) + strings.Repeat(")", 30) + "dkim=pass": ErrSyntax,
		"mx.example.org; " + strings.Repeat("dkim=pass;", 100):                               ErrSyntax,
		"mx.example.org; dkim=pass " + strings.Repeat("x", 70<<10) + "=y":                    ErrSyntax,
	} {
		if f, err := Parse(value); !errors.Is(err, want) || err != nil && !reflect.DeepEqual(f, Field{}) {
			t.Errorf("%.100q: %+v %v, want %v", value, f, err, want)
		}
	}
}

func TestParseARC(t *testing.T) {
	n, f, err := ParseARC("\r\n\ti=2; (x) gmail.example; spf=fail\r\n smtp.from=jqd@d1.example; arc=pass (as.1.gmail.example=pass)")
	if err != nil || n != 2 || f.ID != "gmail.example" || len(f.Results) != 2 || f.Results[1].Comment != "as.1.gmail.example=pass" {
		t.Errorf("%d %+v %v", n, f, err)
	}
	for _, bad := range []string{"gmail.example; none", "i=0; gmail.example; none", "i=x; a; none", "j=1; a; none", "i=1 a; none", "i=1; dkim=pass", "i=99999999999999999999; a; none", "(", "i=1", "i=1; a; dmarc=pass; i=2; b; dmarc=pass"} {
		if n, f, err := ParseARC(bad); err == nil || n != 0 || len(f.Results) > 0 {
			t.Errorf("%q: %d %+v", bad, n, f)
		}
	}
}
