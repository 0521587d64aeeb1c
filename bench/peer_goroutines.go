package main

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/bench/internal/tasks"
)

// onGoroutines returns an opener for a side that runs in this process.
func onGoroutines(round func(b *bench) (float64, error)) opener {
	return func(_ context.Context, b *bench) (side, error) {
		return side{round: func() (float64, error) { return round(b) }, close: func() {}}, nil
	}
}

const channelDepth = 128

// overChannels returns a worker pool of the kind that most Go programs use.
func overChannels(f func(int) int) func(in []int) []int {
	type indexed struct{ i, v int }
	return func(in []int) []int {
		out := make([]int, len(in))
		jobs, done := make(chan int, channelDepth), make(chan indexed, channelDepth)
		for range tasks.Workers {
			go func() {
				for i := range jobs {
					done <- indexed{i, f(in[i])}
				}
			}()
		}

		go func() {
			for i := range in {
				jobs <- i
			}
			close(jobs)
		}()
		for range in {
			r := <-done
			out[r.i] = r.v
		}

		return out
	}
}

func square(n int) int { return n * n }

const memoryChunk = 2048

// squaresInMemory makes each goroutine take chunks of the slice.
func squaresInMemory(in []int) []int {
	out := make([]int, len(in))
	var next atomic.Int64
	var all sync.WaitGroup
	for range tasks.Workers {
		all.Go(func() {
			for {
				hi := int(next.Add(memoryChunk))
				lo := hi - memoryChunk
				if lo >= len(in) {
					return
				}
				for i := lo; i < min(hi, len(in)); i++ {
					out[i] = in[i] * in[i]
				}
			}
		})
	}

	all.Wait()
	return out
}

// sumsOnGoroutines runs Sum's work for each element.
func sumsOnGoroutines(in []int) []int {
	out := make([]int, len(in))
	var next atomic.Int64
	var all sync.WaitGroup
	for range tasks.Workers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(in); i = int(next.Add(1)) - 1 {
				out[i] = tasks.SumSquares(in[i])
			}
		})
	}
	all.Wait()
	return out
}
