package shm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// namedDir is where shm_open keeps segments with names.
const namedDir = "/dev/shm/"

// Create creates a zeroed segment of size bytes that other programs can open by its name. It
// returns the segment's descriptor and a mapping, or an error that wraps fs.ErrExist if the name is
// taken. The memory is allocated at once, so a later write cannot end in SIGBUS for lack of memory.
func Create(name string, size int) (fd int, mem []byte, err error) {
	path, err := pathOf(name)
	if err != nil {
		return -1, nil, err
	}
	fd, err = retry(func() (int, error) {
		return unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
	})
	if err != nil {
		return -1, nil, &fs.PathError{Op: "create", Path: path, Err: err}
	}

	defer func() {
		if err != nil {
			_ = unix.Close(fd)
			_ = unix.Unlink(path)
		}
	}()

	if _, err := retry(func() (int, error) { return 0, unix.Fallocate(fd, 0, 0, int64(size)) }); err != nil {
		return -1, nil, os.NewSyscallError("fallocate", err)
	}

	mem, err = Map(fd, size)
	return fd, mem, err
}

// Open opens a segment that any program has created. It returns an error that wraps fs.ErrNotExist
// if there is no segment of that name.
func Open(name string) (fd int, mem []byte, err error) {
	path, err := pathOf(name)
	if err != nil {
		return -1, nil, err
	}
	fd, err = retry(func() (int, error) { return unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0) })
	if err != nil {
		return -1, nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}

	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && (st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size == 0) {
		err = errors.New("it is no file, or has no size yet")
	}

	if err == nil {
		mem, err = Map(fd, int(st.Size))
	}

	if err != nil {
		_ = unix.Close(fd)
		return -1, nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, mem, nil
}

// Remove removes a name. Programs that have opened the segment keep it.
func Remove(name string) error {
	path, err := pathOf(name)
	if err != nil {
		return err
	}
	if err := unix.Unlink(path); err != nil {
		return &fs.PathError{Op: "remove", Path: path, Err: err}
	}
	return nil
}

// An ID distinguishes a named segment from all others that exist while it is mapped.
type ID struct{ dev, ino uint64 }

// IDOf returns the ID of an open segment.
func IDOf(fd int) (ID, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return ID{}, os.NewSyscallError("fstat", err)
	}
	return ID{st.Dev, st.Ino}, nil
}

// RemoveOwn is like Remove, but does nothing unless the name belongs to the segment with the given
// ID.
func RemoveOwn(name string, id ID) error {
	path, err := pathOf(name)
	if err != nil {
		return err
	}

	var st unix.Stat_t
	err = unix.Lstat(path, &st)
	if err == nil && (ID{st.Dev, st.Ino}) == id {
		err = unix.Unlink(path)
	}

	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return &fs.PathError{Op: "remove", Path: path, Err: err}
}

func pathOf(name string) (string, error) {
	if name == "" || name == "." || name == ".." || len(name) > 200 || strings.ContainsAny(name, "/\x00") {
		return "", fmt.Errorf("%q is no name of a segment: use a file's, without a slash", name)
	}
	return namedDir + name, nil
}

func retry(f func() (int, error)) (n int, err error) {
	for {
		if n, err = f(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
