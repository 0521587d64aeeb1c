//go:build !linux

package shm

import "errors"

// New returns an error, because there are no segments on this system.
func New(string, int) (fd int, mem []byte, err error) { return -1, nil, errors.ErrUnsupported }

// Map returns an error.
func Map(fd, size int) ([]byte, error) { return nil, errors.ErrUnsupported }

// Unmap does nothing.
func Unmap([]byte) error { return nil }

// A Range is a range of addresses that segments are mapped into.
type Range struct{ Size int }

// Map returns an error.
func (r *Range) Map(int) ([]byte, error) { return nil, errors.ErrUnsupported }

// MapReadOnly returns an error.
func (r *Range) MapReadOnly(int) ([]byte, error) { return nil, errors.ErrUnsupported }

// NewFrozen returns an error.
func (r *Range) NewFrozen(string) (fd int, mem []byte, err error) {
	return -1, nil, errors.ErrUnsupported
}

// Retire does nothing.
func (r *Range) Retire([]byte) error { return nil }

// Sealed reports false.
func Sealed(int) bool { return false }

// Room returns 0.
func Room() uint64 { return 0 }

// Anonymous reports false.
func Anonymous(int) bool { return false }

// CloseFD does nothing.
func CloseFD(int) {}

// Create returns an error.
func Create(string, int) (fd int, mem []byte, err error) { return -1, nil, errors.ErrUnsupported }

// Open returns an error.
func Open(string) (fd int, mem []byte, err error) { return -1, nil, errors.ErrUnsupported }

// Remove returns an error.
func Remove(string) error { return errors.ErrUnsupported }

// An ID is empty on this system.
type ID struct{}

// IDOf returns an error.
func IDOf(int) (ID, error) { return ID{}, errors.ErrUnsupported }

// RemoveOwn returns an error.
func RemoveOwn(string, ID) error { return errors.ErrUnsupported }

// DupFD returns an error.
func DupFD(int) (int, error) { return -1, errors.ErrUnsupported }

// Store returns an error.
func Store(string, []byte) (int, error) { return -1, errors.ErrUnsupported }

// Load returns an error.
func Load(int, []byte, int, func() error) ([]byte, error) { return nil, errors.ErrUnsupported }

// Allocated returns an error.
func Allocated(int) (int64, error) { return 0, errors.ErrUnsupported }

// Read returns an error.
func Read(int, []byte) error { return errors.ErrUnsupported }
