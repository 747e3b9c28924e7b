package recipients

import (
	"testing"
)

// BenchmarkAsk is an answer from the cache, as almost every recipient gets it: also beside refusals that are remembered.
func BenchmarkAsk(b *testing.B) {
	for _, refused := range []bool{false, true} {
		b.Run(map[bool]string{false: "known", true: "beside refusals"}[refused], func(b *testing.B) {
			h := new(hop)
			r := New(NewCache(0), h, Sources{})
			from, to := address("a@example.net"), address("user@example.org")
			if refused {
				h.set(never)
				r.Ask(b.Context(), "inner", address("b@example.net"), to)
			}
			h.set(yes)
			r.Ask(b.Context(), "inner", from, to)
			b.ReportAllocs()
			for b.Loop() {
				if a := r.Ask(b.Context(), "inner", from, to); a.Kind != Known || !a.FromCache {
					b.Fatalf("%+v", a)
				}
			}
		})
	}
}
