package console

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"gatepost/internal/config"
)

// knob is one key of the policy that a page sets.
type knob struct {
	Key, Name, Doc string
	Class          string // of its slider
	Value, Live    string // as the draft has it, and what is in force
	Words          []string
	Min, Max, Step float64 // of a number
	text           bool    // its value is text
}

// Changed reports whether the draft says something else.
func (k *knob) Changed() bool { return !sameValue(k.Value, k.Live) }

// ID is what its label names.
func (k *knob) ID() string {
	return "k-" + strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(k.Key))
}

// literal writes a value as a document has it.
func (k *knob) literal(value string) string {
	if k.text {
		return strconv.Quote(value)
	}
	return value
}

// sameValue compares values as they mean: 5 is 5.0.
func sameValue(a, b string) bool {
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	if a == b {
		return true
	}
	x, err := strconv.ParseFloat(a, 64)
	y, other := strconv.ParseFloat(b, 64)
	return err == nil && other == nil && x == y
}

func plainNumber(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// plainKnobs are the mode and the level.
func plainKnobs(p, live *config.Policy) []knob {
	out := []knob{
		{Key: "mode", Name: "Mode", Doc: "How far verdicts are carried out", Value: string(p.Mode), Words: []string{"observe", "soft", "enforce"}, text: true},
		{Key: "level", Name: "Level", Doc: "How much is taken for spam, and what is done with attachments", Value: levelOf(p), Words: []string{"relaxed", "normal", "strict"}, text: true}}
	if live != nil {
		out[0].Live, out[1].Live = string(live.Mode), levelOf(live)
	}
	return out
}

func levelOf(p *config.Policy) string {
	if p.Level == "" {
		return string(config.Normal)
	}
	return string(p.Level)
}

// thresholdKnobs are the thresholds of all domains.
func thresholdKnobs(p, live *config.Policy) []knob {
	values := func(p *config.Policy) [3]string {
		if p == nil {
			return [3]string{}
		}
		return [3]string{plainNumber(p.Thresholds.Tag), plainNumber(p.Thresholds.Quarantine), plainNumber(p.Thresholds.Reject)}
	}
	now, was := values(p), values(live)
	top := max(20, math.Ceil(p.Thresholds.Reject*1.2/5)*5)
	out := []knob{{Key: "thresholds.tag", Name: "Tag", Class: "grey"}, {Key: "thresholds.quarantine", Name: "Quarantine", Class: "quar"}, {Key: "thresholds.reject", Name: "Reject", Class: "rej"}}
	for i := range out {
		out[i].Value, out[i].Live, out[i].Min, out[i].Max, out[i].Step = now[i], was[i], 0, top, 0.1
	}
	return out
}

// Axis are the numbers below the sliders.
func (b *policyBody) Axis() (out []string) {
	for i := range 5 {
		out = append(out, plainNumber(b.Thresholds[0].Max/4*float64(i)))
	}
	return out
}

// checkKnobs are those of one check.
type checkKnobs struct {
	Name, Doc string
	Action    knob
	Prices    []knob
}

// Changed reports whether the draft says something else of the check.
func (c *checkKnobs) Changed() bool {
	return c.Action.Changed() || slices.ContainsFunc(c.Prices, func(k knob) bool { return k.Changed() })
}

// mostPoints is the end of the slider of a price that is not beyond it.
const mostPoints = 12

// checksOf are the knobs of all checks, by their names.
func checksOf(sections config.Sections, p, live *config.Policy) (out []checkKnobs) {
	for _, name := range slices.Sorted(maps.Keys(p.Checks)) {
		check, s := p.Checks[name], sections[name]
		was := check
		if live != nil && live.Checks[name] != nil {
			was = live.Checks[name]
		}
		path := "checks." + name
		c := checkKnobs{Name: name, Doc: s.Doc, Action: knob{Key: path + ".action", Name: name, Value: string(check.Action), Live: string(was.Action), Words: actionsOf(&s), text: true}}
		for _, m := range s.Measures {
			value, priced := check.Prices[m.Name]
			if strings.Contains(m.Name, "*") || !priced && m.Price == 0 {
				continue // which there are stands in the document
			}
			c.Prices = append(c.Prices, knob{Key: path + ".prices." + keyWord(m.Name), Name: m.Name, Doc: m.Doc, Value: plainNumber(value), Live: plainNumber(was.Prices[m.Name]),
				Min: min(0, math.Floor(value)), Max: max(mostPoints, math.Ceil(value)), Step: 0.1})
		}
		out = append(out, c)
	}
	return out
}

// keyWord writes a word of a path, in quotes where it has a dot.
func keyWord(word string) string {
	if strings.ContainsAny(word, ". ") {
		return strconv.Quote(word)
	}
	return word
}

// actionsOf are the actions that a check can have, the mildest first.
func actionsOf(s *config.Section) (out []string) {
	from := 0
	all := []config.Action{config.Off, config.Observe, config.Score, config.Tag, config.Strip, config.Quarantine, config.Defer, config.Reject, config.Drop}
	if s.Least != "" {
		from = max(0, slices.Index(all, s.Least))
	}
	for _, a := range all[from:] {
		if a != config.Strip || s.Parts {
			out = append(out, string(a))
		}
	}
	return out
}

// knobsOf are all that a form may set, by their keys.
func knobsOf(sections config.Sections, p *policies) map[string]*knob {
	out := map[string]*knob{}
	if p.text == nil {
		return out
	}
	add := func(list []knob) {
		for i := range list {
			out[list[i].Key] = &list[i]
		}
	}
	add(plainKnobs(p.text, p.live))
	add(thresholdKnobs(p.text, p.live))
	for _, c := range checksOf(sections, p.text, p.live) {
		add([]knob{c.Action})
		add(c.Prices)
	}
	for _, d := range domainsOf(p) {
		add(d.Knobs)
	}
	return out
}
