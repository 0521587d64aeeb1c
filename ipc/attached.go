package ipc

import (
	"sync"
	"weak"

	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// attached lists the objects in this process that a handle can name: objects of other processes,
// and objects of this process that were sent. The table does not keep the objects reachable.
var attached = attachedTable{known: map[objectKey]func() any{}}

type attachedTable struct {
	mu    sync.Mutex
	known map[objectKey]func() any // the canonical pointer; nil if it is no longer reachable
}

// objectKey names an object in this process.
type objectKey struct {
	segment uint64
	offset  uint32
	gen     uint32
}

func keyOf(t objects.Token) objectKey { return objectKey{t.Segment, t.Offset, t.Gen} }

// weakRef returns a function that returns p, or nil when p is no longer reachable.
func weakRef[T any](p *T) func() any {
	w := weak.Make(p)
	return func() any {
		if p := w.Value(); p != nil {
			return p
		}
		return nil
	}
}

// add adds an object of this process. For an object that is new to the table, add calls ref, which
// returns a function that returns the canonical pointer, or nil when it is no longer reachable.
func (t *attachedTable) add(o *objects.Object, ref func() func() any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if key := keyOf(o.Name()); t.known[key] == nil {
		t.known[key] = ref()
	}
}

func (t *attachedTable) forget(o *objects.Object) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.known, keyOf(o.Name()))
}

// pointer returns the canonical pointer to the object that a token names, or nil if this process
// has none. The caller holds the lock.
func (t *attachedTable) pointer(token objects.Token) any {
	if known := t.known[keyOf(token)]; known != nil {
		return known()
	}
	return nil
}

// objectOf returns the object that a token names, or nil if this process does not have it. The
// caller holds the lock.
func (t *attachedTable) objectOf(token objects.Token) *objects.Object {
	if p := t.pointer(token); p != nil {
		return p.(sharer).shared().obj
	}
	return nil
}

// dropIfUnused runs when an object that this process has attached is no longer reachable here. If
// this process has become the object's owner, the object stays open until Close.
func (t *attachedTable) dropIfUnused(o *objects.Object) {
	t.mu.Lock()
	key := keyOf(o.Name())
	if known := t.known[key]; known != nil && known() == nil {
		delete(t.known, key)
	}
	t.mu.Unlock()

	if !o.Owned() {
		o.Forget()
	}
}

// loseObject ends the object that a ticket names. A result gave the object to this process, but the
// result cannot be decoded. If this process has also received the object in another way, it becomes
// the object's owner instead.
func loseObject(ticket []byte) {
	t, _, err := objects.ParseToken(ticket, objects.KindOf(ticket))
	if err != nil || !t.Owned {
		return
	}

	attached.mu.Lock()
	defer attached.mu.Unlock()
	obj := attached.objectOf(t)
	if obj == nil {
		if obj, err = objects.Attach(t); err != nil {
			return
		}
	}

	had, ours := obj.Received(), obj.Owned()
	obj.Offer()
	obj.Take()
	if had || ours {
		return
	}

	delete(attached.known, keyOf(t))
	if obj.Small() {
		xsync.End(t.Kind, obj.Memory())
	}
	obj.Close()
}
