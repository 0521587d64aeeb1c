package mp

import (
	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/pool"
	"github.com/go-multiprocessing/mp/internal/spawn"
)

// LostDeath returns the error of a task whose worker was reaped by other code, after the worker had
// written to stderr.
func LostDeath(stderr string) *WorkerError {
	return workerError(&pool.Death{Worker: 1, PID: 1, Func: "f", Stderr: stderr, Status: spawn.Status{ExitCode: -1, Lost: true}})
}

// OutcomeError calls outcomeError.
func OutcomeError(function string, kind uint8, data []byte) error {
	return outcomeError(function, kind, data)
}

// EncodeResult encodes a result as a worker does.
func (f *Func[In, Out]) EncodeResult(r *Out) ([]byte, error) { return f.out.Append(nil, r) }

// TakeResult decodes a result.
func (f *Func[In, Out]) TakeResult(b []byte, r *Out) error { return f.take(b, r) }

// LoseResult releases the files and objects in an encoded result that was not decoded.
func (f *Func[In, Out]) LoseResult(b []byte) {
	objects.ForgetFiles(f.out.FilesOf(b))
	f.out.Lose(b)
}
