package limit

import "context"

// Among is the rate for one of so many nodes that count each for itself, while what they share is away: one and a half times
// the part of each, since connections do not come to all alike, and at least one unit. How long a key takes to come to rest
// stays the same, so that what was counted together holds on each. One node, or fewer, has all of it.
func (r Rate) Among(nodes int) Rate {
	if !r.Valid() || nodes <= 1 {
		return r
	}
	full, part := r.full(), 2*int64(min(nodes, 1<<20))
	burst := min((3*r.Burst+part-1)/part, full)
	return Rate{Interval: full / burst, Burst: burst}
}

// Instead is Take while the shared Store of so many nodes is away: each rate is Among them. What was learned of the shared
// Store, by Learn after each of its answers, holds on.
func (m *Memory) Instead(ctx context.Context, charges []Charge, nodes int) (Answer, error) {
	if err := Check(charges); err != nil {
		return Answer{}, err
	}
	var own [MostCharges]Charge
	n := copy(own[:], charges)
	for i := range own[:n] {
		own[i].Rate = own[i].Rate.Among(nodes)
	}
	answer, err := m.Take(ctx, own[:n])
	if err == nil {
		for i := range own[:n] {
			charges[i].Ahead = own[i].Ahead
		}
	}
	return answer, err
}
