package greylist

import "time"

// Learn is what a node makes of the answer that a shared store gave to its try: what it remembers itself from then on, and
// the more lenient of that answer and its own. So a pair that waited, or passed, by what this node saw passes, though the
// shared store lost it, and no wait begins anew; and the node can stand in for the store when that is away.
//
// An Answer of Unknown teaches nothing, and is given back.
func Learn(r Record, p Passes, a Answer, s Settings, now time.Time) (Record, Passes, Answer) {
	s, t := s.Filled(), Millis(now)
	switch a.Outcome {
	case Exempt:
		return r, Passes(-t), a
	case Known:
		return Record(-t), p.at(t, s), a
	case Passed:
		if p = p.at(t, s); p >= 0 { // else it passes already, by what this node saw
			p = p.count(t, s)
		}
		return Record(-t), p, a
	case First, Early:
		since := max(t-max(s.Delay-a.Wait, 0).Milliseconds(), leastTime)
		if r = r.at(t, s); r == 0 || r > Record(since) {
			r = Record(since)
		}
		newR, newP, own := Decide(r, p, s, now)
		if own.Hold() && own.Wait >= a.Wait {
			own = a // First, of both
		}
		return newR, newP, own
	}
	return r, p, a
}

// Time returns since when a pair waits, or when it that passed was last seen; the zero time of one of which nothing is known.
func (r Record) Time() time.Time {
	if r == 0 {
		return time.Time{}
	}
	return time.UnixMilli(max(int64(r), -int64(r)))
}

// Time returns when the count of an identity began, or when one that passed often enough was last seen; the zero time of one
// of which nothing is known.
func (p Passes) Time() time.Time {
	switch {
	case p > 0:
		return time.UnixMilli(int64(p >> countBits))
	case p < 0:
		return time.UnixMilli(-int64(p))
	}
	return time.Time{}
}

// Count returns how many passes an identity has of those that it needs; 0 once it has them all.
func (p Passes) Count() int { return int(max(p, 0) & MaxPasses) }

// ForgetOlder forgets what is remembered of a pair, or of its identity, from before a time each; the zero time: nothing.
func (m *Memory) ForgetOlder(k Key, pair, identity time.Time) {
	if pair.IsZero() && identity.IsZero() {
		return
	}
	if pair.Before(identity) {
		pair = identity // a pair is forgotten with its identity
	}
	m.step(k, Settings{}, time.Time{}, func(r Record, p Passes, _ Settings, _ time.Time) (Record, Passes, Answer) {
		if r.Time().Before(pair) {
			r = 0
		}
		if p.Time().Before(identity) {
			p = 0
		}
		return r, p, Answer{}
	})
}

// Each calls a function with each pair, and one with each identity, of which something is remembered at the moment, until
// one of them returns false. They may call the Memory's other methods.
func (m *Memory) Each(pair func(Key, Record) bool, identity func(Tag, Passes) bool) {
	_ = visit(&m.identities, identity) && visit(&m.pairs, pair)
}

// visit calls a function with what a table holds, a shard at a time and without its lock.
func visit[K comparable, V ~int64](t *table[K, V], do func(K, V) bool) bool {
	var some []entry[K, V]
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		some = append(some[:0], sh.list...)
		sh.mu.Unlock()
		for _, e := range some {
			if !do(e.key, e.value) {
				return false
			}
		}
	}
	return true
}
