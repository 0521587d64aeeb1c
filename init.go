package mp

import (
	"log"
	"log/slog"
	"os"
	"runtime"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/logs"
	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/spawn"
	"github.com/go-multiprocessing/mp/internal/worker"
)

var initialized atomic.Bool

// Init runs tasks, and never returns, if this process is a worker. In all other processes it
// returns at once. Call it first in main, before flags are parsed and files are opened. Tests call
// it in TestMain.
//
// The rest of main does not run in a worker: a worker parses no flags, reads no configuration and
// sets no variables there. A variable that a task sets changes only in that task's worker. Pass
// what tasks need in their arguments, or once for each worker in the argument of
// [PoolConfig.Setup].
//
// Init panics if the argument or result type of a registered function cannot be sent. The message
// names the function and the field. Calling Init again does nothing.
func Init() {
	if err := functions.seal(); err != nil {
		panic(err.Error())
	}
	if initialized.Swap(true) || !spawn.IsWorker() {
		return
	}
	os.Exit(serve())
}

// IsWorker reports whether this process is a worker. It can be called at any time, also while
// package variables are initialized and in init functions.
func IsWorker() bool { return spawn.IsWorker() }

func init() {
	objects.BeforeInit = IsWorker()
	codec.Files(objects.SendFile, objects.ReceiveFile, objects.ForgetFiles, objects.LoseFiles, objects.DiscardFile)
}

// serve runs tasks until the parent has no more work for this worker. It returns the exit code.
func serve() int {
	fns := make([]worker.Function, len(functions.sorted))
	for i, f := range functions.sorted {
		fns[i] = worker.Function{ID: f.wire(), Run: f.handler()}
	}
	return worker.Serve(worker.Program{Functions: fns, Build: spawn.BuildID(), Start: begin, Unpack: unpack})
}

// begin configures this process as its parent wants. It returns a logger that sends records to the
// parent.
func begin(cfg link.Config, send func([]byte) error) *slog.Logger {
	if runtime.GOMAXPROCS(0) != cfg.Procs { // usually equal, and setting it stops the world
		runtime.GOMAXPROCS(cfg.Procs)
	}

	current = ProcessInfo{Name: cfg.Name, PID: os.Getpid(), Daemon: cfg.Daemon}
	parent = &ProcessInfo{Name: cfg.Parent, PID: cfg.ParentPID}
	maxResult = cfg.MaxMessage

	logger := slog.New(logs.NewHandler(slog.Level(cfg.LogLevel), send))
	logToParent(logger)
	return logger
}

// logToParent sends records that the worker logs with slog to the parent's handler. Package log
// keeps writing to stderr, so that its last line before an exit is in the WorkerError.
func logToParent(logger *slog.Logger) {
	flags := log.Flags()
	slog.SetDefault(logger)
	log.SetOutput(os.Stderr)
	log.SetFlags(flags)
}
