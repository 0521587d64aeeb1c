//go:build linux

package deathtest_test

import (
	"testing"

	"github.com/go-multiprocessing/mp/internal/deathtest"
	"github.com/go-multiprocessing/mp/mptest"
)

func TestMain(m *testing.M) { mptest.Main(m) }

// E3 E6 P16: Each way to die must cost that task alone, and its caller must learn how it died.
func TestDeaths(t *testing.T) { deathtest.Run(t, deathtest.GoTable) }

// With GOTRACEBACK=crash the runtime ends with SIGABRT, but the reasons must be the same.
func TestDeathsWithTracebackCrash(t *testing.T) { deathtest.RunCrashing(t, deathtest.GoTable) }
