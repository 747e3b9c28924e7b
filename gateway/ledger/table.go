package ledger

// table holds deliveries in the order in which they came, so that the oldest can be forgotten. It has no pointers in it, and
// so costs the garbage collector nothing.
type table struct {
	most  int
	at    map[Key]int32 // places in slots
	slots []slot
	free  []int32
	first int32 // the oldest; none when there is nothing
	last  int32
}

// slot is one delivery.
type slot struct {
	key        Key
	at         uint32 // when it was, in seconds since 1970
	until      uint32 // for how long it is remembered, likewise
	prev, next int32
}

const none = -1

func newTable(most int) table {
	return table{most: most, at: make(map[Key]int32), first: none, last: none}
}

func (t *table) len() int { return len(t.at) }

func (t *table) has(k Key, now uint32) bool {
	i, ok := t.at[k]
	return ok && t.slots[i].until > now
}

// put remembers a delivery as the youngest. It reports whether another had to be forgotten for it.
func (t *table) put(k Key, at, until uint32) (forgot bool) {
	t.remove(k)
	if len(t.at) >= t.most {
		t.remove(t.slots[t.first].key)
		forgot = true
	}
	var i int32
	if n := len(t.free); n > 0 {
		i, t.free = t.free[n-1], t.free[:n-1]
	} else {
		i = int32(len(t.slots))
		t.slots = append(t.slots, slot{})
	}
	t.slots[i] = slot{key: k, at: at, until: until, prev: t.last, next: none}
	if t.last == none {
		t.first = i
	} else {
		t.slots[t.last].next = i
	}
	t.last = i
	t.at[k] = i
	return forgot
}

// extend makes a delivery be remembered for at least as long.
func (t *table) extend(k Key, until uint32) {
	if i, ok := t.at[k]; ok {
		t.slots[i].until = max(t.slots[i].until, until)
	}
}

// remove forgets a delivery, and reports whether there was one.
func (t *table) remove(k Key) bool {
	i, ok := t.at[k]
	if !ok {
		return false
	}
	delete(t.at, k)
	s := &t.slots[i]
	if s.prev == none {
		t.first = s.next
	} else {
		t.slots[s.prev].next = s.next
	}
	if s.next == none {
		t.last = s.prev
	} else {
		t.slots[s.next].prev = s.prev
	}
	t.free = append(t.free, i)
	return true
}

// sweep forgets what is over. What is left of memory after a flood is given back with it.
func (t *table) sweep(now uint32) {
	for i := t.first; i != none; {
		s := &t.slots[i]
		i = s.next
		if s.until <= now {
			t.remove(s.key)
		}
	}
	if n := len(t.at); len(t.slots) > 4096 && n < len(t.slots)/4 {
		fresh := newTable(t.most)
		for i := t.first; i != none; i = t.slots[i].next {
			fresh.put(t.slots[i].key, t.slots[i].at, t.slots[i].until)
		}
		*t = fresh
	}
}
