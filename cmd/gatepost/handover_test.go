package main

import (
	"strings"
	"testing"

	"gatepost/internal/cli"
	"gatepost/internal/lab/labtest"
)

const servesInside = "[[route]]\nname = \"inside\"\n[[route.next_hop]]\nhost = \"127.0.0.1\"\nport = 2525\n[[domain]]\nname = \"example.org\"\nroute = \"inside\"\n"

func TestHandoverKit(t *testing.T) {
	two := "[[route]]\nname = \"other\"\n[[route.next_hop]]\nhost = \"127.0.0.2\"\n[[domain]]\nname = \"example.net\"\nroute = \"other\"\n"
	for name, tt := range map[string]struct {
		more string
		args []string
		code int
		says string
	}{
		"the address that it connects from": {"", []string{"postfix"}, cli.Done, "delivers from 127.0.0.1 by route inside for example.org"},
		"another address":                   {"", []string{"exim", "--gateway", "192.0.2.1,2001:db8::1"}, cli.Done, "192.0.2.1 ; 2001:db8::1"},
		"one of two routes":                 {two, []string{"dovecot", "--route", "other"}, cli.Done, "by route other for example.net"},
		"which of two":                      {two, []string{"dovecot"}, cli.Usage, "write --route with one of inside, other"},
		"no such route":                     {"", []string{"qmail", "--route", "x"}, cli.Usage, `there is no route "x"; the routes are inside`},
		"no such product":                   {"", []string{"lotus"}, cli.Usage, "exchange-online"},
		"no product":                        {"", nil, cli.Usage, "the products are"},
		"no address":                        {"", []string{"qmail", "--gateway", "mx"}, cli.Usage, `"mx" is no IP address`},
		"facts":                             {"", []string{"google", "--json"}, cli.Done, `"Port":2525`},
		"a recipient that is none":          {"", []string{"qmail", "--verify", "--rcpt", "x\r\nQUIT@y"}, cli.Usage, "write USER@DOMAIN"},
		"outside without a recipient":       {"", []string{"qmail", "--verify", "--outside", "127.0.0.1"}, cli.Usage, "--outside needs --rcpt"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := gatepost(t, append([]string{"handover", "--config", documents(t, "", servesInside+tt.more)}, tt.args...)...)
			if code != tt.code || !strings.Contains(out+errOut, tt.says) {
				t.Errorf("code %d, want %d and %q:\n%s%s", code, tt.code, tt.says, out, errOut)
			}
		})
	}
}

// TestHandoverVerify looks at a port where nobody listens: bad from inside, good from outside.
func TestHandoverVerify(t *testing.T) {
	closed := labtest.ClosedAddr(t)
	_, port, _ := strings.Cut(closed, ":")
	dir := documents(t, "", strings.Replace(servesInside, "2525", port, 1))
	if code, out, _ := gatepost(t, "handover", "postfix", "--verify", "--config", dir); code != cli.Found || !strings.HasPrefix(out, "FAIL "+closed+": connection: ") {
		t.Errorf("inside: %d %s", code, out)
	}
	if code, out, _ := gatepost(t, "handover", "postfix", "--verify", "--outside", closed, "--rcpt", "a@example.org", "--json"); code != cli.Done || !strings.Contains(out, `"verdict":"ok"`) {
		t.Errorf("outside: %d %s", code, out)
	}
}
