package worker

import (
	"bytes"
	"runtime"

	"github.com/go-multiprocessing/mp/internal/link"
)

// seenStacks is how many bytes of the goroutines' stacks are searched for the task's stack.
const seenStacks = 1 << 20

// stacks returns the stacks of all goroutines, beginning with the task's.
func stacks() []byte {
	buf := make([]byte, seenStacks)
	all := bytes.Split(buf[:runtime.Stack(buf, true)], []byte("\n\n"))
	for i, g := range all {
		if bytes.Contains(g, []byte("worker.(*worker).run(")) {
			copy(all[1:i+1], all[:i])
			all[0] = g
			break
		}
	}
	text := bytes.Join(all, []byte("\n\n"))
	return text[:min(len(text), link.MaxStacks)]
}
