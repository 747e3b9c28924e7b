package main

import "testing"

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 300, 8 << 20: 300, 12 << 20: 200, 24 << 20: 100, 48 << 20: 50, 96 << 20: 25, 1 << 30: 25} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d octets live: %d %%, want %d", live, got, want)
		}
	}
}
