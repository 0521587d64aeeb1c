package spawn

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// closeInherited closes the descriptors from a number on that this process has only because its parent had them open
// without close-on-exec when it started this one: C code often opens them so. A worker that has one keeps a port busy
// or the end of a pipe from being seen, for as long as it lives.
//
// Libraries in C may have opened descriptors of their own in this process before Go runs. Those are not in the parent,
// or not the same file. A process that runs nothing but this package may close them too.
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
			continue // what a Go program opens it opens so
		}
		if all || isParents(fd) {
			_ = unix.Close(fd)
		}
	}
}

// isParents reports whether the parent has the same file under a number. Of what has no name, an eventfd for instance,
// all are called alike.
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
	return number != 0 || order == 0 // where the system does not compare, the name is all there is
}
