package config

import (
	"testing"
	"time"
)

// TestRatePer shows that a rate reads back as it was written.
func TestRatePer(t *testing.T) {
	for text, want := range map[string]RatePer{
		"30/1m": {N: 30, Period: time.Minute}, "200/1h": {N: 200, Period: time.Hour}, "1G/1h": {N: 1 << 30, Sized: true, Period: time.Hour},
		"5/1d": {N: 5, Period: day}, "7/90s": {N: 7, Period: 90 * time.Second}, "none": {None: true},
	} {
		var got RatePer
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if back, _ := got.MarshalText(); string(back) != text {
			t.Errorf("%s is written as %s", text, back)
		}
	}
}
