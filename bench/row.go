package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

// A row is a figure of mp, compared with the same figure of its peers.
type row struct {
	name   string
	unit   string
	better string
	mp     opener
	peers  []peer
}

// These constants say whether lower or higher figures are better.
const (
	lower  = "lower"
	higher = "higher"
)

// A peer is something that mp is compared with.
type peer struct {
	name string
	goal float64 // how many times better mp should be; 0 means no goal
	open opener
}

// An opener starts one side of a comparison and warms it up.
type opener func(ctx context.Context, b *bench) (side, error)

// A side is one side of a comparison, ready to be measured.
type side struct {
	round func() (float64, error) // returns the figure of one round
	close func()
}

// missing is the error of an opener that lacks something that it needs.
type missing struct{ what string }

func (m missing) Error() string { return m.what }

// measure measures a row with each of its peers.
func (b *bench) measure(ctx context.Context, r row, report reporter) error {
	var failed []error
	mine, err := r.mp(ctx, b)
	if err != nil {
		return b.skipOrFail(r.name, "mp", err)
	}
	defer mine.close()
	for _, p := range r.peers {
		if ctx.Err() != nil {
			break
		}
		res, err := b.compare(ctx, r, mine, p)
		if err != nil {
			failed = append(failed, b.skipOrFail(r.name, p.name, err))
			continue
		}
		report(res)
	}

	return errors.Join(failed...)
}

// skipOrFail reports what is missing, and returns all other errors.
func (b *bench) skipOrFail(row, side string, err error) error {
	var m missing
	if errors.As(err, &m) {
		fmt.Fprintf(b.stderr, "skipped: %s, %s: %v\n", row, side, err)
		return nil
	}
	return fmt.Errorf("%s, %s: %w", row, side, err)
}

// compare measures mp and one peer by turns. The side that goes first changes from round to round.
func (b *bench) compare(ctx context.Context, r row, mine side, p peer) (result, error) {
	theirs, err := p.open(ctx, b)
	if err != nil {
		return result{}, err
	}
	defer theirs.close()
	var a, z []float64
	for i := range b.rounds {
		first, second := mine, theirs
		if i%2 == 1 {
			first, second = theirs, mine
		}

		v, err := oneRound(ctx, first)
		if err != nil {
			return result{}, err
		}
		w, err := oneRound(ctx, second)
		if err != nil {
			return result{}, err
		}
		if i%2 == 1 {
			v, w = w, v
		}
		a, z = append(a, v), append(z, w)
	}

	return newResult(r, p, a, z, !b.quick), nil
}

// oneRound measures a side, on a heap without the other side's garbage.
func oneRound(ctx context.Context, s side) (float64, error) {
	if err := ctx.Err(); err != nil {
		return 0, context.Cause(ctx)
	}
	runtime.GC()
	v, err := s.round()
	if err == nil && v <= 0 {
		err = fmt.Errorf("measured %v, which cannot be", v)
	}
	return v, err
}
