package reputation

import (
	"strconv"
	"time"
)

// Tell is a history in words, with each of its numbers, as of a time: "bad: accepted 3.2, spam 12, virus 0, no such
// recipient 4, waited 1, on 2.5 days since 2026-03-01; lately 0.4 good, 9.6 bad".
func (h History) Tell(now time.Time) string {
	h = h.At(now)
	if h.Seen == 0 {
		return Unknown.String() + ": no history"
	}
	b := make([]byte, 0, 160)
	b = append(append(b, h.Standing.String()...), ": "...)
	for o := range h.Counts {
		b = append(append(b, outcomeNames[o]...), ' ')
		b = append(tenths(b, h.Counts[o]), ", "...)
	}
	b = append(b, "on "...)
	days, unit := len(b), " days since "
	if b = tenths(b, h.Days); string(b[days:]) == "1" {
		unit = " day since "
	}
	b = append(b, unit...)
	b = time.Unix(h.First, 0).UTC().AppendFormat(b, time.DateOnly)
	b = append(tenths(append(b, "; lately "...), h.Good), " good, "...)
	return string(append(tenths(b, h.Bad), " bad"...))
}

// tenths appends thousandths with at most one digit behind the point.
func tenths(b []byte, n uint32) []byte {
	n = (n + One/20) / (One / 10)
	if b = strconv.AppendUint(b, uint64(n/10), 10); n%10 != 0 {
		b = append(b, '.', '0'+byte(n%10))
	}
	return b
}
