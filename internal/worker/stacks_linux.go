package worker

import (
	"bytes"
	"runtime"
)

const (
	maxStacks  = 64 << 10 // what is told of the goroutines' stacks
	seenStacks = 1 << 20  // of so much
)

// stacks are those of all goroutines, the task's first.
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
	return text[:min(len(text), maxStacks)]
}
