package manager

import (
	"errors"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// Errors of managers and proxies, beside [mp.ErrClosed], those of contexts and of what users have
// registered. Nothing was changed unless they say so.
var (
	// ErrGone is returned by a proxy whose object does not exist any more.
	ErrGone = mp.RegisterError(store.ErrGone)
	// ErrLimit is returned for what would exceed the Limits of the manager.
	ErrLimit = mp.RegisterError(store.ErrLimit)
	// ErrRange is returned for an index that a [List] does not have.
	ErrRange = mp.RegisterError(store.ErrRange)
	// ErrKind is returned if an object is of another kind, or has other types, than it is used
	// with.
	ErrKind = mp.RegisterError(store.ErrKind)
	// ErrNotRegistered is returned if the manager's program lacks a function, method or type;
	// the text names it.
	ErrNotRegistered = mp.RegisterError(errors.New("manager: not registered there"))
	// ErrLost is returned by a call that was under way when the connection to the manager
	// was lost, for instance because the manager has ended, or because a remote client sent
	// a request longer than the manager allows, see [Server.Listen]. The call may have been done.
	ErrLost = mp.RegisterError(errors.New("manager: the connection was lost during the call, which may have been done"))
	// Remove is what a [Func] returns as its error in order to remove the value.
	Remove = mp.RegisterError(errors.New("manager: remove the value"))

	errCanceled = mp.RegisterError(store.ErrCanceled)
	errNotMade  = errors.New("manager: a proxy that was not made by its constructor")
	errCarries  = errors.New("manager: objects of mp and files cannot be kept in a manager: send them in arguments, or through queues and pipes")
)
