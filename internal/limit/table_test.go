package limit

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestForgets holds each key that is forgotten against all that there were: nothing at rest stays in its stead, and nothing
// that is over its limit goes before what is not.
func TestForgets(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 1))
		most := 1 + r.IntN(40)
		rates := []Rate{{100, 1}, {100, 5}, {2000, 3}, {7, 200}}
		var table table
		model := map[Key]entry{}
		now, forgotten := int64(1_000_000), map[string]int{}
		for range 3000 {
			now += r.Int64N(100)
			k := Key{Subject: fmt.Sprint(r.IntN(most * 3))}
			rate := rates[len(k.Subject)%2+2*(int(k.Subject[0])%2)]
			s := count(table.tat(&k), now, rate, 1+r.Int64N(rate.Burst))
			if s.wait > 0 {
				if r.IntN(10) > 0 {
					continue
				}
				s.after = now + rate.full() // as Learn says
			}
			table.set(&k, s.after, now, rate, most)
			_, known := model[k]
			gone := lost(&table, model)
			if known && len(gone) > 0 {
				t.Fatalf("seed %d: a known key costs %v", seed, gone)
			}
			crowded := len(model) >= most
			for _, g := range gone {
				class := class(g, now)
				forgotten[class]++
				delete(model, g.key)
				if class == "at rest" {
					crowded = false
				} else if !crowded {
					t.Fatalf("seed %d: forgotten without need: %+v", seed, g)
				}
				for _, stayed := range model {
					if before(stayed, g, now) && class != "at rest" {
						t.Fatalf("seed %d at %d: %+v is forgotten, not %+v", seed, now, g, stayed)
					}
				}
			}
			model[k] = entry{key: k, tat: s.after, rate: rate}
			consistent(t, &table, model, most)
		}
		if seed == 0 && (forgotten["at rest"] == 0 || forgotten["below"] == 0) {
			t.Fatalf("the walk forgets too little: %v", forgotten)
		}
	}
}

// class says what forgetting an entry costs.
func class(e entry, now int64) string {
	switch {
	case e.tat <= now:
		return "at rest"
	case e.again() <= now:
		return "below"
	}
	return "over"
}

// before reports whether a is to be forgotten before b.
func before(a, b entry, now int64) bool {
	order := []string{"at rest", "below", "over"}
	if c := cmp.Compare(slices.Index(order, class(a, now)), slices.Index(order, class(b, now))); c != 0 {
		return c < 0
	}
	if class(a, now) == "over" {
		return a.again() < b.again()
	}
	return a.tat < b.tat
}

func lost(t *table, model map[Key]entry) []entry {
	var gone []entry
	for k, e := range model {
		if _, ok := t.index[k]; !ok {
			gone = append(gone, e)
		}
	}
	return gone
}

func consistent(t *testing.T, table *table, model map[Key]entry, most int) {
	t.Helper()
	if n := len(table.index); n != len(model) || n > most || n != len(table.quiet)+len(table.busy) || n+len(table.free) != len(table.entries) {
		t.Fatalf("%d keys of %d, wanted %d; %d quiet, %d busy, %d free of %d", n, most, len(model), len(table.quiet), len(table.busy), len(table.free), len(table.entries))
	}
	if len(table.entries) > most {
		t.Fatalf("%d places for %d keys", len(table.entries), most)
	}
	for k, want := range model {
		if got := table.entries[table.index[k]]; got.key != k || got.tat != want.tat || got.rate != want.rate || got.rank > max(got.tat, got.again()) {
			t.Fatalf("%+v, want %+v", got, want)
		}
	}
}
