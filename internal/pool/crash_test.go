//go:build linux

package pool_test

import (
	"testing"

	"github.com/go-multiprocessing/mp/internal/pool"
)

// A nil dereference in the Go runtime's own code must be distinguished from other crashes.
func TestCrashInRuntime(t *testing.T) {
	const head = "SIGSEGV: segmentation violation\nPC=0x43891d m=0 sigcode=1 addr=0x0\n"
	for report, want := range map[string]bool{
		head + "\ngoroutine 0 gp=0xb881e0 m=0 mp=0xb891e0 [idle]:\nruntime.(*spanQueue).tryDrain(0x400?, 0x0?, 0x0?)\n":                                          true,
		head + "signal arrived during cgo execution\n\ngoroutine 0 gp=0xb881e0 m=0 mp=0xb891e0 [idle]:\nruntime.cgocall(0x0)\n":                                  false,
		head + "\ngoroutine 7 gp=0xb881e0 m=0 mp=0xb891e0 [running]:\nmain.task()\n":                                                                             false,
		"SIGSEGV: segmentation violation\nPC=0x1 m=0 sigcode=1 addr=0x0\n":                                                                                       false,
		"fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 0 gp=0x1 m=0 [idle]:\nruntime.main()\n":                                                 false,
		"SIGSEGV: segmentation violation\nPC=0x43891d m=0 sigcode=1 addr=0x18\n\ngoroutine 0 gp=0xb8 m=0 [idle]:\ninternal/runtime/atomic.(*Uint32).Load(...)\n": true,
		"SIGSEGV: segmentation violation\nPC=0x43891d m=0 sigcode=1 addr=0x7f18\n\ngoroutine 0 gp=0xb8 m=0 [idle]:\nruntime.memmove()\n":                         false,
		head + "\ngoroutine 7 gp=0xb8 m=0 [running]:\nmain.task()\n\n-----\n\nSIGQUIT: quit\n\ngoroutine 0 gp=0xc8 m=1 [idle]:\nruntime.futex()\n":               false,
		"": false,
	} {
		if got := pool.CrashedInRuntime(report); got != want {
			t.Errorf("%v for %s", got, report)
		}
	}
}
