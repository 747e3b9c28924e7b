package limit

import (
	"math/bits"
	"strconv"
	"time"
)

// Rate is how fast a key comes to rest, and how much it may bring at once.
type Rate struct {
	Interval int64 // microseconds a unit
	Burst    int64 // units
}

// MostFull is the longest that a key can take to come to rest. With it no sum of the algorithm exceeds 2^53, which is what
// a script of Redis counts to exactly, before the year 2255.
const MostFull = 24 * time.Hour

const (
	mostFull = int64(MostFull / time.Microsecond)
	mostNow  = int64(1)<<53 - 2*mostFull // microseconds since 1970
)

// Per returns the rate of n units a period, all of which may come at once: in any period at most 2n pass, in the long run n.
// An interval that is no whole number of microseconds is the next shorter one: nobody gets less than was promised.
func Per(n int64, period time.Duration) Rate {
	if n < 1 {
		return Rate{}
	}
	return Rate{Interval: int64(period/time.Microsecond) / n, Burst: n}
}

// Valid reports whether the rate is one: an interval, a burst, and Full at most MostFull.
func (r Rate) Valid() bool {
	return r.Interval > 0 && r.Burst > 0 && r.Burst <= mostFull/r.Interval
}

// Full is how far ahead the TAT of a key is that has nothing left.
func (r Rate) Full() time.Duration { return time.Duration(r.full()) * time.Microsecond }

func (r Rate) full() int64 { return r.Interval * r.Burst }

// String is the rate as people read it: "30 per minute". The period is the one that Per was given, as far as an interval in
// whole microseconds tells.
func (r Rate) String() string {
	if !r.Valid() {
		return "no limit"
	}
	full := r.Full()
	if whole := (full + time.Duration(r.Burst)*time.Microsecond).Truncate(time.Second); whole >= full {
		full = whole
	}
	period := full.String()
	for _, u := range [...]struct {
		is   time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if full < u.is || full%u.is != 0 {
			continue
		}
		if period = u.name; full > u.is {
			period = strconv.FormatInt(int64(full/u.is), 10) + " " + u.name + "s"
		}
		break
	}
	return strconv.FormatInt(r.Burst, 10) + " per " + period
}

// Or returns the more generous of two rates: that of the larger burst, of equals that of the shorter interval. A limit of
// 200 an hour and ten times what was learned is the two of them.
func (r Rate) Or(other Rate) Rate {
	if other.Valid() && (other.Burst > r.Burst || other.Burst == r.Burst && other.Interval < r.Interval) {
		return other
	}
	return r
}

// Part is one of so many parts of a rate, rounded up; it comes to rest in the same time, as far as whole units allow.
func (r Rate) Part(of int64) Rate {
	if !r.Valid() || of <= 1 {
		return r
	}
	burst := (r.Burst-1)/of + 1
	return Rate{Interval: r.full() / burst, Burst: burst}
}

// And is the rate of two together: it lets pass all that passes one or the other of them.
func (r Rate) And(other Rate) Rate {
	if !r.Valid() || !other.Valid() {
		return Rate{} // one of them does not limit
	}
	hi, lo := bits.Mul64(uint64(r.Interval), uint64(other.Interval))
	interval, _ := bits.Div64(hi, lo, uint64(r.Interval+other.Interval)) // the next shorter one; hi is less than the sum
	return Rate{Interval: max(int64(interval), 1), Burst: r.Burst + other.Burst}
}

// step is what the algorithm makes of one charge. Times are microseconds since 1970.
type step struct {
	before int64 // the TAT as it counts: at least now, at most full ahead
	after  int64 // the TAT, if it is counted
	wait   int64 // microseconds until it would pass; 0: it passes
}

// count is the algorithm. tat is 0 for a key that nothing is known of, rate is valid and cost at least 1.
//
// A TAT further ahead than the burst comes from a clock that was set back, or from a rate that was slower: it counts as the
// burst, so that nobody ever waits longer than Full.
func count(tat, now int64, rate Rate, cost int64) step {
	now = min(max(now, 0), mostNow)
	full := rate.full()
	s := step{before: min(max(tat, now), now+full)}
	s.after = s.before + min(cost, rate.Burst)*rate.Interval
	s.wait = max(s.after-full-now, 0)
	return s
}
