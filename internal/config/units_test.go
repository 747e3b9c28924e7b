package config

import (
	"math"
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	good := map[string]Size{"0": 0, "512": 512, "256K": 256 << 10, "50M": 50 << 20, "10G": 10 << 30, "9223372036854775807": math.MaxInt64}
	for text, want := range good {
		got, err := ParseSize(text)
		if err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
		if back, err := ParseSize(got.String()); err != nil || back != want {
			t.Errorf("%q printed as %q reads back as %d, %v", text, got, back, err)
		}
	}
	for _, text := range []string{"", "K", "50Mb", "50m", "-1", "+1", "1.5M", " 1", "1 M", "9223372036854775808", "9007199254740992K", "0x10", "1_000"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

func TestParseDuration(t *testing.T) {
	good := map[string]time.Duration{
		"0": 0, "0s": 0, "500ms": 500 * time.Millisecond, "30s": 30 * time.Second, "5m": 5 * time.Minute, "2d": 48 * time.Hour,
		"1h30m": 90 * time.Minute, "1d1h1m1s1ms": 25*time.Hour + time.Minute + time.Second + time.Millisecond, "90s": 90 * time.Second,
	}
	for text, want := range good {
		got, err := ParseDuration(text)
		if err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", text, got, err, want)
		}
		if back, err := ParseDuration(FormatDuration(got)); err != nil || back != want {
			t.Errorf("%q printed as %q reads back as %v, %v", text, FormatDuration(got), back, err)
		}
	}
	for _, text := range []string{"", "5", "s", "5 s", "-5s", "1.5h", "5mins", "30m1h", "1m1m", "5M", "1y", "106752d", "99999999999999999999s", "106751d24h", "1h1"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", text, got)
		}
	}
}
