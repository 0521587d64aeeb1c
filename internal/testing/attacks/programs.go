//go:build linux

package attacks

import (
	"context"
	"time"
)

// ample is for attacks that move many bytes.
var ample = Bounds{Timeout: 25 * time.Second}

// budget is for attacks on the segment server's budget of descriptors.
var budget = Bounds{Timeout: 3 * time.Second, Descriptors: Files / 2}

// adopted is for attacks with children. Each child costs descriptors and goroutines while it lives.
// On a busy machine, each child also costs a thread if all children die at once.
var adopted = Bounds{Timeout: 3 * time.Second, Descriptors: 512, Goroutines: 1024, Threads: 128}

// brief is for attacks that are about time more than size.
var brief = Bounds{Timeout: 3 * time.Second}

// manyHandshakes allows for the largest number of concurrent handshakes and their goroutines.
var manyHandshakes = Bounds{Timeout: 3 * time.Second, Descriptors: 256 + 128, Goroutines: 3 * 256}

// programRows returns attacks of several steps. Each of them was once a program that broke
// something.
func programRows() []Row {
	rows := []Row{
		{Target: "the bell", Deed: "fill it again and again", attack: keepDoorbellFull},
		{Target: "the wake pipe", Deed: "fill it, hand it to a child, and always seem to sleep", heavy: true, workers: 1, first: true, Bounds: Bounds{Timeout: time.Second}, attack: seemToSleep},
		{Target: "the link", Deed: "send a lingering socket beside a message and exit", attack: lingerOnLink},
		{Target: "the segment server", Deed: "publish a lingering socket and destroy it", attack: lingerAtServer},
		{Target: "the segment server", Deed: "destroy segments of others", gives: "Mutex", attack: destroyOthers, after: siblingLives},
		{Target: "the segment server", Deed: "have as many children adopted as possible and exit", Bounds: Bounds{Timeout: 3 * time.Second}, attack: adoptMany, after: newPoolStarts},
		{Target: "the segment server", Deed: "have children adopted, say that they departed, and exit", Bounds: adopted, attack: departAlive, after: newPoolStarts},
		{Target: "the segment server", Deed: "publish as many segments as possible and keep them", until: true, Bounds: Bounds{Timeout: ample.Timeout, Descriptors: budget.Descriptors}, attack: publishMany, during: newPoolStartsBeside},
		{Target: "the segment server", Deed: "keep segments through objects of others and exit", gives: "Queue", Bounds: budget, attack: keepMany, after: littleIsLeft},
		{Target: "a queue", Deed: "put an element that claims to be a tebibyte elsewhere", gives: "Queue", attack: func(ctx context.Context, v *victim) error { return spill(ctx, v, 1<<40) }},
		{Target: "a queue", Deed: "put an element that claims to be 2 GiB elsewhere", gives: "Queue", attack: func(ctx context.Context, v *victim) error { return spill(ctx, v, 2<<30) }},
		{Target: "the link", Deed: "announce a tebibyte and send 260 MiB", Bounds: ample, attack: grow},
		{Target: "an error", Deed: "return one with millions of parts", heavy: true, Bounds: brief, attack: func(ctx context.Context, _ *victim) error { return returnError(ctx, wideError(16<<20)) }},
		{Target: "an error", Deed: "return one that is thousands deep", heavy: true, Bounds: brief, attack: func(ctx context.Context, _ *victim) error { return returnError(ctx, deepError(3000)) }},
		{Target: "a profile", Deed: "answer with a compressed gigabyte", heavy: true, Bounds: brief, attack: profileBomb},
		{Target: "a profile", Deed: "answer with 300 MiB", heavy: true, Bounds: brief, attack: profileHuge},
		{Target: "a WorkerError", Deed: "answer with stacks of 200 MiB", Bounds: Bounds{Timeout: 12 * time.Second, Memory: 128}, attack: stacksBomb},
		{Target: "the log", Deed: "log records of 1 MiB as fast as possible, while the handler takes none", heavy: true, stuck: true, Bounds: ample, attack: logFlood},
		{Target: "the manager", Deed: "hold the locks of its own connection", attack: holdManagerLocks},
		{Target: "the manager", Deed: "make names of 1 MiB, as a remote client", Bounds: ample, attack: longNames, after: managerIsSmall},
		{Target: "the manager", Deed: "have many calls of 1 MiB wait, as a remote client", heavy: true, works: true, Bounds: ample, attack: waitingCalls, after: managerIsSmall},
		{Target: "the manager", Deed: "change, by number, objects that it was not given", attack: guessObjects},
		{Target: "the listener", Deed: "connect again and again and say nothing", heavy: true, Bounds: manyHandshakes, attack: silence},
	}

	for i := range rows {
		rows[i].Family = Programs
		switch rows[i].Target {
		case "a profile":
			rows[i].during = profiles
		case "the wake pipe":
			rows[i].during = submitMore
		}

		// The row mostly moves bytes.
		rows[i].waits = !rows[i].heavy && !rows[i].until && rows[i].Bounds.Timeout > brief.Timeout
	}
	return rows
}
