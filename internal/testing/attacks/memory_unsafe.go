//go:build linux

package attacks

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// mappings returns this process's mappings whose lines in /proc/self/maps contain name.
func mappings(name string) (all [][]byte, err error) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if !strings.Contains(lines.Text(), name) {
			continue
		}
		where, _, _ := strings.Cut(lines.Text(), " ")
		lo, hi, _ := strings.Cut(where, "-")
		from, err1 := strconv.ParseUint(lo, 16, 64)
		to, err2 := strconv.ParseUint(hi, 16, 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		address := uintptr(from)
		all = append(all, unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&address))), int(to-from)))
	}

	return all, nil
}

// linkSegment returns the segment that this worker shares with its parent.
func linkSegment() ([]byte, error) {
	all, err := mappings("memfd:mp-link")
	if err != nil || len(all) != 1 {
		return nil, fmt.Errorf("%d segments of links: %w", len(all), err)
	}
	return all[0], nil
}

// offsetOf returns the offset of a word in the link's segment.
func offsetOf(name string) int {
	for _, w := range link.Words() {
		if w.Name == name {
			return w.Offset
		}
	}
	panic("no word of the link's is called " + name)
}

// areaOf returns an area of the link's segment.
func areaOf(name string) link.Area {
	for _, a := range link.Areas() {
		if a.Name == name {
			return a
		}
	}
	panic("no part of the link's segment is called " + name)
}

// running returns the number of the task that this worker is running, if the task's chunk has no
// other task.
func running(mem []byte) uint32 {
	head := shm.Word64(mem, offsetOf("taskHead")).Load()
	at := areaOf("task ring").Offset + int(head%link.RingSize)
	return binary.LittleEndian.Uint32(mem[at+link.SeqOffset:])
}

// commit commits an outcome of a task whose data was sent over the socket.
func commit(mem []byte, seq uint32, kind uint8) {
	tail := shm.Word64(mem, offsetOf("resTail"))
	at := tail.Load()
	head := link.ResultHead(seq, kind)
	copy(mem[areaOf("result ring").Offset+int(at%link.RingSize):], head)
	tail.Store(at + uint64(len(head)))
}

// place returns the memory and the offset of an object in the arenas of this process.
func place(token objects.Token) (mem []byte, off int, err error) {
	arenas, err := mappings("memfd:mp-arena")
	if err != nil {
		return nil, 0, err
	}
	const line = 64
	for _, mem := range arenas {
		off := int(token.Offset)
		if off+line > len(mem) || mem[off/line] != byte(token.Kind) {
			continue
		}
		if uint32(shm.Word64(mem, off).Load()>>32) == token.Gen {
			return mem, off, nil
		}
	}
	return nil, 0, fmt.Errorf("no arena of this worker has the object at %d", token.Offset)
}

// pipesHere returns the pipes that this process has created. They are its connections to managers.
func pipesHere() (pipes [][]byte, err error) {
	arenas, err := mappings("memfd:mp-arena")
	if err != nil {
		return nil, err
	}
	const line = 64
	for _, mem := range arenas {
		for i := len(mem) / line / line; i < len(mem)/line; i++ {
			if xsync.Kind(mem[i]) == xsync.KindPipe && i*line+xsync.PipeHead <= len(mem) {
				pipes = append(pipes, mem[i*line:])
			}
		}
	}
	if len(pipes) == 0 {
		err = errors.New("this worker has no pipe")
	}

	return pipes, err
}
