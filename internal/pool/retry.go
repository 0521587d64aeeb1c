//go:build linux

package pool

// attempt returns the number of the attempt at element lo. It also returns the end of the elements
// from lo to hi that share this number, because all tasks of a chunk must share it.
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

// mayRetry notes that element i was running when its worker died. It reports whether the element
// must run again, if the cause of the death allows that. The caller must hold p.mu.
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
