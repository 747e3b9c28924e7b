package gateway

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestHeld: mail waits for DNS only for a domain that was long known to ask for something, and only for four hours.
func TestHeld(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for name, tt := range map[string]struct {
		k    KnownDomain
		want bool
	}{
		"nothing known":                {KnownDomain{}, false},
		"asks for nothing":             {KnownDomain{Seen: ago(day), Passed: ago(day), Passes: 100}, false},
		"asks for 6 d":                 {KnownDomain{Asks: "reject", AsksSince: ago(7*day - time.Second)}, false},
		"asks for 7 d":                 {KnownDomain{Asks: "reject", AsksSince: ago(7 * day)}, true},
		"outage of 3 h":                {KnownDomain{Asks: "reject", AsksSince: ago(30 * day), Outage: ago(3 * time.Hour), Untold: ago(time.Hour)}, true},
		"outage of 4 h":                {KnownDomain{Asks: "reject", AsksSince: ago(30 * day), Outage: ago(4 * time.Hour), Untold: ago(time.Hour)}, false},
		"an outage of last week":       {KnownDomain{Asks: "reject", AsksSince: ago(30 * day), Outage: ago(7 * day), Untold: ago(7*day - time.Hour)}, true},
		"an outage for a week":         {KnownDomain{Asks: "reject", AsksSince: ago(30 * day), Outage: ago(7 * day), Untold: ago(23 * time.Hour)}, false},
		"the clock was set back":       {KnownDomain{Asks: "reject", AsksSince: now.Add(day)}, false},
		"the clock was back meanwhile": {KnownDomain{Asks: "reject", AsksSince: ago(30 * day), Outage: now.Add(time.Hour), Untold: now.Add(time.Hour)}, true},
	} {
		if got := tt.k.Held(now); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	k := KnownDomain{Outage: ago(10 * time.Hour), Untold: ago(time.Hour)}
	if got := k.NextOutage(now); !got.Equal(k.Outage) {
		t.Errorf("an outage that goes on began at %v", got)
	}
	if k.Untold = ago(day); !k.NextOutage(now).Equal(now) {
		t.Error("an outage of yesterday goes on")
	}
	if !(KnownDomain{Passed: ago(36*day - 1)}).PassedLately(now) || (KnownDomain{Passed: ago(36 * day)}).PassedLately(now) || (KnownDomain{}).PassedLately(now) {
		t.Error("a pass is late for 36 days")
	}
}

func TestPathOf(t *testing.T) {
	long := "list:" + strings.Repeat("x", 1000)
	for _, tt := range []struct {
		spf, reverse, client, told string
		want                       Path
		named                      bool
	}{
		{"Lists.Example", "isp.example", "192.0.2.7", "list:Dev.Lists.Example", Path{"lists.example", "list:dev.lists.example"}, true},
		{"", "isp.example", "192.0.2.7", "", Path{"isp.example", ""}, true},
		{"", "", "192.0.2.7", "arc:evil.example", Path{"192.0.2.0/24", "arc:evil.example"}, false},
		{"", "", "::ffff:192.0.2.7", "", Path{"192.0.2.0/24", ""}, false},
		{"", "", "2001:db8:1:2::3", "", Path{"2001:db8:1::/48", ""}, false},
		{"", "", "", "", Path{"unknown/0", ""}, false},
		{"a.example", "", "192.0.2.7", long, Path{"a.example", long[:pathTold]}, true},
		{"a.example", "", "192.0.2.7", "list:a\x00\r\nb", Path{"a.example", "list:a?  b"}, true},
	} {
		client, _ := netip.ParseAddr(tt.client)
		if got := PathOf(tt.spf, tt.reverse, client, tt.told); got != tt.want || got.Named() != tt.named {
			t.Errorf("%+v: %+v, named %v", tt, got, got.Named())
		}
	}
	p := Path{Host: "lists.example"}
	for author, want := range map[string]bool{"lists.example": true, "a.b.lists.example": true, "evillists.example": false, "example": false, "": false} {
		if p.Owns(author) != want {
			t.Errorf("owns %q: %v", author, !want)
		}
	}
}

// TestStanding is the rule about indirect paths, and what an attacker can make of it.
func TestStanding(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	past := func(days int, p Past) Past { p.First, p.Last = now.Add(-time.Duration(days)*day), now; return p }
	good := Past{Messages: 100, Judged: 80, Passed: 70, Refused: 5, Chains: 0, Days: 20, Authors: 8}
	junk := Past{Messages: 1000, Judged: 1000, Refused: 1000, Chains: 1000}
	list := Path{"lists.example", "list:dev.lists.example"}
	plain := Path{"alumni.example", ""}
	for name, tt := range map[string]struct {
		k    KnownPath
		want Standing
	}{
		"nothing known":                    {KnownPath{Path: list}, PathYoung},
		"throw-away host, 29 d of junk":    {KnownPath{list, past(29, junk), past(29, junk)}, PathYoung},
		"throw-away host, 30 d of junk":    {KnownPath{list, past(30, junk), past(30, junk)}, PathDoubted},
		"the same with another List-Id":    {KnownPath{list, past(30, junk), Past{}}, PathDoubted},
		"the same without one":             {KnownPath{Path{Host: "lists.example"}, past(30, junk), Past{}}, PathDoubted},
		"junk with chains of its own":      {KnownPath{Path{"evil.example", "arc:evil.example"}, past(90, junk), past(90, junk)}, PathDoubted},
		"its own mail only":                {KnownPath{list, past(90, Past{Messages: 900}), past(90, Past{Messages: 900})}, PathDoubted},
		"a forwarder that leaves it whole": {KnownPath{plain, past(90, good), Past{}}, PathTrusted},
		"a list that leaves it whole":      {KnownPath{list, past(90, good), past(90, good)}, PathTrusted},
		"good for 29 d":                    {KnownPath{plain, past(29, good), Past{}}, PathYoung},
		"on 6 days":                        {KnownPath{plain, past(90, Past{Judged: 80, Passed: 80, Days: 6, Authors: 8}), Past{}}, PathDoubted},
		"of two authors":                   {KnownPath{plain, past(90, Past{Judged: 80, Passed: 80, Days: 20, Authors: 2}), Past{}}, PathDoubted},
		"three quarters":                   {KnownPath{plain, past(90, Past{Judged: 80, Passed: 60, Days: 20, Authors: 3}), Past{}}, PathTrusted},
		"less than three quarters":         {KnownPath{plain, past(90, Past{Judged: 80, Passed: 59, Days: 20, Authors: 8}), Past{}}, PathDoubted},
		"a new list at a good host":        {KnownPath{list, past(90, good), Past{}}, PathYoung},
		"a bad list at a good host, 29 d":  {KnownPath{list, past(90, good), past(29, junk)}, PathYoung},
		"a bad list at a good host, 30 d":  {KnownPath{list, past(90, good), past(30, junk)}, PathDoubted},
		"a good list at a bad host":        {KnownPath{list, past(90, junk), past(90, good)}, PathTrusted},
		"a new list that began well":       {KnownPath{list, past(90, junk), past(10, good)}, PathDoubted},
		"a host without a name":            {KnownPath{Path{Host: "192.0.2.0/24"}, past(90, good), Past{}}, PathDoubted},
		"a list at a host without a name":  {KnownPath{Path{"192.0.2.0/24", list.Told}, past(90, good), past(90, good)}, PathDoubted},
		"the clock was set back":           {KnownPath{plain, past(-1, good), Past{}}, PathYoung},
	} {
		if got := tt.k.Standing(now); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
