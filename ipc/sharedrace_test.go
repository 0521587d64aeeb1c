//go:build linux

package ipc_test

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

// If an Atomic or a Value is closed while a method runs, the method returns the number or
// ErrClosed. It never returns what it read from memory that this process had already given back.
func TestReadsDuringClose(t *testing.T) {
	const there = 7
	for _, c := range []struct {
		name string
		make func() (read func() (int, error), close func() error)
	}{
		{"Atomic.Load", func() (func() (int, error), func() error) {
			a := must(ipc.NewAtomic(there, ipc.Isolated()))
			return a.Load, a.Close
		}},
		{"Atomic.Swap", func() (func() (int, error), func() error) {
			a := must(ipc.NewAtomic(there, ipc.Isolated()))
			return func() (int, error) { return a.Swap(there) }, a.Close
		}},
		{"Atomic.Add", func() (func() (int, error), func() error) {
			a := must(ipc.NewAtomic(there, ipc.Isolated()))
			return func() (int, error) { return a.Add(0) }, a.Close
		}},
		{"Atomic.CompareAndSwap", func() (func() (int, error), func() error) {
			a := must(ipc.NewAtomic(there, ipc.Isolated()))
			return func() (int, error) {
				if ok, err := a.CompareAndSwap(there, there); !ok {
					return 0, err
				}
				return there, nil
			}, a.Close
		}},
		{"Value.Load", func() (func() (int, error), func() error) {
			v := must(ipc.NewValue(there, ipc.Isolated()))
			return func() (int, error) { return v.Load(t.Context()) }, v.Close
		}},
		{"Value.Update", func() (func() (int, error), func() error) {
			v := must(ipc.NewValue(there, ipc.Isolated()))
			return func() (int, error) {
				seen := there
				err := v.Update(t.Context(), func(n *int) error { seen = *n; return nil })
				if seen != there {
					err = fmt.Errorf("Update was given %d", seen)
				}
				return there, err
			}, v.Close
		}},
		{"Value.Load without a lock", func() (func() (int, error), func() error) {
			v := must(ipc.NewValue(there, ipc.Isolated(), ipc.Unlocked()))
			return func() (int, error) { return v.Load(t.Context()) }, v.Close
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rounds := 300
			if testing.Short() {
				rounds = 30
			}
			for range rounds {
				read, closeIt := c.make()
				var began atomic.Bool
				done := make(chan error, 1)
				go func() {
					for {
						n, err := read()
						began.Store(true)
						if err == nil && n != there {
							err = fmt.Errorf("it is %d", n)
						}
						if err != nil {
							done <- err
							return
						}
					}
				}()
				for !began.Load() {
					runtime.Gosched()
				}
				if err := closeIt(); err != nil {
					t.Error(err)
				}
				if err := <-done; !errors.Is(err, mp.ErrClosed) {
					t.Error(err)
				}
			}
		})
	}
}
