package smtpwire

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
)

func everything() Offer { return Offer{Size: true, EightBitMIME: true, SMTPUTF8: true, DSN: true} }

func TestParseMail(t *testing.T) {
	ab := Address{Local: "a", Domain: "b.c", ASCII: "b.c"}
	for _, test := range []struct {
		in   string
		want Mail
		err  error
	}{
		{"FROM:<>", Mail{}, nil},
		{"from:<a@b.c>", Mail{From: ab}, nil},
		{"FROM: <a@b.c>", Mail{From: ab, Lax: LaxSpace}, nil},
		{"FROM:<a@b.c>  SIZE=5", Mail{From: ab, Size: 5, Lax: LaxSpace}, nil},
		{"FROM:<a@b.c> size=1000 body=8bitmime ret=hdrs envid=x+20y",
			Mail{From: ab, Size: 1000, Body: "8BITMIME", Ret: "HDRS", EnvID: "x y"}, nil},
		{"FROM:<a@b.c> SIZE=99999999999999999999", Mail{From: ab, Size: math.MaxInt64}, nil},
		{"FROM:<a@b.c> SMTPUTF8", Mail{From: ab, UTF8: true}, nil},
		{"FROM:<ü@b.c> SMTPUTF8", Mail{From: Address{Local: "ü", Domain: "b.c", ASCII: "b.c"}, UTF8: true}, nil},
		{"FROM:<a..b@b.c>", Mail{From: Address{Local: "a..b", Domain: "b.c", ASCII: "b.c"}, Lax: LaxDots}, nil},
		{"FROM:<a@b.c> AUTH=<> X", Mail{From: ab, Unknown: []Param{{"AUTH", "<>", true}, {"X", "", false}}}, nil},
		{"FROM:<" + strings.Repeat("v", 100) + "@b.c>",
			Mail{From: Address{Local: strings.Repeat("v", 100), Domain: "b.c", ASCII: "b.c"}, Lax: LaxLong}, nil},

		{"", Mail{}, ErrCommand},
		{"<a@b.c>", Mail{}, ErrCommand},
		{"FROM <a@b.c>", Mail{}, ErrCommand},
		{"FROM :<a@b.c>", Mail{}, ErrCommand},
		{"FROM:a@b.c", Mail{}, ErrBrackets},
		{"FROM:", Mail{}, ErrBrackets},
		{"FROM:<a@b.c>SIZE=5", Mail{}, ErrParam},
		{"FROM:<a@b.c>>", Mail{}, ErrParam},
		{"FROM:<postmaster>", Mail{}, ErrAddress},
		{"FROM:<@x:a@b.c>", Mail{}, ErrSourceRoute},
		{"FROM:<ü@b.c>", Mail{}, ErrNeedsUTF8},
		{"FROM:<a@ü.c> BODY=8BITMIME", Mail{}, ErrNeedsUTF8},
		{"FROM:<" + strings.Repeat("v", 251) + "@b.c>", Mail{}, ErrAddressLength},
		{"FROM:<" + strings.Repeat("v", 248) + "..@b.c>", Mail{}, ErrAddressLength}, // in quotes it is
		{"FROM:<a@b.c> SIZE=5 size=6", Mail{}, ErrParamTwice},
		{"FROM:<a@b.c> SIZE", Mail{}, ErrParam},
		{"FROM:<a@b.c> SIZE=", Mail{}, ErrParam},
		{"FROM:<a@b.c> SIZE=-1", Mail{}, ErrParam},
		{"FROM:<a@b.c> SIZE=+1", Mail{}, ErrParam},
		{"FROM:<a@b.c> SIZE=1=2", Mail{}, ErrParam},
		{"FROM:<a@b.c> SIZE=" + strings.Repeat("9", 21), Mail{}, ErrParam},
		{"FROM:<a@b.c> BODY=BINARYMIME", Mail{}, ErrParam},
		{"FROM:<a@b.c> SMTPUTF8=yes", Mail{}, ErrParam},
		{"FROM:<a@b.c> RET=ALL", Mail{}, ErrParam},
		{"FROM:<a@b.c> ENVID=+00", Mail{}, ErrParam},
		{"FROM:<a@b.c> ENVID=" + strings.Repeat("x", 101), Mail{}, ErrParam},
		{"FROM:<a@b.c> =5", Mail{}, ErrParam},
		{"FROM:<a@b.c> -X=5", Mail{}, ErrParam},
		{"FROM:<a@b.c> X\xff", Mail{}, ErrParam},
		{"FROM:<a@b.c>" + manyParams(17), Mail{}, ErrParam},
	} {
		m, err := ParseMail(test.in, everything())
		if !errors.Is(err, test.err) || (err == nil && !reflect.DeepEqual(m, test.want)) {
			t.Errorf("%q: %+v, %v", test.in, m, err)
		}
	}
}

func manyParams(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " X%d", i)
	}
	return b.String()
}

// What was not offered is unknown, and never silently taken.
func TestNotOffered(t *testing.T) {
	m, err := ParseMail("FROM:<a@b.c> SIZE=5 BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=x", Offer{})
	if err != nil || len(m.Unknown) != 5 || m.Size != 0 || m.UTF8 || m.Body+m.Ret+m.EnvID != "" {
		t.Errorf("%+v, %v", m, err)
	}
	r, err := ParseRcpt("TO:<a@b.c> NOTIFY=NEVER ORCPT=rfc822;a", Offer{}, false)
	if err != nil || len(r.Unknown) != 2 || r.Notify != 0 || r.ORCPT != "" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := ParseMail("FROM:<ü@b.c> SMTPUTF8", Offer{}); !errors.Is(err, ErrNeedsUTF8) {
		t.Errorf("%v", err)
	}
}

func TestParseRcpt(t *testing.T) {
	ab := Address{Local: "a", Domain: "b.c", ASCII: "b.c"}
	for _, test := range []struct {
		in   string
		utf8 bool
		want Rcpt
		err  error
	}{
		{"TO:<a@b.c>", false, Rcpt{To: ab}, nil},
		{"to: <a@b.c>", false, Rcpt{To: ab, Lax: LaxSpace}, nil},
		{"TO:<Postmaster>", false, Rcpt{To: Address{Local: "Postmaster"}}, nil},
		{"TO:<a@b.c> NOTIFY=success,DELAY", false, Rcpt{To: ab, Notify: NotifySuccess | NotifyDelay}, nil},
		{"TO:<a@b.c> NOTIFY=never ORCPT=rfc822;x+2By@b.c", false,
			Rcpt{To: ab, Notify: NotifyNever, ORCPT: "rfc822;x+2By@b.c", ORCPTType: "RFC822", ORCPTAddr: "x+y@b.c"}, nil},
		{"TO:<ü@b.c> ORCPT=utf-8;ü@b.c", true, Rcpt{To: Address{Local: "ü", Domain: "b.c", ASCII: "b.c"},
			ORCPT: "utf-8;ü@b.c", ORCPTType: "UTF-8", ORCPTAddr: "ü@b.c"}, nil},
		{"TO:<a@b.c> SIZE=5", false, Rcpt{To: ab, Unknown: []Param{{"SIZE", "5", true}}}, nil},

		{"TO:<>", false, Rcpt{}, ErrAddress},
		{"TO:a@b.c", false, Rcpt{}, ErrBrackets},
		{"FROM:<a@b.c>", false, Rcpt{}, ErrCommand},
		{"TO:<ü@b.c>", false, Rcpt{}, ErrNeedsUTF8},
		{"TO:<@x,@y:a@b.c>", false, Rcpt{}, ErrSourceRoute},
		{"TO:<a@b.c.>", false, Rcpt{}, ErrDomain},
		{"TO:<a@b.c>, <d@e.f>", false, Rcpt{}, ErrParam},
		{"TO:<a@b.c> NOTIFY=NEVER,DELAY", false, Rcpt{}, ErrParam},
		{"TO:<a@b.c> NOTIFY=DELAY,DELAY", false, Rcpt{}, ErrParam},
		{"TO:<a@b.c> NOTIFY=", false, Rcpt{}, ErrParam},
		{"TO:<a@b.c> NOTIFY=OFTEN", false, Rcpt{}, ErrParam},
		{"TO:<a@b.c> ORCPT=a@b.c", false, Rcpt{}, ErrParam},
		{"TO:<a@b.c> ORCPT=rfc822;", false, Rcpt{}, ErrParam},
		{"TO:<a@b.c> ORCPT=rfc822;+0D+0A", false, Rcpt{}, ErrParam},
		{"TO:<a@b.c> ORCPT=utf-8;ü@b.c", false, Rcpt{}, ErrParam},
		{"TO:<a@b.c> ORCPT=rfc822;" + strings.Repeat("x", 500), false, Rcpt{}, ErrParam},
	} {
		r, err := ParseRcpt(test.in, everything(), test.utf8)
		if !errors.Is(err, test.err) || (err == nil && !reflect.DeepEqual(r, test.want)) {
			t.Errorf("%q: %+v, %v", test.in, r, err)
		}
	}
	if s := (NotifySuccess | NotifyFailure | NotifyDelay).String(); s != "SUCCESS,FAILURE,DELAY" {
		t.Error(s)
	}
	if s := Notify(0).String() + NotifyNever.String(); s != "NEVER" {
		t.Error(s)
	}
}
