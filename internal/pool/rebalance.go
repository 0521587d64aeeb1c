//go:build linux

package pool

import (
	"slices"

	"github.com/go-multiprocessing/mp/internal/sched"
)

// steal moves tasks from busy workers other than thief back to the queue. It reports whether it
// took any tasks, and whether it left some that may be stolen later. The caller must hold p.mu.
func (p *Pool) steal(thief *worker, patient bool) (took, left bool) {
	if p.closed {
		return false, false
	}

	others := p.others[:0]
	for _, w := range p.workers {
		if w != nil && w != thief && !w.dead {
			others = append(others, &w.work)
		}
	}
	p.others = others

	return p.sched.Steal(others, patient, p.drop)
}

// dropLater settles elements of a cancelled job. The caller may hold p.mu.
func (p *Pool) dropLater(j *sched.Job, lo, n int) {
	go p.settleAll([]run{{j.Data.(*job), lo, n}}, p.whyNot)
}

// checkBehind rebalances soon if tasks wait behind others at w while another worker could run them.
// The other worker may have found nothing to do while the tasks were neither in the queue nor with
// w. The caller must hold p.mu.
func (p *Pool) checkBehind(w *worker) {
	if w.work.Tasks() > 1 && (len(p.idle) > 0 || slices.ContainsFunc(p.slots, func(s *slot) bool { return s.vacant })) {
		p.rebalanceSoon()
	}
}

func (p *Pool) rebalanceSoon() {
	if !p.armed {
		p.armed = true
		p.balance.Reset(rebalanceDelay)
	}
}

// rebalance moves tasks that wait elsewhere to idle workers. A timer calls it.
func (p *Pool) rebalance() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = false
	if p.closed {
		return
	}

	left := p.sched.Next() != nil
	if !left && len(p.idle) > 0 {
		_, left = p.steal(nil, false)
	}
	if !left && len(p.idle) == 0 && p.queues() {
		p.wakeSlots(1) // the worker that fills the slot will be idle and steal
	}

	if j := p.sched.Next(); j != nil {
		p.wakeFor(j)
	}

	if left && len(p.idle) > 0 {
		p.rebalanceSoon()
	}
}
