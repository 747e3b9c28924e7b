package reputation

import "fmt"

// Standing is what a history says of a subject.
type Standing uint8

// The standings. The zero value is that of a stranger.
const (
	Unknown Standing = iota // too little is known, or it is neither
	Known                   // it sent mail on several days, and next to nothing bad
	Bad                     // most of what it sent lately was bad
)

var standingNames = [...]string{"unknown", "known", "bad"}

// String is the word of a standing.
func (s Standing) String() string {
	if int(s) < len(standingNames) {
		return standingNames[s]
	}
	return "?"
}

// MarshalText writes the word.
func (s Standing) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word.
func (s *Standing) UnmarshalText(b []byte) error {
	for i, name := range standingNames {
		if name == string(b) {
			*s = Standing(i)
			return nil
		}
	}
	return fmt.Errorf("reputation: no standing is %q", b)
}

// weigh returns how much bad there is in counts, in thousandths of a message: malware counts twice, and five recipients
// that do not exist once, since lists grow old and people mistype. Who waited shows nothing by it: waiting is free.
func weigh(c Counts) uint64 {
	return uint64(c[Spam]) + 2*uint64(c[Virus]) + uint64(c[NoSuch])/5
}

// next is the standing that follows from the one before and the counts, which are of one time. There is a gap between what
// makes a standing and what ends it, so that it does not change from one message to the next.
func (h *History) next() Standing {
	good, bad := uint64(h.Counts[Accepted]), weigh(h.Counts)
	fresh, freshBad := uint64(h.Good), uint64(h.Bad)
	switch {
	case h.Standing == Bad && staysBad(good, bad, fresh, freshBad), becomesBad(good, bad, fresh, freshBad):
		return Bad
	case h.Standing == Known && staysKnown(good, bad, fresh, freshBad), becomesKnown(uint64(h.Days), good, bad, fresh, freshBad):
		return Known
	}
	return Unknown
}

// becomesBad: five bad ones of the last day, and no fewer than good ones; or ten of the last month, likewise, and one of them
// is new.
func becomesBad(good, bad, fresh, freshBad uint64) bool {
	return freshBad >= 5*One && freshBad >= fresh || bad >= 10*One && bad >= good && freshBad >= One
}

// staysBad: a third is bad, and the last bad one is not forgotten: after one that is four days, after a thousand, two weeks.
func staysBad(good, bad, fresh, freshBad uint64) bool {
	return freshBad >= One/20 && (freshBad >= 2*One && 2*freshBad >= fresh || bad >= 5*One && 2*bad >= good)
}

// becomesKnown: ten messages on four days, and at most one of fifty is bad, lately one of twenty.
func becomesKnown(days, good, bad, fresh, freshBad uint64) bool {
	return days >= 7*One/2 && good >= 10*One && 50*bad <= good && (freshBad < One/2 || 20*freshBad <= fresh)
}

// staysKnown: it is not silent for long, and at most a tenth is bad, lately a fifth of what is good or less than two
// messages.
func staysKnown(good, bad, fresh, freshBad uint64) bool {
	return good >= 3*One && 10*bad <= good && (freshBad < 2*One || 5*freshBad <= fresh)
}
