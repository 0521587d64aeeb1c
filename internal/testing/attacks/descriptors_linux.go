package attacks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/link"
)

// A descriptor is one of a worker's descriptors, or a group of them.
type descriptor struct {
	name string
	is   func(fd int, target string) bool
}

func numbered(n int, name string) descriptor {
	return descriptor{fmt.Sprintf("descriptor %d, %s", n, name), func(fd int, _ string) bool { return fd == n }}
}

// named returns the descriptors above the numbered ones whose targets in /proc/self/fd have the
// given prefix.
func named(name, prefix string) descriptor {
	return descriptor{name, func(fd int, target string) bool {
		return fd > link.BrokerFD && strings.HasPrefix(target, prefix)
	}}
}

// The numbers of a worker's descriptors.
const (
	socketFD   = link.FirstFD
	segmentFD  = link.FirstFD + 1
	wakeFD     = link.FirstFD + 2
	doorbellFD = link.FirstFD + 3
	brokerFD   = link.BrokerFD
)

// ownDescriptors lists all descriptors of a worker. The first row fails if a worker has a
// descriptor that is not in the list.
var ownDescriptors = []descriptor{
	numbered(0, "the standard input"),
	numbered(1, "the standard output"),
	numbered(2, "the standard error"),
	numbered(socketFD, "the link's socket"),
	numbered(segmentFD, "the link's segment or what took its number"),
	numbered(wakeFD, "the wake pipe"),
	numbered(doorbellFD, "the parent's bell"),
	numbered(brokerFD, "the socket to the segment server"),
	named("the poller's descriptors", "anon_inode:["),
	named("the mailboxes' segment", "/memfd:mp-mailboxes"),
	named("segments", "/memfd:mp-"),
	named("the processors' limit", "/sys/fs/cgroup/"), // Go reads the limit for GOMAXPROCS there
}

// openDescriptors returns this process's descriptors with their targets.
func openDescriptors() (map[int]string, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	all := map[int]string{}
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			return nil, err
		}
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			all[n] = target
		}
	}
	return all, nil
}

// keepToItself keeps workers from inheriting descriptors that this program inherited by mistake.
func keepToItself() {
	all, _ := openDescriptors()
	for fd := range all {
		if fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// allKnown fails if this worker has a descriptor that is not in the table.
func allKnown(ctx context.Context, v *victim) error {
	if err := v.Dict.Set(ctx, "x", 1); err != nil { // uses shared memory and a manager
		return err
	}
	all, err := openDescriptors()
	if err != nil {
		return err
	}

	for fd, target := range all {
		known := false
		for _, d := range ownDescriptors {
			known = known || d.is(fd, target)
		}
		if !known {
			err = errors.Join(err, fmt.Errorf("descriptor %d, %s, is in no row", fd, target))
		}
	}
	return err
}

// A deed is an attack on a descriptor.
type deed struct {
	name string
	do   func(ctx context.Context, v *victim, fd int) error
}

var descriptorDeeds = []deed{
	{"fill", func(_ context.Context, _ *victim, fd int) error { fill(fd); return nil }},
	{"drain", func(ctx context.Context, _ *victim, fd int) error { drain(ctx, fd); return nil }},
	{"close", func(_ context.Context, _ *victim, fd int) error { return unix.Close(fd) }},
	{"replace by /dev/null", func(_ context.Context, _ *victim, fd int) error { return replaceByNull(fd) }},
	{"replace by a socket", func(_ context.Context, _ *victim, fd int) error { return replaceBySocket(fd) }},
	{"hand to a child and return", func(_ context.Context, v *victim, fd int) error { return v.hand(fd) }},
	{"hand to a child and exit", func(_ context.Context, v *victim, fd int) error { return v.handAndExit(fd, 3) }},
	{"fill, hand to a child and exit", func(_ context.Context, v *victim, fd int) error { fill(fd); return v.handAndExit(fd, 3) }},
	{"fill, hand to a child and stop", func(_ context.Context, v *victim, fd int) error {
		fill(fd)
		if err := errors.Join(v.hand(fd), syscall.Kill(os.Getpid(), syscall.SIGSTOP)); err != nil {
			return err
		}
		// This thread may run for a moment longer. The task must not end in that moment, even if
		// its context has ended, because a worker that is stopped between tasks is left alone.
		ctx, cancel := context.WithTimeout(context.Background(), CallTimeout)
		defer cancel()
		return rest(ctx)
	}},
	{"make blocking", func(_ context.Context, _ *victim, fd int) error { return setFlags(fd, 0) }},
	{"make blocking and fill", func(_ context.Context, _ *victim, fd int) error { fill(fd); return setFlags(fd, 0) }},
	{"make non-blocking", func(_ context.Context, _ *victim, fd int) error { return setFlags(fd, unix.O_NONBLOCK) }},
	{"make appending and asynchronous", func(_ context.Context, _ *victim, fd int) error {
		return setFlags(fd, unix.O_NONBLOCK|unix.O_APPEND|unix.O_ASYNC)
	}},
	{"make its buffers small", func(_ context.Context, _ *victim, fd int) error { shrink(fd); return nil }},
	{"shut down", func(_ context.Context, _ *victim, fd int) error { _ = unix.Shutdown(fd, unix.SHUT_RDWR); return nil }},
}

func descriptorRows() []Row {
	rows := []Row{{Family: Descriptors, Target: "all", Deed: "each one is in this table", works: true, Bounds: Bounds{Timeout: CallTimeout}, attack: allKnown}}
	for _, d := range ownDescriptors {
		for _, do := range descriptorDeeds {
			row := Row{
				Family: Descriptors, Target: d.name, Deed: do.name,
				attack: func(ctx context.Context, v *victim) error { return eachDescriptor(ctx, v, d, do) },
			}
			if strings.HasSuffix(do.name, "and stop") {
				row.workers = 1 // every task of the pool must wait for this worker
			}
			row.long = !strings.HasPrefix(d.name, "descriptor ") && !strings.HasPrefix(do.name, "close") && !strings.HasPrefix(do.name, "replace")
			rows = append(rows, row)
		}
	}
	return rows
}

// eachDescriptor does a deed to all descriptors of a group. There may be no such descriptors, and
// the system may refuse the deed.
func eachDescriptor(ctx context.Context, v *victim, d descriptor, do deed) error {
	all, err := openDescriptors()
	if err != nil {
		return err
	}
	for fd, target := range all {
		if d.is(fd, target) {
			_ = do.do(ctx, v, fd)
		}
	}
	return nil
}

// maxFilled limits the bytes written to a descriptor that never becomes full.
const maxFilled = 16 << 20

// fill writes until there is no more room, even if the descriptor is the reading end of a pipe.
func fill(fd int) {
	to := fd
	if own, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err == nil {
		defer unix.Close(own)
		to = own
	}

	junk := make([]byte, 4096)
	for range maxFilled / len(junk) {
		err := unix.Sendto(to, junk, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
		if errors.Is(err, unix.ENOTSOCK) {
			_, err = unix.Write(to, junk)
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			break
		}
	}

	for { // fill the rest byte by byte
		err := unix.Sendto(to, junk[:1], unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
		if errors.Is(err, unix.ENOTSOCK) && to != fd {
			_, err = unix.Write(to, junk[:1])
		}
		if err != nil || to == fd {
			return
		}
	}
}

// drain reads everything until the task's context ends, even if the descriptor is the writing end
// of a pipe.
func drain(ctx context.Context, fd int) {
	from := fd
	if own, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err == nil {
		defer unix.Close(own)
		from = own
	}

	buf := make([]byte, 65536)
	for ctx.Err() == nil {
		_, _, err := unix.Recvfrom(from, buf, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.ENOTSOCK) && from != fd {
			_, err = unix.Read(from, buf)
		}
		if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return
		}
		fds := []unix.PollFd{{Fd: int32(from), Events: unix.POLLIN}}
		_, _ = unix.Poll(fds, 5)
	}
}

func replaceByNull(fd int) error {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(null)
	return unix.Dup3(null, fd, unix.O_CLOEXEC)
}

// replaceBySocket replaces a descriptor with one end of a socket pair. It leaves the other end
// open.
func replaceBySocket(fd int) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(pair[0])
	return unix.Dup3(pair[0], fd, unix.O_CLOEXEC)
}

// hand starts a child that inherits the descriptor and runs outside this process's group.
func (v *victim) hand(fd int) error {
	env := []string{holdVar + "=" + v.Holders}
	for _, e := range os.Environ() {
		if strings.HasPrefix(e, TagVar+"=") || strings.HasPrefix(e, "GORACE=") {
			env = append(env, e)
		}
	}
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(null)
	_, err = syscall.ForkExec("/proc/self/exe", []string{"holder"}, &syscall.ProcAttr{
		Env: env, Files: []uintptr{uintptr(null), uintptr(null), uintptr(null), uintptr(fd)}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	return err
}

func (v *victim) handAndExit(fd, code int) error {
	if err := v.hand(fd); err != nil {
		return err
	}
	os.Exit(code)
	return nil
}

func setFlags(fd, flags int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags)
	return err
}

// shrink makes the buffers of a pipe or socket as small as the system allows.
func shrink(fd int) {
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, 4096)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1)
}
