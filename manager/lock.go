package manager

import (
	"context"

	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// lock takes a lock with the operation op. If the answer comes after the caller has given up, the
// operation undo releases the lock again.
func (p *proxy) lock(ctx context.Context, op, undo store.Op) error {
	r, err := p.begin(op)
	if err != nil {
		return err
	}
	s, id := p.s, p.id
	r.late = func(answer []byte) {
		if _, err := store.Answer(answer); err == nil {
			s.undo(undo, id)
		}
	}
	return r.do(ctx, nil)
}

// tryLock is like lock, but does not wait. It reports whether the lock was taken.
func (p *proxy) tryLock(ctx context.Context, op, undo store.Op) (taken bool, err error) {
	r, err := p.begin(op)
	if err != nil {
		return false, err
	}
	s, id := p.s, p.id
	r.late = func(answer []byte) {
		if in, err := store.Answer(answer); err == nil && in.Bool() {
			s.undo(undo, id)
		}
	}
	err = r.do(ctx, func(in *store.Reader) error { taken = in.Bool(); return nil })
	return taken, err
}

// undo sends a request and ignores the answer.
func (s *session) undo(op store.Op, object uint64) {
	r := s.begin(op, object)
	_ = r.do(context.Background(), nil)
}

func (p *proxy) recoverLock(ctx context.Context, repair func() error) error {
	r, err := p.begin(store.OpLockRepair)
	if err != nil {
		return err
	}

	repaired := func(ok bool) error {
		r, err := p.begin(store.OpLockRepaired)
		if err != nil {
			return err
		}
		r.Bool(ok)
		return r.do(context.WithoutCancel(ctx), nil)
	}

	r.late = func(answer []byte) {
		if in, err := store.Answer(answer); err == nil && in.Bool() {
			_ = repaired(false)
		}
	}

	mine := false
	if err := r.do(ctx, func(in *store.Reader) error { mine = in.Bool(); return nil }); err != nil || !mine {
		return err
	}
	ok := false
	defer func() {
		if !ok {
			_ = repaired(false)
		}
	}()
	if err := repair(); err != nil {
		return err
	}
	ok = true
	return repaired(true)
}
