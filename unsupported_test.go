//go:build !linux

package mp_test

import (
	"errors"
	"testing"

	"github.com/go-multiprocessing/mp"
)

func TestPoolIsUnsupported(t *testing.T) {
	if _, err := mp.NewPool(mp.PoolConfig{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}
