package spf

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

// TestBreadth is what records let pass, and what is narrow.
func TestBreadth(t *testing.T) {
	for _, c := range []struct {
		name, records  string // of a.example, and of others
		addrs4, sites6 uint64
		narrow         bool
	}{
		{"one address", `v=spf1 ip4:192.0.2.1 -all`, 1, 0, true},
		{"two families", `v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/47 ~all`, 256, 2, true},
		{"one host of IPv6 is a begun site", `v=spf1 ip6:2001:db8::1 -all`, 0, 1, true},
		{"just narrow", `v=spf1 ip4:10.0.0.0/17 ip4:10.1.0.0/18 ip4:10.2.0.0/18 -ip4:10.0.0.0/8 -all`, 1 << 16, 0, false},
		{"below", `v=spf1 ip4:10.0.0.0/17 ip4:10.1.0.0/18 ip4:10.2.0.0/19 -all`, 1<<15 + 1<<14 + 1<<13, 0, true},
		{"a /16", `v=spf1 ip4:10.0.0.0/16 -all`, 1 << 16, 0, false},
		{"the internet in halves", `v=spf1 ip4:0.0.0.0/1 ip4:128.0.0.0/1 -all`, 1 << 32, 0, false},
		{"IPv6 /32", `v=spf1 ip6:2001:db8::/32 -all`, 0, 1 << 16, false},
		{"all", `v=spf1 ip4:192.0.2.1 +all`, 1, 0, false},
		{"all without a sign", `v=spf1 all`, 0, 0, false},
		{"behind an all nothing is looked at", `v=spf1 ip4:192.0.2.1 ~all +all`, 1, 0, true},
		{"a neutral all", `v=spf1 ip4:192.0.2.1 ?all`, 1, 0, true},
		{"what does not pass is not counted", `v=spf1 ~ip4:10.0.0.0/8 ?include:wide.example -exists:%{i}.b.example ip4:192.0.2.1 -all`, 1, 0, true},
		{"names", `v=spf1 a mx:b.example -all`, 11 * 16, 11 * 16, true},
		{"networks of names", `v=spf1 a/20//40 -all`, 16 << 12, 16 << 8, false},
		{"a name by the client", `v=spf1 a:%{i}.b.example -all`, 0, 0, false},
		{"exists", `v=spf1 exists:b.example -all`, 0, 0, false},
		{"ptr", `v=spf1 ptr -all`, 0, 0, false},
		{"an include", `v=spf1 include:narrow.example include:narrow.example -all`, 512, 0, true},
		{"a wide include", `v=spf1 include:wide.example -all`, 1 << 24, 0, false},
		{"an include that opens", `v=spf1 include:open.example -all`, 0, 0, false},
		{"an include by the sender", `v=spf1 include:%{d2}.b.example -all`, 0, 0, false},
		{"an include of nothing", `v=spf1 ip4:192.0.2.1 include:none.example -all`, 1, 0, false},
		{"an include that cannot be told", `v=spf1 ip4:192.0.2.1 include:dead.example -all`, 1, 0, false},
		{"a redirect", `v=spf1 ip4:192.0.2.1 redirect=narrow.example`, 257, 0, true},
		{"a redirect behind all", `v=spf1 ip4:192.0.2.1 -all redirect=wide.example`, 1, 0, true},
		{"a loop", `v=spf1 ip4:192.0.2.1 include:a.example -all`, 11, 0, false},
		{"broken", `v=spf1 ip4:192.0.2 -all`, 0, 0, false},
		{"none", `something else`, 0, 0, false},
	} {
		w := &world{zone: map[string][]rr{
			"a.example":      {{kind: "TXT", value: c.records}},
			"narrow.example": {{kind: "TXT", value: "v=spf1 ip4:192.0.2.0/24 -all"}},
			"wide.example":   {{kind: "TXT", value: "v=spf1 ip4:10.0.0.0/8 -all"}},
			"open.example":   {{kind: "TXT", value: "v=spf1 +all"}},
			"dead.example":   {{kind: "TIMEOUT"}},
		}}
		b := BreadthOf(t.Context(), w, "a.example.")
		if b.Addrs4 != c.addrs4 || b.Sites6 != c.sites6 || b.Narrow() != c.narrow {
			t.Errorf("%s: %+v, narrow %t", c.name, b, b.Narrow())
		}
		if n := w.questions(); n > 1+maxLookups {
			t.Errorf("%s: %d questions", c.name, n)
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if BreadthOf(over, w, "a.example").Narrow() {
			t.Errorf("%s: narrow after its time", c.name)
		}
	}
}

// TestBreadthCoversPasses: of random records no more addresses pass than they were said to cover.
func TestBreadthCoversPasses(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var terms []string
		for range 1 + random.IntN(5) {
			sign := []string{"", "+", "-", "~", "?"}[random.IntN(5)]
			terms = append(terms, fmt.Sprintf("%sip4:192.0.2.%d/%d", sign, random.IntN(256), 25+random.IntN(8)))
		}
		record := "v=spf1 " + strings.Join(terms, " ") + " -all"
		w := &world{zone: map[string][]rr{"a.example": {{kind: "TXT", value: record}}}}
		passes := uint64(0)
		for i := range 256 {
			q := Query{IP: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Domain: "a.example"}
			if Check(t.Context(), w, q).Result == Pass {
				passes++
			}
		}
		if b := BreadthOf(t.Context(), w, "a.example"); passes > b.Addrs4 || !b.Narrow() {
			t.Errorf("%s: %d pass, %+v", record, passes, b)
		}
	}
}

// FuzzBreadth: whatever a record says, of addresses spread over the whole internet no more pass than it was said to cover, and
// no more is asked than ten includes.
func FuzzBreadth(f *testing.F) {
	for _, seed := range []string{"ip4:0.0.0.0/0", "ip4:10.0.0.0/8 ip6:2000::/3 -all", "+all", "include:b.example ~all", "redirect=b.example", "a/0 mx/1 -all",
		"exists:%{i}.b.example", "?all all", "include:a.example include:a.example", "-ip4:0.0.0.0/1 all", "ip4:128.0.0.0/1", "ptr", "a:%{ir}.b.example//0"} {
		f.Add(seed, "ip4:64.0.0.0/2 a")
	}
	f.Fuzz(func(t *testing.T, terms, included string) {
		w := &world{zone: map[string][]rr{
			"a.example": {{kind: "TXT", value: "v=spf1 " + terms}, {kind: "A", value: "203.0.113.1"}},
			"b.example": {{kind: "TXT", value: "v=spf1 " + included}, {kind: "A", value: "203.0.113.2"}},
		}}
		b := BreadthOf(t.Context(), w, "a.example")
		if n := w.questions(); n > 1+maxLookups {
			t.Fatalf("%d questions", n)
		}
		if b.Open {
			return
		}
		passes := uint64(0)
		for i := range 64 {
			q := Query{IP: netip.AddrFrom4([4]byte{byte(i<<2 | 1), byte(i), 77, 1}), Domain: "a.example"}
			if check(t.Context(), w, q, 0).Result == Pass {
				passes++
			}
		}
		if passes > b.Addrs4 {
			t.Errorf("%q, %q: %d pass, %+v", terms, included, passes, b)
		}
	})
}
