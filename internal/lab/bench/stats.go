package main

import (
	"slices"
)

// median is the middle of the values, and 0 of none.
func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	switch {
	case n == 0:
		return 0
	case n%2 == 0:
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[n/2]
}

// medianOf is the median of one figure.
func medianOf[T any](values []T, figure func(T) float64) float64 {
	var out []float64
	for _, v := range values {
		out = append(out, figure(v))
	}
	return median(out)
}

// medians is the median of each figure by itself.
func medians(rounds []sample) sample {
	of := func(figure func(sample) float64) float64 { return medianOf(rounds, figure) }
	return sample{
		Rate: of(func(s sample) float64 { return s.Rate }),
		P50:  of(func(s sample) float64 { return s.P50 }),
		P99:  of(func(s sample) float64 { return s.P99 }),
		CPU:  of(func(s sample) float64 { return s.CPU }),
		RSS:  of(func(s sample) float64 { return s.RSS }),

		Others:   of(func(s sample) float64 { return s.Others }),
		Messages: int64(of(func(s sample) float64 { return float64(s.Messages) })),
	}
}

// summarise fills in what follows from the rounds. base are the rounds of the
// target to compare with.
func (t *trial) summarise(base []sample) {
	t.Median = medians(t.Rounds)
	var rates, ratios []float64
	for i, s := range t.Rounds {
		rates = append(rates, s.Rate)
		if i < len(base) && base[i].Rate > 0 {
			ratios = append(ratios, s.Rate/base[i].Rate)
		}
	}
	t.Ratio = median(ratios)
	if t.Median.Rate > 0 {
		t.Spread = (slices.Max(rates) - slices.Min(rates)) / t.Median.Rate
	}
}
