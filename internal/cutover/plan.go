// Package cutover plans how mail for a domain moves from an old gateway to this one, from what DNS says of the domain: steps with
// dates, each small enough to go back. It asks nobody and changes nothing; the caller looks DNS up. It knows nothing of Gatepost
// but its words.
package cutover

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// MX is one mail exchanger of the domain now.
type MX struct {
	Host string
	Pref uint16
}

// Facts are what a plan depends on.
type Facts struct {
	Domain   string
	Hostname string // of this gateway
	MX       []MX   // as they are, most preferred first; none: mail goes to the domain's own address (RFC 5321 section 5.1)
	TTL      time.Duration
	Old      []netip.Addr // addresses of the old gateway, as DNS has them
	SPF      string       // the domain's SPF record; "" for none
	STS      bool         // the domain has an MTA-STS policy (RFC 8461)
	Start    time.Time    // the day on which the gateway becomes a second MX
}

// Step is one step.
type Step struct {
	Day  time.Time // in UTC
	What string
	Do   []string // commands, records and keys, a line each
	Why  string
	Back string // how to go back; "" where there is nothing to undo
}

// TTLs of a change: what clients may keep of the records while it goes on, and the time before it from which they must.
const (
	shortTTL = 300
	ahead    = 48 * time.Hour
)

// Plan makes the steps, in their order.
func Plan(f Facts) []Step {
	here, others := f.split()
	start := f.Start.UTC().Truncate(24 * time.Hour)
	lower := start.Add(-max(ahead, roundUp(f.TTL)))
	steps := []Step{f.spf(lower), f.prepare(lower), f.lower(lower)}
	if f.STS {
		steps = append(steps, Step{Day: lower, What: "name this gateway in the MTA-STS policy too",
			Do:  []string{"mx: " + f.Hostname + "    in https://mta-sts." + f.Domain + "/.well-known/mta-sts.txt, beside those that are there", "a new id in the TXT record _mta-sts." + f.Domain},
			Why: "senders that know the policy deliver to no host that it does not name; they keep it for its max_age"})
	}
	steps = slices.DeleteFunc(steps, func(s Step) bool { return s.What == "" })
	last := uint16(10)
	for _, m := range others {
		last = max(last, m.Pref)
	}
	if here == nil {
		steps = append(steps, Step{Day: start, What: "become a second, less preferred MX",
			Do:   []string{fmt.Sprintf("%s. %d IN MX %d %s.", f.Domain, shortTTL, clamp(last, 10), f.Hostname), `mode = "soft"    in policy.toml`},
			Why:  "real mail goes on by the old way; spam tries the last MX first, so the gateway sees it early, and refuses only relaying, unknown recipients and malware",
			Back: "take this MX away again"})
	}
	steps = append(steps, f.relay(start), f.first(start, others, here), f.alone(start, others))
	steps = append(steps, Step{Day: start.AddDate(0, 0, 14), What: "let verdicts be carried out",
		Do:   []string{`mode = "enforce"    in policy.toml`, "gatepost reload", "gatepost log search --verdict reject --limit 50    each day for a week"},
		Why:  "14 days show what enforce would have refused: gatepost log search tells it, message by message",
		Back: `mode = "soft"`})
	steps = append(steps, Step{Day: start.AddDate(0, 0, 21), What: "take down the old gateway, and raise the TTL",
		Do:  []string{fmt.Sprintf("%s. 3600 IN MX 10 %s.", f.Domain, f.Hostname), "remove [[trusted_relay]] from policy.toml", "gatepost handover PRODUCT --verify --outside ...    from another host: direct mail must be refused"},
		Why: "no sender keeps the old MX longer than its TTL, and none tries again for longer than about five days"})
	slices.SortStableFunc(steps, func(a, b Step) int { return a.Day.Compare(b.Day) })
	return steps
}

// split finds this gateway among the exchangers.
func (f *Facts) split() (here *MX, others []MX) {
	for i, m := range f.MX {
		if strings.EqualFold(strings.TrimSuffix(m.Host, "."), f.Hostname) {
			here = &f.MX[i]
			continue
		}
		others = append(others, m)
	}
	return here, others
}

// spf finds mechanisms of the record that change with the MX.
func (f *Facts) spf(day time.Time) Step {
	words := strings.Fields(strings.ToLower(f.SPF))
	if len(words) == 0 {
		return Step{}
	}
	for _, w := range words[1:] {
		name := strings.TrimLeft(w, "+-~?")
		if name == "mx" || strings.HasPrefix(name, "mx:") || strings.HasPrefix(name, "mx/") {
			var addresses []string
			for _, a := range f.Old {
				addresses = append(addresses, map[bool]string{true: "ip4:", false: "ip6:"}[a.Is4()]+a.String())
			}
			if len(addresses) == 0 {
				addresses = []string{"ip4: and ip6: of the hosts that send your mail"}
			}
			return Step{Day: day, What: "take mx out of the SPF record",
				Do:  []string{"now:  " + f.SPF, "then: the same with " + strings.Join(addresses, " ") + " in place of " + w + ", as far as these send mail"},
				Why: "it means whoever receives your mail: with the MX it would move to this gateway, which sends nothing, and your own outbound path would fail SPF"}
		}
	}
	return Step{Day: day, What: "leave the SPF record as it is",
		Do:  []string{f.SPF},
		Why: "it is about mail that goes out, whose way does not change; it names no mx"}
}

func (f *Facts) prepare(day time.Time) Step {
	return Step{Day: day, What: "set the gateway up",
		Do: []string{"gatepost check --live", "gatepost handover PRODUCT    and what it prints, on the internal mail server", "gatepost handover PRODUCT --verify",
			"gatepost cutover verify --domain " + f.Domain},
		Why: "each step from here on assumes that mail passes from the gateway to the internal mail server"}
}

func (f *Facts) lower(day time.Time) Step {
	what := []string{}
	for _, m := range f.MX {
		what = append(what, fmt.Sprintf("%s. %d IN MX %d %s.", f.Domain, shortTTL, m.Pref, strings.TrimSuffix(m.Host, ".")))
	}
	if len(what) == 0 {
		what = []string{f.Domain + ". has no MX: senders use its own address; write one for the old gateway first"}
	}
	return Step{Day: day, What: fmt.Sprintf("lower the TTL of the MX records to %d seconds", shortTTL), Do: what,
		Why: fmt.Sprintf("they may be kept for up to %s now; from %s on a change, and a way back, takes five minutes", f.TTL.Round(time.Second), f.Start.UTC().Format(time.DateOnly))}
}

// relay makes of the old gateway a trusted relay, where it is to pass on to this one.
func (f *Facts) relay(start time.Time) Step {
	var networks []string
	for _, a := range f.Old {
		networks = append(networks, fmt.Sprintf(`"%s/%d"`, a, a.BitLen()))
	}
	list := strings.Join(networks, ", ")
	if list == "" {
		list = `"ADDRESS OF THE OLD GATEWAY/32"`
	}
	return Step{Day: start.AddDate(0, 0, 2), What: "have the old gateway pass its mail on to this one",
		Do: []string{"[[trusted_relay]]    in policy.toml", "networks = [" + list + "]", `until = "` + start.AddDate(0, 0, 28).Format(time.DateOnly) + `"`,
			"then the old gateway's next hop: " + f.Hostname},
		Why:  "all mail then takes one way to the recipients. As a trusted relay its own address is not judged: SPF would fail for it, DNS lists would look at the wrong host. Its Received field names the real client for the trace; what the old one refuses by SPF and lists it must go on refusing, and what this one refuses the old one bounces: stay with soft",
		Back: "the old gateway's next hop back to the internal mail server"}
}

// first puts this gateway first.
func (f *Facts) first(start time.Time, others []MX, here *MX) Step {
	lowest := uint16(10)
	if len(others) > 0 {
		lowest = others[0].Pref
	}
	s := Step{Day: start.AddDate(0, 0, 7), What: "become the first MX", Why: "senders come here first, and go to the old gateway while this one is away",
		Back: "swap the preferences back: five minutes later mail goes the old way"}
	if here != nil && (len(others) == 0 || here.Pref < lowest) {
		s.What, s.Day = "it is the first MX already", start
		return s
	}
	mine, theirs := uint16(5), uint16(0)
	if lowest > 5 {
		mine = lowest - 5
	} else {
		mine, theirs = 0, 10
	}
	s.Do = append(s.Do, fmt.Sprintf("%s. %d IN MX %d %s.", f.Domain, shortTTL, mine, f.Hostname))
	for _, m := range others {
		s.Do = append(s.Do, fmt.Sprintf("%s. %d IN MX %d %s.", f.Domain, shortTTL, clamp(m.Pref, theirs), strings.TrimSuffix(m.Host, ".")))
	}
	return s
}

func (f *Facts) alone(start time.Time, others []MX) Step {
	s := Step{Day: start.AddDate(0, 0, 12), What: "take the old MX records away", Why: "spam prefers the MX that is guarded less; two gateways that filter differently let in what either lets in",
		Back: "put them back"}
	for _, m := range others {
		s.Do = append(s.Do, fmt.Sprintf("remove: %s. MX %d %s.", f.Domain, m.Pref, strings.TrimSuffix(m.Host, ".")))
	}
	s.Do = append(s.Do, "the old gateway stays up for what still comes to it: TTL, and senders that try again for up to five days")
	return s
}

// clamp adds to a preference, which has 16 bits.
func clamp(pref, add uint16) uint16 {
	if pref > 65535-add {
		return 65535
	}
	return pref + add
}

// roundUp makes whole days of a time.
func roundUp(d time.Duration) time.Duration {
	const day = 24 * time.Hour
	return min((max(d, 0)+day-1)/day*day, 30*day)
}
