package config

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of octets, written as a number with K, M or G (binary: 1K is 1024).
type Size int64

// ParseSize reads "50M", "256K", "10G" or plain octets "512". It takes no sign, no fraction and no other letter.
func ParseSize(s string) (Size, error) {
	bad := &ValueError{"is not a size", `write a number with K, M or G, for example "50M"`}
	digits, shift := s, 0
	if s != "" {
		if i := strings.IndexByte("KMG", s[len(s)-1]); i >= 0 {
			digits, shift = s[:len(s)-1], 10*(i+1)
		}
	}
	if !allDigits(digits) {
		return 0, bad
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > math.MaxInt64>>shift {
		return 0, &ValueError{"is too large for a size", bad.Instead}
	}
	return Size(n << shift), nil
}

// String writes the shortest form that ParseSize reads back as the same number.
func (s Size) String() string {
	for i, unit := range []string{"G", "M", "K"} {
		if shift := 30 - 10*i; s != 0 && s&(1<<shift-1) == 0 {
			return strconv.FormatInt(int64(s)>>shift, 10) + unit
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

const day = 24 * time.Hour

// ParseDuration reads one or more whole numbers with ms, s, m, h or d, the largest unit first: "30s", "1h30m", "2d",
// and "0". It takes no sign and no fraction.
func ParseDuration(s string) (time.Duration, error) {
	bad := &ValueError{"is not a duration", `write a number with s, m, h or d, for example "30s" or "2d"`}
	if s == "0" {
		return 0, nil
	}
	if s == "" {
		return 0, bad
	}
	var total, last time.Duration = 0, math.MaxInt64
	for s != "" {
		i := len(s) - len(strings.TrimLeft(s, "0123456789"))
		j := i + len(s[i:]) - len(strings.TrimLeft(s[i:], "dhms"))
		unit := unitOf(s[i:j])
		if i == 0 || unit == 0 || unit >= last {
			return 0, bad
		}
		n, err := strconv.ParseInt(s[:i], 10, 64)
		if err != nil || n > int64((math.MaxInt64-total)/unit) {
			return 0, &ValueError{"is too long for a duration", bad.Instead}
		}
		total, last, s = total+time.Duration(n)*unit, unit, s[j:]
	}
	return total, nil
}

// FormatDuration writes a duration in the largest unit that leaves no rest, down to milliseconds: "36h", "90s", "2d".
// ParseDuration reads it back as the same duration.
func FormatDuration(d time.Duration) string {
	for _, name := range []string{"d", "h", "m", "s"} {
		if unit := unitOf(name); d != 0 && d%unit == 0 {
			return strconv.FormatInt(int64(d/unit), 10) + name
		}
	}
	if d == 0 {
		return "0s"
	}
	return strconv.FormatInt(int64(d/time.Millisecond), 10) + "ms"
}

func unitOf(name string) time.Duration {
	switch name {
	case "d":
		return day
	case "h":
		return time.Hour
	case "m":
		return time.Minute
	case "s":
		return time.Second
	case "ms":
		return time.Millisecond
	}
	return 0
}

func allDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
