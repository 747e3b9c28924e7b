package main

import "testing"

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 300, 8 << 20: 300, 16 << 20: 300, 48 << 20: 100, 96 << 20: 50, 1 << 30: 40} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d octets live: %d %%, want %d", live, got, want)
		}
	}
}
