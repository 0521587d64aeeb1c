// Package mptest helps you test programs that use mp. It enables a test binary to start workers,
// checks that the tests leave nothing behind, and tests implementations of [mp.Executor] for
// conformance.
//
// # What a package with tests needs
//
//	func TestMain(m *testing.M) { mptest.Main(m) } // once in a package
//
//	func TestTotal(t *testing.T) {
//		mptest.NoLeaks(t) // if you want to know which test has left something
//		pool, err := mp.NewPool(mp.PoolConfig{Workers: 2})
//		if err != nil {
//			t.Fatal(err)
//		}
//		defer pool.Close()
//		…
//	}
//
// Without the TestMain, NewPool returns [mp.ErrNotInitialized]. If only tests need a function,
// register it as usual, in a package variable of a _test.go file. The code under test should take
// an [mp.Executor] instead of making a pool, so that a test that needs no processes can pass an
// [mp.Inline], where breakpoints and -cover work. To test how a program reacts when a worker dies,
// use a function that ends its own process, or kill one of the workers that [mp.Pool.Workers]
// lists.
package mptest

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
)

// tagVar is set in the environment of the test binary, and so in the environment of all processes
// that the test binary starts.
const tagVar = "MPTEST_TAG"

// Main runs the tests of a package. Call it in TestMain:
//
//	func TestMain(m *testing.M) { mptest.Main(m) }
//
// Main calls [mp.Init], so that the test binary can be its own worker, runs the tests, and exits.
// The status is 1 if a test failed or if the tests have left anything behind: a process (found by a
// tag in its environment, even if its parent is gone), a descriptor, a shared segment or a
// goroutine of mp. Main waits up to five seconds for things that are about to end.
//
// With the race detector, the status is also 1 if a process that the tests started had a race. The
// reports are printed at the end. Processes that the tests start do not sleep for a second before
// they exit. Options in GORACE take precedence. If the test binary is cut short, for instance
// because a test panics, the reports stay in a directory mptest-races-… in the temporary directory.
//
// Code that runs in workers does not count for -cover, since workers do not write coverage data. To
// measure the coverage of that code, run the same tests with MPDEBUG=inline or on an [mp.Inline].
func Main(m *testing.M) {
	mp.Init() // a worker does not return from here
	races := watchRaces()
	if err := os.Setenv(tagVar, fmt.Sprintf("%d-%d", os.Getpid(), time.Now().UnixNano())); err != nil {
		fmt.Fprintln(os.Stderr, "mptest:", err)
		os.Exit(1)
	}
	before := takeStock()
	code := m.Run()
	if left := before.whatIsLeft(); len(left) > 0 {
		fmt.Fprintln(os.Stderr, "mptest:", summary(left))
		for _, l := range left {
			fmt.Fprintln(os.Stderr, "mptest:", l)
		}
		code = max(code, 1)
	}

	if reports := races.found(); len(reports) > 0 {
		fmt.Fprintf(os.Stderr, "mptest: data races in %d process(es) that the tests have started\n", len(reports))
		for _, r := range reports {
			fmt.Fprintln(os.Stderr, "mptest:", r)
		}
		code = max(code, 1)
	}

	os.Exit(code)
}

// NoLeaks fails the test if, at the end of the test, anything is left that did not exist when
// NoLeaks was called. It waits up to five seconds for things that are about to end. Call NoLeaks
// before the test registers its own cleanups, so that it checks after they have run. Do not call it
// in tests that run in parallel with others.
func NoLeaks(t testing.TB) {
	t.Helper()
	before := takeStock()
	t.Cleanup(func() {
		left := before.whatIsLeft()
		if len(left) > 0 {
			t.Error(summary(left))
		}
		for _, l := range left {
			t.Log(l)
		}
	})
}
