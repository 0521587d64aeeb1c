package main

import (
	"math"
	"slices"
)

// median returns the median of values.
func median(values []float64) float64 { return quantile(values, 0.5) }

// spread returns half of the distance between the first and the third quartile.
func spread(values []float64) float64 {
	return (quantile(values, 0.75) - quantile(values, 0.25)) / 2
}

// quantile interpolates between the two values next to the quantile.
func quantile(values []float64, q float64) float64 {
	v := slices.Sorted(slices.Values(values))
	at := q * float64(len(v)-1)
	lo := math.Floor(at)
	hi := math.Ceil(at)
	return v[int(lo)] + (at-lo)*(v[int(hi)]-v[int(lo)])
}

// ratio returns how many times better mine is than theirs.
func ratio(better string, mine, theirs float64) float64 {
	if better == higher {
		return mine / theirs
	}
	return theirs / mine
}

// met tells whether a ratio reaches its goal: "yes", "no" or "unclear".
func met(ratio, spread, goal float64) string {
	switch {
	case ratio-spread >= goal:
		return "yes"
	case ratio+spread < goal:
		return "no"
	}
	return "unclear"
}
