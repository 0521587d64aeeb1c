//go:build linux

package pool

import (
	"bytes"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/go-multiprocessing/mp/internal/logs"
)

// output forwards the workers' output in whole lines.
type output struct{ stdout, stderr *sink }

func newOutput(stdout, stderr io.Writer) *output {
	o := &output{stdout: &sink{w: stdout}, stderr: &sink{w: stderr}}
	if same(stdout, stderr) {
		o.stderr = o.stdout
	}
	return o
}

// same reports whether two writers are equal. It returns false for writers that cannot be compared.
func same(a, b io.Writer) bool {
	defer func() { _ = recover() }()
	return a == b
}

// sink is a writer shared by workers. Its lock keeps the lines of different workers apart.
type sink struct {
	mu   sync.Mutex
	w    io.Writer
	once sync.Once
}

func (s *sink) write(lines []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		if r := recover(); r != nil {
			s.once.Do(func() { logs.Complain("mp: panic in the writer of workers' output", r) })
		}
	}()
	_, _ = s.w.Write(lines)
}

const (
	ellipsis  = "\n…\n"
	maxLine   = 64 << 10 // longer lines are forwarded in pieces
	tailBytes = 4 << 10
	// crashBytes is how much of a crash report is kept from its beginning. The first line of a
	// report names the cause; the stacks of all goroutines follow.
	crashBytes = 4<<10 - len(ellipsis)
)

// forwarder forwards one output stream of one worker.
type forwarder struct {
	to   *sink
	r    *os.File
	done chan struct{}

	mu    sync.Mutex
	last  []byte // the end of the stream
	crash []byte // the beginning of a crash report, at most crashBytes
	rule  bool   // the last non-empty line was threadRule
}

// forward creates a pipe and a forwarder for it. It also returns the descriptor of the end that the
// worker gets.
func (o *output) forward(to *sink) (*forwarder, int, error) {
	var p [2]int
	if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC); err != nil {
		return nil, -1, os.NewSyscallError("pipe2", err)
	}
	_ = syscall.SetNonblock(p[0], true)
	return &forwarder{to: to, r: os.NewFile(uintptr(p[0]), "mp-output"), done: make(chan struct{})}, p[1], nil
}

func (f *forwarder) run() { go f.copy() }

// abandon closes a forwarder that was never run.
func (f *forwarder) abandon() {
	if f != nil {
		_ = f.r.Close()
	}
}

func (f *forwarder) copy() {
	defer close(f.done)
	defer f.r.Close()
	var line []byte
	buf := make([]byte, 4096)

	for {
		n, err := f.r.Read(buf)
		f.remember(buf[:n])
		line = append(line, buf[:n]...)
		if end := bytes.LastIndexByte(line, '\n') + 1; end > 0 {
			f.watchForCrash(line[:end])
			f.to.write(line[:end])
			line = append(line[:0], line[end:]...)
		}

		if len(line) > maxLine {
			f.to.write(line)
			line = line[:0]
		}

		if err != nil {
			break
		}
	}

	if len(line) > 0 {
		f.to.write(append(line, '\n'))
	}
}

func (f *forwarder) remember(b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = append(f.last, b...)
	if over := len(f.last) - tailBytes; over > 0 {
		f.last = append(f.last[:0], f.last[over:]...)
	}
}

// watchForCrash looks for the start of a crash report in whole lines.
func (f *forwarder) watchForCrash(lines []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for line := range bytes.Lines(lines) {
		goesOn := f.rule
		if line := bytes.TrimSpace(line); len(line) > 0 {
			f.rule = string(line) == threadRule
		}

		if len(f.crash) == 0 || len(f.crash) >= crashBytes {
			if goesOn && len(f.crash) > 0 || !BeginsCrash(string(line)) {
				continue
			}
			f.crash = f.crash[:0]
		}

		f.crash = append(f.crash, line[:min(len(line), crashBytes-len(f.crash))]...)
	}
}

// words returns the beginning of the worker's crash report, if there is one, and the end of the
// worker's output.
func (f *forwarder) words() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := bytes.TrimSpace(f.last)
	first, _, _ := bytes.Cut(f.crash, []byte("\n"))
	if len(f.crash) == 0 || bytes.Contains(last, first) {
		return string(last)
	}
	return string(f.crash) + ellipsis + string(last)
}

// finish waits until the output of a dead worker has been forwarded. It waits only briefly, because
// descendants may hold the pipe open and the user's writer may block.
func (f *forwarder) finish() {
	_ = f.r.SetReadDeadline(time.Now().Add(maxOutputDrain))
	select {
	case <-f.done:
	case <-time.After(2 * maxOutputDrain):
	}
}
