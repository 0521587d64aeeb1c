package worker

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// keepDeathSignal requests the parent-death signal again after a Setup. If Setup changed the user,
// even temporarily, the kernel has cleared the request (see prctl(2)). The request belongs to a
// thread, so keepDeathSignal keeps a thread for it. If the parent has died before the call, the
// worker learns that from the socket.
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
