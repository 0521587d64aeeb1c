//go:build linux

package deaths_test

import (
	"context"
	"fmt"
	"io/fs"
	"log"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/go-multiprocessing/mp/internal/testing/deaths"
)

// plain returns a Death that ignores its arguments.
func plain(f func() error) deaths.Death {
	return func(context.Context, bool) error { return f() }
}

func init() {
	deaths.Provide(map[string]deaths.Death{
		"returns an error":                        plain(func() error { return fmt.Errorf("on purpose: %w", fs.ErrNotExist) }),
		"returns an error of a registered type":   plain(func() error { return &deaths.Own{N: 7} }),
		"returns an error that cannot be encoded": plain(func() error { return &deaths.Stubborn{} }),
		"panics": plain(func() error { panic("here") }),
		"panics in a deferred function while it panics": plain(func() error {
			defer func() { panic("again") }()
			panic("first")
		}),
		"writes to a nil map": plain(func() error {
			var m map[int]int
			fill(m)
			return nil
		}),
		"reads the terminal": plain(func() error {
			f, err := os.Open("/dev/tty")
			if err == nil {
				_, err = f.Read(make([]byte, 1))
			}
			return err
		}),
		"calls runtime.Goexit": plain(func() error { runtime.Goexit(); return nil }),
		"waits for its context, until the deadline": func(ctx context.Context, _ bool) error {
			<-ctx.Done()
			return ctx.Err()
		},
		"sends itself SIGTERM": sends(syscall.SIGTERM),
		"sends itself SIGHUP":  sends(syscall.SIGHUP),
		"sends itself SIGUSR1, SIGUSR2, SIGALRM and SIGWINCH": plain(func() error {
			for _, s := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGWINCH} {
				if err := syscall.Kill(os.Getpid(), s); err != nil {
					return err
				}
			}
			return nil
		}),
	})

	deaths.Provide(map[string]deaths.Death{
		"calls os.Exit(0)": plain(func() error { os.Exit(0); return nil }),
		"calls os.Exit(3)": plain(func() error { os.Exit(3); return nil }),
		"calls log.Fatal":  plain(func() error { log.Fatal("the last word"); return nil }),
		"panics in a goroutine of its own": plain(func() error {
			go func() { panic("elsewhere") }()
			select {}
		}),
		"writes to a nil map in a goroutine of its own": plain(func() error {
			go fill(nil)
			select {}
		}),
		"writes to a map in many goroutines": plain(writeTogether),
		"recurses without end": plain(func() error {
			debug.SetMaxStack(4 << 20) // filling the default stack takes a second
			return fmt.Errorf("%d", recurse(1))
		}),
		"allocates without end, under a cap": plain(allocate),
		"allocates 1.5 GiB at once, under a cap": plain(func() error {
			b := make([]byte, 3<<29)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			return fmt.Errorf("%d", b[0])
		}),
		"sends itself SIGKILL": plain(func() error { return kill(syscall.SIGKILL) }),
	})

	deaths.Provide(map[string]deaths.Death{
		"loops for ever, until the deadline": plain(func() error {
			n := 1
			for n != 0 { // n stays odd
				n += 2
			}
			return nil
		}),
		"waits in a select without cases, until the deadline": plain(func() error { select {} }),
		"waits for a mutex that it holds, until the deadline": plain(func() error {
			var mu sync.Mutex
			for {
				mu.Lock()
			}
		}),
		"prints for ever, until the deadline": plain(func() error {
			line := make([]byte, 1000)
			for i := range line {
				line[i] = 'x'
			}
			for {
				fmt.Println(string(line))
			}
		}),
		"sends itself SIGSTOP, until the deadline": plain(func() error { return kill(syscall.SIGSTOP) }),
	})
}

// sends returns a death by a signal that only a Process dies of.
func sends(s syscall.Signal) deaths.Death {
	return func(_ context.Context, alone bool) error {
		err := syscall.Kill(os.Getpid(), s)
		if alone { // another thread may need a moment to handle the signal
			select {}
		}
		return err
	}
}

func fill(m map[int]int) { m[1] = 1 }

// kill sends this process a signal that it does not survive.
func kill(s syscall.Signal) error {
	if err := syscall.Kill(os.Getpid(), s); err != nil {
		return err
	}
	select {}
}

// writeTogether writes to a map from many goroutines until the runtime detects that.
func writeTogether() error {
	runtime.GOMAXPROCS(4)
	m := map[int]int{}
	for range 16 {
		go func() {
			for i := 0; ; i++ {
				m[i%1000] = i
			}
		}()
	}
	select {}
}

func recurse(n int) int {
	if n == 0 {
		return 0
	}
	return recurse(n+1) + 1
}

func allocate() error {
	var all [][]byte
	for {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		all = append(all, b)
		runtime.KeepAlive(all)
	}
}
