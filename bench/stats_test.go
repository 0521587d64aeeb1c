package main

import (
	"math"
	"testing"
)

func TestMedianAndSpread(t *testing.T) {
	for _, c := range []struct {
		values         []float64
		median, spread float64
	}{
		{[]float64{3}, 3, 0},
		{[]float64{4, 1}, 2.5, 0.75},
		{[]float64{3, 1, 2}, 2, 0.5},
		{[]float64{9, 1, 8, 2, 7, 3, 6, 4, 5}, 5, 2},
		{[]float64{1, 1, 1, 1, 1, 1, 1, 1, 1000}, 1, 0},
		{[]float64{10, 20, 30, 40}, 25, 7.5},
	} {
		if m := median(c.values); math.Abs(m-c.median) > 1e-9 {
			t.Errorf("median of %v is %v, want %v", c.values, m, c.median)
		}
		if s := spread(c.values); math.Abs(s-c.spread) > 1e-9 {
			t.Errorf("spread of %v is %v, want %v", c.values, s, c.spread)
		}
	}
}

func TestQuantileLeavesItsArgument(t *testing.T) {
	v := []float64{3, 1, 2}
	median(v)
	if v[0] != 3 || v[1] != 1 || v[2] != 2 {
		t.Errorf("the values are now %v", v)
	}
}

func TestRatio(t *testing.T) {
	if r := ratio(lower, 5, 4); r != 0.8 {
		t.Errorf("mp needs 1.25 times as long: %v", r)
	}
	if r := ratio(higher, 4, 5); r != 0.8 {
		t.Errorf("mp does 0.8 times as much: %v", r)
	}
}

func TestMet(t *testing.T) {
	for _, c := range []struct {
		ratio, spread, goal float64
		want                string
	}{
		{12, 1, 10, "yes"},
		{12, 2, 10, "yes"},
		{12, 3, 10, "unclear"},
		{9, 2, 10, "unclear"},
		{9, 1, 10, "unclear"},
		{9, 0.5, 10, "no"},
		{10, 0, 10, "yes"},
	} {
		if got := met(c.ratio, c.spread, c.goal); got != c.want {
			t.Errorf("%v ± %v against %v: %q, want %q", c.ratio, c.spread, c.goal, got, c.want)
		}
	}
}

func TestResultIsFormedRoundByRound(t *testing.T) {
	r := row{name: "r", unit: "us", better: lower}
	mine, theirs := []float64{1, 2, 4}, []float64{10, 10, 8}
	res := newResult(r, peer{name: "p", goal: 3}, mine, theirs, true)
	if res.MP != 2 || res.Value != 10 || res.Ratio != 5 || res.Spread != 2 || *res.Goal != 3 || res.Met != "yes" {
		t.Errorf("%+v", res)
	}
	if res := newResult(r, peer{name: "p", goal: 3}, mine, theirs, false); res.Met != "" {
		t.Errorf("-quick judged: %+v", res)
	}
	if res := newResult(r, peer{name: "p"}, mine, theirs, true); res.Goal != nil || res.Met != "" {
		t.Errorf("judged without a goal: %+v", res)
	}
}
