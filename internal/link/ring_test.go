//go:build linux

package link

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
)

func TestRing(t *testing.T) {
	r := make(ring, ringSize)
	blank := bytes.Repeat([]byte{0xee}, ringSize)
	noise := make([]byte, ringSize)
	rnd := rand.New(rand.NewPCG(5, 6))
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}

	for _, base := range []uint64{0, 1, ringSize - 1, ringSize, 3*ringSize - 8, math.MaxUint64 - 7, math.MaxUint64 - ringSize + 1} {
		for _, n := range []int{0, 1, 7, 8, 9, 1000, MaxInline, ringSize - 1, ringSize} {
			for _, back := range []uint64{0, 1, 8, uint64(n / 2), uint64(n)} {
				pos := base - back
				want := noise[:n]
				copy(r, blank)
				r.put(pos, want)
				if got := r.appendTo([]byte("x"), pos, n); got[0] != 'x' || !bytes.Equal(got[1:], want) {
					t.Fatalf("%d bytes at %d do not come back", n, pos)
				}

				if n < ringSize {
					if next := r.appendTo(nil, pos+uint64(n), 1)[0]; next != 0xee {
						t.Fatalf("%d bytes at %d: the byte behind is %x", n, pos, next)
					}
					if prev := r.appendTo(nil, pos-1, 1)[0]; prev != 0xee {
						t.Fatalf("%d bytes at %d: the byte before is %x", n, pos, prev)
					}
				}
			}
		}
	}
}

func TestPad(t *testing.T) {
	for n := range 100 {
		if p := pad(n); p < n || p >= n+8 || p%8 != 0 {
			t.Errorf("pad(%d) = %d", n, p)
		}
	}
}
