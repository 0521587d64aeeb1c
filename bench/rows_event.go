package main

import (
	"context"
	"os"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

// answering is the argument of a process that answers an event with another.
type answering struct {
	Ask, Answer *ipc.Event
	Answers     *ipc.Atomic[int]
	N           int
}

var answerEvents = mp.Register("answerEvents", func(ctx context.Context, a answering) (pid int, err error) {
	for range a.N {
		if err := a.Ask.Wait(ctx); err != nil {
			return 0, err
		}
		if err := a.Ask.Clear(); err != nil {
			return 0, err
		}
		if _, err := a.Answers.Add(1); err != nil {
			return 0, err
		}
		if err := a.Answer.Set(); err != nil {
			return 0, err
		}
	}
	return os.Getpid(), nil
})

// eventRow measures the time from setting an event to receiving another process's answer.
func eventRow() row {
	return row{
		name: "event", unit: "us", better: lower,
		mp: onProcesses(func(ctx context.Context, b *bench) (float64, error) {
			n := b.size(10_000, 1000)
			took, err := exchangeEvents(ctx, n)
			return microseconds(took, n), err
		}),
		peers: []peer{{"C futex", 0.5, onC(func(b *bench, c *helper) (float64, error) {
			return c.inProcesses(1, "futex %d", b.size(10_000, 1000))
		})}},
	}
}

func exchangeEvents(ctx context.Context, n int) (took time.Duration, err error) {
	var s shop
	defer s.close()
	ask, err := ipc.NewEvent()
	ask = made(&s, ask, err)
	answer, err := ipc.NewEvent()
	answer = made(&s, answer, err)
	answers, err := ipc.NewAtomic(0)
	answers = made(&s, answers, err)
	if err := s.err(); err != nil {
		return 0, err
	}

	all := warmLaps(n) + n
	p, err := mp.NewProcess(answerEvents, answering{ask, answer, answers, all}, mp.ProcessConfig{})
	if err != nil {
		return 0, err
	}

	if err := p.Start(); err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			_ = p.Kill()
		}
		<-p.Done()
	}()

	ctx, cancel := context.WithCancel(ctx) // ends with the other process
	defer cancel()
	go func() { <-p.Done(); cancel() }()
	if err := askTimes(ctx, ask, answer, answers, 0, warmLaps(n)); err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := askTimes(ctx, ask, answer, answers, warmLaps(n), all); err != nil {
		return 0, err
	}
	took = time.Since(begin)
	pid, err := p.Wait(context.WithoutCancel(ctx))
	if err != nil {
		return 0, err
	}

	return took, allElsewhere([]int{os.Getpid(), pid})
}

// askTimes asks and waits for the answer, again and again, until there have been to answers in all.
// from is the number of answers so far.
func askTimes(ctx context.Context, ask, answer *ipc.Event, answers *ipc.Atomic[int], from, to int) error {
	for i := from; i < to; i++ {
		if err := ask.Set(); err != nil {
			return err
		}

		if err := answer.Wait(ctx); err != nil {
			return err
		}
		if err := answer.Clear(); err != nil {
			return err
		}
		got, err := answers.Load()
		if err == nil {
			err = counted(got, i+1)
		}
		if err != nil {
			return err
		}
	}

	return nil
}
