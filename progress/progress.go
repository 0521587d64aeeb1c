// Package progress shows how far Maps and Streams of package mp have progressed, as bars in a
// terminal or as a sequence of updates for other displays.
//
//	show := progress.Start(progress.Config{})
//	defer show.Close()
//	out, err := mp.Map(ctx, pool, resize, images, show.Bar("resize"))
//
// To get a callback for each update, use [mp.OnProgress].
package progress

import (
	"iter"

	"github.com/go-multiprocessing/mp"
)

// Updates returns an option for one Map or Stream, and the sequence of updates from that Map or
// Stream. A goroutine that waits for the Map cannot range over the sequence at the same time, so
// use a second goroutine or [mp.MapAsync]:
//
//	follow, updates := progress.Updates()
//	out := mp.MapAsync(ctx, pool, resize, images, follow)
//	for p := range updates {
//		fmt.Printf("%d of %d\n", p.Done, p.Total)
//	}
//
// The sequence ends when the Map or Stream ends; the last update has Over set. A slow reader misses
// updates and delays nothing. A reader that leaves the loop delays nothing either, and can range
// over the rest later. If the Map never begins, the loop waits forever.
func Updates() (mp.MapOption, iter.Seq[mp.Progress]) {
	latest := make(chan mp.Progress, 1)
	follow := mp.OnProgress(func(p mp.Progress) {
		select {
		case <-latest: // drop an update that was not read
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
