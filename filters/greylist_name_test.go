package filters

import (
	"net/netip"
	"strings"
	"testing"
)

// TestNames is which reverse names say nothing of who runs a host: those made for an address or a line, and those of
// machines for rent.
func TestNames(t *testing.T) {
	for _, c := range []struct {
		addr, name      string
		generic, rented bool
	}{
		{"192.0.2.7", "mail.example.org", false, false},
		{"192.0.2.7", "mail-192-0-2-7.example.org", false, false}, // somebody made it for mail
		{"192.0.2.7", "192-0-2-7.example.org", true, false},
		{"192.0.2.7", "7.2.0.192.in.example.org", true, false},
		{"192.0.2.7", "host192-0-2-7.isp.example", true, true},
		{"192.0.2.7", "c0000207.isp.example", true, false},
		{"192.0.2.7", "192000002007.isp.example", true, false},
		{"192.0.2.7", "cpe-0-2-7.isp.example", true, false},
		{"209.85.222.170", "mail-qk1-f170.google.com", false, false},
		{"54.240.8.30", "a8-30.smtp-out.amazonses.com", false, false},
		{"198.2.133.22", "mail133-22.atl131.mandrillapp.com", false, false},
		{"198.61.254.12", "m254-12.mailgun.example", false, false},
		{"40.107.8.41", "mail-eopbgr80041.outbound.protection.outlook.com", false, false},
		{"192.0.2.7", "dsl-7.isp.example", true, false},
		{"192.0.2.7", "abc.dynamic.isp.example", true, false},
		{"192.0.2.7", "dyn7.pool.example.com", true, false},
		{"192.0.2.7", "dynamic-designs.example", false, false}, // the owner's own name is no word of a line
		{"192.0.2.7", "lists.example.org", false, false},
		{"192.0.2.7", "vps77.provider.example", false, true},
		{"192.0.2.7", "srv12.provider.example", false, true},
		{"192.0.2.7", "abc.contabo.net", false, true},
		{"192.0.2.7", "static.7.2.0.192.clients.your-server.de", true, true},
		{"2001:db8:1:2:3:4:5:6", "mx.example.org", false, false},
		{"2001:db8:1:2:3:4:5:6", "2001-0db8-0001-0002-0003.isp.example", true, false},
		{"2001:db8:1:2:3:4:5:6", "0003000400050006.isp.example", true, false},
		{"2001:db8:1:2:3:4:5:6", "x6.example.org", false, false},
		{"192.0.2.7", "", false, false},
	} {
		a := netip.MustParseAddr(c.addr)
		if g, r := GenericName(c.name, a), rented(c.name); g != c.generic || r != c.rented {
			t.Errorf("%s (%s): generic %t, rented %t", c.name, c.addr, g, r)
		}
	}
}

// TestGreylistOptions is what of the options is refused.
func TestGreylistOptions(t *testing.T) {
	refusals(t, map[string]string{
		`delay = "12h"`:                  "",
		"window = \"1h\"":                `checks.greylist.window: is less than an hour longer than delay`,
		"keep = \"2h\"\nwindow = \"3h\"": `checks.greylist.keep: is shorter than window`,
		`within = "37d"`:                 `checks.greylist.within: is longer than keep`,
		`mode = "on"`:                    `checks.greylist.mode: "on" is not a value of this key`,
		"[[for]]\nmode = \"off\"":        `names not exactly one of recipient and domain`,
		"[[for]]\nmode = \"off\"\ndomain = \"a.example\"\nrecipient = \"b@a.example\"": `names not exactly one`,
		"[[for]]\nmode = \"off\"\ndomain = \"a b\"":                                    `"a b" is no domain`,
		"[[for]]\nmode = \"off\"\nrecipient = \"a.example\"":                           `"a.example" is no address`,
		"[[for]]\nmode = \"off\"\nrecipient = \"@a.example\"":                          `"@a.example" is no address`,
		"[[for]]\nrecipient = \"b@a.example\"":                                         `mode`,
		"[[for]]\nmode = \"off\"\nrecipient = \"b@a.example\"":                         "",
	})
}

// refusals holds options of checks.greylist against what is said of them; "" is nothing.
func refusals(t *testing.T, cases map[string]string) {
	t.Helper()
	for policy, want := range cases {
		text := "[checks.greylist]\n" + strings.ReplaceAll(policy, "[[for]]", "[[checks.greylist.for]]") + "\n"
		_, problems := load(t, text)
		if got := problems.Error(); problems.Refused() != (want != "") || !strings.Contains(got, want) {
			t.Errorf("%s: %s", policy, got)
		}
	}
}

// FuzzNames: whatever a stranger's DNS says, looking at it ends; a name that spells the address out is generic, unless
// somebody made it for mail.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{"", ".", "..", "mail", "a.b.c.d.e.f.isp.example", "static.vps.dyn", strings.Repeat("1.", 200), "\xff\x00", "xn--bcher-kva.example", "192-0-2-7"} {
		f.Add(seed, uint32(0xc0000207))
	}
	f.Fuzz(func(t *testing.T, name string, n uint32) {
		a := netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		GenericName(name, a)
		GenericName(name, netip.AddrFrom16([16]byte{0: 0x20, 5: byte(n), 15: byte(n >> 8)}))
		rented(name)
		spelled := "x" + strings.ReplaceAll(a.String(), ".", "-") + ".isp.example"
		if !GenericName(spelled, a) || GenericName("mx-"+spelled, a) {
			t.Error(spelled)
		}
	})
}
