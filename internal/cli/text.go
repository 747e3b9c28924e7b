package cli

import (
	"fmt"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/config"
)

// Plural chooses the words for a number of things.
func Plural[N int | int64](n N, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}

// Stamp shows a time as people on the spot read it, with the zone.
func Stamp(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

// Moment reads a time: "2h", "3d" before now, or a date with or without a time of day in the local zone. "" is the zero time.
func Moment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := config.ParseDuration(text); err == nil {
		return now.Add(-d), nil
	}
	for _, layout := range [...]string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02", "15:04"} {
		t, err := time.ParseInLocation(layout, text, time.Local)
		if err != nil {
			continue
		}
		if layout == "15:04" {
			y, m, d := now.Date()
			t = time.Date(y, m, d, t.Hour(), t.Minute(), 0, 0, time.Local)
		}
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%q is no time; write 2h, 3d, 14:30, 2026-11-23 or \"2026-11-23 14:30\"", text)
}

// Shown is text of strangers that a terminal can be shown, at most so many characters of it; see gateway.ShowText.
func Shown(text string, most int) string {
	return gateway.ShowText(strings.ReplaceAll(text, "\t", " "), most)
}
