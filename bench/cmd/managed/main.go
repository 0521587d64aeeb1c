// The managed command is a small program that uses a manager. It measures on request.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/bench/internal/asked"
	"github.com/go-multiprocessing/mp/manager"
)

func main() {
	mp.Init()
	asked.Serve(map[string]asked.Command{"start": start})
}

// start measures, args[0] times, the milliseconds from Start to the end of the first operation.
func start(ctx context.Context, args []int) (figures []float64, err error) {
	for range args[0] {
		ms, err := startOnce(ctx)
		if err != nil {
			return nil, err
		}
		figures = append(figures, ms)
	}
	return figures, nil
}

func startOnce(ctx context.Context) (ms float64, err error) {
	begin := time.Now()
	m, err := manager.Start(ctx, manager.Config{})
	if err != nil {
		return 0, err
	}
	defer m.Close()
	d, err := manager.NewDict[int, int](ctx, m)
	if err == nil {
		err = d.Set(ctx, 1, 1)
	}
	took := time.Since(begin)
	if pid := m.PID(); err == nil && (pid == 0 || pid == os.Getpid()) {
		err = fmt.Errorf("the manager is process %d, and this is %d", pid, os.Getpid())
	}
	return float64(took.Nanoseconds()) / 1e6, err
}
