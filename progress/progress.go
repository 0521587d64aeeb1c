// Package progress shows how far Maps and Streams of package mp have come: as bars in a terminal, or
// as a sequence of updates for other displays.
//
//	show := progress.Start(progress.Config{})
//	defer show.Close()
//	out, err := mp.Map(ctx, pool, resize, images, show.Bar("resize"))
//
// A callback for each update is [mp.OnProgress].
package progress

import (
	"iter"

	"github.com/go-multiprocessing/mp"
)

// Updates returns an option for one Map or Stream, and what it tells, to be ranged over by another
// goroutine than that which waits for the Map:
//
//	follow, updates := progress.Updates()
//	out := mp.MapAsync(ctx, pool, resize, images, follow)
//	for p := range updates {
//		fmt.Printf("%d of %d\n", p.Done, p.Total)
//	}
//
// The sequence ends with the Map or Stream, and its last element says so. Who is slow misses what was
// between, and holds up nothing; so does who leaves the loop, and can range over the rest later. It
// waits for ever for a Map that never begins.
func Updates() (mp.MapOption, iter.Seq[mp.Progress]) {
	latest := make(chan mp.Progress, 1)
	follow := mp.OnProgress(func(p mp.Progress) {
		select {
		case <-latest: // nobody has come for it
		default:
		}
		latest <- p
	})
	return follow, func(yield func(mp.Progress) bool) {
		for {
			if p := <-latest; !yield(p) || p.Over {
				return
			}
		}
	}
}
