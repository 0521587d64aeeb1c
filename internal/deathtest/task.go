package deathtest

import (
	"context"
	"fmt"
	"os"

	"github.com/go-multiprocessing/mp"
)

// A Death is what a task does to die; alone says that it is a Process. One that
// returns nil has survived, and the task has its result.
type Death func(ctx context.Context, alone bool) error

// deaths are what this program knows, by their ways.
var deaths = map[string]Death{}

// Provide makes deaths known. It belongs into an init function: the workers need
// them too.
func Provide(ds map[string]Death) {
	for way, d := range ds {
		if deaths[way] != nil {
			panic("two deaths by " + way)
		}
		deaths[way] = d
	}
}

// element is a task: it notes its number in a file, and may die then.
type element struct {
	N     int
	Notes string
	Way   string // "": it lives
	Alone bool
}

var task = mp.Register("task", func(ctx context.Context, e element) (int, error) {
	if err := e.note(); err != nil {
		return 0, err
	}
	if e.Way == "" {
		return e.result(), nil
	}
	die := deaths[e.Way]
	if die == nil {
		return 0, fmt.Errorf("nobody knows how to die like this: %s", e.Way)
	}
	return e.result(), die(ctx, e.Alone)
})

// result is one that noise will hardly be.
func (e element) result() int { return 1_000_000_007*e.N + 12345 }

// note appends the number in one write, so that others' notes do not mix with it.
func (e element) note() error {
	f, err := os.OpenFile(e.Notes, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintf(f, "%d\n", e.N)
	return err
}
