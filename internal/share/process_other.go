//go:build !linux

package share

import "errors"

func (h *heap) begin() error { return errors.ErrUnsupported }

func (h *heap) end() {}

func (h *heap) reapSoon() {}

type reaper struct{}

func isRoot() bool { return true }
