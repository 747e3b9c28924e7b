package gateway

// outdone reports whether the points of a finding do not count, since those of the check that looks at the same things are
// higher: two engines that see one message as spam are one opinion and not two. Of equal ones the first by name counts.
// Both are held against each other by the prices of the checks themselves, so that no level lets both count, or neither.
func (t *tally) outdone(f *Finding) bool {
	c := t.p.Checks[f.Check]
	if c.Rival == "" || t.r == nil {
		return false
	}
	rival, ok := t.p.Checks[c.Rival]
	if !ok || rival.Action <= ActionObserve && !(rival.Action == ActionObserve && t.intended) {
		return false
	}
	for i := range t.r.Findings {
		if g := &t.r.Findings[i]; g.Check == c.Rival && (g.Result == Pass || g.Result == Fail) {
			mine, other := c.worth(f), rival.worth(g)
			return mine < other || mine == other && c.Rival < f.Check
		}
	}
	return false
}

// worth is what the measures of a finding cost together.
func (c *CheckPolicy) worth(f *Finding) (sum float64) {
	ignored := c.ignored(f)
	for i := range f.Measures {
		sum += c.cost(&f.Measures[i], ignored)
	}
	return sum
}

// ignored is what is taken off the total, since other checks price it.
func (c *CheckPolicy) ignored(f *Finding) (sum float64) {
	for i := range f.Measures {
		if m := &f.Measures[i]; m.Name != c.Total && c.ignores(m) {
			sum += m.Value
		}
	}
	return sum
}

// cost is what one measure costs.
func (c *CheckPolicy) cost(m *Measure, ignored float64) float64 {
	if m.Name == c.Total {
		return c.Prices[m.Name] * (m.Value - ignored)
	}
	return c.Prices[m.Name] * m.Value
}
