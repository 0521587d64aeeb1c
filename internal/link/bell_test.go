//go:build linux

package link

import (
	"sync"
	"testing"
)

// A kick that comes before the wait, while nobody listens to the poller, is not
// lost; nor is one that meets it.
func TestKickIsNeverLost(t *testing.T) {
	l := newLink(t)
	for _, wait := range []func() error{l.Wait, l.WaitAlone} {
		l.Kick()
		if err := wait(); err != nil {
			t.Fatal(err)
		}
		for range 2000 {
			var wg sync.WaitGroup
			wg.Go(l.Kick)
			if err := wait(); err != nil {
				t.Fatal(err)
			}
			wg.Wait()
			l.Kick() // at least one is outstanding, however the two met
			if err := wait(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Kicks that nobody collects do not fill the pipe.
func TestKickNeverBlocks(t *testing.T) {
	l := newLink(t)
	for range 100_000 {
		l.Kick()
	}
	if err := l.Wait(); err != nil {
		t.Fatal(err)
	}
}
