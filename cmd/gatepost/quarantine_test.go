package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/quarantine"
)

// TestAllowEntry shows which lines let a sender pass, and for whom there are none.
func TestAllowEntry(t *testing.T) {
	now := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	looked := func(client, name, author string, class quarantine.Class) *quarantine.Looked {
		l := &quarantine.Looked{Row: quarantine.Row{ID: 1 << 40, From: "bounce@partner.example", Author: author, Class: class}}
		l.Client = gateway.Client{Address: netip.AddrPortFrom(netip.MustParseAddr(client), 25), Name: name}
		return l
	}
	text, refused := allowEntry(looked("::ffff:192.0.2.7", "mx.partner.example", "<ann@partner.example>", quarantine.Spam), now)
	if refused != "" || !strings.HasPrefix(text, "[[checks.access.client.entry]]\nnetwork = \"192.0.2.7/32\"  # mx.partner.example\nlist = \"allow\"\n") ||
		!strings.Contains(text, "\nexpires = \"2027-02-24\"\n") {
		t.Errorf("%s, %q", text, refused)
	}
	for want, l := range map[string]*quarantine.Looked{
		"would not help":           looked("192.0.2.7", "mx.partner.example", "ann@partner.example", quarantine.Malware),
		"this host":                looked("127.0.0.1", "localhost", "ann@partner.example", quarantine.Spam),
		"gmail.com is free mail":   looked("192.0.2.7", "mx.partner.example", "Ann <ann@gmail.com>", quarantine.Spam),
		"sendgrid.net is a shared": looked("192.0.2.7", "o1.em.sendgrid.net", "ann@partner.example", quarantine.Spam),
		"no verified reverse name": looked("192.0.2.7", "", "ann@partner.example", quarantine.Spam),
		"google.com is a shared":   looked("192.0.2.7", "mail-a.google.com.", "ann@partner.example", quarantine.Other),
	} {
		if text, refused := allowEntry(l, now); text != "" || !strings.Contains(refused, want) {
			t.Errorf("%s: %q, %q", want, text, refused)
		}
	}
}

// TestShownText shows that text of strangers cannot trick a terminal.
func TestShownText(t *testing.T) {
	for in, want := range map[string]string{"plain \u00e9": "plain \u00e9", "a\x1b[31mred": "a?[31mred", "exe\u202efdp.": "exe?fdp.", "a\tb\r\nc": "a b??c", "\xff": "?", "\u200b": "?", "12345678": "1234567..."} {
		if got := shownText(in, map[bool]int{true: 7, false: 100}[in == "12345678"]); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
