//go:build linux

package deaths_test

import (
	"testing"

	"github.com/go-multiprocessing/mp/internal/testing/deaths"
	"github.com/go-multiprocessing/mp/mptest"
)

func TestMain(m *testing.M) { mptest.Main(m) }

// E3 E6 P16: Each way to die must cost that task alone, and its caller must learn how it died.
func TestDeaths(t *testing.T) { deaths.Run(t, deaths.GoTable) }

// With GOTRACEBACK=crash the runtime ends with SIGABRT, but the reasons must be the same.
func TestDeathsWithTracebackCrash(t *testing.T) { deaths.RunCrashing(t, deaths.GoTable) }
