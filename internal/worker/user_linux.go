package worker

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// A user is what must not change if the system is to remember the parent-death signal, see prctl(2).
type user struct{ uid, euid, gid, egid int }

func thisUser() user { return user{os.Getuid(), os.Geteuid(), os.Getgid(), os.Getegid()} }

// keepDeathSignal asks for the parent-death signal again if a Setup has changed the user. The signal is a thread's, so a
// thread is kept for it; and the parent may be gone already, of which the socket tells.
func (was user) keepDeathSignal() {
	if was == thisUser() {
		return
	}
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
		close(done)
		select {}
	}()
	<-done
}
