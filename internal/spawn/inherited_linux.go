package spawn

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// closeInherited closes descriptors, from the number from on, that this process has inherited only
// because its parent had opened them without close-on-exec, as C code often does. As long as a
// worker with such a descriptor lives, it would keep a port busy, or hide the end of a pipe.
//
// C libraries may have opened descriptors in this process before Go runs. In the parent, such
// descriptors do not exist or refer to other files, so closeInherited leaves them open unless all
// is set. all is set for a process that runs only this package's code.
func closeInherited(from int, all bool) {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return
	}
	names, _ := dir.Readdirnames(-1)
	_ = dir.Close()
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil || fd < from {
			continue
		}

		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue // Go programs open descriptors with close-on-exec
		}
		if all || isParents(fd) {
			_ = unix.Close(fd)
		}
	}
}

// isParents reports whether the parent has the same file under the same number. It returns false
// for files such as eventfds, because all eventfds have the same name.
func isParents(fd int) bool {
	ours, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return false
	}
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", os.Getppid(), fd))
	if err != nil || ours != theirs || strings.HasPrefix(ours, "anon_inode:") {
		return false
	}
	const kcmpFile = 0
	order, _, number := unix.Syscall6(unix.SYS_KCMP, uintptr(os.Getpid()), uintptr(os.Getppid()), kcmpFile, uintptr(fd), uintptr(fd), 0)
	return number != 0 || order == 0 // if the system cannot compare the files, rely on the name
}
