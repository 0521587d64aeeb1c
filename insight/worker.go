package insight

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"runtime/pprof"
	"slices"
	"sync"
	"time"

	"github.com/google/pprof/profile"

	"github.com/go-multiprocessing/mp/internal/query"
)

// question is the name of the request to workers.
const question = "insight.profile"

func init() { query.Handle(question, answer) }

// wanted describes the requested profile: a CPU profile, or a profile by name.
type wanted struct {
	CPU  time.Duration `json:",omitempty"`
	Name string        `json:",omitempty"`
}

func (w wanted) encode() []byte {
	data, _ := json.Marshal(w) // none of its fields can fail to encode
	return data
}

// types returns the sample types of the wanted profile, followed by its period type.
func (w wanted) types() []string {
	switch {
	case w.CPU > 0:
		return []string{"samples/count", "cpu/nanoseconds", "cpu/nanoseconds"}
	case w.Name == "heap" || w.Name == "allocs":
		return []string{"alloc_objects/count", "alloc_space/bytes", "inuse_objects/count", "inuse_space/bytes", "space/bytes"}
	case w.Name == "block" || w.Name == "mutex":
		return []string{"contentions/count", "delay/nanoseconds", "contentions/count"}
	}
	return []string{w.Name + "/count", w.Name + "/count"}
}

// limit returns how long the workers may take to answer.
func (w wanted) limit() time.Duration { return min(w.CPU, math.MaxInt64-answerTimeout) + answerTimeout }

// check returns an error if a profile is not of the wanted kind, since such a profile could not be
// merged with the others. It clears the fields with which one worker's profile could change how
// other workers' profiles are shown.
func (w wanted) check(p *profile.Profile) error {
	var got []string
	period := p.PeriodType
	if period == nil {
		period = &profile.ValueType{}
	}
	for _, t := range append(p.SampleType[:len(p.SampleType):len(p.SampleType)], period) {
		got = append(got, t.Type+"/"+t.Unit)
	}
	if want := w.types(); !slices.Equal(got, want) {
		return fmt.Errorf("it measures %.100q, not %q", got, want)
	}
	p.DropFrames, p.KeepFrames, p.DocURL, p.Comments = "", "", "", nil
	p.DurationNanos = min(max(p.DurationNanos, 0), int64(w.limit()))
	return nil
}

// answer makes the wanted profile in the worker.
func answer(ctx context.Context, arg []byte) ([]byte, error) {
	var want wanted
	if err := json.Unmarshal(arg, &want); err != nil {
		return nil, err
	}
	if want.CPU > 0 {
		return measure(ctx, want.CPU)
	}

	var buf bytes.Buffer
	p := pprof.Lookup(want.Name)
	if p == nil {
		return nil, fmt.Errorf("there is no profile %q", want.Name)
	}
	if err := p.WriteTo(&buf, 0); err != nil {
		return nil, err
	}

	return buf.Bytes(), nil
}

// measuring describes the CPU profile that is being taken.
var measuring struct {
	mu  sync.Mutex
	of  context.Context // context of the request; nil if there is none
	end chan struct{}
}

// measure takes a CPU profile. If the request for an earlier profile has ended but the profile has
// not, measure waits for the profile to end first.
func measure(ctx context.Context, d time.Duration) ([]byte, error) {
	var buf bytes.Buffer
	for {
		previous, err := startMeasuring(ctx, &buf)
		if previous == nil {
			if err != nil {
				return nil, err
			}
			break
		}
		<-previous
	}

	select {
	case <-time.After(d):
	case <-ctx.Done():
	}

	measuring.mu.Lock()
	defer measuring.mu.Unlock()
	pprof.StopCPUProfile()
	measuring.of = nil
	close(measuring.end)
	return buf.Bytes(), nil
}

// startMeasuring starts a CPU profile. If an earlier profile is about to end, startMeasuring does
// not start one, but returns a channel that is closed when the earlier profile has ended.
func startMeasuring(ctx context.Context, buf *bytes.Buffer) (previous <-chan struct{}, err error) {
	m := &measuring
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of != nil && m.of.Err() != nil {
		return m.end, nil
	}
	if err := pprof.StartCPUProfile(buf); err != nil {
		return nil, err
	}
	m.of, m.end = ctx, make(chan struct{})
	return nil, nil
}
