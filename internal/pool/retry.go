//go:build linux

package pool

// attempt returns which attempt at element lo is next. It also returns the end of the range of
// elements, starting at lo and at most up to hi, that have the same attempt number, because all
// tasks of a chunk must have the same one.
func (p *Pool) attempt(j *job, lo, hi int) (attempt, end int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(j.deaths) == 0 {
		return 1, hi
	}

	deaths := j.deaths[lo]
	end = lo + 1
	for end < hi && j.deaths[end] == deaths {
		end++
	}
	return deaths + 1, end
}

// mayRetry reports whether element i, which was running when its worker died, runs again. If so, it
// counts the death. The argument allowed says whether the cause of the death allows a retry. The
// caller must hold p.mu.
func (p *Pool) mayRetry(j *job, i int, allowed bool) bool {
	if p.closed || j.Cancel || !allowed || j.deaths[i] >= j.retries {
		return false
	}
	if u, ok := j.batch.(Unrepeatable); ok && u.Unrepeatable(i) {
		return false
	}
	if j.deaths == nil {
		j.deaths = map[int]int{}
	}
	j.deaths[i]++
	return true
}
