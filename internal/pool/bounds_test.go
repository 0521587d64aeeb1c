//go:build linux

package pool_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/pool"
	"github.com/go-multiprocessing/mp/internal/query"
	"github.com/go-multiprocessing/mp/internal/spawn"
)

// toldStacks is more bytes of stacks than an honest worker sends.
const toldStacks = 200 << 10

// tellTooMuch starts a task that ignores its context, and sends stacks and answers that are too
// large.
func tellTooMuch() {
	p := hello()
	if err := p.Ready(); err != nil {
		panic(err)
	}
	requests := link.Requests{
		Cancel: func(uint32, bool) {},
		Stacks: func() []byte { return bytes.Repeat([]byte("s"), toldStacks) },
		Go:     func() {},
		Ask: func(seq uint32, _ []byte) {
			if err := p.Answer(seq, make([]byte, query.MaxEncoded+1)); err != nil {
				panic(err)
			}
		},
	}

	go func() { _ = p.Serve(requests) }()
	if _, err := p.Next(); err != nil {
		panic(err)
	}
	pause()
}

// The pool must keep no more of a worker's stacks than an honest worker sends.
func TestStacksAreBounded(t *testing.T) {
	p := start(t, config(t, "stacks: too many", 1))
	ctx, cancel := context.WithCancel(t.Context())
	b := newBatch([]byte("argument"))
	r := execute(t, ctx, p, "echo", b, pool.Hints{Chunk: 1})
	until(t, "the task begins", func() bool { return p.Running(b, 0) })
	cancel()
	if !b.wait(t, "the task is killed") {
		return
	}

	<-r
	var d *pool.Death
	if !errors.As(b.errs[0], &d) || !strings.HasPrefix(d.Stacks, "sss") {
		t.Fatalf("%v", b.errs[0])
	}
	if len(d.Stacks) >= toldStacks {
		t.Errorf("%d bytes of stacks are kept", len(d.Stacks))
	}
}

// An answer larger than an honest worker's must be an error.
func TestAnswersAreBounded(t *testing.T) {
	p := start(t, config(t, "stacks: too many", 1))
	for _, a := range p.Ask(t.Context(), []byte("question")) {
		if a.Err == nil || len(a.Data) > 0 {
			t.Errorf("%d bytes, %v", len(a.Data), a.Err)
		}
	}
}

// If a query fails because its worker has ended, that worker must be out of service, and Ready must
// wait for the next worker.
func TestReadyAfterEnd(t *testing.T) {
	p := start(t, config(t, "", 1))
	for range 30 {
		pid := lone(t, p).PID
		stop(t, pid)
		asked := make(chan []pool.Answer)
		go func() { asked <- p.Ask(t.Context(), []byte("question")) }()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}

		<-asked
		for _, w := range p.Workers() {
			if w.PID == pid {
				t.Error("a worker that has ended is in service")
			}
		}
		if err := p.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		if pid == lone(t, p).PID {
			t.Fatal("Ready has not waited for the next worker")
		}
	}
}

// An end with an unknown status must not count as a kill by another process. Otherwise, a worker
// that keeps exiting would be restarted forever.
func TestLostStatusIsNoKill(t *testing.T) {
	for status, want := range map[spawn.Status]bool{
		{ExitCode: -1, Lost: true}:              false,
		{ExitCode: 1}:                           false,
		{ExitCode: -1, Signal: syscall.SIGSEGV}: false,
		{ExitCode: -1, Signal: syscall.SIGKILL}: true,
		{ExitCode: -1, Signal: syscall.SIGTERM}: true,
		{ExitCode: -1, Signal: syscall.SIGHUP}:  true,
		{ExitCode: -1, Signal: syscall.SIGINT}:  true,
	} {
		if (&pool.Death{Status: status}).MayBeKilled() != want {
			t.Errorf("%v", status)
		}
	}
}
