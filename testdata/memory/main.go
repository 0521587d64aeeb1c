// Memory runs tasks that need far more memory than their workers may have, while it is busy itself.
// It prints the peak of the largest worker in MiB, as the system reports it for child processes.
// The program itself is small, because the memory of a child before it executes another program
// counts, too.
//
//	memory WAY WORKERS LIMIT
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp"
)

const want = 1536 << 20

var ways = map[string]func(){
	"huge": func() { touch(make([]byte, want)) },
	"small": func() {
		for n := 0; n < want; n += 1 << 10 {
			hoard = append(hoard, make([]byte, 1<<10))
			touch(hoard[len(hoard)-1])
		}
	},
	"middle": func() {
		for n := 0; n < want; n += 1 << 20 {
			hoard = append(hoard, make([]byte, 1<<20))
			touch(hoard[len(hoard)-1])
		}
	},
	"large": func() {
		for n := 0; n < want; n += 100 << 20 {
			hoard = append(hoard, make([]byte, 100<<20))
			touch(hoard[len(hoard)-1])
		}
	},
	"mmap": func() { mapped(unix.MAP_POPULATE) },
	"overmap": func() { // as the Go runtime does
		at := mmap(0, want, unix.PROT_NONE, 0)
		b := unsafeBytes(mmap(at, want, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_FIXED), want)
		touch(b)
	},
	"sealed": func() { // read-only memory no longer counts as data
		for n := 0; n < want; n += 64 << 20 {
			at := mmap(0, 64<<20, unix.PROT_READ|unix.PROT_WRITE, 0)
			touch(unsafeBytes(at, 64<<20))
			if err := unix.Mprotect(unsafeBytes(at, 64<<20), unix.PROT_READ); err != nil {
				panic(err)
			}
		}
	},
	"stacks": func() {
		var all sync.WaitGroup
		for range 64 {
			all.Add(1)
			go func() { deep(24 << 20 / 1024); all.Done(); select {} }()
		}
		all.Wait()
	},
}

var hoard [][]byte

func touch(b []byte) {
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
}

func deep(n int) byte {
	var b [1000]byte
	b[n%len(b)] = 1
	if n == 0 {
		return b[0]
	}
	return deep(n-1) + b[n%7]
}

func mapped(flags int) {
	touch(unsafeBytes(mmap(0, want, unix.PROT_READ|unix.PROT_WRITE, flags), want))
}

var grow = mp.Register("grow", func(_ context.Context, way string) (int, error) {
	ways[way]()
	return 0, errors.New("it has got all that it wanted")
})

func main() {
	mp.Init()
	way := os.Args[1]
	if ways[way] == nil {
		fmt.Println("no cgo")
		return
	}

	workers, _ := strconv.Atoi(os.Args[2])
	limit, _ := strconv.Atoi(os.Args[3])
	pool, err := mp.NewPool(mp.PoolConfig{Workers: workers, Limits: mp.Limits{Memory: int64(limit) << 20}})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if err := pool.Ready(context.Background()); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}

	for range runtime.NumCPU() {
		go func() {
			for {
			}
		}()
	}
	reasons := map[string]int{}
	var all []*mp.Future[int]
	for range workers {
		all = append(all, mp.Submit(context.Background(), pool, grow, way))
	}

	for _, f := range all {
		_, err := f.Result(context.Background())
		var w *mp.WorkerError
		switch {
		case errors.As(err, &w):
			reasons[string(w.Reason)]++
		default:
			reasons[fmt.Sprint(err)]++
		}
	}
	_ = pool.Close()
	time.Sleep(10 * time.Millisecond)
	var use syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_CHILDREN, &use)
	fmt.Println(use.Maxrss>>10, reasons)
}
