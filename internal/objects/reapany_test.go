//go:build linux

package objects

import (
	"math/rand/v2"
	"testing"

	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// Cleaning up ends and does not panic, whatever a dead process wrote into an arena. A panic would
// end the root process. An object may claim the last lines, where there is room only for its head.
func TestReapArenaOfAnything(t *testing.T) {
	const lines = arenaSize / line
	fresh := func() []byte { return make([]byte, arenaSize) }
	kinds := append(xsync.Kinds(), 200, 255)
	for _, kind := range kinds {
		most := kind.Size()/line + 2
		for last := range most {
			mem := fresh()
			mem[lines-1-last] = byte(kind)
			reapArena(mem, 5)
			mem[lines-1-last] = byte(kind)
			for i := range mem[(lines-1-last)*line:] {
				mem[(lines-1-last)*line+i] = 0xff
			}
			reapArena(mem, park.MaxProcs-1)
			freeIn(mem)
		}
	}

	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		mem := fresh()
		for i := firstLineOf(arenaSize); i < lines; i++ {
			if random.IntN(4) == 0 {
				mem[i] = byte(kinds[random.IntN(len(kinds))])
			}
		}

		for i := firstLineOf(arenaSize) * line; i < arenaSize; i += 8 {
			mem[i+random.IntN(8)] = byte(random.Uint32())
		}
		reapArena(mem, 1+random.IntN(park.MaxProcs-1))
	}
}
