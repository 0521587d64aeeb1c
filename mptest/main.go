// Package mptest helps to test programs that use mp: it makes a test binary
// able to start workers, proves that nothing is left when the tests are over,
// and holds implementations of [mp.Executor] to what callers rely on.
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
// Without the TestMain the error of NewPool is [mp.ErrNotInitialized]. Functions that only
// tests need are registered as others are, in package variables of a _test.go file. What is
// tested had better take an [mp.Executor] than make a pool: then a test that needs no
// processes gives it an [mp.Inline], where breakpoints and -cover work. To see what a program
// does when a worker dies, let a function of the test end its own process, or kill a worker
// of [mp.Pool.Workers].
package mptest

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
)

// tagVar is in the environment of the test binary and so of all that it starts.
const tagVar = "MPTEST_TAG"

// Main is for TestMain:
//
//	func TestMain(m *testing.M) { mptest.Main(m) }
//
// It calls [mp.Init], so that the test binary can be its own worker, runs the
// tests, and exits: with status 1 if a test failed or if anything is left, a
// process that the tests started (found by a tag in its environment, whatever
// became of its parents), a descriptor, a shared segment or a goroutine of mp's.
// What is about to end has up to five seconds.
//
// With the race detector, the status is also 1 if it found a race in what the tests
// started, and the report is printed at the end; and what they start does not sleep a
// second before it exits. If GORACE has options already, they hold. If the test binary does
// not come to its end, because a test panics for instance, reports stay in a directory
// mptest-races-… of the temporary one.
//
// What runs in workers does not count for -cover, for they do not write what they
// have counted. Run the same tests with MPDEBUG=inline, or on an [mp.Inline], for that.
func Main(m *testing.M) {
	mp.Init() // a worker stays in here
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

// NoLeaks fails the test if, when it ends, anything is left that was not there
// when NoLeaks was called; what is about to end has up to five seconds. It must
// come before the cleanups that it is to check, and not in tests that run in
// parallel with others.
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
