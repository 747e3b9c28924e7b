package filters

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/dns"
)

// accessClient is the site's own list of client networks.
func accessClient() Definition {
	return Definition{
		Name: "access.client", Stage: gateway.Connect, Class: gateway.ClassList,
		Doc:     "Is the client's address on this site's own list? A blocked one is refused at RCPT; an allowed one skips opinions, lists and limits, and never malware, recipient or relay checks. The narrowest network decides.",
		Action:  gateway.ActionReject,
		Unknown: gateway.ActionDefer,
		Options: &ClientEntries{},
		Build: func(options any, _ *Deps) (Built, error) {
			o := options.(*ClientEntries)
			return Built{Run: func(_ context.Context, in *gateway.Input) gateway.Finding { return o.find(in.Session) }}, nil
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
	for _, part := range [...][2]string{{"owner", n.Owner}, {"reason", n.Reason}} {
		if part[1] != "" {
			entry += ", " + part[0] + " " + part[1]
		}
	}
	return entry
}

func (o *ClientEntries) find(s *gateway.Session) gateway.Finding {
	addr := s.Client.Addr().Unmap().WithZone("")
	var hit *ClientEntry
	for i := range o.Entries {
		e := &o.Entries[i]
		if e.Network.Contains(addr) && !e.over(s.Started) && (hit == nil || e.Network.Bits() > hit.Network.Bits()) {
			hit = e
		}
	}
	switch {
	case hit == nil:
		return gateway.Passed()
	case hit.List == "allow":
		return gateway.Passed(gateway.Measure{Name: gateway.AllowMeasure, Value: 1, Text: hit.Network.String()}).Show("entry", hit.text(hit.Network.String()))
	}
	return gateway.Failed(gateway.AccessBlocked, "your network").With(gateway.Measure{Name: "block", Value: 1, Text: hit.Network.String()}).
		Show("entry", hit.text(hit.Network.String()))
}

// accessSender is the site's own list of names and addresses.
func accessSender() Definition {
	return Definition{
		Name: "access.sender", Stage: gateway.Mail, Class: gateway.ClassList,
		Doc:     "Is the HELO name, the verified reverse name, or the reverse-path on this site's own block list?",
		Action:  gateway.ActionReject,
		Unknown: gateway.ActionDefer,
		Options: &SenderEntries{},
		Build: func(options any, d *Deps) (Built, error) {
			o := options.(*SenderEntries)
			return Built{Run: func(ctx context.Context, in *gateway.Input) gateway.Finding { return o.find(ctx, d, in) }}, nil
		},
	}
}

// SenderEntries are the options of checks.access.sender.
type SenderEntries struct {
	Entries []SenderEntry `toml:"entry" doc:"One name or address to block."`
}

// SenderEntry blocks one name or address; exactly one of the first three is set.
type SenderEntry struct {
	Helo    string `toml:"helo" max:"255" example:"spammer.example" doc:"A HELO name, or with a leading dot every name below it."`
	Reverse string `toml:"reverse" max:"255" example:".dynamic.example" doc:"A verified reverse name, or with a leading dot every name below it."`
	Address string `toml:"address" max:"320" example:"@spammer.example" doc:"A reverse-path: user@domain, @domain, or @.domain for every name below it."`
	Note
}

// Validate wants exactly one thing to compare with.
func (e *SenderEntry) Validate(report func(key, message, instead string)) {
	n := 0
	for _, v := range [...]string{e.Helo, e.Reverse, e.Address} {
		if v != "" {
			n++
		}
	}
	if n != 1 {
		report("", "names not exactly one of helo, reverse and address", "write one of the three in each entry")
	}
	if e.Address != "" && !strings.Contains(e.Address, "@") {
		report("address", "has no @", `write user@domain, "@domain" for a whole domain, or "@.domain" for the names below it`)
	}
}

func (o *SenderEntries) find(ctx context.Context, d *Deps, in *gateway.Input) gateway.Finding {
	for i := range o.Entries {
		e := &o.Entries[i]
		if e.over(in.Envelope.Started) {
			continue
		}
		what, shown := "", ""
		switch {
		case e.Helo != "" && nameMatches(e.Helo, in.Session.Helo.Name):
			what, shown = "your HELO name", "helo "+e.Helo
		case e.Address != "" && addressMatches(e.Address, in.Envelope.From):
			what, shown = "the sender address", "address "+e.Address
		case e.Reverse != "" && !isInside(in.Session.Client.Addr()) && d.Resolver != nil:
			if r := d.reverse(ctx, in.Session); r.Status == dns.Found && nameMatches(e.Reverse, r.Name) {
				what, shown = "your host name", "reverse "+e.Reverse
			}
		}
		if what != "" {
			return gateway.Failed(gateway.AccessBlocked, what).With(gateway.Measure{Name: "block", Value: 1, Text: shown}).Show("entry", e.text(shown))
		}
	}
	return gateway.Passed()
}

// nameMatches compares names without regard to case; a pattern with a leading dot stands for every name below it.
func nameMatches(pattern, name string) bool {
	pattern, name = strings.ToLower(pattern), strings.TrimSuffix(strings.ToLower(name), ".")
	if strings.HasPrefix(pattern, ".") {
		return strings.HasSuffix(name, pattern) && len(name) > len(pattern)
	}
	return name == pattern
}

// addressMatches compares by domain, and by the whole address without regard to case: a list that a capital letter
// evades is no list.
func addressMatches(pattern string, a gateway.Address) bool {
	local, domain, _ := strings.Cut(pattern, "@")
	if i := strings.LastIndexByte(pattern, '@'); i >= 0 {
		local, domain = pattern[:i], pattern[i+1:]
	}
	return a.Domain != "" && nameMatches(domain, a.Domain) && (local == "" || strings.EqualFold(local, a.Local))
}
