package rbl

import (
	"net/netip"
	"strings"
	"testing"
)

// entry is a list of the catalogue, ready to be asked.
func entry(t testing.TB, name string) Entry {
	t.Helper()
	for _, l := range Catalogue() {
		if l.Name != name {
			continue
		}
		e := Entry{List: l, Use: NonCommercial}
		if l.NeedsKey() {
			key, err := NewKey(testKey)
			if err != nil {
				t.Fatal(err)
			}
			e.Key = key
		}
		return e
	}
	t.Fatalf("the catalogue has no %q", name)
	return Entry{}
}

// testKey is no key of anybody.
const testKey = "notakey-sesame"

func addrs(text string) []netip.Addr {
	var out []netip.Addr
	for _, f := range strings.Fields(text) {
		out = append(out, netip.MustParseAddr(f))
	}
	return out
}

func TestCatalogue(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range Catalogue() {
		if err := l.Validate(); err != nil {
			t.Error(err)
		}
		if seen[l.Name] || l.Terms == "" || !strings.HasPrefix(l.Website, "https://") {
			t.Errorf("%s: twice, or without terms or website", l.Name)
		}
		seen[l.Name] = true
		for _, r := range l.Rules {
			decisive := map[string]bool{"SBL": true, "CSS": true, "XBL": true, "DROP": true}[r.Label]
			if decisive != (r.Weight == Decisive) {
				t.Errorf("%s: %s weighs %d: SBL, CSS, XBL and DROP alone decide alone", l.Name, r.Label, r.Weight)
			}
		}
	}
}

// TestCodes has, for each list, what its operator documents, and what it does not.
func TestCodes(t *testing.T) {
	for _, tc := range []struct {
		list, answer string
		want         Verdict
		labels       string
		weight       int
	}{
		{"spamhaus-zen", "127.0.0.2", Listed, "SBL", 10},
		{"spamhaus-zen", "127.0.0.3", Listed, "CSS", 10},
		{"spamhaus-zen", "127.0.0.4", Listed, "XBL", 10},
		{"spamhaus-zen", "127.0.0.9 127.0.0.2", Listed, "DROP,SBL", 10},
		{"spamhaus-zen", "127.0.0.10", Listed, "PBL (ISP)", 5},
		{"spamhaus-zen", "127.0.0.11 127.0.0.4", Listed, "PBL,XBL", 10},
		{"spamhaus-zen", "127.0.0.30", Listed, "BCL", 9},
		{"spamhaus-zen", "127.0.0.5", Unknown, "", 0},
		{"spamhaus-zen", "127.0.0.8", Unknown, "", 0},
		{"spamhaus-zen", "127.0.1.2", Unknown, "", 0},
		{"spamhaus-zen", "127.0.0.2 127.0.0.77", Listed, "SBL", 10},
		{"spamhaus-zen", "127.0.0.1", Unhealthy, "", 0},
		{"spamhaus-zen", "127.255.255.252", Unhealthy, "", 0},
		{"spamhaus-zen", "127.255.255.254", Unhealthy, "", 0},
		{"spamhaus-zen", "127.255.255.255", Unhealthy, "", 0},
		{"spamhaus-zen", "127.0.0.2 127.255.255.255", Unhealthy, "", 0},
		{"spamhaus-zen", "127.255.255.1 127.0.0.2", Unhealthy, "", 0},
		{"spamhaus-zen", "203.0.113.7", Unhealthy, "", 0},
		{"spamhaus-zen", "127.0.0.4 203.0.113.7", Unhealthy, "", 0},
		{"spamhaus-zen", "2001:db8::2", Unhealthy, "", 0},
		{"spamhaus-zen", "::1", Unhealthy, "", 0},
		{"spamhaus-zen", "::ffff:127.0.0.2", Listed, "SBL", 10},
		{"spamhaus-zen", "", Unknown, "", 0},
		{"spamhaus-zen-dqs", "127.0.0.3", Listed, "CSS", 10},
		{"spamhaus-zen-dqs", "127.255.255.250", Unhealthy, "", 0},
		{"spamhaus-zen-dqs", "127.255.255.251", Unhealthy, "", 0},
		{"spamhaus-dbl", "127.0.1.2", Listed, "spam domain", 7},
		{"spamhaus-dbl", "127.0.1.4", Listed, "phishing domain", 9},
		{"spamhaus-dbl", "127.0.1.102", Listed, "abused domain", 2},
		{"spamhaus-dbl", "127.0.1.255", Unhealthy, "", 0},
		{"spamhaus-dbl", "127.0.1.3", Unknown, "", 0},
		{"spamhaus-dbl", "127.0.0.2", Unknown, "", 0},
		{"spamhaus-zrd", "127.0.2.2", Listed, "domain new within a day", 3},
		{"spamhaus-zrd", "127.0.2.24", Listed, "domain new within a day", 3},
		{"spamhaus-zrd", "127.0.2.25", Unknown, "", 0},
		{"spamhaus-zrd", "127.0.1.255", Unhealthy, "", 0},
		{"spamhaus-authbl", "127.0.0.20", Listed, "AuthBL", 3},
		{"abusix", "127.0.0.3 127.0.0.12", Listed, "low reputation,no reverse name", 5},
		{"abusix", "127.0.0.200", Listed, "listed by hand", 8},
		{"spamcop", "127.0.0.2", Listed, "reported as spam", 5},
		{"spamcop", "127.0.0.3", Unknown, "", 0},
		{"barracuda", "127.0.0.2", Listed, "poor reputation", 5},
		{"psbl", "127.0.0.2", Listed, "spam trap", 4},
		{"mailspike", "127.0.0.10", Listed, "worst reputation", 6},
		{"mailspike", "127.0.0.15", Unknown, "", 0},
		{"dnswl", "127.0.10.0", Listed, "known, no trust", -1},
		{"dnswl", "127.0.5.3", Listed, "high trust", -9},
		{"dnswl", "127.0.5.1", Listed, "low trust", -2},
		{"dnswl", "127.0.0.255", Unhealthy, "", 0},
		{"dnswl", "127.0.0.3", Unknown, "", 0},
		{"dnswl", "127.0.5.4", Unknown, "", 0},
		{"surbl", "127.0.0.80", Listed, "malware,abuse", 5},
		{"surbl", "127.0.0.254", Listed, "phishing,malware,abuse,cracked site", 5},
		{"surbl", "127.0.0.1", Unhealthy, "", 0},
		{"surbl", "127.0.0.65", Unhealthy, "", 0},
		{"surbl", "127.0.0.4", Unknown, "", 0},
		{"uribl", "127.0.0.2", Listed, "black", 4},
		{"uribl", "127.0.0.14", Listed, "black,grey,red", 4},
		{"uribl", "127.0.0.255", Unhealthy, "", 0},
		{"uribl", "127.0.0.1", Unhealthy, "", 0},
	} {
		e := entry(t, tc.list)
		var res Result
		e.List.classify(addrs(tc.answer), &res)
		var labels []string
		for _, c := range res.Codes {
			labels = append(labels, c.Label)
		}
		want := tc.labels
		if res.Verdict != tc.want || strings.Join(labels, ",") != want || res.Weight != tc.weight {
			t.Errorf("%s answers %q: %v %q %d (%v %s), want %v %q %d", tc.list, tc.answer, res.Verdict, labels, res.Weight, res.Cause, res.Detail,
				tc.want, want, tc.weight)
		}
		if (res.Cause == NoCause) != (res.Verdict == Listed) {
			t.Errorf("%s answers %q: %v with the cause %q", tc.list, tc.answer, res.Verdict, res.Cause)
		}
	}
}

// TestEveryErrorCode holds the error codes of all lists against each list's documented ones: together they are no listing.
func TestEveryErrorCode(t *testing.T) {
	for _, l := range Catalogue() {
		for b := range 256 {
			bad := netip.AddrFrom4([4]byte{127, 255, 255, byte(b)})
			for _, answer := range [][]netip.Addr{{bad}, {bad, netip.MustParseAddr("127.0.0.2")}, {netip.MustParseAddr("127.0.0.2"), bad}} {
				var res Result
				if l.classify(answer, &res); res.Verdict != Unhealthy || res.Cause != ErrorCode || res.Weight != 0 || res.Codes != nil {
					t.Fatalf("%s: %v is %v %v", l.Name, answer, res.Verdict, res.Cause)
				}
			}
		}
		var res Result
		if l.classify(make([]netip.Addr, maxAnswers+1), &res); res.Verdict != Unhealthy || res.Cause != Flood {
			t.Errorf("%s: a flood is %v %v", l.Name, res.Verdict, res.Cause)
		}
	}
}

func TestWeights(t *testing.T) {
	l := List{Rules: []Rule{rule("127.0.0.2", "good", -5), rule("127.0.0.3", "bad", 5), rule("127.0.0.4", "mild", 2), rule("127.0.0.5", "none", 0)}}
	for answer, want := range map[string]int{
		"127.0.0.2": -5, "127.0.0.2 127.0.0.3": 5, "127.0.0.3 127.0.0.2": 5, "127.0.0.2 127.0.0.4": -5, "127.0.0.4 127.0.0.3": 5, "127.0.0.5": 0,
	} {
		var res Result
		if l.classify(addrs(answer), &res); res.Weight != want || res.Verdict != Listed {
			t.Errorf("%s: %v %d, want %d", answer, res.Verdict, res.Weight, want)
		}
	}
}

func TestPattern(t *testing.T) {
	for _, text := range []string{"127.0.0.2", "127.0.2-15.0", "127.*.0.&8", "127.0.0.0-254", "127.255.255.*"} {
		p, err := ParsePattern(text)
		if err != nil || p.String() != text {
			t.Errorf("%q: %q %v", text, p, err)
		}
	}
	for _, text := range []string{"", "127", "127.0.0", "127.0.0.2.3", "128.0.0.2", "*.0.0.2", "127.0.0.256", "127.0.0.02", "127.0.0.+2", "127.0.0.-2", "127.0.0.2-",
		"127.0.0.3-2", "127.0.0.&3", "127.0.0.&0", "127.0.0.&256", "127.0.0.&", "127.0.0. 2", "127.0.0.2-3-4", "127-127.0.0.2"} {
		var p Pattern
		if err := p.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %v", text, p)
		}
	}
	if (Pattern{}).Match(netip.MustParseAddr("0.0.0.0")) {
		t.Error("no pattern matches")
	}
}

func TestValidate(t *testing.T) {
	good := func() List { return entry(t, "spamcop").List }
	for want, spoil := range map[string]func(*List){
		"the name must be":       func(l *List) { l.Name = "Two Words" },
		"no domain name":         func(l *List) { l.Zone = "bl..example" },
		"in lower case":          func(l *List) { l.Zone = "BL.example" },
		"a label of its own":     func(l *List) { l.Zone = "x{key}.bl.example" },
		"no inputs":              func(l *List) { l.Inputs = 0 },
		"the addresses of links": func(l *List) { l.Inputs = LinkIPv4 },
		"two lists":              func(l *List) { l.Inputs |= From },
		"0 rules":                func(l *List) { l.Rules = nil },
		"needs a pattern":        func(l *List) { l.Rules = append(l.Rules, Rule{Label: "x"}) },
		"a weight of":            func(l *List) { l.Rules[0].Weight = 11 },
		"what it says":           func(l *List) { l.Errors = append(l.Errors, Failure{}) },
		"at least one of each":   func(l *List) { l.Free = nil },
		"not of the list's":      func(l *List) { l.Listed = []string{"example.com"} },
	} {
		l := good()
		spoil(&l)
		if err := l.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
	l := entry(t, "surbl").List
	l.Free = []string{"127.0.0.1"}
	if l.Validate() == nil {
		t.Error("an address as a test point of a list of domains")
	}
}
