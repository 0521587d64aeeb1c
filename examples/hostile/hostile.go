package main

import (
	"bytes"
	"fmt"
	"image"
	"os"
	"runtime/debug"

	"github.com/go-multiprocessing/mp"
)

// A deed is the action of a hostile task, and the way in which the task must end.
type deed struct {
	what string
	do   func(task) error
	want ending
}

var deeds = []deed{
	{"uses nil in a goroutine of its own", useNil, ending{workerError, mp.ReasonFatal, "exit code 2"}},
	{"calls os.Exit(3)", exit, ending{workerError, mp.ReasonExit, "exit code 3"}},
	{"kills its own process", killItself, ending{workerError, mp.ReasonSignal, "signal 9 (killed)"}},
	{"loops for ever", loop, ending{workerError, mp.ReasonDeadline, "signal 9 (killed)"}},
	{"reads a pipe that nobody writes", readPipe, ending{workerError, mp.ReasonDeadline, "signal 9 (killed)"}},
	{"allocates without end", allocate, outOfMemory},
	{aBomb, decode, outOfMemory},
	{"recurses without end", overflow, ending{workerError, mp.ReasonFatal, "exit code 2"}},
	{"panics", panics, ending{panicError, "panic", "its worker lives"}},
}

// outOfMemory has no status, since the status depends on which process first sees that the memory
// is used up: the worker, which exits, or this process, which kills the worker.
var outOfMemory = ending{workerError, mp.ReasonOutOfMemory, ""}

// accepts reports whether err is the expected ending of the deed.
func (d deed) accepts(err error) bool {
	got := endingOf(err)
	if d.want.status == "" {
		got.status = ""
	}
	return got == d.want
}

func hostileTasks() []task {
	var all []task
	for _, d := range deeds {
		if d.want.reason == mp.ReasonOutOfMemory && memoryLimit == 0 {
			continue // without a limit, it would take all memory of this machine
		}
		t := task{Name: d.what, Deed: d.what}
		if d.what == aBomb {
			t.Data = bomb()
		}
		all = append(all, t)
	}
	return all
}

// commit does the deed of a task. It returns only if the worker survives the deed.
func commit(t task) error {
	for _, d := range deeds {
		if d.what == t.Deed {
			return d.do(t)
		}
	}
	return fmt.Errorf("no deed is called %q", t.Deed)
}

func useNil(task) error {
	go func() {
		var p *task
		p.Name = "a panic that no caller can recover"
	}()
	select {}
}

func exit(task) error {
	os.Exit(3)
	return nil
}

func killItself(task) error {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	if err := self.Kill(); err != nil {
		return err
	}
	select {} // the signal is on its way
}

func loop(task) error {
	for n := 0; ; n++ {
		if n < 0 {
			return nil
		}
	}
}

func readPipe(task) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close() // keeps w alive, so that the garbage collector does not close it
	_, err = r.Read(make([]byte, 1))
	return err
}

// decode decodes a picture without checking its size first, as [scaled] does.
func decode(t task) error {
	_, _, err := image.Decode(bytes.NewReader(t.Data))
	return err
}

var hoard [][]byte

func allocate(task) error {
	for {
		hoard = append(hoard, make([]byte, 1<<20))
	}
}

func overflow(task) error {
	// By default a stack may grow to 1 GB, so the memory limit would be reached first.
	debug.SetMaxStack(16 << 20)
	_ = deeper(0)
	return nil
}

func deeper(n int) int {
	if n < 0 {
		return n
	}
	return deeper(n+1) + 1
}

func panics(task) error { panic("on purpose") }
