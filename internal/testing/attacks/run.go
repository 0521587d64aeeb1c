//go:build linux

package attacks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/mptest"
)

// A Verdict is the outcome of a row.
type Verdict struct {
	Row    string
	Seed   uint64
	Faults []string
	Attack string // the error of the attack's task
	Took   time.Duration
	CPU    time.Duration // processor time of the program and all its child processes
	Memory int           // MiB at the peak, minus the memory in use before
	Hung   bool          // the program can run no more rows
}

// runRow runs a row in this process, the attacked program.
func runRow(name string, seed uint64) Verdict {
	began, spent := time.Now(), processorTime()
	v := Verdict{Row: name, Seed: seed}
	row, ok := find(name)
	if !ok {
		v.Faults = []string{"no such row"}
		return v
	}

	left := &recorder{}
	mptest.NoLeaks(left)
	w, err := newWorld(context.Background(), row, seed)
	if err != nil {
		w.fault("the row cannot start: %v", err)
	} else {
		w.run(&v)
	}

	w.end()
	w.mu.Lock()
	v.Faults, v.Hung = w.faults, w.hung
	w.mu.Unlock()
	w = nil // closed objects keep their memory until they are unreachable
	if !v.Hung {
		left.finish()
		v.Faults = append(v.Faults, left.errors...)
		for _, pid := range processesLeft(os.Getenv(TagVar)) {
			v.Faults = append(v.Faults, fmt.Sprintf("left: process %d", pid))
		}
	}
	v.Took, v.CPU = time.Since(began), processorTime()-spent
	return v
}

// run runs the attack while the bystanders work.
func (w *world) run(v *Verdict) {
	m := watch(w)
	stop := make(chan struct{})
	working := map[*bystander]chan struct{}{}
	for _, b := range w.bystanders {
		done := make(chan struct{})
		working[b] = done
		go func() { defer close(done); w.begin(b, stop); b.run(w, stop) }()
	}
	usedUp := w.useGiven(stop)

	err := w.attack()
	close(w.over)
	if err != nil {
		v.Attack = err.Error()
	}
	if w.row.after != nil {
		w.within("what main does afterwards", CallTimeout+Slack, func() {
			if err := w.row.after(context.Background(), w); err != nil {
				w.fault("afterwards: %v", err)
			}
		})
	}

	close(stop)
	w.await(working)
	if !w.hung {
		w.within("main with what the attacker was given", 2*Slack, func() { <-usedUp })
	}
	m.end(w)
	v.Memory = m.most.memory - m.base.memory
}

// begin returns when a bystander may begin, but no later than when stop is closed.
func (w *world) begin(b *bystander, stop <-chan struct{}) {
	if b.attacked && w.row.first {
		select {
		case <-w.holders.first:
		case <-stop:
		}
	}
}

// await waits until all bystanders have made their last round, and reports those that do not
// return.
func (w *world) await(working map[*bystander]chan struct{}) {
	deadline, cancel := context.WithTimeout(context.Background(), 2*(CallTimeout+w.bounds.Grace+Slack))
	defer cancel()
	for b, done := range working {
		select {
		case <-done:
			continue
		case <-deadline.Done():
		}
		select {
		case <-done:
		default:
			w.fault("%s: a call has not returned", b.name)
			w.hung = true
		}
	}
}

// attack runs the attack as a task, and waits for its end no longer than the row allows.
func (w *world) attack() (err error) {
	if w.row.inMain != nil {
		w.within("what main does", w.bounds.Timeout+w.bounds.Grace+Slack, func() { err = w.row.inMain(context.Background(), w) })
		if err != nil {
			w.fault("%v", err)
		}
		return err
	}
	o := order{
		Row: w.row.Name(), Seed: w.seed, Holders: w.holders.address(), Manager: w.manager.Addr(),
		Peer: w.listener.Addr().String(), Silent: w.silent.port(), Given: w.given.given, Dict: w.theirs,
	}

	over, cancel := context.WithCancel(context.Background())
	defer cancel()
	enough, end := context.WithCancel(context.Background())
	defer end()
	var beside sync.WaitGroup
	if w.row.during != nil {
		beside.Go(func() {
			w.row.during(over, w)
			if w.row.until {
				end()
			}
		})
	}

	var pid int
	w.within("the attack's Call", w.bounds.Timeout+w.bounds.Grace+Slack, func() {
		// A Call on an idle worker would reserve the worker: the pool would send it no other task
		// meanwhile.
		if w.row.first {
			pid, err = mp.Submit(enough, w.attacked, attack, o, mp.Timeout(w.bounds.Timeout)).Result(context.Background())
			return
		}
		pid, err = mp.Call(enough, w.attacked, attack, o, mp.Timeout(w.bounds.Timeout))
	})

	cancel()
	w.within("what main does beside the attack", CallTimeout+Slack, beside.Wait)
	var dead *mp.WorkerError
	switch {
	case errors.As(err, &dead):
		w.lost(dead.PID)
		if n := len(dead.Stacks); n > Stacks {
			w.fault("the attack's WorkerError has stacks of %d bytes, with a bound of %d", n, Stacks)
		}
	case err == nil:
		w.lost(pid)
	case w.row.works:
		w.fault("the attack did not succeed: %v", err)
	}
	return err
}

// useGiven uses the attacker's object in main until stop is closed. The attacker may make the calls
// fail, but must not keep them from returning.
func (w *world) useGiven(stop <-chan struct{}) (done <-chan struct{}) {
	over := make(chan struct{})
	kind, err := giftOf(w.row.gives)
	if err != nil {
		close(over)
		return over
	}
	go func() {
		defer close(over)
		const short = 20 * time.Millisecond
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for {
			ctx, cancel := context.WithTimeout(context.Background(), short)
			began := time.Now()
			_ = kind.use(ctx, &w.given)
			cancel()
			if took := time.Since(began); took > 3*(short+w.bounds.Grace)+Slack {
				w.fault("main with a %s that the attacker was given: calls with %v took %v", kind.name, short, took)
			}

			select {
			case <-stop:
				return
			case <-ticker.C:
			}
		}
	}()

	return over
}

// end closes all objects, pools and the manager.
func (w *world) end() {
	if w.hung {
		return
	}
	for name, pool := range map[string]*mp.Pool{"the attacked pool's Close": w.attacked, "another pool's Close": w.other} {
		if pool != nil && !w.within(name, Closing, func() { _ = pool.Close() }) {
			return
		}
	}

	if n := len(w.killed); n > 1 && w.row.inMain == nil && !w.row.alone {
		w.fault("%d workers have died", n)
	}
	if kind, err := giftOf(w.row.gives); err == nil && !w.within("Close of what the attacker was given", Closing, func() { _ = kind.close(&w.given) }) {
		return
	}
	if w.manager != nil && !w.within("Shutdown of the manager", Closing, w.endManager) {
		return
	}
	w.within("Close of what is not attacked", Closing, w.closeOthers)
}

func (w *world) endManager() {
	_ = errors.Join(w.ours.Close(), w.pool.Close(), w.theirs.Close())
	ctx, cancel := context.WithTimeout(context.Background(), 2*Closing)
	defer cancel()
	if err := w.manager.Shutdown(ctx); err != nil {
		w.fault("Shutdown: %v", err)
	}
}

func (w *world) closeOthers() {
	if w.listener != nil {
		_ = w.listener.Close()
		w.serving.Wait()
	}
	if w.holders != nil {
		w.holders.close()
	}
	if w.silent != nil {
		w.silent.close()
	}
	for _, c := range slices.Concat(givenObjects(w.in), givenObjects(w.out), givenObjects(w.counted.Mutex), givenObjects(w.counted.Value), givenObjects(w.sibling)) {
		if err := c.Close(); err != nil {
			w.fault("Close of an object that was not given: %v", err)
		}
	}
}

// givenObjects returns a slice that contains the object, or nil if the object is nil.
func givenObjects[T interface {
	comparable
	shared
}](o T) []shared {
	var none T
	if o == none {
		return nil
	}
	return []shared{o}
}

// A recorder stands in for the testing.TB that NoLeaks needs, in a program that is not a test.
type recorder struct {
	testingTB
	errors   []string
	cleanups []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Error(args ...any) {
	r.errors = append(r.errors, fmt.Sprint(args...))
}
func (r *recorder) Log(args ...any) {
	const most = 6
	if s := fmt.Sprint(args...); len(r.errors) < most {
		r.errors = append(r.errors, s[:min(len(s), 600)])
	}
}

// finish runs the cleanups, which report what is left behind.
func (r *recorder) finish() {
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
}
