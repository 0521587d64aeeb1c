//go:build linux

package shm

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSegment(t *testing.T) {
	const size = 3 * 4096
	fd, mem, err := New("mp-test", size)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)

	if len(mem) != size {
		t.Fatalf("%d bytes", len(mem))
	}
	for i, b := range mem {
		if b != 0 {
			t.Fatalf("byte %d is %d", i, b)
		}
	}

	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor flags %#x, %v", flags, err)
	}

	// No process can make an access end in SIGBUS.
	if err := unix.Ftruncate(fd, 0); err == nil {
		t.Error("the segment was truncated")
	}
	if err := unix.Ftruncate(fd, 2*size); err == nil {
		t.Error("the segment was grown")
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE); err == nil {
		t.Error("another seal could be added")
	}

	second, err := Map(fd, size)
	if err != nil {
		t.Fatal(err)
	}

	mem[size-1] = 7
	if second[size-1] != 7 {
		t.Error("two mappings do not share")
	}

	for _, wrong := range []int{size - 1, size + 1, 4096, 0} {
		if m, err := Map(fd, wrong); err == nil {
			t.Errorf("mapped as %d bytes", wrong)
			_ = Unmap(m)
		}
	}
	if err := Unmap(second); err != nil {
		t.Error(err)
	}
	if err := Unmap(mem); err != nil {
		t.Error(err)
	}
}

func TestErrors(t *testing.T) {
	for _, size := range []int{0, -1} {
		if _, mem, err := New("mp-test", size); err == nil {
			t.Errorf("a segment of %d bytes", size)
			_ = Unmap(mem)
		}
	}

	if _, err := Map(-1, 4096); err == nil {
		t.Error("mapped without a descriptor")
	}
	// A failed New leaves no descriptor behind: the lowest free one is the same as before.
	lowest := func() int {
		fd, err := unix.Open("/", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		_ = unix.Close(fd)
		return fd
	}

	before := lowest()
	_, _, _ = New("mp-test", 0)
	if after := lowest(); after != before {
		t.Errorf("the lowest free descriptor was %d and is %d", before, after)
	}
}

// New leaves no descriptor behind when it fails.
func TestNewFails(t *testing.T) {
	before, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}

	for range 3 {
		if fd, _, err := New("mp-test", -1); err == nil || fd != -1 {
			t.Error(fd, err)
		}
		// An empty segment cannot be mapped.
		if fd, _, err := New("mp-test", 0); err == nil || fd != -1 {
			t.Error(fd, err)
		}
	}

	if after, err := os.ReadDir("/proc/self/fd"); err != nil || len(after) != len(before) {
		t.Errorf("%d descriptors before, %d after, %v", len(before), len(after), err)
	}
}
