package memory

import (
	"maps"
	"slices"
	"testing"
	"time"

	"gatepost/gateway"
)

// FuzzKept loads whatever a file may hold. What is taken was learned before now, gives no trust that its numbers do not,
// can be learned into, and reads back from what is saved as it is.
func FuzzKept(f *testing.F) {
	for _, seed := range []struct{ kind, name, value string }{
		{"domain", "a.example", `{"asks":"reject","asks_since":1700000000,"first":1700000000,"seen":1795000000,"passed":1795000000,"passes":3}`},
		{"domain", "a.example", `{"asks":"reject","asks_since":9223372036854775807,"first":9223372036854775807,"seen":9223372036854775807}`},
		{"path", "lists.example list:dev", `{"first":1700000000,"last":1795000000,"faded":1790000000,"messages":9,"judged":8,"passed":8,"days":8,"last_day":20000,"authors":[1,2,3]}`},
		{"path", "", `{"first":1,"last":9223372036854775807,"faded":1,"messages":9223372036854775807,"days":9223372036854775807}`},
		{"sealer", "s.example", `{"first":1700000000,"last":1795000000,"messages":9,"days":2,"authors":["a","b"]}`},
		{"sealer", "\xff\n", `{"first":1e300}`},
	} {
		f.Add(seed.kind, seed.name, []byte(seed.value))
	}
	f.Fuzz(func(t *testing.T, kind, name string, value []byte) {
		now := time.Now()
		store := &fakeKeeper{kept: map[string]map[string][]byte{kind: {name: value}}}
		k := NewKnown(KnownOptions{})
		k.Keep(store)
		k.Load(t.Context())
		p := pathOf(name)
		d := k.Domain(name)
		for _, at := range []time.Time{d.AsksSince, d.Seen, d.Outage, d.Untold, d.Passed, k.Path(p).Host.First, k.Path(p).Told.Last} {
			if at.After(now.Add(time.Second)) {
				t.Errorf("learned at %v", at)
			}
		}
		if d.Held(now) && d.Asks == "" {
			t.Errorf("held for nothing: %+v", d)
		}
		if path := k.Path(p); path.Standing(now) == gateway.PathTrusted && !path.Path.Named() {
			t.Errorf("trusted without a name: %+v", path)
		}
		for _, result := range []string{"pass", "fail", "temperror"} {
			m := delivered(name, "reject", result)
			m.path, m.sealers = p, []string{name}
			k.Learn(m.event())
		}
		for _, s := range k.Sealers() {
			if len(s.Authors) > sealerAuthors || s.Last.After(now.Add(time.Minute)) {
				t.Errorf("%+v", s)
			}
		}
		k.domains.save(t.Context(), true)
		k.paths.save(t.Context(), true)
		k.sealers.save(t.Context(), true)
		again := NewKnown(KnownOptions{})
		again.Keep(&fakeKeeper{kept: store.kept})
		again.Load(t.Context())
		for _, kind := range slices.Sorted(maps.Keys(store.kept)) {
			for name := range store.kept[kind] {
				if q := pathOf(name); kind == "path" && pathName(q) != name {
					continue // was there before
				} else if again.Domain(name) != k.Domain(name) || kind == "path" && q.Told == "" && again.Path(q).Host != k.Path(q).Host {
					t.Errorf("%s %q: %+v and %+v, %+v and %+v", kind, name, k.Domain(name), again.Domain(name), k.Path(q), again.Path(q))
				}
			}
		}
	})
}
