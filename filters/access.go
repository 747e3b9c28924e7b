package filters

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"gatepost/gateway"
)

// accessClient is the site's own list of client networks.
func accessClient() Definition {
	return Definition{
		Name: "access.client", Stage: gateway.Connect, Class: gateway.ClassList,
		Doc:     "Is the client's address on this site's own list? A blocked one is refused at RCPT, except to postmaster and abuse; an allowed one skips opinions, lists and limits, and never malware, recipient or relay checks. The narrowest network decides, and of the same network twice the block.",
		Action:  gateway.ActionReject,
		Unknown: gateway.ActionDefer,
		Measures: []Measure{
			{"block", "the client is in a network that is blocked", 0},
			{gateway.AllowMeasure, "the client is in a network that is allowed", 0},
		},
		Options: &ClientEntries{},
		Build: func(options any, _ *Deps) (Built, error) {
			o := options.(*ClientEntries)
			return Built{Run: func(_ context.Context, in *gateway.Input) gateway.Finding { return o.find(in.Session) },
				Ready: always}, nil
		},
	}
}

// ClientEntries are the options of checks.access.client.
type ClientEntries struct {
	Entries []ClientEntry `toml:"entry" doc:"One network of clients."`
}

// ClientEntry is one network of clients. Only an address range may be allowed: names and addresses can be forged.
type ClientEntry struct {
	Network netip.Prefix `toml:"network" required:"true" example:"192.0.2.0/24" doc:"The network, as address/bits."`
	List    string       `toml:"list" enum:"block,allow" default:"block" doc:"block: refuse; allow: skip opinions, lists and limits."`
	Note
}

// Validate refuses to allow everybody.
func (e *ClientEntry) Validate(report func(key, message, instead string)) {
	if n := e.Network; e.List == "allow" && n.IsValid() && n.Bits() == 0 {
		report("network", strconv.Quote(n.String())+" is the whole internet", "allow the networks of those whom you know; or set checks to observe")
	}
}

// Note says who wanted an entry, why, and until when.
type Note struct {
	Owner   string    `toml:"owner" max:"100" example:"anna" doc:"Who wanted the entry."`
	Reason  string    `toml:"reason" max:"200" example:"ticket 4711" doc:"Why. It is shown in the trace, never to the sender."`
	Expires EntryDate `toml:"expires" example:"2027-06-30" doc:"The last day, in UTC, on which the entry counts. Not set: always."`
}

// EntryDate is a day, as 2027-06-30. The zero value never comes.
type EntryDate struct{ Day time.Time }

// UnmarshalText reads a day.
func (d *EntryDate) UnmarshalText(text []byte) error {
	day, err := time.Parse(time.DateOnly, string(text))
	d.Day = day
	return err
}

// MarshalText writes the day, or nothing.
func (d EntryDate) MarshalText() ([]byte, error) {
	if d.Day.IsZero() {
		return nil, nil
	}
	return []byte(d.Day.Format(time.DateOnly)), nil
}

// over reports whether the entry has expired.
func (n *Note) over(at time.Time) bool {
	return !n.Expires.Day.IsZero() && !at.UTC().Before(n.Expires.Day.AddDate(0, 0, 1))
}

// text is what the trace shows of an entry.
func (n *Note) text(entry string) string {
	var until string
	if !n.Expires.Day.IsZero() {
		until = n.Expires.Day.Format(time.DateOnly)
	}
	for _, part := range [...][2]string{{"owner", n.Owner}, {"reason", n.Reason}, {"until", until}} {
		if part[1] != "" {
			entry += ", " + part[0] + " " + part[1]
		}
	}
	return entry
}

// AllowedClients tells whether a client is on the allow list, for who has no session yet.
func AllowedClients(configured map[string]Configured) func(client netip.Addr, now time.Time) bool {
	c := configured["access.client"]
	o, ok := c.Options.(*ClientEntries)
	return func(client netip.Addr, now time.Time) bool {
		if !ok || c.Action <= gateway.ActionObserve {
			return false
		}
		hit := o.entry(client, now)
		return hit != nil && hit.List == "allow"
	}
}

// entry is the one that decides, or nil.
func (o *ClientEntries) entry(addr netip.Addr, now time.Time) (hit *ClientEntry) {
	addr = addr.Unmap().WithZone("")
	for i := range o.Entries {
		e := &o.Entries[i]
		if !e.Network.Contains(addr) || e.over(now) {
			continue
		}
		if hit == nil || e.Network.Bits() > hit.Network.Bits() || e.Network.Bits() == hit.Network.Bits() && e.List != "allow" {
			hit = e
		}
	}
	return hit
}

func (o *ClientEntries) find(s *gateway.Session) gateway.Finding {
	hit := o.entry(s.Client.Addr(), s.Started)
	if hit == nil {
		return gateway.Passed()
	}
	network := hit.Network.Masked().String()
	f, measure := gateway.Failed(gateway.AccessBlocked, "your network"), "block"
	if hit.List == "allow" {
		f, measure = gateway.Passed(), gateway.AllowMeasure
	}
	return f.With(gateway.Measure{Name: measure, Value: 1, Text: network}).
		Show("entry", strings.ToLower(measure)+" "+hit.text(network))
}
