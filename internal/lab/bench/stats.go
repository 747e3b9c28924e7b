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

// summarise fills in what follows from the rounds. base are the rounds of the
// target to compare with.
func (t *trial) summarise(base []sample) {
	of := func(figure func(sample) float64) []float64 {
		var out []float64
		for _, s := range t.Rounds {
			out = append(out, figure(s))
		}
		return out
	}
	rates := of(func(s sample) float64 { return s.Rate })
	t.Median = sample{
		Rate: median(rates),
		P50:  median(of(func(s sample) float64 { return s.P50 })),
		P99:  median(of(func(s sample) float64 { return s.P99 })),
		CPU:  median(of(func(s sample) float64 { return s.CPU })),
		RSS:  median(of(func(s sample) float64 { return s.RSS })),

		Others:   median(of(func(s sample) float64 { return s.Others })),
		Messages: int64(median(of(func(s sample) float64 { return float64(s.Messages) }))),
	}
	var ratios []float64
	for i, rate := range rates {
		if i < len(base) && base[i].Rate > 0 {
			ratios = append(ratios, rate/base[i].Rate)
		}
	}
	t.Ratio = median(ratios)
	if t.Median.Rate > 0 {
		t.Spread = (slices.Max(rates) - slices.Min(rates)) / t.Median.Rate
	}
}
