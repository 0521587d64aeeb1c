package link

import (
	"math/rand/v2"
	"testing"
)

// A change to any bit of a result's data, word or number must change the unsealed number.
func TestSealShowsChanges(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for _, n := range []int{0, 1, 3, 7, 8, 9, 15, 16, 63, 64, 65, 95, 96, 100, 1000, 4099} {
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		seq, word := r.Uint32(), uint32(n)
		stored := Seal(seq, word, data)
		if Seal(stored, word, data) != seq {
			t.Fatalf("%d bytes: what is sealed cannot be unsealed", n)
		}

		for bit := range 8 * n {
			data[bit/8] ^= 1 << (bit % 8)
			if Seal(stored, word, data) == seq {
				t.Errorf("%d bytes: a change of bit %d is not seen", n, bit)
			}
			data[bit/8] ^= 1 << (bit % 8)
		}

		for bit := range 32 {
			if Seal(stored, word^1<<bit, data) == seq {
				t.Errorf("%d bytes: a change of bit %d of the word is not seen", n, bit)
			}
		}
	}
}

// Changes to several bytes may be missed by chance, with a probability of one in four billion.
func TestSealShowsScribbles(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	data := make([]byte, 200)
	for range 200_000 {
		before := checksum(200, data)
		at, n := r.IntN(len(data)), 1+r.IntN(16)
		changed := false
		for i := at; i < min(at+n, len(data)); i++ {
			old := data[i]
			data[i] = byte(r.Uint32())
			changed = changed || data[i] != old
		}
		if changed && checksum(200, data) == before {
			t.Fatal("a scribble is not seen")
		}
	}
}
