package greylist

import (
	"fmt"
	"time"
)

// Settings says how long a stranger waits and what is remembered of it. The zero value of a field is its default, so that
// the zero Settings are the defaults. They may differ from one try to the next: records hold no settings.
type Settings struct {
	// Delay is how long a stranger waits after its first try: 2 min; 1 s to 24 h (RFC 6647 section 5).
	Delay time.Duration
	// Window is for how long after its first try a stranger's next one counts: 2 d; an hour more than Delay, to 30 d.
	Window time.Duration
	// Keep is for how long a pair, or an identity, that passed is remembered after it was last used: 36 d, so that what
	// comes once a month stays known; Window to 400 d.
	Keep time.Duration
	// Passes is how many pairs of an identity pass, Apart, before all of its pairs do: 2; 1 to MaxPasses; negative: never.
	Passes int
	// Within is the time in which they have to, counted from the first of them: 24 h; 1 h to Keep.
	Within time.Duration
}

// The defaults, and the most passes that can be asked for.
const (
	DefaultDelay  = 2 * time.Minute
	DefaultWindow = 48 * time.Hour
	DefaultKeep   = 36 * 24 * time.Hour
	DefaultPasses = 2
	DefaultWithin = 24 * time.Hour
	MaxPasses     = 15

	leastDelay  = time.Second
	mostDelay   = 24 * time.Hour
	leastRetry  = time.Hour // of the window, after the delay: RFC 5321 has servers try every 30 minutes or so
	mostWindow  = 30 * 24 * time.Hour
	mostKeep    = 400 * 24 * time.Hour
	leastWithin = time.Hour
)

// Filled returns the settings with each zero field replaced by its default, in whole milliseconds: records hold no less.
func (s Settings) Filled() Settings {
	if s.Delay == 0 {
		s.Delay = DefaultDelay
	}
	if s.Window == 0 {
		s.Window = DefaultWindow
	}
	if s.Keep == 0 {
		s.Keep = DefaultKeep
	}
	if s.Passes == 0 {
		s.Passes = DefaultPasses
	}
	if s.Within == 0 {
		s.Within = DefaultWithin
	}
	for _, d := range []*time.Duration{&s.Delay, &s.Window, &s.Keep, &s.Within} {
		*d = d.Truncate(time.Millisecond)
	}
	return s
}

// Check returns an error that names the first field out of its range. A Store need not be asked with settings that fail.
func (s Settings) Check() error {
	s = s.Filled()
	for _, f := range []struct {
		name            string
		is, least, most time.Duration
	}{
		{"delay", s.Delay, leastDelay, mostDelay},
		{"window", s.Window, s.Delay + leastRetry, mostWindow},
		{"keep", s.Keep, s.Window, mostKeep},
		{"within", s.Within, leastWithin, s.Keep},
	} {
		if f.is < f.least || f.is > f.most {
			return fmt.Errorf("greylist: %s is %v, not from %v to %v", f.name, f.is, f.least, f.most)
		}
	}
	if s.Passes > MaxPasses {
		return fmt.Errorf("greylist: passes is %d, over %d", s.Passes, MaxPasses)
	}
	return nil
}
