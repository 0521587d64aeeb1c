//go:build linux

package xsync_test

import (
	"bytes"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A givenBack is an operation on an object, with a function that counts what the operation leaves
// for another process.
type givenBack struct {
	op    func() error
	close func()
	left  func() int
	// closed is the count if the operation returned ErrClosed, and done is the count if it did not.
	closed, done int
}

// An operation during which its process closes the object and releases the memory returns
// ErrClosed, unless it has completed before that. With large records, the close usually happens
// during the copy; with small records, it can happen at any step.
func TestGivenBack(t *testing.T) {
	large, small := bytes.Repeat([]byte{1}, 200<<10), []byte{1}
	put := func(b []byte) func(t *testing.T, m, mine place) givenBack {
		return func(t *testing.T, m, mine place) givenBack {
			there, here := rings(m, mine)
			return givenBack{
				op:    func() error { return here.TryPut(b, nil, nil) },
				close: func() { here.Close(false) }, left: there.Len, done: 1,
			}
		}
	}

	get := func(b []byte) func(t *testing.T, m, mine place) givenBack {
		return func(t *testing.T, m, mine place) givenBack {
			there, here := rings(m, mine)
			must(t, there.TryPut(b, nil, nil))
			return givenBack{
				op: func() error {
					rec, err := here.TryGet(make([]byte, 0, 2*len(b)))
					if err == nil && !bytes.Equal(rec.Bytes, b) {
						err = errors.New("not what was put")
					}
					return err
				},
				close: func() { here.Close(false) }, left: there.Len, closed: 1,
			}
		}
	}

	for _, c := range []struct {
		name  string
		often bool
		make  func(t *testing.T, m, mine place) givenBack
	}{
		{"put", false, put(large)},
		{"put small", false, put(small)},
		{"get", false, get(large)},
		{"get small", false, get(small)},
		{"done", false, func(t *testing.T, m, mine place) givenBack {
			there, here := rings(m, mine)
			must(t, there.TryPut(small, nil, nil))
			_, err := there.TryGet(nil)
			must(t, err)
			return givenBack{op: here.Done, close: func() { here.Close(false) }, left: there.Len}
		}},
		{"join", false, func(t *testing.T, m, mine place) givenBack {
			there, here := rings(m, mine)
			must(t, there.TryPut(large, nil, nil))
			return givenBack{
				op: func() error {
					if err := here.Join(forever); err != nil {
						return err
					}
					return errors.New("not everything is done")
				},
				close: func() { here.Close(false) }, left: there.Len, closed: 1,
			}
		}},
		{"put, get and done", true, func(_ *testing.T, m, mine place) givenBack {
			_, here := rings(m, mine)
			return givenBack{
				op: func() (err error) { // the close happens at some step of some round
					for err == nil {
						if err = here.TryPut(small, nil, nil); err == nil {
							_, err = here.TryGet(nil)
						}
						if err == nil {
							err = here.Done()
						}
					}

					return err
				},
				close: func() { here.Close(false) }, left: func() int { return 0 },
			}
		}},
		{"release", false, func(t *testing.T, m, mine place) givenBack {
			const permits = 1000 // many, so that the search for a permit takes a while
			there := xsync.NewBounded(m.memory(xsync.BoundedSize(permits)), permits)
			here := xsync.OpenBounded(mine.memory(xsync.BoundedSize(permits)))
			ok, err := there.TryAcquire()
			must(t, err)
			if !ok {
				t.Fatal("no permit is free")
			}

			return givenBack{
				op: here.Release, close: func() { here.Close(false) },
				left: func() int { n, _ := there.Available(); return permits - n }, closed: 1,
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			const size = 1 << 20
			places := shm.Range{Size: size}
			tables := newWorld(t).waitTables(1, 2)
			closed, times := 0, rounds(1000)
			if c.often {
				times *= 10
			}

			for n := range times {
				fd, theirs, err := shm.New("mp-test", size)
				must(t, err)
				ours, err := places.Map(fd)
				must(t, err)
				g := c.make(t, place{tables[0], theirs, uint32(n + 1)}, place{tables[1], ours, uint32(n + 1)})
				var began atomic.Bool
				done := make(chan error, 1)
				go func() {
					began.Store(true)
					done <- g.op()
				}()

				for !began.Load() {
					runtime.Gosched()
				}
				spinning(n)
				g.close()
				must(t, places.Retire(ours))
				want := g.done
				if err := <-done; errors.Is(err, errs.ErrClosed) {
					closed++
					want = g.closed
				} else if err != nil {
					t.Errorf("round %d: %v", n, err)
					want = g.closed
				}

				if left := g.left(); left != want {
					t.Errorf("round %d: %d are left, not %d", n, left, want)
				}
				must(t, shm.Unmap(theirs))
				shm.CloseFD(fd)
			}

			t.Logf("%d of %d closed", closed, times)
		})
	}
}

// A place is the memory of an object as mapped in one process.
type place struct {
	table *park.WaitTable
	mem   []byte
	gen   uint32
}

func (p place) memory(size int) xsync.Memory {
	return xsync.Memory{WaitTable: p.table, Bytes: p.mem[:size], Gen: p.gen}
}

// rings creates a Ring and opens it in another place.
func rings(m, mine place) (there, here *xsync.Ring) {
	shape := xsync.RingShape{Most: 4}
	there = xsync.NewRing(m.memory(xsync.RingSize), m.mem[xsync.RingSize:], shape)
	here = xsync.OpenRing(mine.memory(xsync.RingSize), mine.mem[xsync.RingSize:], shape)
	return there, here
}
