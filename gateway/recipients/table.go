package recipients

// table is a map of bounded size that forgets what was not looked at for longest, roughly: entries live in two halves,
// and when the young one is full it becomes the old one, whose rest is forgotten. Each step costs the same.
type table[V any] struct {
	half       int
	young, old map[string]V
	gone       func(key string) // told of each that is forgotten to make room; nil: nobody
}

func newTable[V any](entries int) table[V] {
	return table[V]{half: max(entries/2, 1), young: make(map[string]V)}
}

func (t *table[V]) len() int { return len(t.young) + len(t.old) }

func (t *table[V]) get(key string) (V, bool) {
	if v, ok := t.young[key]; ok {
		return v, true
	}
	v, ok := t.old[key]
	if ok {
		t.put(key, v)
	}
	return v, ok
}

// peek is get by somebody who does not count as looking.
func (t *table[V]) peek(key string) (V, bool) {
	if v, ok := t.young[key]; ok {
		return v, true
	}
	v, ok := t.old[key]
	return v, ok
}

// each yields all of it.
func (t *table[V]) each(yield func(key string, v V)) {
	for _, half := range []map[string]V{t.young, t.old} {
		for key, v := range half {
			yield(key, v)
		}
	}
}

func (t *table[V]) put(key string, v V) {
	delete(t.old, key)
	if _, ok := t.young[key]; !ok && len(t.young) >= t.half {
		if t.gone != nil {
			for key := range t.old {
				t.gone(key)
			}
		}
		t.old, t.young = t.young, make(map[string]V)
	}
	t.young[key] = v
}

func (t *table[V]) remove(key string) {
	delete(t.young, key)
	delete(t.old, key)
}
