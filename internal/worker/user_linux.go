package worker

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// keepDeathSignal asks for the parent-death signal again after a Setup, which may have changed the user, if only for a
// while: then the system forgets the signal, see prctl(2). It is a thread's, so a thread is kept for it. The parent may be
// gone already, of which the socket tells.
func keepDeathSignal() {
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
		close(done)
		select {}
	}()
	<-done
}
