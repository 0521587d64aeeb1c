package mp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/go-multiprocessing/mp/internal/errtree"
	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/logs"
	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/pool"
	"github.com/go-multiprocessing/mp/internal/spawn"
)

// An engine runs the tasks of a [Pool] or a [Process], either in worker processes or, for
// debugging, in this process.
type engine interface {
	Execute(ctx context.Context, function string, b pool.Batch, h pool.Hints) error
	Shutdown(ctx context.Context) error
	Close() error
	Resize(workers int) error
	Ready(ctx context.Context) error
	Size() int
	Running(b pool.Batch, i int) bool
	Workers() []pool.Info
	Stats() pool.Stats
	Ask(ctx context.Context, question []byte) []pool.Answer
	PID() int
	Signal(s syscall.Signal)
}

// newEngine starts the engine that MPDEBUG selects. It takes over the files that cfg holds. kind is
// the name of the user's config type.
func newEngine(kind string, cfg pool.Config) (engine, error) {
	d, err := debugMode()
	if err != nil {
		objects.ForgetFiles(cfg.Files)
		return nil, err
	}

	cfg.Patient, cfg.Trace = d.nodeadline, d.trace
	if d.inline {
		return newInlineEngine(cfg)
	}

	c, err := pool.New(cfg)
	if field := (*pool.ConfigError)(nil); errors.As(err, &field) {
		return nil, bad("mp: "+kind+".%w", err)
	}
	if err != nil {
		return nil, translate(err)
	}
	return c, nil
}

// engineConfig translates a complete config for newEngine. The result holds the files in the
// arguments of Setup and Teardown. The error begins with kind and the name of the field.
func (c PoolConfig) engineConfig(kind string) (pool.Config, error) {
	setup, files, err := bindOptional(c.Setup)
	if err != nil {
		objects.ForgetFiles(files)
		return pool.Config{}, bad("mp: "+kind+".Setup: %w", err)
	}

	teardown, more, err := bindOptional(c.Teardown)
	files = append(files, more...)
	if err != nil {
		objects.ForgetFiles(files)
		return pool.Config{}, bad("mp: "+kind+".Teardown: %w", err)
	}

	cfg := c.translated()
	cfg.Link.Setup, cfg.Link.Teardown, cfg.Files = setup, teardown, files
	if c.Executable == "" {
		cfg.Build = spawn.BuildID()
		return cfg, nil
	}

	path, err := filepath.Abs(c.Executable) // because the workers may start in Dir
	if err != nil {
		objects.ForgetFiles(files)
		return pool.Config{}, bad("mp: "+kind+".Executable: %w", err)
	}
	cfg.Path, cfg.Args = path, []string{c.Executable}
	return cfg, nil
}

// translated translates the fields whose translation cannot fail.
func (c PoolConfig) translated() pool.Config {
	logger := c.Output.Logger
	return pool.Config{
		Workers: c.Workers,
		Args:    slices.Clone(os.Args),
		Env:     append(os.Environ(), c.Env...),
		Dir:     c.Dir,
		Link:    c.linkConfig(),
		Stdout:  c.Output.Stdout,
		Stderr:  c.Output.Stderr,
		Logger:  logger,
		OnLog:   func(worker, pid int, data []byte) { logs.Replay(logger, worker, pid, data) },
		OnFail:  errtree.Decode,
		Funcs:   functions.wires(),
		Grace:   c.Grace,
		Backlog: c.Backlog,
		Recycle: pool.Recycle(c.Recycle),
		Restart: pool.Restart(c.Restart),
		Spares:  c.Spares,
		Secret:  c.HideArguments,
		Limits:  c.Limits.apply(),
		Contain: c.RequireContainment.spawn(),
		Missing: c.missing,
		TooLong: c.tooLong,
		Name:    nextName,
		Failure: outcomeError,
		Death:   translate,
	}
}

// linkConfig returns the config that each worker receives, without Setup and Teardown.
func (c PoolConfig) linkConfig() link.Config {
	return link.Config{
		Procs:      c.Procs,
		LogLevel:   int(logs.Level(c.Output.Logger)),
		Parent:     current.Name,
		ParentPID:  os.Getpid(),
		MaxMessage: c.MaxMessage,
		Limits:     c.Limits.link(),
	}
}

// tooLong returns the error for an encoded argument of n bytes.
func (c PoolConfig) tooLong(function string, n int) error {
	return codecError(function, "argument", "encoded", overMaxMessage(n, c.MaxMessage))
}

// missing returns an error that explains why a worker lacks a function.
func (c PoolConfig) missing(function string) error {
	if _, ok := functions.lookup(function); !ok {
		return fmt.Errorf("mp: no function %q is registered", function)
	}
	if c.Executable == "" {
		return fmt.Errorf("mp: the worker, which is this program, has not registered %s: register it in a package variable, whatever the process is", function)
	}
	if strings.HasPrefix(function, "main.") {
		return fmt.Errorf("mp: %s is registered in package main, which the worker binary %s does not share: register it in a package that both programs import", function, c.Executable)
	}
	return fmt.Errorf("mp: the worker binary %s lacks the function %s: import the package that registers it there, and build it again", c.Executable, function)
}

// debugVar is the environment variable that changes how workers run, for developing them; see the
// package documentation.
const debugVar = "MPDEBUG"

// debugging is the content of debugVar.
type debugging struct {
	inline     bool // tasks run in this process
	nodeadline bool // no task is ended for taking too long
	trace      bool // the life of workers and tasks is logged
}

// debugMode parses debugVar.
func debugMode() (d debugging, err error) {
	for word := range strings.SplitSeq(os.Getenv(debugVar), ",") {
		switch strings.TrimSpace(word) {
		case "":
		case "inline":
			d.inline = true
		case "nodeadline":
			d.nodeadline = true
		case "trace":
			d.trace = true
		default:
			return d, fmt.Errorf("mp: %s has %q: there are inline, nodeadline and trace, with commas between", debugVar, word)
		}
	}
	return d, nil
}
