package insight

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/go-multiprocessing/mp/internal/query"
)

// message returns a field of a protobuf message. The field's value is a message or a list of
// numbers.
func message(field byte, body ...byte) []byte {
	return append(binary.AppendUvarint([]byte{field<<3 | 2}, uint64(len(body))), body...)
}

// pack compresses head followed by n copies of part.
func pack(t testing.TB, head, part []byte, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	all := bytes.NewReader(bytes.Repeat(part, n))
	if _, err := z.Write(head); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(z, all); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// heapOf returns an honest worker's answer.
func heapOf(t testing.TB, worker int) query.Reply {
	t.Helper()
	data, err := answer(t.Context(), wanted{Name: "heap"}.encode())
	if err != nil {
		t.Fatal(err)
	}
	return query.Reply{Worker: worker, PID: 1000 + worker, Data: data}
}

// honest reports whether a profile contains the part of worker 2.
func honest(p *profile.Profile) bool {
	if p == nil {
		return false
	}
	for _, s := range p.Sample {
		if s.HasLabel("mp_worker", "2") {
			return true
		}
	}
	return false
}

// Profiles of all kinds can be merged.
func TestKinds(t *testing.T) {
	all := []wanted{{CPU: time.Millisecond}}
	for _, p := range pprof.Profiles() {
		all = append(all, wanted{Name: p.Name()})
	}
	for _, what := range all {
		data, err := answer(t.Context(), what.encode())
		if err != nil {
			t.Fatal(err)
		}
		merged, err := merging(t.Context(), what, []query.Reply{{Worker: 1, Data: data}, {Worker: 2, Data: data}})
		if merged == nil || err != nil {
			t.Errorf("%+v: %v", what, err)
		}
	}
}

// If a worker's answer is too large or is a different profile, only that worker's part is missing,
// and the answer costs this process little time and memory.
func TestForgedProfiles(t *testing.T) {
	if testing.Short() {
		t.Skip("it unpacks as much as it may")
	}

	strangers := bytes.Join([][]byte{message(6), message(6, 'x'), message(1, 8, 1, 16, 1), message(11, 8, 1, 16, 1)}, nil)
	for name, data := range map[string][]byte{
		"nothing":  nil,
		"garbage":  []byte("no profile"),
		"zeros":    pack(t, nil, make([]byte, 1<<20), 256),
		"samples":  pack(t, nil, message(2), 8<<20),
		"labels":   pack(t, nil, message(2, bytes.Repeat(message(3), 4<<20)...), 1),
		"lines":    pack(t, nil, message(4, bytes.Repeat(message(4), 4<<20)...), 1),
		"mappings": pack(t, nil, message(3), maxMappings+1),
		"strings":  pack(t, nil, message(6), 8<<20),
		"numbers":  pack(t, nil, message(2, message(1, make([]byte, 32<<20)...)...), 1),
		"comments": pack(t, nil, message(13, make([]byte, 16<<20)...), 1),
		"cut":      pack(t, nil, []byte{2<<3 | 2, 0xff, 0xff, 0xff, 0x7f}, 1),
		"another":  pack(t, strangers, message(2, 16, 1), 10),
	} {
		replies := []query.Reply{{Worker: 1, PID: 1001, Data: data}, heapOf(t, 2)}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		merged, err := merging(t.Context(), wanted{Name: "heap"}, replies)
		runtime.ReadMemStats(&after)
		if all := after.TotalAlloc - before.TotalAlloc; all > 4*maxUnpacked {
			t.Errorf("%s: %d MiB allocated", name, all>>20)
		}
		if err == nil || !strings.Contains(err.Error(), "worker 1 (pid 1001): ") || strings.Contains(err.Error(), "worker 2") {
			t.Errorf("%s: %v", name, err)
		}

		if !honest(merged) {
			t.Errorf("%s: the other's part is missing", name)
		}
	}
}

// A worker's profile cannot change how other workers' profiles are shown.
func TestNoWordOnOthers(t *testing.T) {
	r := heapOf(t, 1)
	p, err := profile.ParseData(r.Data)
	if err != nil {
		t.Fatal(err)
	}
	p.DropFrames, p.KeepFrames, p.Comments, p.DurationNanos = ".*", ".*", []string{"hello"}, 1<<62
	var forged bytes.Buffer
	if err := p.Write(&forged); err != nil {
		t.Fatal(err)
	}
	r.Data = forged.Bytes()
	merged, err := merging(t.Context(), wanted{Name: "heap"}, []query.Reply{r, heapOf(t, 2)})
	if err != nil || merged.DropFrames+merged.KeepFrames != "" || len(merged.Comments) > 0 || merged.DurationNanos > int64(answerTimeout) {
		t.Errorf("%v: %q %q %q %d", err, merged.DropFrames, merged.KeepFrames, merged.Comments, merged.DurationNanos)
	}
}

// ending is a context that ends after a given number of calls of Err.
type ending struct {
	context.Context
	left int
}

func (e *ending) Err() error {
	if e.left--; e.left < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// If the context ends while profiles are being unpacked, parsed or merged, the call returns at
// once.
func TestContextEndsMeanwhile(t *testing.T) {
	zeros := pack(t, nil, make([]byte, 1<<20), 16)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := parse(&ending{t.Context(), 10}, zeros)
	runtime.ReadMemStats(&after)
	if all := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, context.DeadlineExceeded) || all > 4<<20 {
		t.Errorf("%v, after %d bytes", err, all)
	}

	replies := []query.Reply{heapOf(t, 1), heapOf(t, 2), heapOf(t, 3)}
	all := &ending{t.Context(), 1 << 30}
	if p, err := merge(all, wanted{Name: "heap"}, replies); p == nil || err != nil {
		t.Fatal(err)
	}

	for n := range 1<<30 - all.left {
		p, err := merge(&ending{t.Context(), n}, wanted{Name: "heap"}, replies)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("asked %d times: %v, %v", n, p != nil, err)
		}
	}

	over, cancel := context.WithCancel(t.Context())
	cancel()
	if p, err := merging(over, wanted{Name: "heap"}, replies); p != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", p != nil, err)
	}
	if n, err := (writer{over, io.Discard}).Write([]byte("x")); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d, %v", n, err)
	}
}

// Profiles are merged as they arrive, and refused if there is no room for them.
func TestMerger(t *testing.T) {
	var m merger
	for worker := range 100 {
		p, err := part(t.Context(), wanted{Name: "heap"}, heapOf(t, worker))
		if err != nil {
			t.Fatal(err)
		}
		m.more += mergeAt / 10 // as if it were large
		if err := m.add(p); err != nil {
			t.Fatal(err)
		}
		if len(m.pending) > 10 {
			t.Fatalf("%d profiles wait", len(m.pending))
		}
	}

	all, err := m.merged()
	if err != nil {
		t.Fatal(err)
	}

	workers := map[string]bool{}
	for _, s := range all.Sample {
		workers[s.Label["mp_worker"][0]] = true
	}

	if len(workers) != 100 {
		t.Errorf("%d workers are in it", len(workers))
	}
	m.weight = maxMerged
	if err := m.add(all); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("beyond the bound: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(heapOf(f, 1).Data)
	f.Add([]byte(nil))
	for _, part := range [][]byte{message(2), message(3), message(4, message(4)...), message(13, 1, 2, 3), {2<<3 | 2, 0xff}} {
		f.Add(pack(f, nil, part, 1000))
	}

	f.Fuzz(func(t *testing.T, data []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p, err := parse(t.Context(), data)
		runtime.ReadMemStats(&after)
		if all := after.TotalAlloc - before.TotalAlloc; all > 4*maxUnpacked+4*maxParsed {
			t.Errorf("%d bytes allocated", all)
		}
		if err == nil {
			_ = wanted{Name: "heap"}.check(p)
			_ = weightOf(p)
		}
	})
}
