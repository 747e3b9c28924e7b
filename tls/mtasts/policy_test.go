package mtasts

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseRecord(t *testing.T) {
	for _, c := range []struct {
		texts []string
		id    string
		err   string
	}{
		{[]string{"v=STSv1; id=20160831085700Z;"}, "20160831085700Z", ""}, // RFC 8461 section 3.1
		{[]string{"v=STSv1;id=1"}, "1", ""},
		{[]string{"v=STSv1 ;\tid=a ; "}, "a", ""},
		{[]string{"v=spf1 -all", "v=STSv1; id=a", "v=STSv2; id=b"}, "a", ""},
		{[]string{"v=STSv1; new=x; id=a; id=b; other=y"}, "a", ""},
		{[]string{"v=STSv1; id=" + strings.Repeat("x", 32)}, strings.Repeat("x", 32), ""},
		{nil, "", "there is no TXT record"},
		{[]string{"v=STSv10; id=a"}, "", "no id"},
		{[]string{"V=STSv1; id=a"}, "", "there is no TXT record"},
		{[]string{" v=STSv1; id=a"}, "", "there is no TXT record"},
		{[]string{"v=STSv1; id=a", "v=STSv1; id=a"}, "", "several"},
		{[]string{"v=STSv1"}, "", "no id"},
		{[]string{"v=STSv1;"}, "", "no id"},
		{[]string{"v=STSv1; x=y"}, "", "no id"},
		{[]string{"v=STSv1; id="}, "", "no name=value"},
		{[]string{"v=STSv1; id"}, "", "no name=value"},
		{[]string{"v=STSv1; id=a;; x=y"}, "", "no name=value"},
		{[]string{"v=STSv1; id=2016-08-31"}, "", "not 1 to 32"},
		{[]string{"v=STSv1; id=" + strings.Repeat("x", 33)}, "", "not 1 to 32"},
	} {
		id, err := ParseRecord(c.texts)
		if id != c.id || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %q, %v; want %q, %q", c.texts, id, err, c.id, c.err)
		}
	}
	if _, err := ParseRecord([]string{"v=spf1 -all"}); !errors.Is(err, ErrNoRecord) {
		t.Errorf("none: %v", err)
	}
}

func TestParse(t *testing.T) {
	rfc := Policy{Mode: Enforce, MX: []string{"mail.example.com", "*.example.net", "backupmx.example.com"}, MaxAge: 604800 * time.Second}
	for _, c := range []struct {
		name, text string
		want       Policy
		err        string
	}{
		{"RFC 8461 section 3.2", "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmx: backupmx.example.com\r\nmax_age: 604800\r\n", rfc, ""},
		{"LF, any order, no last end", "mx:mail.example.com\nmx: *.Example.NET  \nmax_age:604800\nmode: \tenforce\nmx: backupmx.example.com\nversion: STSv1", rfc, ""},
		{"unknown and twice", "version: STSv1\nversion: STSv2\nnew: x\nnew: y\nmode: none\nmode: enforce\nmax_age: 5\nmax_age: x\n\n", Policy{Mode: None, MaxAge: 5 * time.Second}, ""},
		{"too long a time", "version: STSv1\nmode: testing\nmx: a.b\nmax_age: 9999999999", Policy{Mode: Testing, MX: []string{"a.b"}, MaxAge: MaxAge}, ""},
		{"none at all", "version: STSv1\nmode: none\nmax_age: 0", Policy{Mode: None}, ""},
		{"no mx", "version: STSv1\nmode: testing\nmax_age: 0", Policy{}, "no mx"},
		{"no mode", "version: STSv1\nmx: a.b\nmax_age: 0", Policy{}, "no mode"},
		{"no version", "mode: none\nmax_age: 0", Policy{}, "no version"},
		{"no time", "version: STSv1\nmode: none", Policy{}, "no max_age"},
		{"mode in capitals", "version: STSv1\nmode: Enforce\nmx: a.b\nmax_age: 0", Policy{}, "is not enforce"},
		{"version 2", "version: STSv2\nmode: none\nmax_age: 0", Policy{}, "not STSv1"},
		{"negative", "version: STSv1\nmode: none\nmax_age: -1", Policy{}, "digits"},
		{"eleven digits", "version: STSv1\nmode: none\nmax_age: 00000000001", Policy{}, "digits"},
		{"HTML", "<html>\n<body>none</body>", Policy{}, "line 1"},
		{"a bare key", "version: STSv1\nmode\n", Policy{}, "line 2"},
		{"*", "version: STSv1\nmode: enforce\nmx: *\nmax_age: 1", Policy{}, "no host name"},
		{"* within", "version: STSv1\nmode: enforce\nmx: a.*.b.c\nmax_age: 1", Policy{}, "no host name"},
		{"an address", "version: STSv1\nmode: enforce\nmx: [192.0.2.1]\nmax_age: 1", Policy{}, "no host name"},
		{"a final dot", "version: STSv1\nmode: enforce\nmx: a.b.\nmax_age: 1", Policy{}, "no host name"},
		{"umlaut", "version: STSv1\nmode: enforce\nmx: bücher.example\nmax_age: 1", Policy{}, "no host name"},
		{"huge", "version: STSv1\nmode: none\nmax_age: 1\n" + strings.Repeat("#", MaxPolicy), Policy{}, "64 KiB"},
		{"empty", "", Policy{}, "no version"},
	} {
		p, err := Parse([]byte(c.text))
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) || err == nil && !reflect.DeepEqual(*p, c.want) {
			t.Errorf("%s: %+v, %v; want %+v, %q", c.name, p, err, c.want, c.err)
		}
	}
}

func TestMatches(t *testing.T) {
	p := &Policy{MX: []string{"mail.example.com", "*.example.net"}}
	for host, want := range map[string]bool{
		"mail.example.com": true, "MAIL.example.COM.": true, "a.mail.example.com": false, "example.com": false,
		"a.example.net": true, "A.Example.net": true, "a.b.example.net": false, "example.net": false, ".example.net": false,
		"": false, ".": false, "net": false, "xexample.net": false, "*.example.net": true,
	} {
		if got := p.Matches(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

// FuzzParse shows that whatever is taken for a policy means the same once it is written out.
func FuzzParse(f *testing.F) {
	f.Add([]byte("version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n"))
	f.Add([]byte("version: STSv1\nmode: none\nmax_age: 0\nx:\n:"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		if p.MaxAge < 0 || p.MaxAge > MaxAge || p.Mode != None && len(p.MX) == 0 {
			t.Fatalf("%+v", p)
		}
		again, err := Parse(p.Text())
		if err != nil || !reflect.DeepEqual(p, again) || p.ContentID() != again.ContentID() || !bytes.Equal(p.Text(), again.Text()) {
			t.Errorf("%+v became %+v, %v", p, again, err)
		}
		for _, mx := range p.MX {
			if !p.Matches(mx) {
				t.Errorf("%q does not match itself", mx)
			}
		}
	})
}

// FuzzRecord shows that an id that is found is one that can be published.
func FuzzRecord(f *testing.F) {
	f.Add("v=STSv1; id=20160831085700Z;", "v=spf1")
	f.Add("v=STSv1 ; a=b; id=1", "v=STSv1;")
	f.Fuzz(func(t *testing.T, one, two string) {
		id, err := ParseRecord([]string{one, two})
		if err != nil {
			return
		}
		if again, err := ParseRecord([]string{Record(id)}); err != nil || again != id {
			t.Errorf("%q became %q, %v", id, again, err)
		}
	})
}
