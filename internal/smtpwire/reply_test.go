package smtpwire

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadReply(t *testing.T) {
	for name, test := range map[string]struct {
		in   string
		want Reply
		err  error
	}{
		"one line":         {"250 ok\r\n", Reply{250, EnhancedCode{}, []string{"ok"}}, nil},
		"no text":          {"250\r\n", Reply{250, EnhancedCode{}, []string{""}}, nil},
		"space only":       {"250 \r\n", Reply{250, EnhancedCode{}, []string{""}}, nil},
		"EHLO":             {"250-a.b\r\n250-SIZE 5\r\n250 8BITMIME\r\n", Reply{250, EnhancedCode{}, []string{"a.b", "SIZE 5", "8BITMIME"}}, nil},
		"enhanced":         {"250 2.1.5 ok\r\n", Reply{250, EnhancedCode{2, 1, 5}, []string{"ok"}}, nil},
		"enhanced alone":   {"550 5.1.1\r\n", Reply{550, EnhancedCode{5, 1, 1}, []string{""}}, nil},
		"enhanced twice":   {"550-5.1.10 a\r\n550 5.1.10 b\r\n", Reply{550, EnhancedCode{5, 1, 10}, []string{"a", "b"}}, nil},
		"enhanced differs": {"550-5.1.1 a\r\n550 5.7.1 b\r\n", Reply{550, EnhancedCode{5, 1, 1}, []string{"a", "5.7.1 b"}}, nil},
		"other class":      {"550 4.1.1 a\r\n", Reply{550, EnhancedCode{}, []string{"4.1.1 a"}}, nil},
		"no class of 3":    {"354 3.0.0 go\r\n", Reply{354, EnhancedCode{}, []string{"3.0.0 go"}}, nil},
		"a version":        {"220 2.10 ready\r\n", Reply{220, EnhancedCode{}, []string{"2.10 ready"}}, nil},
		"an address":       {"220 2.1.5.7 ready\r\n", Reply{220, EnhancedCode{}, []string{"2.1.5.7 ready"}}, nil},
		"leading zero":     {"550 5.01.1 a\r\n", Reply{550, EnhancedCode{}, []string{"5.01.1 a"}}, nil},
		"four digits":      {"550 5.1234.1 a\r\n", Reply{550, EnhancedCode{}, []string{"5.1234.1 a"}}, nil},

		"codes differ":       {"250-a\r\n550 b\r\n", Reply{}, ErrReplyCodes},
		"empty line":         {"\r\n", Reply{}, ErrReplySyntax},
		"two digits":         {"25 ok\r\n", Reply{}, ErrReplySyntax},
		"1yz":                {"150 ok\r\n", Reply{}, ErrReplySyntax},
		"6yz":                {"600 ok\r\n", Reply{}, ErrReplySyntax},
		"four digit code":    {"2500 ok\r\n", Reply{}, ErrReplySyntax},
		"tab":                {"250\tok\r\n", Reply{}, ErrReplySyntax},
		"HTTP":               {"HTTP/1.1 400 Bad Request\r\n", Reply{}, ErrReplySyntax},
		"bare LF":            {"250 ok\n", Reply{}, ErrReplySyntax},
		"bare CR":            {"250 a\r250 b\r\n", Reply{}, ErrReplySyntax},
		"NUL":                {"250 \x00\r\n", Reply{}, ErrReplySyntax},
		"long line":          {"250 " + strings.Repeat("x", 5000) + "\r\n", Reply{}, ErrReplyLength},
		"endless line":       {"250 " + strings.Repeat("x", 1<<20), Reply{}, ErrReplyLength},
		"endless lines":      {strings.Repeat("250-x\r\n", 1000), Reply{}, ErrReplyLength},
		"many octets":        {strings.Repeat("250-"+strings.Repeat("x", 3000)+"\r\n", 99), Reply{}, ErrReplyLength},
		"nothing":            {"", Reply{}, io.EOF},
		"cut off":            {"250 o", Reply{}, io.ErrUnexpectedEOF},
		"cut off by a line":  {"250-o\r\n", Reply{}, io.ErrUnexpectedEOF},
		"cut off before LF ": {"250 o\r", Reply{}, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			for _, src := range []io.Reader{strings.NewReader(test.in), iotest.OneByteReader(strings.NewReader(test.in))} {
				rep, err := NewReader(src).ReadReply()
				if !errors.Is(err, test.err) || !reflect.DeepEqual(rep, test.want) || (err != nil && InStep(err)) {
					t.Fatalf("%+v, %v", rep, err)
				}
			}
		})
	}
}

// Pipelined replies are read one by one.
func TestReadRepliesInTurn(t *testing.T) {
	r := NewReader(strings.NewReader("250 a\r\n250-b\r\n250 c\r\n354 d\r\n"))
	for _, code := range []int{250, 250, 354} {
		if rep, err := r.ReadReply(); err != nil || !rep.Is(code) {
			t.Fatalf("%+v, %v", rep, err)
		}
	}
	if _, err := r.ReadReply(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

func TestReplyAppend(t *testing.T) {
	for _, test := range []struct {
		rep  Reply
		want string
	}{
		{NewReply(550, 7, 1, "no relay"), "550 5.7.1 no relay\r\n"},
		{Reply{250, EnhancedCode{2, 0, 0}, []string{"a", "b"}}, "250-2.0.0 a\r\n250 2.0.0 b\r\n"},
		{Reply{Code: 250, Lines: []string{"a", "SIZE 5"}}, "250-a\r\n250 SIZE 5\r\n"},
		{NewReply(354, 0, 0, "go on"), "354 go on\r\n"},
		{Reply{Code: 250}, "250 \r\n"},
		{Reply{450, EnhancedCode{5, 1, 1}, []string{"x"}}, "450 4.1.1 x\r\n"},
		{Reply{}, "451 \r\n"},
		{NewReply(550, 1, 1, "a\r\n250 ok\x00\x1b[1m\xffü"), "550 5.1.1 a??250 ok??[1m??\r\n"},
		{NewReply(550, 1, 1, strings.Repeat("x", 1000)), "550 5.1.1 " + strings.Repeat("x", 500) + "\r\n"},
	} {
		if got := string(test.rep.Append(nil)); got != test.want || len(got) > 512*max(1, len(test.rep.Lines)) {
			t.Errorf("%+v: %q", test.rep, got)
		}
		var b bytes.Buffer
		if n, err := test.rep.WriteTo(&b); err != nil || int(n) != len(test.want) || b.String() != test.want {
			t.Errorf("%+v: %d, %v, %q", test.rep, n, err, b.String())
		}
	}
	long := NewReply(451, 4, 1, "a\nb")
	if long.String() != "451 4.4.1 a?b" || long.Text(2) != "a?" || !long.Temporary() || long.Permanent() {
		t.Errorf("%s, %s", long, long.Text(2))
	}
}

func TestClean(t *testing.T) {
	for _, test := range []struct {
		in    string
		limit int
		want  string
	}{
		{"plain ~", 10, "plain ~"},
		{"plain", 3, "pla"},
		{"a\tb", 10, "a b"},
		{"a\r\nb", 10, "a??b"},
		{"ünïcode", 10, "?n?code"},
		{"\x80\xff\x7f\x00", 10, "????"},
		{"\u202eabc", 3, "?ab"},
		{"a", -1, ""},
	} {
		if got := Clean(test.in, test.limit); got != test.want {
			t.Errorf("%q: %q, want %q", test.in, got, test.want)
		}
	}
}
