//go:build linux

package ipc_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

// extent is a struct of numbers, which can lie in shared memory as it is.
type extent struct {
	Min, Max float64
	N        int
}

type sample struct {
	Extent *ipc.Value[extent]
	X      float64
}

var measure = mp.RegisterAction("measure", func(ctx context.Context, s sample) error {
	return s.Extent.Update(ctx, func(e *extent) error {
		e.Min, e.Max, e.N = min(e.Min, s.X), max(e.Max, s.X), e.N+1
		return nil
	})
})

// An Update of a Value is all or nothing. No other process sees or changes the Value meanwhile.
func ExampleValue() {
	p := pool()
	defer p.Close()
	ctx := context.Background()
	all, err := ipc.NewValue(extent{Min: math.Inf(1), Max: math.Inf(-1)})
	if err != nil {
		log.Fatal(err)
	}
	defer all.Close()

	var samples []sample
	for i := range 100 {
		samples = append(samples, sample{all, float64(i*37%100) / 4})
	}
	if _, err := mp.Map(ctx, p, measure, samples); err != nil {
		log.Fatal(err)
	}
	fmt.Println(all.Load(ctx))
	// Output: {0 24.75 100} <nil>
}

type steps struct {
	Done *ipc.Atomic[int]
	N    int
}

var advance = mp.RegisterAction("advance", func(_ context.Context, s steps) error {
	_, err := s.Done.Add(s.N)
	return err
})

// An Atomic counts the steps of all workers, at a few nanoseconds per step.
func ExampleAtomic() {
	p := pool()
	defer p.Close()
	done, err := ipc.NewAtomic(0)
	if err != nil {
		log.Fatal(err)
	}
	defer done.Close()

	tasks := slices.Repeat([]steps{{done, 25}}, 8)
	if _, err := mp.Map(context.Background(), p, advance, tasks); err != nil {
		log.Fatal(err)
	}
	fmt.Println(done.Load())
	// Output: 200 <nil>
}

// part is one task's part of an array.
type part struct {
	Array  *ipc.Array[float64]
	Lo, Hi int
}

var takeRoots = mp.RegisterAction("rootsInPlace", func(_ context.Context, p part) error {
	for i, x := range p.Array.Slice()[p.Lo:p.Hi] {
		p.Array.Slice()[p.Lo+i] = math.Sqrt(x)
	}
	return nil
})

// Workers change an array in place. Only its handle is sent, not its elements.
func ExampleArray() {
	p := pool()
	defer p.Close()
	const n, each = 1 << 20, 1 << 17 // 8 MiB, in tasks of 1 MiB
	numbers, err := ipc.NewArray[float64](n)
	if err != nil {
		log.Fatal(err)
	}
	defer numbers.Close()
	for i := range numbers.Slice() {
		numbers.Slice()[i] = float64(i) * float64(i)
	}

	var parts []part
	for lo := 0; lo < n; lo += each {
		parts = append(parts, part{numbers, lo, lo + each})
	}
	_, err = mp.Map(context.Background(), p, takeRoots, parts)
	fmt.Println(numbers.Slice()[n-3:], err)
	// Output: [1.048573e+06 1.048574e+06 1.048575e+06] <nil>
}

// View is for callers that do not know when the Array will be closed: the memory stays mapped until
// f returns.
func ExampleArray_View() {
	numbers, err := ipc.NewArray[int](3)
	if err != nil {
		log.Fatal(err)
	}

	err = numbers.View(func(s []int) error {
		_ = numbers.Close() // another goroutine might do this
		s[2] = 7
		fmt.Println(s)
		return nil
	})
	fmt.Println(err)
	err = numbers.View(func([]int) error { return nil })
	fmt.Println(errors.Is(err, mp.ErrClosed), numbers.Slice() == nil)
	// Output:
	// [0 0 7]
	// <nil>
	// true true
}

var makeArray = mp.Register("makeArray", func(_ context.Context, n int) (*ipc.Array[int], error) {
	a, err := ipc.NewArray[int](n)
	if err != nil {
		return nil, err
	}
	for i := range a.Slice() {
		a.Slice()[i] = i
	}
	return a, nil // from now on, a belongs to the caller
})

// An object that a task returns belongs to the task's caller and outlives the worker.
func ExampleArray_result() {
	p := pool()
	a, err := mp.Call(context.Background(), p, makeArray, 5)
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	_ = p.Close()
	fmt.Println(a.Slice())
	// Output: [0 1 2 3 4]
}

var shout = mp.RegisterAction("shout", func(_ context.Context, name string) error {
	m, err := ipc.OpenSharedMemory(name) // as a program that knows only the name would
	if err != nil {
		return err
	}
	defer m.Close() // unmaps the memory here; the name and the memory stay
	copy(m.Bytes(), bytes.ToUpper(m.Bytes()))
	return nil
})

// Any program of the same user can open the memory by name.
func ExampleSharedMemory() {
	name := fmt.Sprintf("mp-example-%d", os.Getpid())
	m, err := ipc.NewSharedMemory(5, ipc.Named(name))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	copy(m.Bytes(), "hello")

	p := pool()
	defer p.Close()
	_, err = mp.Call(context.Background(), p, shout, name)
	fmt.Println(string(m.Bytes()), err)
	// Output: HELLO <nil>
}

var firstLine = mp.Register("firstLine", func(_ context.Context, f *os.File) (string, error) {
	defer f.Close() // this process's own duplicate
	line, err := bufio.NewReader(f).ReadString('\n')
	return strings.TrimSpace(line), err
})

// A file can be an argument like any other.
func ExampleRegister_file() {
	r, w, err := os.Pipe()
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	p := pool()
	defer p.Close()
	line := mp.Submit(context.Background(), p, firstLine, r)
	_ = r.Close() // the worker has its own duplicate
	fmt.Fprintln(w, "from main")
	fmt.Println(line.Result(context.Background()))
	// Output: from main <nil>
}
