//go:build linux

package c_test

import (
	"os"
	"testing"

	"github.com/go-multiprocessing/mp/internal/testing/deaths"
	"github.com/go-multiprocessing/mp/internal/testing/deaths/c"
	"github.com/go-multiprocessing/mp/mptest"
)

func init() { deaths.Provide(c.Deaths) }

func TestMain(m *testing.M) { mptest.Main(m) }

// E6: A crash of C code must cost only one task.
func TestDeathsInC(t *testing.T) {
	if c.Deaths == nil {
		if os.Getenv("MP_REQUIRE_CGO") != "" {
			t.Fatal("MP_REQUIRE_CGO is set, but this is built without cgo: is there a C compiler?")
		}
		t.Skip("built without cgo: the ways to die in C are not tested")
	}
	deaths.Run(t, deaths.CTable)
}

// With GOTRACEBACK=crash the runtime ends with SIGABRT, but the reasons must be the same.
func TestDeathsInCWithTracebackCrash(t *testing.T) {
	if c.Deaths == nil {
		t.Skip("built without cgo")
	}
	deaths.RunCrashing(t, deaths.CTable)
}
