package manager

import (
	"errors"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// Errors of managers and proxies. Methods also return [mp.ErrClosed], the errors of contexts, and
// the errors of registered functions. Unless the documentation of an error says otherwise, the call
// has changed nothing.
var (
	// ErrGone is returned for a proxy whose object no longer exists.
	ErrGone = mp.RegisterError(store.ErrGone)
	// ErrLimit is returned by a call that would exceed the Limits of the manager.
	ErrLimit = mp.RegisterError(store.ErrLimit)
	// ErrRange is returned for an index outside a [List].
	ErrRange = mp.RegisterError(store.ErrRange)
	// ErrKind is returned if an object is not of the kind, or does not have the types, that the
	// caller expects.
	ErrKind = mp.RegisterError(store.ErrKind)
	// ErrNotRegistered is returned if the manager's program lacks a function, method or type. The
	// text of the error names what is missing.
	ErrNotRegistered = mp.RegisterError(errors.New("manager: not registered there"))
	// ErrLost is returned by a call that was in progress when the connection to the manager was
	// lost, for instance because the manager ended, or because a remote client sent a longer
	// request than the manager allows (see [Server.Listen]). The manager may have performed the
	// call.
	ErrLost = mp.RegisterError(errors.New("manager: the connection was lost during the call, which may have been done"))
	// Remove is the error with which a [Func] removes the value.
	Remove = mp.RegisterError(errors.New("manager: remove the value"))

	errCanceled = mp.RegisterError(store.ErrCanceled)
	errNotMade  = errors.New("manager: a proxy that was not made by its constructor")
	errCarries  = errors.New("manager: objects of mp and files cannot be kept in a manager: send them in arguments, or through queues and pipes")
)
