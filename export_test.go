package mp

import (
	"github.com/go-multiprocessing/mp/internal/crew"
	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/spawn"
)

// LostDeath is the error of a task whose worker was reaped by something else, having said its
// last words.
func LostDeath(stderr string) *WorkerError {
	return workerError(&crew.Death{Worker: 1, PID: 1, Func: "f", Stderr: stderr, Status: spawn.Status{ExitCode: -1, Lost: true}})
}

// OutcomeError is the error of a task that ended in some way.
func OutcomeError(function string, kind uint8, data []byte) error {
	return outcomeError(function, kind, data)
}

// EncodeResult encodes a result as a worker does.
func (f *Func[In, Out]) EncodeResult(r *Out) ([]byte, error) { return f.out.Append(nil, r) }

// TakeResult decodes a result.
func (f *Func[In, Out]) TakeResult(b []byte, r *Out) error { return f.take(b, r) }

// LoseResult ends what an encoded result brings along that has not arrived.
func (f *Func[In, Out]) LoseResult(b []byte) {
	share.ForgetFiles(f.out.FilesOf(b))
	f.out.Lose(b)
}
