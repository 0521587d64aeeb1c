package spin_test

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/go-multiprocessing/mp/internal/spin"
)

// Until sees a change that happens while it waits, and other goroutines can make the change.
func TestUntil(t *testing.T) {
	var s spin.Spinner
	var asked, answered atomic.Int64
	go func() {
		for i := int64(1); i <= 100; i++ {
			for asked.Load() < i {
				runtime.Gosched()
			}
			answered.Store(i)
		}
	}()

	seen := 0
	for i := int64(1); i <= 100; i++ {
		asked.Store(i)
		happened := func() bool { return answered.Load() >= i }
		if s.Until(happened) {
			seen++
		}
		for !happened() {
			runtime.Gosched()
		}
	}

	if seen == 0 {
		t.Error("nothing was seen")
	}
}

// If waiting does not pay off, the Spinner tries it ever more rarely.
func TestInVain(t *testing.T) {
	var s spin.Spinner
	var tries []int
	for i := range 5000 {
		looks := 0
		if s.Until(func() bool { looks++; return false }) {
			t.Fatal("it has not happened")
		}
		if looks > 0 {
			tries = append(tries, i)
		}
	}
	if len(tries) < 4 || len(tries) > 10 {
		t.Errorf("tried at %v", tries)
	}

	for i := 2; i < len(tries); i++ {
		if tries[i]-tries[i-1] < tries[i-1]-tries[i-2] {
			t.Errorf("tried at %v", tries)
		}
	}

	if !s.Until(func() bool { return true }) && len(tries) > 0 { // it is not time for a try yet
		for n := 0; !s.Until(func() bool { return true }); n++ {
			if n > 5000 {
				t.Fatal("never tried again")
			}
		}
	}
	if !s.Until(func() bool { return true }) {
		t.Error("it pays again, and was not tried")
	}
}
