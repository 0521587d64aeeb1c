//go:build linux

package attacks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A scribble is an attack on a word. The method next is called repeatedly while other processes
// read the word.
type scribble struct {
	name string
	next func(old, now uint64) uint64
}

var scribbles = []scribble{
	{"0", func(_, _ uint64) uint64 { return 0 }},
	{"all ones", func(_, _ uint64) uint64 { return ^uint64(0) }},
	{"flipped while it is read", func(old, now uint64) uint64 {
		if now == old {
			return ^old
		}
		return old
	}},
	{"one more", func(old, _ uint64) uint64 { return old + 1 }},
	{"the pid of no process", func(old, _ uint64) uint64 { return old | 999 }},
}

// segmentNames lists the names of all shared segments. A row fails if a worker has a segment whose
// name is not in the list.
var segmentNames = []string{"mp-link", "mp-arena", "mp-mailboxes", "mp-roster", "mp-data", "mp-shared", "mp-block"}

// How long a word is attacked.
const (
	perWord = 4 * time.Millisecond
	lone    = 30 * time.Millisecond // if it is the row's only word
)

func wordRows() []Row {
	rows := []Row{{Family: Words, Target: "all segments", Deed: "each one is in this table", works: true, Bounds: Bounds{Timeout: CallTimeout}, gives: "Array", attack: segmentsKnown}}
	for _, s := range scribbles {
		rows = slices.Concat(rows, objectRows(s), segmentRows(s))
	}
	for _, s := range scribbles[:3] { // the others mean nothing to a link
		rows = append(rows, linkWordRows(s)...)
	}
	return rows
}

// linkWordRows returns a row for each named word of the link's segment, and rows for random words
// of each area.
func linkWordRows(s scribble) (rows []Row) {
	seen := map[string]int{}
	for _, w := range link.Words() {
		seen[w.Name]++
		target := "the link's " + w.Name
		if n := seen[w.Name]; n > 1 {
			target += fmt.Sprint(" ", n)
		}
		rows = append(rows, Row{Family: Words, Target: target, Deed: s.name, own: true, attack: func(ctx context.Context, _ *victim) error {
			mem, err := linkSegment()
			if err != nil {
				return err
			}
			s.hold(ctx, mem, w.Offset, w.Size, lone)
			return nil
		}})
	}

	for _, a := range link.Areas() {
		for _, every := range []bool{false, true} {
			row := Row{Family: Words, Target: "the link's " + a.Name, Deed: s.name, own: true, long: every}
			row.attack = func(ctx context.Context, v *victim) error { return s.area(ctx, v, a, every) }
			if every {
				row.Deed += ", every word"
				row.Bounds = ample
			}
			rows = append(rows, row)
		}
	}

	return rows
}

// area scribbles over words of an area of the link's segment, including words of the running task,
// because other words may be unused.
func (s scribble) area(ctx context.Context, v *victim, a link.Area, every bool) error {
	mem, err := linkSegment()
	if err != nil {
		return err
	}
	const some = 16
	words := a.Size / 8
	for i := range some {
		at := v.rand.IntN(words)
		if i < some/2 { // near the running task
			at = (int(shm.Word64(mem, offsetOf("taskHead")).Load())/8 + i) % words
		}
		s.hold(ctx, mem, a.Offset+8*at, 8, perWord/2)
	}

	if every {
		for at := range words {
			w := shm.Word64(mem, a.Offset+8*at)
			w.Store(s.next(w.Load(), w.Load()))
		}
	}
	return nil
}

// hold scribbles over a word for the time d, and meanwhile rings the parent's doorbell.
func (s scribble) hold(ctx context.Context, mem []byte, off, size int, d time.Duration) {
	doorbell := []byte{1}
	for end := time.Now().Add(d); ctx.Err() == nil && time.Now().Before(end); {
		if size == 4 {
			w := shm.Word32(mem, off)
			old := w.Load()
			for range 100 {
				w.Store(uint32(s.next(uint64(old), uint64(w.Load()))))
			}
		} else {
			w := shm.Word64(mem, off)
			old := w.Load()
			for range 100 {
				w.Store(s.next(old, w.Load()))
			}
		}

		_, _ = unix.Write(doorbellFD, doorbell)
	}
}

// objectRows returns a row for each kind of object that the attacker is given.
func objectRows(s scribble) (rows []Row) {
	for _, g := range gifts {
		for _, every := range []bool{false, true} {
			row := Row{Family: Words, Target: article(g.name), Deed: s.name, gives: g.name, long: every, Bounds: Bounds{Timeout: 2 * time.Second}}
			if every {
				row.Deed += ", every word"
				row.Bounds.Timeout = 30 * time.Second
			}
			row.attack = func(ctx context.Context, v *victim) error {
				mem, err := v.memoryOf(g)
				if err != nil {
					return err
				}
				return s.object(ctx, v, mem, every)
			}
			rows = append(rows, row)
		}
	}

	return rows
}

// article returns a name with its indefinite article.
func article(name string) string {
	if name != "RecursiveMutex" && strings.ContainsRune("AER", rune(name[0])) {
		return "an " + name
	}
	return "a " + name
}

// memoryOf returns the memory of the object that the attacker was given.
func (v *victim) memoryOf(g gift) ([]byte, error) {
	switch g.name {
	case "Pipe":
		pipes, err := pipesHere()
		if err != nil {
			return nil, err
		}
		return pipes[0][:xsync.PipeHead], nil
	case "Array":
		return bytesOf(v.Given.Array.Slice()), nil
	case "SharedMemory":
		return v.Given.Memory.Bytes(), nil
	case "Slab":
		return v.Given.Slab.Slice(), nil
	}

	token, err := v.tokenOf(g.name)
	if err != nil {
		return nil, err
	}

	mem, off, err := place(token)
	if err != nil {
		return nil, err
	}
	size := max(g.kind.Size(), int(token.Size))
	return mem[off:min(off+size, len(mem))], nil
}

// object scribbles over one word after another and restores each word's value. In the end it
// scribbles over all of them without restoring them.
func (s scribble) object(ctx context.Context, v *victim, mem []byte, every bool) error {
	const first = 64
	words := len(mem) / 8
	var places []int
	for i := range words {
		if every || i < first {
			places = append(places, i)
		}
	}

	for range 16 {
		places = append(places, v.rand.IntN(words))
	}
	for _, i := range places {
		w := shm.Word64(mem, 8*i)
		old := w.Load()
		for end := time.Now().Add(perWord); time.Now().Before(end); {
			for range 100 {
				w.Store(s.next(old, w.Load()))
			}
		}
		w.Store(old)
		if err := ctx.Err(); err != nil {
			return err
		}
	}

	for i := range words {
		w := shm.Word64(mem, 8*i)
		w.Store(s.next(w.Load(), w.Load()))
	}
	return nil
}

// segmentRows returns rows for segments that the attacker shares in part, or with all processes.
func segmentRows(s scribble) (rows []Row) {
	for _, t := range []struct {
		name  string
		words func(v *victim) ([][]byte, error)
	}{
		{"the pipe to its manager", func(*victim) ([][]byte, error) {
			pipes, err := pipesHere()
			for i := range pipes {
				pipes[i] = pipes[i][:xsync.PipeHead]
			}
			return pipes, err
		}},
		{"its own mailbox and those of others", func(*victim) ([][]byte, error) { return mappings("memfd:mp-mailboxes") }},
		{"the roster of processes", func(*victim) ([][]byte, error) { return writable("memfd:mp-roster") }},
	} {
		row := Row{Family: Words, Target: t.name, Deed: s.name, Bounds: Bounds{Timeout: 2 * time.Second}}
		row.attack = func(ctx context.Context, v *victim) error {
			if err := v.Dict.Set(ctx, "x", 1); err != nil {
				return err
			}

			all, err := t.words(v)
			for _, mem := range all {
				err = errors.Join(err, s.object(ctx, v, mem, false))
			}
			return err
		}
		rows = append(rows, row)
	}

	return rows
}

// writable returns the mappings that are writable or can be made so.
func writable(name string) (can [][]byte, err error) {
	all, err := mappings(name)
	for _, mem := range all {
		if unix.Mprotect(mem, unix.PROT_READ|unix.PROT_WRITE) == nil {
			can = append(can, mem)
		}
	}
	return can, err
}

// segmentsKnown fails if this worker has a segment that is not in the table.
func segmentsKnown(ctx context.Context, v *victim) error {
	if err := v.Dict.Set(ctx, "x", 1); err != nil {
		return err
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(maps)) {
		_, name, ok := strings.Cut(line, "/memfd:")
		name, _, _ = strings.Cut(name, " ")
		if ok && !slices.Contains(segmentNames, name) {
			err = errors.Join(err, fmt.Errorf("the segment %s is in no row", name))
		}
	}
	return err
}

// bytesOf returns the memory of a slice as bytes.
func bytesOf(s []int64) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), 8*len(s))
}

// kindsWithout returns the kinds of objects that have no gift.
func kindsWithout() (missing []xsync.Kind) {
	for _, k := range xsync.Kinds() {
		if !slices.ContainsFunc(gifts, func(g gift) bool { return g.kind == k }) {
			missing = append(missing, k)
		}
	}
	return missing
}
