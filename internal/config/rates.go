package config

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Rate is one limit of how much may come in how much time, laid over the default limit of the same subject and unit.
type Rate struct {
	Of      string  `toml:"of" enum:"client,network,wide-network,organisation,sender-domain,recipient,recipient-domain,null-sender,unknown-recipient,client-error" required:"true" example:"client" doc:"What is counted apart. client: an IPv4 address or an IPv6 /64; network: /26, /56; wide-network: /21, /48; organisation: the domain of the client's verified reverse name, or of a HELO name that has its address; sender-domain: that of MAIL FROM; null-sender: a recipient, of mail from <>; unknown-recipient: a client, of recipients that do not exist; client-error: a client, of commands refused with 5xx."`
	Unit    string  `toml:"unit" enum:"connections,messages,recipients,octets,errors" required:"true" example:"connections" doc:"What is counted. Clients and networks have connections, messages, recipients and octets; unknown-recipient has recipients, client-error has errors, all others have messages."`
	Unknown RatePer `toml:"unknown" example:"30/1m" doc:"How much may come from a client of which nothing is known: so many in so much time, and so many at once. none: no limit. Not set: as by default."`
	Known   RatePer `toml:"known" example:"300/1m" doc:"The same of a client that is known: it passed the bot tests and had a message accepted in the last 30 days, or what it sent before was good."`
	Bad     RatePer `toml:"bad" example:"6/1m" doc:"The same of a client that failed a bot test lately, or whose mail was bad."`
	Observe *bool   `toml:"observe" example:"true" doc:"The limit refuses nothing, and is only told of. Not set: as by default, and false for a limit that has no default."`
}

// RatePer is so much in so much time, as "30/1m"; of octets "1G/1h". The zero value says nothing.
type RatePer struct {
	None   bool // there is no limit
	N      int64
	Sized  bool // N was written with K, M or G
	Period time.Duration
}

// rateAdvice says how a rate is written.
const rateAdvice = `write so many in so much time, for example "30/1m" or "200/1h", or "none"`

// UnmarshalText reads a rate.
func (r *RatePer) UnmarshalText(text []byte) error {
	bad := &ValueError{"is not a rate", rateAdvice}
	s := string(text)
	if s == "none" {
		*r = RatePer{None: true}
		return nil
	}
	n, per, ok := strings.Cut(s, "/")
	if !ok {
		return bad
	}
	size, err := ParseSize(n)
	if err != nil {
		return bad
	}
	period, err := ParseDuration(per)
	switch {
	case err != nil:
		return bad
	case period < time.Second || period > day:
		return &ValueError{"has a time that is not 1s to 1d", rateAdvice}
	case size < 1:
		return &ValueError{"lets nothing pass", `write a number above 0; to refuse clients use checks.access.client`}
	}
	*r = RatePer{N: int64(size), Period: period, Sized: strings.HasSuffix(n, "K") || strings.HasSuffix(n, "M") || strings.HasSuffix(n, "G")}
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (r RatePer) MarshalText() ([]byte, error) {
	switch {
	case r.None:
		return []byte("none"), nil
	case r.N == 0:
		return nil, nil
	case r.Sized:
		return []byte(Size(r.N).String() + "/" + FormatDuration(r.Period)), nil
	}
	return []byte(strconv.FormatInt(r.N, 10) + "/" + FormatDuration(r.Period)), nil
}

// unitsOf are the units that are counted of a subject.
func unitsOf(of string) []string {
	switch of {
	case "client", "network", "wide-network":
		return []string{"connections", "messages", "recipients", "octets"}
	case "unknown-recipient":
		return []string{"recipients"}
	case "client-error":
		return []string{"errors"}
	}
	return []string{"messages"}
}

// Validate checks that somebody counts what is limited, and that each rate can be.
func (r *Rate) Validate(report func(key, message, instead string)) {
	if units := unitsOf(r.Of); r.Of != "" && r.Unit != "" && !slices.Contains(units, r.Unit) {
		report("unit", shown(r.Unit)+" are not counted of "+r.Of, "write "+strings.Join(units, ", "))
		return
	}
	for _, one := range r.rates() {
		n := one.rate.N
		switch {
		case n == 0:
			continue
		case r.Unit == "octets" && !one.rate.Sized:
			report(one.key, "is not a size in so much time", `write a size with K, M or G, for example "1G/1h"`)
			continue
		case r.Unit == "octets":
			n = (n + 1023) >> 10 // they are counted in KiB
		case one.rate.Sized:
			report(one.key, "is a size, and "+r.Unit+" are a number", rateAdvice)
			continue
		}
		if n > int64(one.rate.Period/time.Microsecond) {
			report(one.key, "is faster than can be counted", `write at most one in a microsecond, or "none"`)
		}
	}
}

// Warn says what is hardly meant: that a better name slows a client down.
func (r *Rate) Warn(report func(key, message, instead string)) {
	list := r.rates()
	for i, better := range list[1:] {
		if worse := list[i]; worse.rate.N > 0 && better.rate.N > 0 && !better.rate.atLeast(worse.rate) {
			report(better.key, "is slower than "+worse.key, "write at least as much")
		}
	}
}

// atLeast reports whether the rate lets as much pass as another.
func (r RatePer) atLeast(other RatePer) bool {
	return float64(r.N)*float64(other.Period) >= float64(other.N)*float64(r.Period)
}

type namedRate struct {
	key  string
	rate RatePer
}

// rates are those of each reputation, the worst first.
func (r *Rate) rates() [3]namedRate {
	return [3]namedRate{{"bad", r.Bad}, {"unknown", r.Unknown}, {"known", r.Known}}
}

// ratesOnce refuses two limits of the same.
func (p *Policy) ratesOnce(report func(key, message, instead string)) {
	seen := map[[2]string]bool{}
	for i := range p.Rates {
		r := &p.Rates[i]
		if r.Of != "" && r.Unit != "" && seen[[2]string{r.Of, r.Unit}] {
			report("rate["+strconv.Itoa(i)+"].of", r.Unit+" of "+r.Of+" have two limits", "write one [[rate]] for them")
		}
		seen[[2]string{r.Of, r.Unit}] = true
	}
}
