package gateway

import (
	"net/netip"
	"testing"
	"time"
)

func TestRelay(t *testing.T) {
	end := time.Date(2027, 1, 16, 0, 0, 0, 0, time.UTC)
	p := &Policy{Relays: []TrustedRelay{{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.25/32"), netip.MustParsePrefix("2001:db8::25/128")}, Until: end},
		{Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/28")}, Until: end.Add(-24 * time.Hour)}}}
	for _, tt := range []struct {
		client string
		before time.Duration // how long before the end
		want   bool
	}{
		{"192.0.2.25", time.Hour, true}, {"::ffff:192.0.2.25", time.Hour, true}, {"2001:db8::25", time.Nanosecond, true}, {"192.0.2.26", time.Hour, false},
		{"192.0.2.25", 0, false}, {"192.0.2.25", -time.Hour, false}, {"198.51.100.3", 25 * time.Hour, true}, {"198.51.100.3", time.Hour, false},
	} {
		if got := p.Relay(netip.MustParseAddr(tt.client), end.Add(-tt.before)); got != tt.want {
			t.Errorf("%s, %v before the end: %t", tt.client, tt.before, got)
		}
	}
	if (&Policy{}).Relay(netip.MustParseAddr("192.0.2.25"), end) {
		t.Error("a policy without relays has one")
	}
}
