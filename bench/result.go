package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
)

// A result is one line of the output: a row compared with one peer.
type result struct {
	Name   string   `json:"name"`
	Unit   string   `json:"unit"`
	Better string   `json:"better"`
	MP     float64  `json:"mp"`
	Peer   string   `json:"peer"`
	Value  float64  `json:"value"`
	Ratio  float64  `json:"ratio"`
	Spread float64  `json:"spread"`
	Goal   *float64 `json:"goal"` // null if there is no goal
	Met    string   `json:"met"`
}

// newResult makes a result from the figures of both sides' rounds.
func newResult(r row, p peer, mine, theirs []float64, judge bool) result {
	ratios := make([]float64, len(mine))
	for i := range mine {
		ratios[i] = ratio(r.better, mine[i], theirs[i])
	}

	res := result{
		Name: r.name, Unit: r.unit, Better: r.better,
		MP: median(mine), Peer: p.name, Value: median(theirs),
		Ratio: median(ratios), Spread: spread(ratios),
	}
	if p.goal == 0 {
		return res
	}
	res.Goal = &p.goal
	if judge {
		res.Met = met(res.Ratio, res.Spread, p.goal)
	}

	return res
}

// A reporter prints results as they come.
type reporter func(result)

func newLines(w io.Writer) reporter {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return func(r result) { _ = enc.Encode(r) }
}

const tableLine = "%-15s  %-13s  %-6s  %10s  %-29s  %10s  %8s  %8s  %6s  %s\n"

func newTable(w io.Writer) reporter {
	headed := false
	return func(r result) {
		if !headed {
			fmt.Fprintf(w, tableLine, "row", "unit", "better", "mp", "peer", "peer's", "ratio", "spread", "goal", "met")
			headed = true
		}
		goal := ""
		if r.Goal != nil {
			goal = short(*r.Goal)
		}
		fmt.Fprintf(w, tableLine, r.Name, r.Unit, r.Better, short(r.MP), r.Peer, short(r.Value),
			short(r.Ratio), "± "+short(r.Spread), goal, r.Met)
	}
}

// short formats a figure with about three digits.
func short(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
