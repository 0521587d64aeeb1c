package main

import (
	"fmt"
	"os"
	"runtime/debug"

	"github.com/go-multiprocessing/mp"
)

// A deed is what a hostile task does, and what must become of it.
type deed struct {
	what string
	do   func() error
	want ending
}

var deeds = []deed{
	{"uses nil in a goroutine of its own", useNil, ending{workerError, mp.ReasonFatal, "exit code 2"}},
	{"calls os.Exit(3)", exit, ending{workerError, mp.ReasonExit, "exit code 3"}},
	{"kills its own process", killItself, ending{workerError, mp.ReasonSignal, "signal 9 (killed)"}},
	{"loops for ever", loop, ending{workerError, mp.ReasonDeadline, "signal 9 (killed)"}},
	{"reads a pipe that nobody writes", readPipe, ending{workerError, mp.ReasonDeadline, "signal 9 (killed)"}},
	{"allocates without end", allocate, ending{workerError, mp.ReasonOutOfMemory, "exit code 2"}},
	{"recurses without end", overflow, ending{workerError, mp.ReasonFatal, "exit code 2"}},
	{"panics", panics, ending{panicError, "panic", "its worker lives"}},
}

// accepts tells whether err is what must become of the deed.
func (d deed) accepts(err error) bool { return endingOf(err) == d.want }

func hostileTasks() []task {
	var all []task
	for _, d := range deeds {
		if d.want.reason == mp.ReasonOutOfMemory && memoryLimit == 0 {
			continue // it would take all that this machine has
		}
		all = append(all, task{Name: d.what, Deed: d.what})
	}
	return all
}

// commit does what is asked and returns only if that is survived.
func commit(what string) error {
	for _, d := range deeds {
		if d.what == what {
			return d.do()
		}
	}
	return fmt.Errorf("no deed is called %q", what)
}

func useNil() error {
	go func() {
		var p *task
		p.Name = "a panic that no caller can recover"
	}()
	select {}
}

func exit() error {
	os.Exit(3)
	return nil
}

func killItself() error {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	if err := self.Kill(); err != nil {
		return err
	}
	select {} // the signal is on its way
}

func loop() error {
	for n := 0; ; n++ {
		if n < 0 {
			return nil
		}
	}
}

func readPipe() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close() // if nothing referred to it, the collector would close it
	_, err = r.Read(make([]byte, 1))
	return err
}

var hoard [][]byte

func allocate() error {
	for {
		hoard = append(hoard, make([]byte, 1<<20))
	}
}

func overflow() error {
	// By default a stack may have 1 GB: the memory limit would come first.
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

func panics() error { panic("on purpose") }
