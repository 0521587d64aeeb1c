//go:build linux

package mp_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-multiprocessing/mp"
)

// The functions that the tests call in workers.
var (
	square = mp.Register("square", func(_ context.Context, n int) (int, error) { return n * n, nil })
	getpid = mp.Register("getpid", func(context.Context, int) (int, error) { return os.Getpid(), nil })
	die    = mp.Register("die", func(_ context.Context, how string) (int, error) { return 0, dieBy(how) })
	note   = mp.Register("note", func(_ context.Context, n noted) (int, error) { return n.N, n.do() })
	say    = mp.Register("say", func(_ context.Context, line string) (int, error) {
		fmt.Println("out", line)
		fmt.Fprintln(os.Stderr, "err", line)
		slog.Info("log "+line, "n", 7)
		log.Print("plain ", line)
		return 0, nil
	})
	environ = mp.Register("environ", func(_ context.Context, key string) (string, error) {
		dir, err := os.Getwd()
		return fmt.Sprint(os.Getenv(key), " ", dir, " ", runtime.GOMAXPROCS(0)), err
	})
	// wait opens the named pipe, which tells the test that it has started. Then it waits until its
	// context ends if it heeds that, or forever.
	wait  = mp.Register("wait", func(ctx context.Context, w waiting) (string, error) { return "done", w.do(ctx) })
	count = mp.Register("count", func(context.Context, int) (int64, error) { return setups.Load(), nil })
	setup = mp.Register("setup", func(_ context.Context, s setupArg) (int, error) { return 0, s.do() })
	child = mp.Register("child", func(_ context.Context, n int) (int, error) {
		c := exec.Command("sleep", "1000")
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		return 0, c.Start()
	})
	nested = mp.Register("nested", func(ctx context.Context, n int) ([]int, error) {
		p, err := mp.NewPool(mp.PoolConfig{Workers: 2})
		if err != nil {
			return nil, err
		}
		defer p.Close()
		return mp.Map(ctx, p, square, []int{n, n + 1})
	})
	worker  = mp.Register("worker", func(context.Context, struct{}) (bool, error) { return mp.IsWorker() && wasWorker, nil })
	blobOut = mp.Register("blob", func(_ context.Context, n int) ([]byte, error) { return make([]byte, n), nil })
	blobIn  = mp.Register("blobIn", func(_ context.Context, b []byte) (int, error) { return len(b), nil })
	spin    = mp.Register("spin", func(_ context.Context, n int) (uint64, error) { return burn(n), nil })
)

var wasWorker = mp.IsWorker() // valid in package variables

var setups atomic.Int64

func burn(n int) uint64 {
	x := uint64(n) | 1
	for range n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}

// dieBy ends the worker, or the task, in one of many ways.
func dieBy(how string) error {
	switch how {
	case "exit 0":
		os.Exit(0)
	case "exit 3":
		os.Exit(3)
	case "log.Fatal":
		log.Fatal("the last word")
	case "SIGKILL":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "SIGSEGV":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
		select {}
	case "goroutine panic":
		go func() { panic("elsewhere") }()
		select {}
	case "map write":
		m := map[int]int(nil)
		go func() { m[1] = 1 }()
		select {}
	case "stack overflow":
		return dieBy(strings.Repeat(how, 1)) // recurses forever
	case "panic":
		panic("here")
	case "goexit":
		runtime.Goexit()
	}

	return errors.New(how)
}

// noted appends its number to a file, then may kill its own worker.
type noted struct {
	N    int
	File string
	Die  bool
}

func (n noted) do() error {
	f, err := os.OpenFile(n.File, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "%d\n", n.N); err != nil {
		return err
	}
	if n.Die {
		return dieBy("SIGKILL")
	}
	return nil
}

type waiting struct {
	FIFO string
	Heed bool
}

func (w waiting) do(ctx context.Context) error {
	f, err := os.OpenFile(w.FIFO, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if w.Heed {
		<-ctx.Done()
		return ctx.Err()
	}
	select {}
}

type setupArg struct {
	File string
	Fail string
}

func (s setupArg) do() error {
	setups.Add(1)
	switch s.Fail {
	case "exit":
		os.Exit(4)
	case "killed":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}

	if s.Fail != "" {
		return errors.New(s.Fail)
	}
	if s.File == "" {
		return nil
	}

	f, err := os.OpenFile(s.File, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintln(f, os.Getpid())
	return err
}

// never is a timeout for waits that would otherwise hang a test.
const never = 30 * time.Second

func killSelf() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
