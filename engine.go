package mp

import (
	"context"
	"syscall"

	"github.com/go-multiprocessing/mp/internal/crew"
)

// An engine is what a [Pool] or a [Process] runs on: worker processes, or this one for debugging.
type engine interface {
	Execute(ctx context.Context, function string, b crew.Batch, h crew.Hints) error
	Shutdown(ctx context.Context) error
	Close() error
	Resize(workers int) error
	Ready(ctx context.Context) error
	Size() int
	Running(b crew.Batch, i int) bool
	Workers() []crew.Info
	Stats() crew.Stats
	Ask(ctx context.Context, question []byte) []crew.Answer
	PID() int
	Signal(s syscall.Signal)
}

// newEngine starts what a complete config describes; tune changes it for a single process. An error
// of the config begins with the field, behind the name of kind.
func newEngine(kind string, cfg PoolConfig, tune func(*crew.Config)) (engine, crew.Config, error) {
	d, err := debugMode()
	if err != nil {
		return nil, crew.Config{}, err
	}
	if d.inline {
		var cc crew.Config
		tune(&cc)
		e, err := newInlineEngine(kind, cfg, cc.OnEnd, d)
		return e, cc, err
	}
	cc, err := cfg.crewConfig()
	if err != nil {
		return nil, cc, bad("mp: "+kind+".%w", err)
	}
	cc.Patient, cc.Trace = d.nodeadline, d.trace
	tune(&cc)
	c, err := crew.New(cc)
	if err != nil {
		return nil, cc, translate(err)
	}
	return c, cc, nil
}
