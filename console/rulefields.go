package console

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost/internal/config"
)

// ruleField is a key of a rule in its form. A list is text with an element a line.
type ruleField struct {
	Name, Label, Doc, Example string
	Kind                      string // text, lines, code, words, ticks, check, number
	Words                     []string
	Most                      int // characters of a text
	Value                     string
	of                        func(*config.Rule) string
}

// ruleFields are all keys of a rule, in the order of the form.
func ruleFields() []ruleField {
	lines := func(list []string) string { return strings.Join(list, "\n") }
	return []ruleField{
		{Name: "name", Label: "Name", Kind: "text", Example: "macros for finance", Most: 80, Doc: "Shown wherever it decides", of: func(r *config.Rule) string { return r.Name }},
		{Name: "action", Label: "Action", Kind: "words", Words: []string{"accept", "tag", "strip", "quarantine", "defer", "reject", "drop"}, of: func(r *config.Rule) string { return string(r.Action) }},
		{Name: "observe", Label: "Only observe: the trace says what it would have done", Kind: "check", of: func(r *config.Rule) string { return map[bool]string{true: "true"}[r.Observe] }},
		{Name: "when", Label: "Condition", Kind: "code", Example: "size > 20000000 && !checks.proves(\"partner.example\")", Doc: "What must be true of the message. Empty: whatever", of: func(r *config.Rule) string { return r.When.Text }},
		{Name: "check", Label: "Checks", Kind: "lines", Example: "attachments.*", Doc: "About what they find, one a line. Empty: about the message as such", of: func(r *config.Rule) string { return lines(r.Check) }},
		{Name: "reasons", Label: "Reasons", Kind: "lines", Example: "attachments.autoexec", Doc: "Only these, one a line", of: func(r *config.Rule) string { return lines(r.Reasons) }},
		{Name: "text", Label: "Texts", Kind: "lines", Example: "*.docm", Doc: "Patterns of names, types, signatures, one a line", of: func(r *config.Rule) string { return lines(r.Text) }},
		{Name: "to", Label: "To", Kind: "lines", Example: "finance", Doc: "Groups, addresses, domains, one a line. Empty: everybody", of: func(r *config.Rule) string { return lines(r.To) }},
		{Name: "from", Label: "From", Kind: "lines", Example: "partner.example", Doc: "Domains, addresses, networks, one a line; only what is proven counts", of: func(r *config.Rule) string { return lines(r.From) }},
		{Name: "trust", Label: "Who sends is", Kind: "ticks", Words: []string{"trusted", "known", "authenticated", "unknown", "first"}, of: trustOf},
		{Name: "points_from", Label: "From how many points", Kind: "number", Doc: "Only of a rule without checks", of: func(r *config.Rule) string {
			if r.PointsFrom == 0 {
				return ""
			}
			return plainNumber(r.PointsFrom)
		}},
		{Name: "subject", Label: "Before the subject", Kind: "text", Example: "[external]", Most: 60, of: func(r *config.Rule) string { return r.Subject }},
		{Name: "banner", Label: "Banner", Kind: "text", Example: "external", Most: 60, of: func(r *config.Rule) string { return r.Banner }},
		{Name: "keep", Label: "Keep in quarantine for", Kind: "text", Example: "2d", Most: 10, of: func(r *config.Rule) string { return durationOf(r.Keep) }},
		{Name: "owner", Label: "Owner", Kind: "text", Example: "anna", Most: 100, of: func(r *config.Rule) string { return r.Owner }},
		{Name: "reason", Label: "Reason", Kind: "text", Example: "ticket 4711", Most: 200, of: func(r *config.Rule) string { return r.Reason }},
		{Name: "expires", Label: "Last day", Kind: "text", Example: "2027-06-30", Most: 10, of: func(r *config.Rule) string {
			day, _ := r.Expires.MarshalText() // it has no error
			return string(day)
		}},
	}
}

func trustOf(r *config.Rule) string {
	var out []string
	for _, t := range r.Trust {
		out = append(out, string(t))
	}
	return strings.Join(out, "\n")
}

func durationOf(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return config.FormatDuration(d)
}

// Has reports whether a word is one of the lines of the value.
func (f ruleField) Has(word string) bool { return slices.Contains(strings.Split(f.Value, "\n"), word) }

// typed is what a form says of the field.
func (f *ruleField) typed(form url.Values) string {
	text := strings.ReplaceAll(strings.Join(form["f:"+f.Name], "\n"), "\r\n", "\n") // forms send CR
	switch f.Kind {
	case "lines", "ticks":
		var out []string
		for line := range strings.SplitSeq(text, "\n") {
			if line = strings.TrimSpace(line); line != "" {
				out = append(out, line)
			}
		}
		return strings.Join(out, "\n")
	case "number":
		if n, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil {
			return plainNumber(n)
		}
	}
	return strings.TrimSpace(text)
}

// literal writes a value as a document has it.
func (f *ruleField) literal(value string) string {
	switch f.Kind {
	case "lines", "ticks":
		var parts []string
		for line := range strings.SplitSeq(value, "\n") {
			parts = append(parts, tomlText(line))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case "check":
		return "true"
	case "number":
		if _, err := strconv.ParseFloat(value, 64); err == nil {
			return value
		}
	case "code":
		return conditionText(value)
	}
	return tomlText(value)
}

// conditionText writes a condition as a document has it, in one line: without escapes where there is need of none.
func conditionText(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	if !strings.ContainsAny(s, "'\n") {
		return "'" + s + "'"
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(s) + `"`
}
