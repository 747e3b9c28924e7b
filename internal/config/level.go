package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Level is one of three plain levels: how much is taken for spam, and what is done with attachments.
type Level string

// The levels. "" is normal at the top, and elsewhere that of what stands above.
const (
	Relaxed Level = "relaxed"
	Normal  Level = "normal"
	Strict  Level = "strict"
)

// LevelThresholds are the thresholds of a level.
func LevelThresholds(l Level) Thresholds {
	switch l {
	case Relaxed:
		return Thresholds{Tag: 6.5, Quarantine: 10, Reject: 20}
	case Strict:
		return Thresholds{Tag: 4, Quarantine: 5.5, Reject: 10}
	}
	return Thresholds{Tag: 5, Quarantine: 7, Reject: 15}
}

// LevelKey is a key of a check that levels set.
type LevelKey struct {
	Check, Key      string // Key is action, reasons.NAME or prices.NAME
	Relaxed, Strict string // of normal it is the check's default
}

// levelKeys is all that levels set besides thresholds.
func levelKeys() []LevelKey {
	return []LevelKey{
		{"attachments.type", "action", "quarantine", "reject"},
		{"attachments.type", "prices.mismatch", "0.5", "2"},
		{"attachments.encrypted", "action", "tag", "reject"},
		{"attachments.archive", "reasons.attachments.broken", "score", "quarantine"},
		{"attachments.macro", "reasons.attachments.macro", "score", "quarantine"},
		{"attachments.macro", "reasons.attachments.embedded", "score", "quarantine"},
		{"attachments.macro", "prices.macro", "1", "3"},
		{"attachments.active", "reasons.attachments.script", "score", "quarantine"},
		{"attachments.active", "prices.script", "2", "4"},
		{"impersonation.first", "prices.first", "0", "1.5"},
		{"impersonation.reply", "prices.elsewhere", "0.2", "1"},
		{"mime", "reasons.mime.ambiguous", "score", "quarantine"},
		{"rdns", "prices.none", "1", "3"},
		{"spf", "prices.softfail", "0.5", "2"},
	}
}

// LevelKeys are the keys of checks that levels set, of the checks that there are.
func LevelKeys(sections Sections) (keys []LevelKey) {
	for _, k := range levelKeys() {
		if _, ok := sections[k.Check]; ok {
			keys = append(keys, k)
		}
	}
	return keys
}

// Path is the path of the key in the document.
func (k *LevelKey) Path() string { return "checks." + k.Check + "." + k.Key }

// Value is what a level sets; normal sets the default of the check.
func (k *LevelKey) Value(l Level, sections Sections) string {
	switch l {
	case Relaxed:
		return k.Relaxed
	case Strict:
		return k.Strict
	}
	s := sections[k.Check]
	g := s.generic()
	switch kind, name, _ := strings.Cut(k.Key, "."); kind {
	case "action":
		return string(g.Action)
	case "reasons":
		return string(s.Reasons[name])
	default:
		return points(g.Prices[name])
	}
}

// applyLevel lays the level over what the document does not say. Of what it sets the paths are kept in FromLevel.
func (p *Policy) applyLevel(sections Sections, written func(path string) bool) {
	if p.Level == "" || p.Level == Normal {
		return
	}
	p.FromLevel = map[string]bool{}
	set := LevelThresholds(p.Level)
	for _, t := range []struct {
		name     string
		to, from *float64
	}{{"tag", &p.Thresholds.Tag, &set.Tag}, {"quarantine", &p.Thresholds.Quarantine, &set.Quarantine}, {"reject", &p.Thresholds.Reject, &set.Reject}} {
		if path := "thresholds." + t.name; !written(path) {
			*t.to, p.FromLevel[path] = *t.from, true
		}
	}
	for _, k := range LevelKeys(sections) {
		c := p.Checks[k.Check]
		if c == nil || written(k.Path()) {
			continue
		}
		value := k.Value(p.Level, sections)
		switch kind, name, _ := strings.Cut(k.Key, "."); kind {
		case "action":
			c.Action = Action(value)
		case "reasons":
			c.Reasons[name] = Action(value)
		default:
			c.Prices[name], _ = strconv.ParseFloat(value, 64)
		}
		p.FromLevel[k.Path()] = true
	}
}

// explainLevels is the table of what each level sets.
func explainLevels(sections Sections) string {
	var b strings.Builder
	b.WriteString("\nWhat each level sets. What policy.toml states in [checks] holds at every level; [thresholds] holds for\nwhom no level of a domain or group speaks.\n\n")
	row := func(key, relaxed, normal, strict string) {
		fmt.Fprintf(&b, "  %-58s %-11s %-11s %s\n", key, relaxed, normal, strict)
	}
	row("", "relaxed", "normal", "strict")
	r, n, s := LevelThresholds(Relaxed), LevelThresholds(Normal), LevelThresholds(Strict)
	row("thresholds.tag", points(r.Tag), points(n.Tag), points(s.Tag))
	row("thresholds.quarantine", points(r.Quarantine), points(n.Quarantine), points(s.Quarantine))
	row("thresholds.reject", points(r.Reject), points(n.Reject), points(s.Reject))
	for _, k := range LevelKeys(sections) {
		row(k.Path(), k.Value(Relaxed, sections), k.Value(Normal, sections), k.Value(Strict, sections))
	}
	return b.String()
}
