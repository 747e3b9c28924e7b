package config

import (
	"net/netip"
	"strconv"
	"time"
)

// TrustedRelay is a gateway in front of this one, while mail moves from it to here.
type TrustedRelay struct {
	Networks []netip.Prefix `toml:"networks" required:"true" example:"192.0.2.25/32" doc:"The addresses of the old gateway. Its own address is not judged: SPF, HELO, reverse name, DNS lists of addresses, greylisting, rates and reputation are left out for what it brings, and DMARC goes by DKIM alone. Everything else is checked, relaying too. At most 256 addresses of IPv4, or a /120."`
	Until    Day            `toml:"until" required:"true" example:"2026-01-15" doc:"The last day, in UTC, on which it counts; at most 30 days from now. After that it is a client as any other."`
}

// Day is a day in UTC, as 2026-01-15.
type Day struct{ time.Time }

// UnmarshalText reads a day.
func (d *Day) UnmarshalText(text []byte) error {
	day, err := time.Parse(time.DateOnly, string(text))
	if err != nil {
		return &ValueError{"is no day", `write it as "2026-01-15"`}
	}
	d.Time = day
	return nil
}

// MarshalText writes the day, or nothing.
func (d Day) MarshalText() ([]byte, error) {
	if d.IsZero() {
		return nil, nil
	}
	return []byte(d.Format(time.DateOnly)), nil
}

// End is the moment from which on the day is over.
func (d Day) End() time.Time { return d.AddDate(0, 0, 1) }

// longestRelay is how long an old gateway may stay in front: what it brings is judged without what is known of its client.
const longestRelay = 30 * 24 * time.Hour

// Validate keeps a trusted relay small and short.
func (r *TrustedRelay) Validate(report func(key, message, instead string)) {
	if r.Networks != nil && len(r.Networks) == 0 {
		report("networks", "is an empty list", "write the addresses of the old gateway")
	}
	for i, n := range r.Networks {
		if n.Addr().BitLen()-n.Bits() > 8 {
			report("networks["+strconv.Itoa(i)+"]", shown(n.String())+" is more than one gateway has", "write the addresses of the old gateway itself, at most 256")
		}
	}
	if time.Until(r.Until.Time) > longestRelay {
		report("until", "is more than 30 days from now", "write a day on which nothing goes through the old gateway any more; it can be written again")
	}
}

// Warn tells of one that is over.
func (r *TrustedRelay) Warn(report func(key, message, instead string)) {
	if !r.Until.IsZero() && time.Now().After(r.Until.End()) {
		report("until", "is over: its mail is judged by its own address", "remove the [[trusted_relay]], or write another day")
	}
}
