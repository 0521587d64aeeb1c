package manager

import (
	"context"
	"sync"

	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// Held is a [RecursiveMutex] that is locked. It is safe for concurrent use.
type Held struct {
	p  *proxy
	mu sync.Mutex
	n  int
}

// Lock takes the lock once more, without a message. After the last Unlock it returns
// [ipc.ErrNotHeld].
func (h *Held) Lock() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n == 0 {
		return ipc.ErrNotHeld
	}
	h.n++
	return nil
}

// Unlock undoes one Lock. The last Unlock releases the lock; after that, Unlock returns
// [ipc.ErrNotHeld].
func (h *Held) Unlock(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch h.n {
	case 0:
		return ipc.ErrNotHeld
	case 1:
		if err := h.p.ask(ctx, store.OpLockUnlock, nil); err != nil {
			return err
		}
	}
	h.n--
	return nil
}
