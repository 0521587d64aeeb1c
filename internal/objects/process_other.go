//go:build !linux

package objects

import "errors"

func (h *heap) begin() error { return errors.ErrUnsupported }

func (h *heap) end() {}

func (h *heap) sweepSoon() {}

type sweeper struct{}

func isRoot() bool { return true }
