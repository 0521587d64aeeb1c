package xsync

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/go-multiprocessing/mp/internal/errs"
)

// An operation gives up if its word changes each time between the load and the step.
func TestStepsInVain(t *testing.T) {
	var word atomic.Uint64
	o := object{word: &word, home: 1 << 32}
	o.gen.Store(o.home)
	word.Store(o.home)
	looks := 0
	err := o.update(func(w uint64) (uint64, error) {
		looks++
		word.Add(1 << 8)
		return w | 1, nil
	})
	if !errors.Is(err, errs.ErrCorrupt) || looks != tries {
		t.Error(err, looks)
	}

	mem := make([]byte, Small)
	h := Ownership{state: own(mem, 0)}
	h.word, h.home = &word, o.home
	h.gen.Store(o.home)
	word.Store(o.home)
	looks = 0
	if _, done := h.change(func(uint64) bool { h.state.Add(1 << epochShift); looks++; return true }, func(s uint64) uint64 { return s | ended }); done || looks != tries {
		t.Error(done, looks)
	}
}
