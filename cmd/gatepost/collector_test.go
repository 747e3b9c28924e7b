package main

import "testing"

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 300, 8 << 20: 300, 12 << 20: 200, 24 << 20: 100, 48 << 20: 50, 96 << 20: 25, 1 << 30: 25} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d octets live: %d %%, want %d", live, got, want)
		}
	}
}

// TestLeft shows what is worth a collection once it is quiet.
func TestLeft(t *testing.T) {
	const mib = 1 << 20
	for i, c := range []struct {
		heap
		want bool
	}{
		{heap{lives: 10 * mib, objects: 17 * mib}, false},
		{heap{lives: 10 * mib, objects: 18 * mib}, true},
		{heap{lives: 10 * mib, objects: 10 * mib, free: 8 * mib}, true},
		{heap{lives: 10 * mib, objects: 9 * mib, free: 7 * mib}, false}, // some of what lived was freed since
		{heap{lives: 60 * mib, stacks: 40 * mib, objects: 80 * mib, free: 4 * mib}, false},
		{heap{lives: 60 * mib, stacks: 40 * mib, objects: 80 * mib, free: 5 * mib}, true},
	} {
		if got := c.left(); got != c.want {
			t.Errorf("row %d: %v", i, got)
		}
	}
}
