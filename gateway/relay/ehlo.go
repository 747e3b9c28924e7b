package relay

import (
	"math"
	"strconv"
	"strings"

	"gatepost/gateway"
)

// offer is what a next hop said to EHLO (RFC 5321 section 4.1.1.1). The zero value is that of HELO: nothing.
type offer struct {
	extended                                            bool // it answered EHLO
	pipelining, eightBit, utf8, chunking, dsn, starttls bool
	requireTLS                                          bool // RFC 8689; counts only where the session is verified
	sizeSaid                                            bool
	size                                                int64    // 0: no limit said
	recipients                                          int      // 0: no limit said
	auth                                                []string // mechanisms, in upper case
	xclient, xforward                                   []string // attributes, in upper case
}

// parseEHLO reads the lines of a 250 to EHLO. The first greets and is no keyword. Keywords are read in any case; what is
// unknown or malformed is as if it were not there.
func parseEHLO(lines []string) offer {
	o := offer{extended: true}
	for i, line := range lines {
		if i == 0 {
			continue
		}
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		switch strings.ToUpper(words[0]) {
		case "PIPELINING":
			o.pipelining = true
		case "8BITMIME":
			o.eightBit = true
		case "SMTPUTF8":
			o.utf8 = true
		case "CHUNKING":
			o.chunking = true
		case "DSN":
			o.dsn = true
		case "STARTTLS":
			o.starttls = true
		case "REQUIRETLS":
			o.requireTLS = true
		case "AUTH":
			o.auth = appendUpper(o.auth, words[1:])
		case "XCLIENT":
			o.xclient = appendUpper(o.xclient, words[1:])
		case "XFORWARD":
			o.xforward = appendUpper(o.xforward, words[1:])
		case "SIZE":
			o.sizeSaid = true
			if len(words) > 1 {
				o.size = parseLimit(words[1])
			}
		case "LIMITS":
			o.limits(words[1:])
		}
	}
	return o
}

func appendUpper(to, words []string) []string {
	for _, w := range words {
		to = append(to, strings.ToUpper(w))
	}
	return to
}

// limits reads the parameters of LIMITS (RFC 9422 section 3).
func (o *offer) limits(words []string) {
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		if n := parseLimit(value); strings.EqualFold(name, "RCPTMAX") && n > 0 && n <= math.MaxInt32 {
			o.recipients = int(n)
		}
	}
}

// parseLimit reads a number without sign; 0 when it is none. One too great for an int64 is no limit.
func parseLimit(s string) int64 {
	if s == "" || len(s) > 20 || strings.Trim(s, "0123456789") != "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// carries is the offer in the contract's words.
func (o offer) carries() gateway.Carries {
	return gateway.Carries{Known: true, Size: o.size, EightBit: o.eightBit, UTF8: o.utf8, Chunking: o.chunking,
		DSN: o.dsn, Recipients: o.recipients}
}

// both is what two next hops can carry, whichever of them a message meets.
func both(a, b gateway.Carries) gateway.Carries {
	if !a.Known {
		return b
	}
	if !b.Known {
		return a
	}
	return gateway.Carries{Known: true, Size: lower(a.Size, b.Size), EightBit: a.EightBit && b.EightBit,
		UTF8: a.UTF8 && b.UTF8, Chunking: a.Chunking && b.Chunking, DSN: a.DSN && b.DSN,
		Recipients: lower(a.Recipients, b.Recipients)}
}

// lower is the lower of two limits, of which 0 is none.
func lower[N int | int64](a, b N) N {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}
