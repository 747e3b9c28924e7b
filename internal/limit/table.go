package limit

// table holds a bounded number of keys. What is forgotten first to make room: what is at rest, which says nothing; then what
// is below its limit, the sooner it would be at rest the sooner; and only where all are over their limits the one that would
// be let in again first.
//
// Two heaps hold the order: quiet by TAT, busy (seen to be over) by the moment at which one unit passes again. They are lazy:
// counting moves no key in them. What an entry is ranked by is at most its true rank, since a TAT only grows, so that the
// root is looked at again and put where it belongs before it is forgotten. Each such move is owed to a count before it.
type table struct {
	index       map[Key]uint32 // place in entries
	entries     []entry
	free        []uint32 // places that are empty
	quiet, busy ranks
}

type entry struct {
	key  Key
	tat  int64
	rate Rate
	rank int64 // by which its heap has it
}

// again is the moment from which on one unit passes: the key is over its limit before it.
func (e *entry) again() int64 { return e.tat - e.rate.full() + e.rate.Interval }

// tat returns the key's TAT, 0 if it is not known.
func (t *table) tat(k *Key) int64 {
	if i, ok := t.index[*k]; ok {
		return t.entries[i].tat
	}
	return 0
}

// set remembers a key's TAT. A new key may cost another its place, of most that there can be.
func (t *table) set(k *Key, tat, now int64, rate Rate, most int) {
	if i, ok := t.index[*k]; ok {
		e := &t.entries[i]
		e.tat, e.rate = tat, rate
		return
	}
	if t.index == nil {
		t.index = make(map[Key]uint32)
	}
	for range 2 { // so that what rests goes faster than keys come
		if !t.reap(now) {
			break
		}
	}
	if len(t.index) >= most {
		t.forget(t.victim(now))
	}
	var i uint32
	if n := len(t.free); n > 0 {
		i, t.free = t.free[n-1], t.free[:n-1]
	} else {
		i = uint32(len(t.entries))
		t.entries = append(t.entries, entry{})
	}
	own := k.own()
	t.entries[i] = entry{key: own, tat: tat, rate: rate, rank: tat}
	t.index[own] = i
	t.quiet.push(t.entries, i)
}

// forget empties a place that is in no heap any more.
func (t *table) forget(i uint32) {
	delete(t.index, t.entries[i].key)
	t.entries[i] = entry{}
	t.free = append(t.free, i)
}

// reap forgets one key that is at rest, if the first of quiet is one.
func (t *table) reap(now int64) bool {
	for len(t.quiet) > 0 && t.entries[t.quiet[0]].rank <= now {
		e := &t.entries[t.quiet[0]]
		if e.tat <= now {
			t.forget(t.quiet.pop(t.entries))
			return true
		}
		e.rank = e.tat
		t.quiet.settle(t.entries)
	}
	return false
}

// victim takes the key that is to be forgotten first out of its heap. There is at least one.
func (t *table) victim(now int64) uint32 {
	for len(t.busy) > 0 {
		e := &t.entries[t.busy[0]]
		if again := e.again(); again > e.rank {
			e.rank = again
			t.busy.settle(t.entries)
			continue
		}
		if e.rank > now {
			break
		}
		i := t.busy.pop(t.entries)
		e.rank = e.tat
		t.quiet.push(t.entries, i)
	}
	for len(t.quiet) > 0 {
		e := &t.entries[t.quiet[0]]
		switch again := e.again(); {
		case again > now:
			i := t.quiet.pop(t.entries)
			e.rank = again
			t.busy.push(t.entries, i)
		case e.tat > e.rank:
			e.rank = e.tat
			t.quiet.settle(t.entries)
		default:
			return t.quiet.pop(t.entries)
		}
	}
	return t.busy.pop(t.entries)
}

// ranks is a heap of places in entries: the least rank is first.
type ranks []uint32

func (r *ranks) push(entries []entry, i uint32) {
	*r = append(*r, i)
	h := *r
	for at := len(h) - 1; at > 0; {
		up := (at - 1) / 2
		if entries[h[up]].rank <= entries[h[at]].rank {
			break
		}
		h[up], h[at] = h[at], h[up]
		at = up
	}
}

func (r *ranks) pop(entries []entry) uint32 {
	h := *r
	i, last := h[0], len(h)-1
	h[0] = h[last]
	*r = h[:last]
	r.settle(entries)
	return i
}

// settle moves the first down to where its rank belongs.
func (r ranks) settle(entries []entry) {
	for at := 0; ; {
		down := 2*at + 1
		if down >= len(r) {
			return
		}
		if down+1 < len(r) && entries[r[down+1]].rank < entries[r[down]].rank {
			down++
		}
		if entries[r[at]].rank <= entries[r[down]].rank {
			return
		}
		r[at], r[down] = r[down], r[at]
		at = down
	}
}
