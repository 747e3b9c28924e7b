package tnef

import (
	"testing"

	"gatepost/internal/unpack"
)

// FuzzTNEF: any octets are looked at, and what is found is bounded.
func FuzzTNEF(f *testing.F) {
	for _, b := range generated() {
		f.Add(b[4:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l := unpack.Limits{Entries: 100, Depth: 6, Octets: 1 << 20, Object: 1 << 19}
		if r := look(t, l, "x", append([]byte("\x78\x9f\x3e\x22"), b...)); len(r.Objects) > 100 {
			t.Fatalf("%d objects", len(r.Objects))
		}
	})
}
