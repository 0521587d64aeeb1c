package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

// talking is the argument of a process that has an end of a pipe.
type talking struct {
	Conn  *ipc.Conn[element]
	Gate  *ipc.Barrier
	First bool // whether this process sends first, or is the only one that sends
	CPU   int  // the processor to which it is pinned
	N     int
}

// exchangeMessages sends and receives in turn.
var exchangeMessages = mp.Register("exchangeMessages", func(ctx context.Context, t talking) (stint, error) {
	if err := pinnedTo(t.CPU); err != nil {
		return stint{}, err
	}

	buf := make([]byte, len(element{}))
	return timed(ctx, t.Gate, t.N, func(n int) error {
		for i := range n {
			if t.First {
				if err := t.send(ctx, buf, i); err != nil {
					return err
				}
			}
			if err := t.receive(ctx, buf, i); err != nil {
				return err
			}
			if !t.First {
				if err := t.send(ctx, buf, i); err != nil {
					return err
				}
			}
		}

		return nil
	})
})

// streamMessages sends, or receives, all the time.
var streamMessages = mp.Register("streamMessages", func(ctx context.Context, t talking) (stint, error) {
	step, buf := t.receive, make([]byte, len(element{}))
	if t.First {
		step = t.send
	}
	return timed(ctx, t.Gate, t.N, func(n int) error {
		for i := range n {
			if err := step(ctx, buf, i); err != nil {
				return err
			}
		}
		return nil
	})
})

func (t talking) send(ctx context.Context, buf []byte, i int) error {
	putInt(buf, i)
	return t.Conn.SendBytes(ctx, buf)
}

func (t talking) receive(ctx context.Context, buf []byte, i int) error {
	n, err := t.Conn.RecvInto(ctx, buf)
	if err == nil && (n != len(buf) || getInt(buf) != i) {
		err = fmt.Errorf("received message %d, of %d bytes, in the place of %d", getInt(buf), n, i)
	}
	return err
}

// pinnedTo checks that this process runs on one processor only.
func pinnedTo(cpu int) error {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return err
	}
	if set.Count() != 1 || !set.IsSet(cpu) {
		return fmt.Errorf("pinned to %d processors in the place of processor %d", set.Count(), cpu)
	}
	return nil
}

// pipeSameCoreRow measures the exchange of a small message and its answer between processes that
// share a processor.
func pipeSameCoreRow() row {
	return pipeRow("pipe-same-core", func(cpus [2]int) [2]int { return [2]int{cpus[0], cpus[0]} })
}

// pipeCrossCoreRow measures the exchange of a small message and its answer between processes on two
// processors.
func pipeCrossCoreRow() row {
	return pipeRow("pipe-cross-core", func(cpus [2]int) [2]int { return cpus })
}

func pipeRow(name string, place func(cpus [2]int) [2]int) row {
	count := func(b *bench) int { return b.size(10_000, 1000) }
	return row{
		name: name, unit: "round trips/s", better: higher,
		mp: onProcesses(func(ctx context.Context, b *bench) (float64, error) {
			cpus, err := twoCPUs()
			if err != nil {
				return 0, err
			}
			took, err := exchangeInProcesses(ctx, place(cpus), count(b))
			return perSecond(took, count(b)), err
		}),
		peers: []peer{{"C socketpair", 0.6, onC(func(b *bench, c *helper) (float64, error) {
			cpus, err := twoCPUs()
			if err != nil {
				return 0, err
			}
			at := place(cpus)
			return c.inProcesses(2, "ping-pong %d %d %d", count(b), at[0], at[1])
		})}},
	}
}

// twoCPUs returns the first two processors that this process may use.
func twoCPUs() (cpus [2]int, err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return cpus, err
	}
	if set.Count() < len(cpus) {
		return cpus, missing{"there are no two processors"}
	}
	for found, cpu := 0, 0; found < len(cpus); cpu++ {
		if set.IsSet(cpu) {
			cpus[found] = cpu
			found++
		}
	}
	return cpus, nil
}

func exchangeInProcesses(ctx context.Context, cpus [2]int, n int) (time.Duration, error) {
	return talk(func(ours, theirs *ipc.Conn[element], gate *ipc.Barrier) (time.Duration, error) {
		limits := []mp.Limits{{CPUs: [][]int{{cpus[0]}}}, {CPUs: [][]int{{cpus[1]}}}}
		return inPinned(ctx, exchangeMessages, limits, talking{ours, gate, true, cpus[0], n}, talking{theirs, gate, false, cpus[1], n})
	})
}

// pipeStreamRow measures small messages from a process that sends all the time to a process that
// receives.
func pipeStreamRow() row {
	return row{
		name: "pipe-stream", unit: "messages/s", better: higher,
		mp: onProcesses(func(ctx context.Context, b *bench) (float64, error) {
			n := b.size(1_000_000, 50_000)
			took, err := streamInProcesses(ctx, n)
			return perSecond(took, n), err
		}),
		peers: []peer{{"Python Connection", 10, onPython("", func(b *bench, python *helper) (float64, error) {
			return python.inProcesses(2, "pipe %d", b.size(100_000, 5000))
		})}},
	}
}

func streamInProcesses(ctx context.Context, n int) (time.Duration, error) {
	return talk(func(in, out *ipc.Conn[element], gate *ipc.Barrier) (time.Duration, error) {
		return inProcesses(ctx, streamMessages, talking{Conn: in, Gate: gate, N: n}, talking{Conn: out, Gate: gate, First: true, N: n})
	}, ipc.OneWay())
}

// talk makes a pipe for two processes and runs a round.
func talk(round func(a, z *ipc.Conn[element], gate *ipc.Barrier) (time.Duration, error), opts ...ipc.PipeOption) (time.Duration, error) {
	var s shop
	defer s.close()
	a, z, err := ipc.NewPipe[element](opts...)
	a, z = made(&s, a, err), made(&s, z, err)
	gate, err := ipc.NewBarrier(2)
	gate = made(&s, gate, err)
	if err := s.err(); err != nil {
		return 0, err
	}
	return round(a, z, gate)
}
