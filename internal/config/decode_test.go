package config

import (
	"bytes"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestBoundValues(t *testing.T) {
	_, p, _ := decodeFixture(t, "testdata/accept/01-policy-full.toml")
	checks := []struct {
		what      string
		got, want any
	}{
		{"mode", p.Mode, ModeSoft},
		{"thresholds", p.Thresholds, Thresholds{4, 6.5, 12}},
		{"bare address", p.Trusted.Networks[3], netip.MustParsePrefix("192.0.2.7/32")},
		{"size", p.Limits.MessageSize, Size(25 << 20)},
		{"size in octets", p.Limits.Header, Size(131072)},
		{"duration", p.Limits.SessionTime, 90 * time.Minute},
		{"underscore", p.Limits.Hops, 100},
		{"hexadecimal", p.Limits.Connections, 512},
		{"default beside them", p.Limits.CommandTimeout, 300 * time.Second},
		{"dotted key", p.Routes[0].Timeouts, Timeouts{10 * time.Second, time.Minute, 3 * time.Minute, 10 * time.Minute}},
		{"next hops", p.Routes[0].NextHops, []NextHop{{Host: "192.0.2.10", Port: 25, Order: 1, Weight: 1}, {Host: "mail2.example.org", Port: 2525, Order: 10, Weight: 1}}},
		{"inline next hop", p.Routes[1].NextHops, []NextHop{{Host: "2001:db8::25", Port: 25, Order: 10, Weight: 1}}},
		{"fingerprint", p.Routes[1].Fingerprints[0], strings.Repeat("ab", 32)},
		{"domain", p.Domains[0].Name, "example.org"},
		{"IDN", p.Domains[1].Name, "xn--bcher-kva.example"},
		{"domain's thresholds", p.ThresholdsOf(&p.Domains[0]), Thresholds{4, 6.5, 10}},
		{"other domain's thresholds", p.ThresholdsOf(&p.Domains[1]), Thresholds{4, 6.5, 12}},
		{"no domain's thresholds", p.ThresholdsOf(nil), Thresholds{4, 6.5, 12}},
		{"subject", p.Domains[1].LogSubject, "full"},
		{"check", *p.Checks["spf"], Check{"spf", Reject, Defer, map[string]float64{"fail": 4, "softfail": 1}, map[string]Action{"spf.only": Quarantine}, &spfOptions{true, 10}, ""}},
		{"check without options", *p.Checks["rbl"], Check{"rbl", Off, Pass, map[string]float64{}, nil, nil, Always}},
		{"check with open measures", *p.Checks["rbl.client"], Check{"rbl.client", Score, Defer,
			map[string]float64{"list.zen": 5, "list.zen:127.0.0.4": -2.5}, nil,
			&rblOptions{[]string{"zen.example.net"}, 3 * time.Second, 5 * time.Second, 2 << 20}, ""}},
	}
	b, _, _ := decodeFixture(t, "testdata/accept/02-bootstrap-full.toml")
	checks = append(checks, []struct {
		what      string
		got, want any
	}{
		{"hostname", b.Hostname, "mx.example.org"},
		{"path", b.StateDir, "/srv/gatepost"},
		{"derived path", b.Control.Socket, "/srv/gatepost/control.sock"},
		{"servers", b.DNS.Servers, []string{"127.0.0.1:53", "[::1]:53", "192.0.2.53:5353"}},
		{"empty list over a default", len(b.SpamAssassin.Addresses), 0},
		{"empty text over a default", b.Web.Metrics.IsValid(), false},
		{"zero over a default", b.Shutdown.Grace, time.Duration(0)},
	}...)
	for _, c := range checks {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: got %+v, want %+v", c.what, c.got, c.want)
		}
	}
}

func TestDefaults(t *testing.T) {
	b, problems := DecodeBootstrap(BootstrapFile, nil)
	if len(problems) > 0 {
		t.Error(problems)
	}
	p := BuiltinPolicy(testSections())
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"listener", b.Listeners, []Listener{{Name: "smtp", Addresses: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:25"), netip.MustParseAddrPort("[::]:25")}}}},
		{"body in memory", b.Body.Memory, Size(1280 << 10)},
		{"bodies in memory", b.Body.MaxMemory, Size(64 << 20)},
		{"body folder", b.Body.Dir, "/var/lib/gatepost/tmp"},
		{"spamd's part", b.SpamAssassin.MaxSize, Size(512 << 10)},
		{"mode", p.Mode, ModeEnforce},
		{"thresholds", p.Thresholds, Thresholds{5, 7, 15}},
		{"message size", p.Limits.MessageSize, Size(50 << 20)},
		{"domains", len(p.Domains), 0},
		{"checks", len(p.Checks), 6},
		{"check's prices", p.Checks["spf"].Prices, map[string]float64{"fail": 3, "softfail": 1}},
		{"check's options", p.Checks["spf"].Options, &spfOptions{Lookups: 10}},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: got %+v, want %+v", c.what, c.got, c.want)
		}
	}
}

// A reload must not reach into what a running session uses.
func TestDecodeIsFresh(t *testing.T) {
	sections := testSections()
	first, _ := DecodePolicy(PolicyFile, []byte("[checks.spf]\nbest_guess = true\nprices.fail = 9\n"), sections)
	second := BuiltinPolicy(sections)
	if first.Checks["spf"].Options == second.Checks["spf"].Options || sections["spf"].Options.(*spfOptions).BestGuess {
		t.Error("two decodes share the options of a check")
	}
	if got := second.Checks["spf"].Prices["fail"]; got != 3 {
		t.Errorf("price of the second decode is %v, want the default 3", got)
	}
}

func TestEncodings(t *testing.T) {
	doc := "mode = \"soft\"\r\n[limits]\r\nhops = 5\r\n"
	p, problems := DecodePolicy(PolicyFile, []byte("\xef\xbb\xbf"+doc), nil)
	if p.Mode != ModeSoft || len(problems) != 1 || problems[0].Line != 3 || problems[0].Column != 1 {
		t.Errorf("BOM and CRLF: mode %q, problems %v", p.Mode, problems)
	}
	_, problems = DecodePolicy(PolicyFile, []byte("\xef\xbb\xbfmood = 1"), nil)
	if len(problems) != 1 || problems[0].Column != 1 {
		t.Errorf("BOM: the first column is not 1: %v", problems)
	}
	_, problems = DecodePolicy(PolicyFile, []byte("thresholds = { \"ü\" = 1, tag = \"x\" }"), nil)
	if len(problems) != 2 || problems[1].Column != 25 {
		t.Errorf("columns do not count characters: %v", problems)
	}
	for name, data := range map[string][]byte{
		"policy.toml:1:1: the file is UTF-16; save it as UTF-8":                                                                                    []byte("\xff\xfem\x00o\x00"),
		"policy.toml: the file is larger than 1 MiB; check that it is the right file":                                                              bytes.Repeat([]byte{'#'}, MaxFile+1),
		`policy.toml:1:1: syntax error: invalid character at start of key: U+0000; a line is a table [name] or key = value, text in double quotes`: {0},
	} {
		if _, problems := DecodePolicy(PolicyFile, data, nil); problems.Error() != name {
			t.Errorf("got %s\nwant %s", problems.Error(), name)
		}
	}
}

func TestProblemsAreBounded(t *testing.T) {
	var doc strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&doc, "x%d = 1\n", i)
	}
	_, problems := DecodePolicy(PolicyFile, []byte(doc.String()), nil)
	last := problems[len(problems)-1]
	if len(problems) != maxProblems+1 || last.Message != "there are more problems" {
		t.Errorf("%d problems, the last %s", len(problems), last)
	}
}

func TestErr(t *testing.T) {
	warning, refusal := Problem{File: "f", Message: "m", Warning: true}, Problem{File: "f", Line: 1, Column: 2, Key: "k", Message: "m", Instead: "i"}
	if err := (Problems{warning}).Err(); err != nil {
		t.Errorf("a warning refuses: %v", err)
	}
	if err := (Problems{warning, refusal}).Err(); err == nil || err.Error() != "f: warning: m\nf:1:2: k: m; i" {
		t.Errorf("got %v", err)
	}
}

func TestNearest(t *testing.T) {
	keys := []string{"hops", "header", "message_size", "recipients", "recipients_known"}
	for word, want := range map[string]string{
		"hop": "hops", "hosp": "hops", "headers": "header", "mesage_size": "message_size", "message-size": "message_size",
		"recipient": "recipients", "x": "", "": "", "bananas": "", strings.Repeat("h", 1<<16): "",
	} {
		if got := nearest(word, keys); got != want {
			t.Errorf("nearest(%.20q) = %q, want %q", word, got, want)
		}
	}
}

// TestManyLists: a document that is full of lists is refused at once, and looked at no further.
func TestManyLists(t *testing.T) {
	doc := "[rbl]\nuse = \"non-commercial\"\n" + strings.Repeat("[[rbl.list]]\nname = \"psbl\"\n", 65)
	_, problems := DecodePolicy(PolicyFile, []byte(doc), nil)
	if want := "policy.toml:3:7: rbl.list: has 65 lists, those of your own among them; name at most 64"; problems.Error() != want {
		t.Errorf("%s", problems)
	}
}
