package mp

import (
	"log"
	"log/slog"
	"os"
	"runtime"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/logrec"
	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/spawn"
	"github.com/go-multiprocessing/mp/internal/worker"
)

var initialized atomic.Bool

// Init turns a worker process into a worker: it runs tasks and never returns. In
// all other processes it returns at once. Call it first thing in
// main, before flags are parsed and files opened; in tests, in TestMain.
//
// A worker gets no further than this: what main does afterwards, parse flags, read a
// configuration, set variables, is not done there, and what a task sets in a variable
// stays in its worker. What tasks need of that goes into their arguments, or once for
// each worker into that of [PoolConfig].Setup.
//
// Init panics, naming function and field, if the argument or result of a
// registered function cannot travel. Calling it again does nothing.
func Init() {
	if err := functions.seal(); err != nil {
		panic(err.Error())
	}
	if initialized.Swap(true) || !spawn.IsWorker() {
		return
	}
	os.Exit(serve())
}

// IsWorker reports whether this process is a worker. It is valid from the
// start, in package variables and init functions too.
func IsWorker() bool { return spawn.IsWorker() }

func init() {
	share.Unborn = IsWorker()
	codec.Files(share.SendFile, share.ReceiveFile, share.ForgetFiles, share.LoseFiles, share.DiscardFile)
}

// serve runs the worker's side until the parent has no more work for it.
func serve() int {
	fns := make([]worker.Function, len(functions.sorted))
	for i, f := range functions.sorted {
		fns[i] = worker.Function{ID: f.wire(), Run: f.runner()}
	}
	return worker.Serve(worker.Program{Functions: fns, Build: spawn.BuildID(), Start: begin, Unpack: unpack})
}

// begin makes this process the worker that its parent wants, and returns a logger of the parent's.
func begin(cfg link.Config, send func([]byte) error) *slog.Logger {
	if runtime.GOMAXPROCS(0) != cfg.Procs { // it began with that, as a rule
		runtime.GOMAXPROCS(cfg.Procs)
	}
	current = ProcessInfo{Name: cfg.Name, PID: os.Getpid(), Daemon: cfg.Daemon}
	parent = &ProcessInfo{Name: cfg.Parent, PID: cfg.ParentPID}
	mostResult = cfg.MaxMessage
	logger := slog.New(logrec.NewHandler(slog.Level(cfg.LogLevel), send))
	logToParent(logger)
	return logger
}

// logToParent sends what the worker logs with slog to the parent's handler.
// Package log keeps writing to stderr: its last line before an exit belongs
// to the end of stderr that a WorkerError carries.
func logToParent(logger *slog.Logger) {
	flags := log.Flags()
	slog.SetDefault(logger)
	log.SetOutput(os.Stderr)
	log.SetFlags(flags)
}
